package executor

import (
	"context"
	"sync"
	"time"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/store"
)

// Executor executes jobs. Jobs are data, so that an executor can be on another machine. The authoritative result of a
// job is its record in the store; an executor reports when to look it up.
type Executor interface {
	// Slots returns the maximum number of concurrent groups, and Group the maximum number of jobs in a group.
	Slots() int
	Group() int
	// Submit starts to execute jobs, one after the other, and returns at once. Jobs of a group use the same model or
	// none. Canceling ctx stops the work.
	Submit(ctx context.Context, group []plan.Job)
	// Updates returns the updates of jobs. The last update of each submitted job has Ended set.
	Updates() <-chan Update
	// Stop prevents jobs from starting: jobs that have not started end with ErrStopped. A job that waits for another
	// process has not started.
	Stop()
	// Retire declares that no future job uses a model.
	Retire(model string)
	// Close waits for models that are being closed. No job may be running.
	Close() error
}

// Update is a change in the state of a job.
type Update struct {
	Key string
	// Waits is set if the job waits for another process, and says which process executes the job.
	Waits string
	// Started is set once the job has started.
	Started bool
	// Progress is the progress since the last update.
	Progress action.Progress
	// Ended is set in the last update, with either Record or Err. Found means that another process made the record.
	Ended  bool
	Record *store.Record
	Found  bool
	Err    error
}

// progressInterval is the minimum interval between progress updates of a job.
const progressInterval = 50 * time.Millisecond

// meter sums the progress of a job and reports it at intervals.
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
