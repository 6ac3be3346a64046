package executor

import (
	"context"
	"errors"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/store"
)

// Doer executes a job in this process.
type Doer interface {
	// Do returns the record of the job, and whether another process made it in the meantime.
	Do(ctx context.Context, job plan.Job, advance func(action.Progress)) (record *store.Record, found bool, err error)
}

// Local executes jobs in this process.
type Local struct {
	budget  *Budget
	slots   int
	doer    Doer
	updates chan Update
}

// NewLocal returns an executor that executes as many jobs concurrently as the budget has cores.
func NewLocal(b *Budget, d Doer) *Local {
	return &Local{budget: b, slots: int(b.has.Cores), doer: d, updates: make(chan Update)}
}

// Slots implements Executor.
func (l *Local) Slots() int { return l.slots }

// Group implements Executor. Jobs share loaded models without being grouped.
func (l *Local) Group() int { return 1 }

// Submit implements Executor.
func (l *Local) Submit(ctx context.Context, group []plan.Job) {
	go func() {
		for _, job := range group {
			l.updates <- l.do(ctx, job)
		}
	}()
}

func (l *Local) do(ctx context.Context, job plan.Job) Update {
	release, err := l.budget.Acquire(ctx, job.Resources, job.Model)
	if err != nil {
		return Update{Key: job.Key, Ended: true, Err: err}
	}
	defer release()
	l.updates <- Update{Key: job.Key, Started: true}
	m := &meter{tell: func(p action.Progress) { l.updates <- Update{Key: job.Key, Progress: p} }}
	record, found, err := l.doer.Do(ctx, job, m.advance)
	m.flush()
	return Update{Key: job.Key, Ended: true, Record: record, Found: found, Err: err}
}

// Updates implements Executor.
func (l *Local) Updates() <-chan Update { return l.updates }

// Stop implements Executor.
func (l *Local) Stop() { l.budget.Stop() }

// Retire implements Executor.
func (l *Local) Retire(model string) { l.budget.Retire(model) }

// Close implements Executor.
func (l *Local) Close() error {
	l.budget.Wait()
	return nil
}

// IsStopped reports whether err means that a job had not started before a stop.
func IsStopped(err error) bool { return errors.Is(err, ErrStopped) }
