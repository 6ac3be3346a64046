package plan

import (
	"testing"

	"surprisal.dev/runner/spec"
)

// Actions do the same if all that decides their results is the same, also upstream. Their names do not matter.
func TestSame(t *testing.T) {
	source := func(name, digest string) *Action {
		return &Action{Kind: "materialize", Name: name, Worker: &Worker{Name: "text"}, Parameters: []byte(digest)}
	}
	score := func(name string, documents *Action) *Action {
		return &Action{Kind: "score", Name: name, Inputs: []Input{{Role: "documents", Upstream: documents}}}
	}
	pinned := func(key string) *Action { return &Action{Pinned: &Pinned{Score: &spec.BaselineScore{Key: key}}} }
	for _, c := range []struct {
		x, y *Action
		want bool
	}{
		{source("a", "1"), source("b", "1"), true},
		{source("a", "1"), source("b", "2"), false},
		{score("a", source("a", "1")), score("b", source("b", "1")), true},
		{score("a", source("a", "1")), score("b", source("b", "2")), false},
		{score("a", source("a", "1")), pinned("k"), false},
		{pinned("k"), pinned("k"), true},
		{pinned("k"), pinned("l"), false},
	} {
		if got := Same(c.x, c.y); got != c.want {
			t.Errorf("%+v and %+v: got %v", c.x, c.y, got)
		}
	}
}

// Of the lock file, a comparison shows the pins of baselines that differ.
func TestBaselineFields(t *testing.T) {
	with := func(key string) *Plan {
		b := &spec.UsedBaseline{Baseline: spec.Baseline{Name: "release", Model: "m"}}
		return &Plan{Actions: []*Action{{Pinned: &Pinned{Baseline: b, Score: &spec.BaselineScore{Dataset: "d", Key: key}}}}}
	}
	if got := with("0123456789abcdef").BaselineFields(with("0123456789abcdef")); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	want := Field{Path: "surprisal.lock: baseline release on d", Before: "scores of m, key 0123456789ab", After: "scores of m, key f"}
	if got := with("f").BaselineFields(with("0123456789abcdef")); len(got) != 1 || got[0] != want {
		t.Errorf("got %v", got)
	}
	if got := (&Plan{}).BaselineFields(with("f")); len(got) != 1 || got[0].After != "" {
		t.Errorf("got %v", got)
	}
}
