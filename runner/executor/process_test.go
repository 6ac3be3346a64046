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

// Jobs that a stop prevents from starting end with ErrStopped.
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
			t.Errorf("%.8s: got %v and the output\n%s", key, failed[key], out.String())
		}
	}
}

// A job fails if its process reports no result, even if the process succeeds.
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
	if !u.Ended || u.Key != key || u.Err == nil || !strings.Contains(u.Err.Error(), "without reporting a result") {
		t.Errorf("%+v, want an error", u)
	}
}

// A process that crashes fails the job that it had started, and another process continues with the next. The jobs of a
// process are in the store.
func TestProcessDies(t *testing.T) {
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
	a, b := plan.Job{Key: strings.Repeat("a", 64), Name: "a", Resources: one}, plan.Job{Key: strings.Repeat("b", 64), Name: "b", Resources: one}
	a.Descriptor.Parameters, b.Descriptor.Parameters = []byte("{}"), []byte("{}")
	for _, test := range []struct{ program, want, message string }{
		{`read key; echo "{\"key\":\"$key\",\"started\":true}"; exit 3`, "started a, ended a, started b, ended b", "the process that executed it: exit status 3"},
		{`read key; echo "{\"key\":\"$key\",\"started\":true}"; echo "{\"key\":\"$key\",\"progress\":{}}"; exit 3`,
			"started a, started a, ended a, started b, started b, ended b", "the process that executed it: exit status 3"},
		{"exit 4", "ended a, ended b", "the process that executed it: "},
		{`read key; echo what; read end; read end`, "ended a, ended b", "its output: invalid character"},
		{"", "ended a, ended b", "start a process for 2 actions: "},
	} {
		program := func(ctx context.Context) *exec.Cmd {
			if test.program == "" {
				return exec.CommandContext(ctx, "./no such program")
			}
			return exec.CommandContext(ctx, "sh", "-c", test.program)
		}
		p := executor.NewProcesses(executor.NewBudget(plan.Resources{Cores: 1}, nil, nil), program, s, hclog.NewNullLogger())
		p.Submit(t.Context(), []plan.Job{a, b})
		var got []string
		for ended := 0; ended < 2; {
			u := <-p.Updates()
			what := "started "
			if u.Ended {
				what = "ended "
				ended++
				if u.Err == nil || !strings.Contains(u.Err.Error(), test.message) {
					t.Errorf("%s: got %+v, want %q", test.program, u, test.message)
				}
			}
			got = append(got, what+u.Key[:1])
		}
		if strings.Join(got, ", ") != test.want || p.Close() != nil {
			t.Errorf("%s: got %q, want %s", test.program, got, test.want)
		}
		for _, job := range []plan.Job{a, b} {
			if stored, err := executor.Stored(t.Context(), s, job.Key); err != nil || stored.Name != job.Name || stored.Key != job.Key {
				t.Errorf("got the job %+v, %v", stored, err)
			}
		}
	}
}
