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
	Do(ctx context.Context, job plan.Job, c Control) (record *store.Record, found bool, err error)
}

// Control connects the execution of a job with its executor.
type Control struct {
	// Stop, once closed, ends a job that has not started with ErrStopped. It may be nil.
	Stop <-chan struct{}
	// Wait reports that the job waits for another process, and who executes it.
	Wait func(holder store.Holder)
	// Start reports that the job has started.
	Start func()
	// Advance reports progress.
	Advance func(action.Progress)
}

// execute executes a job in this process. It tells its updates, and returns the last one.
func execute(ctx context.Context, d Doer, job plan.Job, stop <-chan struct{}, tell func(Update)) Update {
	m := &meter{tell: func(p action.Progress) { tell(Update{Key: job.Key, Progress: p}) }}
	record, found, err := d.Do(ctx, job, Control{
		Stop:    stop,
		Wait:    func(holder store.Holder) { tell(Update{Key: job.Key, Waits: holder.String()}) },
		Start:   func() { tell(Update{Key: job.Key, Started: true}) },
		Advance: m.advance,
	})
	m.flush()
	return Update{Key: job.Key, Ended: true, Record: record, Found: found, Err: err}
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
	return execute(ctx, l.doer, job, l.budget.stopped, func(u Update) { l.updates <- u })
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
