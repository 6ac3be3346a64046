package workspace

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"surprisal.dev/plugins/host"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/store"
)

// RedoOptions say which actions to do again.
type RedoOptions struct {
	// Count is how many are drawn, by Seed, besides Actions, which names some or gives the first digits of their keys.
	Count   int
	Seed    uint64
	Actions []string
}

// Redo does actions of the plan again that the store holds, publishes nothing, and adds to v what they make otherwise. That
// finds records that were forged, which Verify cannot.
func (w *Workspace) Redo(ctx context.Context, o RedoOptions, v *Verification) (err error) {
	p, err := w.Plan(ctx)
	if err != nil {
		return err
	}
	if err := w.Resolve(ctx, p); err != nil {
		return err
	}
	chosen, err := draw(p, o)
	if err != nil {
		return err
	}
	// A cancelled check does not wait for a plugin that may never answer. Close returns the error.
	defer context.AfterFunc(ctx, func() { _ = w.stopPlugins() })()
	pool := host.NewPool()
	defer func() { err = errors.Join(err, pool.Close()) }()
	for _, a := range chosen {
		problem, err := w.redo(ctx, a, pool)
		if err != nil {
			return fmt.Errorf("%s: %w", a.Name, err)
		}
		v.Redone = append(v.Redone, a.Name)
		if problem != nil {
			v.Problems = append(v.Problems, *problem)
		}
	}
	return nil
}

// draw returns the actions that are named and others at random, one for each key.
func draw(p *plan.Plan, o RedoOptions) (chosen []*plan.Action, err error) {
	var cached []*plan.Action
	seen := map[string]bool{}
	for _, a := range p.Actions {
		if a.State == plan.Cached && !seen[a.Key] {
			seen[a.Key] = true
			cached = append(cached, a)
		}
	}
	clear(seen)
	for _, what := range o.Actions {
		found := false
		for _, a := range p.Actions {
			if a.State != plan.Cached || a.Name != what && (!keyPrefix.MatchString(what) || !strings.HasPrefix(a.Key, what)) {
				continue
			}
			if found = true; !seen[a.Key] {
				seen[a.Key] = true
				chosen = append(chosen, a)
			}
		}
		if !found {
			return nil, invalid("the store holds no action of %s with the name or key %q; runner plan lists the names", p.Experiment, what)
		}
	}
	rest := o.Count
	random := rand.New(rand.NewPCG(o.Seed, 0))
	for _, i := range random.Perm(len(cached)) {
		if a := cached[i]; rest > 0 && !seen[a.Key] {
			rest--
			chosen = append(chosen, a)
		}
	}
	return chosen, nil
}

// redo does an action again and says in what it differs from the record, nil if in nothing.
func (w *Workspace) redo(ctx context.Context, a *plan.Action, pool *host.Pool) (*store.Problem, error) {
	job, err := a.Job()
	if err != nil {
		return nil, err
	}
	record, err := w.Store.GetRecord(ctx, a.Key)
	if err != nil {
		return nil, err
	}
	made, err := w.worker(pool).Redo(ctx, job)
	if err != nil {
		return nil, err
	}
	differ := record.Differs(&store.Record{Outputs: made})
	if len(differ) == 0 {
		return nil, nil
	}
	var by []string
	for _, name := range []string{"platform", "go"} {
		if of := record.Computed[name]; of != "" {
			by = append(by, of)
		}
	}
	return &store.Problem{
		Path: a.Name,
		Problem: fmt.Sprintf("done again, its %s came out differently from the record %s, which names %s as what computed it",
			strings.Join(differ, ", "), a.Key, strings.Join(by, " and ")),
		Fix: "if no other processor explains that, it was forged: remove the action " + a.Key + " and run again",
	}, nil
}
