package plan

import (
	"context"
	"fmt"
	"strings"

	"surprisal.dev/runner/store"
)

// Cache answers which actions have run. A hit means that every output exists.
type Cache interface {
	Lookup(ctx context.Context, key string) (*store.Record, bool, error)
}

// Resolve computes the keys that can be known and asks the cache for each.
func (p *Plan) Resolve(ctx context.Context, cache Cache) error {
	for _, a := range p.Actions {
		if _, err := a.SetKey(); err != nil {
			return err
		}
		if a.State != Pending {
			continue
		}
		record, hit, err := cache.Lookup(ctx, a.Key)
		if err != nil {
			return fmt.Errorf("%s: look up %s: %w", a.Name, a.Key, err)
		}
		if hit {
			a.Found(record)
		}
	}
	return nil
}

// SetKey computes the action's key and makes it Pending if all its inputs exist; else it Waits. It returns the canonical
// JSON behind the key, nil while there is none.
func (a *Action) SetKey() ([]byte, error) {
	if a.State == Skipped {
		return nil, nil
	}
	a.refine()
	inputs, known, err := a.digests()
	if err != nil {
		return nil, err
	}
	if !known {
		a.State = Waits
		return nil, nil
	}
	key, parts, err := a.key(inputs)
	if err != nil {
		return nil, err
	}
	a.Key, a.State = key, Pending
	return parts, nil
}

// Found marks the action as cached with what the record holds.
func (a *Action) Found(r *store.Record) {
	a.State, a.Outputs, a.Warnings, a.Seconds = Cached, r.Outputs, r.Warnings, r.Measured[MeasuredSeconds]
	a.learn(r.Measured)
}

// Finished marks the action as done with what it made.
func (a *Action) Finished(r *store.Record) {
	a.Found(r)
	a.State = Done
}

// Names of measurements that refine the costs of downstream actions.
const (
	MeasuredDocuments = "documents"
	MeasuredBytes     = "bytes"
	MeasuredTokens    = "tokens"
	MeasuredSeconds   = "seconds"
)

// learn replaces the bounds of a cost by what was counted.
func (a *Action) learn(measured map[string]float64) {
	documents, ok := measured[MeasuredDocuments]
	if !ok {
		return
	}
	a.Cost.Documents, a.Cost.Bytes = int64(documents), int64(measured[MeasuredBytes])
	a.Cost.Tokens = int64(measured[MeasuredTokens])
	a.Cost.AtMost = false
}

// refine replaces the bounds of a cost by the counts of what is read, once these exist.
func (a *Action) refine() {
	var read Cost
	for _, in := range a.Inputs {
		// A score reads a model, too, and a gap the same documents from both sides.
		if in.Role == "documents" || a.Kind == Train || a.Kind == Gap && strings.HasPrefix(in.Role, "a") {
			read.add(in.Upstream.Cost)
		}
	}
	if len(a.Inputs) == 0 || read.AtMost {
		return
	}
	a.Cost.Documents, a.Cost.Bytes, a.Cost.AtMost = read.Documents, read.Bytes, false
	a.Cost.Seconds = a.rate * float64(read.Bytes)
	if a.Kind == Score {
		a.Cost.count(a.Model)
	}
}
