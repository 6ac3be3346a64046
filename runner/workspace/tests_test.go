package workspace

import (
	"testing"

	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
)

// The position of an action is that of what it belongs to: its entry of a section, also of another kind, its model or its
// dataset.
func TestPosition(t *testing.T) {
	at := func(line int) spec.Position { return spec.Position{File: "x.cue", Line: line} }
	w := &Workspace{experiment: &spec.Experiment{
		Positions: map[string]spec.Position{"gate night": at(1), "gap a/b": at(2)},
		Models:    []spec.Model{{Name: "m", Pos: at(3)}}, Datasets: []spec.Dataset{{Name: "d", Pos: at(4)}},
	}}
	for _, test := range []struct {
		kind   string
		labels plan.Labels
		want   int
	}{
		{"gate", plan.Labels{Section: "night"}, 1}, {"gap", plan.Labels{Section: "a/b"}, 2},
		{"gap", plan.Labels{Section: "c/d"}, 0}, {"score", plan.Labels{Model: "m", Dataset: "d"}, 3}, {"materialize", plan.Labels{Dataset: "d"}, 4},
		{"windows", plan.Labels{Section: "unknown", Model: "m"}, 3}, {"score", plan.Labels{}, 0},
	} {
		if got := position(w, &plan.Action{Kind: test.kind, Labels: test.labels}); got.Line != test.want {
			t.Errorf("%s %+v: line %d, want %d", test.kind, test.labels, got.Line, test.want)
		}
	}
	// A gap of a gate is known by the gate that reads it.
	compared := &plan.Action{Kind: "gap", Labels: plan.Labels{Section: "gate-confirm/night"}}
	gate := &plan.Action{Index: 1, Kind: "gate", Labels: plan.Labels{Section: "night"}, Inputs: []plan.Input{{Upstream: compared}}}
	if got := position(w, compared, gate); got != at(1) {
		t.Errorf("the gap of a gate: %v", got)
	}
	if got := position(&Workspace{}, &plan.Action{}); got != (spec.Position{}) {
		t.Errorf("without an experiment: %v", got)
	}
}

// position returns the position of the first of the actions of a plan.
func position(w *Workspace, actions ...*plan.Action) spec.Position {
	return w.Position(&plan.Plan{Actions: actions}, actions[0])
}

// A test without an answer names the action that failed, however far upstream.
func TestUnfinished(t *testing.T) {
	failed := &plan.Action{Name: "materialize d", Status: plan.Status{State: plan.Failed}}
	done := &plan.Action{Name: "train m", Status: plan.Status{State: plan.Done}}
	score := &plan.Action{Name: "score m d", Status: plan.Status{State: plan.Blocked}, Inputs: []plan.Input{{Upstream: done}, {Upstream: failed}}}
	gate := &plan.Action{Name: "gate g", Status: plan.Status{State: plan.Blocked}, Inputs: []plan.Input{{Upstream: score}}}
	for a, want := range map[*plan.Action]string{
		failed: "materialize d failed", gate: "materialize d failed", {Name: "gate h", Status: plan.Status{State: plan.Canceled}}: "canceled",
	} {
		if got := unfinished(a); got != want {
			t.Errorf("%s: %q, want %q", a.Name, got, want)
		}
	}
}
