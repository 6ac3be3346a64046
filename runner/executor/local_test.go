package executor_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/go-hclog"

	"surprisal.dev/plugins/host"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action/kinds"
	"surprisal.dev/runner/executor"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/store"
)

// loader executes jobs by loading their models from a pool, and counts how many are loaded at once.
type loader struct {
	pool         *host.Pool
	loaded, most atomic.Int64
}

type loadedModel struct{ of *loader }

func (loadedModel) Describe() protocol.LoadedModel { return protocol.LoadedModel{} }

func (loadedModel) Score(
	context.Context, protocol.Settings, iter.Seq2[protocol.Document, error], func(protocol.Document, protocol.ScoredDocument) error,
) error {
	return nil
}

func (m loadedModel) Close() error {
	m.of.loaded.Add(-1)
	return nil
}

func (l *loader) Do(ctx context.Context, job plan.Job, c executor.Control) (*store.Record, bool, error) {
	c.Start()
	r := job.Model.Resources
	_, release, err := l.pool.Acquire(ctx, job.Model.ID, host.Resources{Memory: r.Memory, Devices: r.Devices}, func(context.Context) (host.Loaded, error) {
		n := l.loaded.Add(1)
		for most := l.most.Load(); n > most && !l.most.CompareAndSwap(most, n); most = l.most.Load() {
		}
		return loadedModel{l}, nil
	})
	if err != nil {
		return nil, false, err
	}
	return &store.Record{Key: job.Key}, false, release()
}

// Of a hundred models used one at a time, one is loaded, whether they need memory, a device or unknown resources.
func TestHundredModels(t *testing.T) {
	t.Parallel()
	for what, takes := range map[string]plan.Resources{"memory": {Memory: 8}, "a device": {Devices: 1}, "nothing known": {}} {
		l := &loader{pool: host.NewPool()}
		budget := executor.NewBudget(plan.Resources{Cores: 16, Memory: 10, Devices: 1}, l.pool, func(model string, err error) { t.Error(model, err) })
		x := executor.NewLocal(budget, l)
		for i := range 100 {
			id := fmt.Sprint(i)
			x.Submit(t.Context(), []plan.Job{{Key: id, Resources: one, Model: &plan.Model{ID: id, Resources: takes}}})
			for ended := false; !ended; {
				u := <-x.Updates()
				if ended = u.Ended; u.Err != nil {
					t.Fatal(u.Err)
				}
			}
		}
		if n := l.most.Load(); n != 1 {
			t.Errorf("models that take %s: %d were loaded at once", what, n)
		}
		if err := errors.Join(x.Close(), l.pool.Close()); err != nil || l.loaded.Load() != 0 {
			t.Errorf("%d models are loaded still: %v", l.loaded.Load(), err)
		}
	}
}

// Jobs that this runner does not support are rejected before any work, and are not retried.
func TestForeignJobs(t *testing.T) {
	t.Parallel()
	w := executor.NewWorker(executor.WorkerOptions{Kinds: kinds.All(), Log: hclog.NewNullLogger()})
	for _, test := range []struct {
		descriptor plan.Descriptor
		key, want  string
	}{
		{plan.Descriptor{Kind: "other", Schema: 1}, "", `does not support actions of kind "other"; its kinds are `},
		{plan.Descriptor{Kind: "score", Schema: 1 << 20}, "", "the job has schema 1048576 of kind score, but this runner has schema "},
		{plan.Descriptor{Kind: "score", Schema: 1}, strings.Repeat("0", 64), "it was modified; run the plan again"},
	} {
		test.descriptor.Parameters = []byte("{}")
		key, _, err := test.descriptor.Key()
		if err != nil {
			t.Fatal(err)
		}
		if test.key != "" {
			key = test.key
		}
		_, _, err = w.Do(t.Context(), plan.Job{Key: key, Descriptor: test.descriptor}, executor.Control{})
		if protocol.KindOf(err) != protocol.InvalidInput || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: got error %v, want %q", test.descriptor, err, test.want)
		}
	}
}
