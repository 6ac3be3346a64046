package executor_test

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"surprisal.dev/runner/executor"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/store"
)

// Jobs that a stop keeps from beginning have not been done, and whoever asked for them is told so.
func TestDoStopped(t *testing.T) {
	stop := make(chan struct{})
	close(stop)
	keys := []string{strings.Repeat("a", 64), strings.Repeat("b", 64)}
	var out strings.Builder
	failed, err := executor.Do(t.Context(), nil, nil, keys, stop, &out)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if !executor.IsStopped(failed[key]) || !strings.Contains(out.String(), `{"key":"`+key+`","ended":true,"stopped":true}`) {
			t.Errorf("%.8s: found %v and the output\n%s", key, failed[key], out.String())
		}
	}
}

// A job of which its process says nothing has failed, however well the process ended.
func TestSilentProcess(t *testing.T) {
	s, err := store.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Begin(t.Context(), store.Run{ID: "run", Started: time.Now(), State: "running"}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Release(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	silent := func(ctx context.Context) *exec.Cmd { return exec.CommandContext(ctx, "sh", "-c", "read key; read end") }
	p := executor.NewProcesses(executor.NewBudget(plan.Resources{Cores: 1}, nil, nil), silent, s, hclog.NewNullLogger())
	key := strings.Repeat("a", 64)
	p.Submit(t.Context(), []plan.Job{{Key: key, Descriptor: plan.Descriptor{Parameters: []byte("{}")}, Resources: one}})
	u := <-p.Updates()
	if !u.Ended || u.Key != key || u.Err == nil || !strings.Contains(u.Err.Error(), "without a word") {
		t.Errorf("%+v, wanted an error", u)
	}
}
