package executor

import (
	"context"
	"sync"
	"time"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/store"
)

// Executor does jobs somewhere. It is handed data, so that it can be on another machine. The truth about a job is its record
// in the store; an executor tells when it is time to look.
type Executor interface {
	// Slots returns how many groups can be under way at the same time, and Group how many jobs a group may have.
	Slots() int
	Group() int
	// Submit has jobs done, one after the other, and returns at once. Jobs of a group use the same model or none. Cancelling
	// ctx stops the work.
	Submit(ctx context.Context, group []plan.Job)
	// Updates returns what becomes of jobs. Of each submitted job the last update has Ended set.
	Updates() <-chan Update
	// Stop lets nothing new start: jobs that have not started end with ErrStopped.
	Stop()
	// Retire says that no job to come uses a model.
	Retire(model string)
	// Close waits for what Retire set going. No job may be under way.
	Close() error
}

// Update is news of a job.
type Update struct {
	Key string
	// Started is set in the first update of a job whose work has begun.
	Started bool
	// Progress is what was done since the last update.
	Progress action.Progress
	// Ended is set in the last update. Then Record or Err is; Found says that the record is of somebody else's work.
	Ended  bool
	Record *store.Record
	Found  bool
	Err    error
}

// progressInterval is how often at most the progress of a job is told.
const progressInterval = 50 * time.Millisecond

// meter adds up the progress of a job and tells it now and then.
type meter struct {
	tell func(action.Progress)

	mu   sync.Mutex
	sum  action.Progress
	last time.Time
}

func (m *meter) advance(p action.Progress) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sum.Add(p)
	if now := time.Now(); now.Sub(m.last) >= progressInterval {
		m.last = now
		m.flushLocked()
	}
}

func (m *meter) flush() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.flushLocked()
}

func (m *meter) flushLocked() {
	if m.sum != (action.Progress{}) {
		m.tell(m.sum)
		m.sum = action.Progress{}
	}
}
