package gate_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/gap"
	"surprisal.dev/runner/action/gate"
)

// A slice fails only if the second gap fails on its counterpart: the dataset that is its sample, or the slice of its name.
func TestConfirm(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	first := &gap.Summary{
		Overall:  row(r, "overall", 400, 0.05),
		Datasets: []gap.Row{row(r, "a", 200, 0.05), row(r, "b", 200, 0.05), row(r, "c", 200, 0), row(r, "d", 200, 0.05)},
		Groups:   []gap.Row{row(r, "g", 300, 0.05)},
	}
	second := &gate.Second{
		Name: gate.OtherDocuments, Samples: map[string]string{"a": "fresh/a", "b": "fresh/b", "c": "fresh/c", "d": "fresh/d"},
		Of: &gap.Summary{
			Overall: row(r, "overall", 400, 0.05),
			Datasets: []gap.Row{
				row(r, "fresh/a", 200, 0.05), row(r, "fresh/b", 200, -0.01), row(r, "fresh/c", 200, 0.05), {Name: "fresh/d", Verdict: gap.VerdictSmall},
			},
		},
	}
	test := gate.Test{Lists: []string{"datasets", "groups", "overall"}, Margin: 0.02, Confidence: 0.95}
	v, err := test.Decide(first, second)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][2]action.Answer{
		"overall": {action.Fail, action.Fail}, "a": {action.Fail, action.Fail}, "b": {action.Inconclusive, action.Pass}, "c": {action.Pass, "none"},
		"d": {action.Inconclusive, ""}, "g": {action.Inconclusive, ""},
	}
	for _, s := range v.Slices {
		got := [2]action.Answer{s.Answer, "none"}
		if s.Confirmation != nil {
			got[1] = s.Confirmation.Answer
		}
		if got != want[s.Name] {
			t.Errorf("%s: got %v, want %v", s.Name, got, want[s.Name])
		}
	}
	if len(v.Slices) != len(want) || v.Answer != action.Fail {
		t.Errorf("got %s on %d slices", v.Answer, len(v.Slices))
	}
	v.Candidate, v.Against = "new", "old"
	if got := v.Sentence(strings.ToUpper); !strings.HasPrefix(got, "NEW is worse than OLD on 2 of 6 slices (") || !strings.HasSuffix(got, ", confirmed by other documents") {
		t.Errorf("got %q", got)
	}
}

// A failure that nothing confirms is inconclusive, and the sentence says so.
func TestUnconfirmed(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	v, err := overall(0.02).Decide(&gap.Summary{Overall: row(r, "overall", 400, 0.05)}, &gate.Second{Name: "before", Of: &gap.Summary{Overall: row(r, "overall", 400, 0)}})
	if err != nil || v.Answer != action.Inconclusive {
		t.Fatalf("got %v, %v", v.Answer, err)
	}
	if got := v.Sentence(strings.ToUpper); !strings.HasSuffix(got, "; worse, but not confirmed)") {
		t.Errorf("got %q", got)
	}
}
