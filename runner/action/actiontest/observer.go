package actiontest

import (
	"sync"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/engine"
	"surprisal.dev/runner/plan"
)

// observer records the events of a run.
type observer struct {
	mu      sync.Mutex
	failed  map[string]error
	advance func(action.Progress)
}

func (o *observer) count(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f()
}

// Observe implements engine.Observer.
func (o *observer) Observe(e engine.Event) {
	if e.State == plan.Failed {
		o.count(func() { o.failed[e.Action.Name] = e.Err })
	}
}

// Advance implements engine.Observer.
func (o *observer) Advance(_ *plan.Action, p action.Progress) { o.count(func() { o.advance(p) }) }
