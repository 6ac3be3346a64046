package executor

import (
	"sync"

	"surprisal.dev/plugins/protocol"
)

// estimated identifies an estimate: a model by its ID in the plan, and the settings of its scores.
type estimated struct {
	model    string
	settings protocol.Settings
}

// estimates keeps the backends' estimates of models.
type estimates struct {
	mu   sync.Mutex
	held map[estimated]protocol.Estimate
}

// get returns the estimate of id, which make makes if it is not there. Errors are not kept.
func (e *estimates) get(id estimated, make func() (protocol.Estimate, error)) (protocol.Estimate, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if found, ok := e.held[id]; ok {
		return found, nil
	}
	made, err := make()
	if err != nil {
		return protocol.Estimate{}, err
	}
	if e.held == nil {
		e.held = map[estimated]protocol.Estimate{}
	}
	e.held[id] = made
	return made, nil
}
