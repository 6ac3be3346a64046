package workspace

import (
	"context"
	"strings"

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

// Position returns where the spec defines what an action is of: a named entry of a section, a model or a dataset. It is
// the zero position if that is not known.
func (w *Workspace) Position(a *plan.Action) spec.Position {
	e := w.experiment
	if e == nil {
		return spec.Position{}
	}
	if section := a.Labels.Section; section != "" {
		if at, ok := e.Positions[a.Kind+" "+section]; ok {
			return at
		}
		// Some sections add actions of another kind, whose names begin with the section's name.
		if kind, name, ok := strings.Cut(section, "/"); ok && e.Positions[kind+" "+name].Line > 0 {
			return e.Positions[kind+" "+name]
		}
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
	return spec.Position{}
}
