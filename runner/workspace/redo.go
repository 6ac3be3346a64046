package workspace

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"surprisal.dev/plugins/host"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
	"surprisal.dev/runner/store"
)

// RedoOptions select the actions to execute again.
type RedoOptions struct {
	// Count is the number of actions to choose at random, determined by Seed.
	Count int
	Seed  uint64
	// Actions are further actions, by name or by the first digits of the key.
	Actions []string
}

// Redo executes cached actions of the plan again, without publishing results, and adds differences from the store to v.
// That detects forged records, which Verify cannot.
func (w *Workspace) Redo(ctx context.Context, o RedoOptions, v *Verification) (err error) {
	p, err := w.Plan(ctx)
	if err != nil {
		return err
	}
	if err := w.Resolve(ctx, p); err != nil {
		return err
	}
	chosen, err := choose(p, o)
	if err != nil {
		return err
	}
	if err := w.fetchFor(ctx, chosen); err != nil {
		return err
	}
	// After cancellation, do not wait for a plugin that may never answer. Close returns the error.
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

// choose returns the named actions and random others, one per key.
func choose(p *plan.Plan, o RedoOptions) (chosen []*plan.Action, err error) {
	var cached []*plan.Action
	seen := map[string]bool{}
	for _, a := range p.Actions {
		// What a baseline pins cannot be executed.
		if a.State == plan.Cached && a.Pinned == nil && !seen[a.Key] {
			seen[a.Key] = true
			cached = append(cached, a)
		}
	}
	clear(seen)
	for _, what := range o.Actions {
		found, exists := false, false
		for _, a := range p.Actions {
			exists = exists || a.Name == what
			if a.State != plan.Cached || a.Pinned != nil || a.Name != what && (!keyPrefix.MatchString(what) || !strings.HasPrefix(a.Key, what)) {
				continue
			}
			if found = true; !seen[a.Key] {
				seen[a.Key] = true
				chosen = append(chosen, a)
			}
		}
		if !found {
			meant := ""
			if near := spec.Nearest(what, p.Names()); near != "" && !exists {
				meant = fmt.Sprintf("; did you mean %s?", near)
			}
			return nil, invalid("the store does not hold an action of %s with the name or key %q; `runner plan` lists the names%s", p.Experiment, what, meant)
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

// redo executes an action again. It returns a problem if the result differs from the record, and nil otherwise.
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
		Problem: fmt.Sprintf("executed again, the action gives another %s than its record %s, which was computed by %s",
			strings.Join(differ, ", "), a.Key, strings.Join(by, " and ")),
		Fix: "unless a different processor explains that, the record is forged: remove the action " + a.Key + " and run again",
	}, nil
}
