package gate_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/gap"
	"surprisal.dev/runner/action/gate"
	"surprisal.dev/runner/action/gate/simulate"
)

// row is a row of documents with normally distributed gaps around a true one, and log-normal lengths.
func row(r *rand.Rand, name string, documents int, truth float64) gap.Row {
	return simulate.Corpus{Documents: documents, Truth: truth, Own: 0.05}.Draw(r).Row(name)
}

var overall = simulate.Overall

func answers(t *testing.T, test gate.Test, n int, draw func() *gap.Summary) map[action.Answer]float64 {
	t.Helper()
	shares, err := simulate.Answers(test, n, draw)
	if err != nil {
		t.Fatal(err)
	}
	return shares
}

// A candidate at the margin passes at most 5% of nights and fails at most 5%. One that is better by the detectable gap
// passes four of five nights, and one that is worse by it fails.
func TestNights(t *testing.T) {
	const nights, documents, margin = 10_000, 100, 0.01
	r := rand.New(rand.NewPCG(1, 2))
	at := func(truth float64) func() *gap.Summary {
		return func() *gap.Summary { return &gap.Summary{Overall: row(r, "overall", documents, truth)} }
	}
	detectable := simulate.Corpus{Documents: documents, Own: 0.05}.Detectable(r)
	equal := answers(t, overall(margin), nights, at(margin))
	better, worse := answers(t, overall(margin), nights/5, at(margin-detectable)), answers(t, overall(margin), nights/5, at(margin+detectable))
	t.Logf("at the margin: %v, better: %v, worse: %v", equal, better, worse)
	if equal[action.Pass] > 0.055 || equal[action.Fail] > 0.055 || equal[action.Pass] < 0.03 {
		t.Errorf("at the margin: %v", equal)
	}
	if better[action.Pass] < 0.75 || better[action.Pass] > 0.85 || worse[action.Fail] < 0.75 || worse[action.Fail] > 0.85 {
		t.Errorf("better by the detectable gap: %v, worse: %v", better, worse)
	}
}

// Over 30 nights on the same documents at the margin, a false alarm is likelier than 5%. A second night makes it rarer, and
// other documents most of all. Confirmation hides no regression that is large.
func TestRuns(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	c := simulate.Corpus{Documents: 100, Truth: 0.01, Shared: 0.04, Own: 0.03}
	a, err := simulate.Runs(r, c, 0.01, 500, 30)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("at the margin: %+v", a)
	if !(a.Fresh < a.Again && a.Again < a.Alone) || a.Alone < 0.05 || a.Fresh > 0.15 {
		t.Errorf("at the margin: %+v", a)
	}
	c.Truth = 0
	if a, err = simulate.Runs(r, c, 0.01, 200, 30); err != nil || a.Fresh > 0.02 {
		t.Errorf("without a regression: %+v, %v", a, err)
	}
	c.Truth = 0.01 + 2*c.Detectable(r)
	if a, err = simulate.Runs(r, c, 0.01, 100, 30); err != nil || a.Fresh < 0.99 || a.Again < 0.99 {
		t.Errorf("with a large regression: %+v, %v", a, err)
	}
}

// With 20 slices at the margin, a gate fails at most 5% of nights.
func TestManySlices(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	test := gate.Test{Lists: []string{"datasets"}, Margin: 0.01, Confidence: 0.95}
	shares := answers(t, test, 1000, func() *gap.Summary {
		s := &gap.Summary{}
		for range 20 {
			s.Datasets = append(s.Datasets, row(r, "d", 60, 0.01))
		}
		return s
	})
	if shares[action.Fail] > 0.065 || shares[action.Pass] > 0.001 {
		t.Errorf("%v", shares)
	}
}

// One bad slice fails a gate whose whole passes.
func TestOneBadSlice(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	s := &gap.Summary{Overall: row(r, "overall", 2000, 0), Datasets: []gap.Row{row(r, "good", 200, 0), row(r, "bad", 200, 0.05), {Name: "small", Verdict: gap.VerdictSmall}}}
	test := gate.Test{Lists: []string{"datasets", "overall"}, Margin: 0.02, Confidence: 0.95}
	v, err := test.Decide(s, nil)
	if err != nil || v.Answer != action.Fail || len(v.Slices) != 3 || v.Slices[0].Name != "bad" || len(v.TooSmall) != 1 {
		t.Fatalf("%+v, %v", v, err)
	}
	for _, slice := range v.Slices[1:] {
		if slice.Answer != action.Pass {
			t.Errorf("%+v", slice)
		}
	}
	v.Candidate, v.Against = "new", "old"
	if got := v.Sentence(strings.ToUpper); !strings.HasPrefix(got, "NEW is worse than OLD on 1 of 3 slices (BAD: +0.0") || !strings.HasSuffix(got, "; not tested, too small: 1") {
		t.Errorf("got %q", got)
	}
	// A wider margin for that slice lets it pass.
	test.Margins = map[string]float64{"bad": 0.2}
	if v, err := test.Decide(s, nil); err != nil || v.Answer != action.Pass || v.Slices[0].Name == "small" {
		t.Errorf("with a margin: %v, %v", v.Answer, err)
	}
	test.Margins = map[string]float64{"missing": 0.2}
	if _, err := test.Decide(s, nil); err == nil || !strings.Contains(err.Error(), `"missing", which is not a slice of the gap`) {
		t.Errorf("got %v", err)
	}
}

// A sentence begins with what decided the answer, and says what was not tested.
func TestSentence(t *testing.T) {
	slices := map[action.Answer][]gate.Slice{}
	for _, answer := range []action.Answer{action.Fail, action.Inconclusive, action.Pass} {
		slices[answer] = []gate.Slice{{Name: "s", Answer: answer}}
	}
	checks := []gate.Check{{Name: "open", Answer: action.Inconclusive}, {Name: "bad", Answer: action.Fail}, {Name: "good", Answer: action.Pass}}
	const measured = "(S: +0.0000 [+0.0000, +0.0000] bits per byte, margin 0.0000)"
	for _, c := range []struct {
		v    gate.Verdict
		want string
	}{
		{gate.Verdict{Slices: slices[action.Pass]}, "NEW is not worse than OLD on any of 1 slices"},
		{gate.Verdict{Slices: slices[action.Pass], TooSmall: []string{"x"}}, "NEW is not worse than OLD on any of 1 slices; not tested, too small: 1"},
		{gate.Verdict{Slices: slices[action.Fail], Checks: checks}, "NEW is worse than OLD on 1 of 1 slices " + measured + "; failed checks: bad; inconclusive checks: open"},
		{gate.Verdict{Slices: slices[action.Inconclusive], Checks: checks, TooSmall: []string{"x", "y"}},
			"failed checks: bad; cannot tell on 1 of 1 slices of NEW and OLD " + measured + "; inconclusive checks: open; not tested, too small: 2"},
		{gate.Verdict{Slices: slices[action.Pass], Checks: checks[:1]}, "inconclusive checks: open; NEW is not worse than OLD on any of 1 slices"},
		{gate.Verdict{TooSmall: []string{"x"}, Checks: checks[1:]},
			"failed checks: bad; cannot tell: every slice of NEW and OLD is too small; a slice needs 20 documents with 2,000 bytes: raise the limits, or add documents"},
	} {
		c.v.Candidate, c.v.Against = "new", "old"
		if got := c.v.Sentence(strings.ToUpper); got != c.want {
			t.Errorf("got  %q\nwant %q", got, c.want)
		}
	}
}

// An inconclusive slice says how many units would decide it. With that many, most nights decide it.
func TestNeeded(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	first := row(r, "overall", 1000, 0.01)
	v, err := overall(*first.GapBPB+0.002).Decide(&gap.Summary{Overall: first}, nil)
	if err != nil || v.Answer != action.Inconclusive || v.Slices[0].Needed < 1001 {
		t.Fatalf("%+v, %v", v, err)
	}
	needed := int(v.Slices[0].Needed)
	shares := answers(t, overall(0.002), 300, func() *gap.Summary { return &gap.Summary{Overall: row(r, "overall", needed, 0)} })
	if shares[action.Pass] < 0.7 || shares[action.Pass] > 0.9 {
		t.Errorf("%d units: %v", needed, shares)
	}
	if v, err := overall(0.01).Decide(&gap.Summary{Overall: gap.Row{Verdict: gap.VerdictSmall, Name: "overall"}}, nil); err != nil || v.Answer != action.Inconclusive {
		t.Errorf("too small: %v, %v", v.Answer, err)
	}
}

// A slice that would fail alone and is inconclusive among many needs more units than it has: the correction asks for more.
func TestNeededAmongMany(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	of := gap.Summary{Datasets: []gap.Row{row(r, "worse", 1000, 0.01)}}
	for i := range 20 {
		of.Datasets = append(of.Datasets, row(r, fmt.Sprint(i), 1000, 0))
	}
	worse := of.Datasets[0]
	margin := *worse.GapBPB - 2.2**worse.Error // p is about 0.014, and 0.29 with the correction
	v, err := gate.Test{Lists: []string{"datasets"}, Margin: margin, Confidence: 0.95}.Decide(&of, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range v.Slices {
		if s.Name == "worse" && (s.Answer != action.Inconclusive || s.Needed < 2000 || s.Needed > 4000) {
			t.Errorf("got %+v", s)
		}
	}
}

// The worst answer of all gates is that of a run; an inconclusive gate counts if it is strict.
func TestAnswer(t *testing.T) {
	pass, open, fail := gate.Verdict{Answer: action.Pass}, gate.Verdict{Answer: action.Inconclusive}, gate.Verdict{Answer: action.Fail}
	strict := open
	strict.Strict = true
	for _, c := range []struct {
		gates gate.Headlines
		want  action.Answer
	}{
		{gate.Headlines{pass, open}, action.Pass}, {gate.Headlines{pass, strict}, action.Inconclusive}, {gate.Headlines{strict, fail, pass}, action.Fail},
	} {
		if got := c.gates.Answer(); got != c.want {
			t.Errorf("%v: got %s, want %s", c.gates, got, c.want)
		}
	}
}
