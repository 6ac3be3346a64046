package workspace

import (
	"context"
	"slices"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
)

// Tests returns the tests of a plan after a run. A test whose action did not finish has no answer.
func (w *Workspace) Tests(ctx context.Context, p *plan.Plan) ([]action.Test, error) {
	var all []action.Test
	for _, k := range w.kinds {
		tester, ok := k.(action.Tester)
		if !ok {
			continue
		}
		actions := p.Of(k.Name())
		tests, err := tester.Tests(ctx, actions, w.readFile)
		if err != nil {
			return nil, err
		}
		all = append(all, tests...)
		for _, a := range actions {
			if a.Outputs == nil && a.State != plan.Skipped {
				all = append(all, action.Test{Action: a.Name, Reason: unfinished(a)})
			}
		}
	}
	return all, nil
}

// unfinished says why an action has no outputs: it names the action upstream that failed.
func unfinished(a *plan.Action) string {
	if a.State == plan.Failed {
		return a.Name + " failed"
	}
	for _, in := range a.Inputs {
		if s := in.Upstream.State; s == plan.Failed || s == plan.Blocked {
			return unfinished(in.Upstream)
		}
	}
	return string(a.State)
}

// Position returns where the spec defines what an action of a plan is of: a named entry of a section, a model or a
// dataset. Otherwise, it is that of an action that reads the action's outputs. It is the zero position if none is known.
func (w *Workspace) Position(p *plan.Plan, a *plan.Action) spec.Position {
	e := w.experiment
	if e == nil {
		return spec.Position{}
	}
	if at, ok := e.Positions[a.Kind+" "+a.Labels.Section]; ok {
		return at
	}
	for i := range e.Models {
		if e.Models[i].Name == a.Labels.Model {
			return e.Models[i].Pos
		}
	}
	for i := range e.Datasets {
		if e.Datasets[i].Name == a.Labels.Dataset {
			return e.Datasets[i].Pos
		}
	}
	for _, reader := range p.Actions[a.Index+1:] {
		if slices.ContainsFunc(reader.Inputs, func(in plan.Input) bool { return in.Upstream == a }) {
			return w.Position(p, reader)
		}
	}
	return spec.Position{}
}
