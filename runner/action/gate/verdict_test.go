package gate

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/gap"
	"surprisal.dev/runner/statistics"
)

// row is a row of documents with normally distributed gaps around a true one, and log-normal lengths.
func row(r *rand.Rand, name string, documents int, truth float64) gap.Row {
	var s statistics.Sums
	for range documents {
		w := math.Ceil(math.Exp(6 + r.NormFloat64()))
		s.Add(w*(truth+0.05*r.NormFloat64()), w)
	}
	e, _ := s.Estimate()
	return gap.Row{
		Name: name, Units: s.Units, Bytes: int64(s.W), GapBPB: &e.Value, Error: &e.Error, Low: &e.Low, High: &e.High, P: &e.P,
		Detectable: &e.Detectable, Effective: &e.Effective, Verdict: gap.VerdictOpen,
	}
}

func overall(margin float64) Test {
	return Test{Lists: []string{"overall"}, Margin: margin, Confidence: 0.95}
}

func answers(t *testing.T, test Test, n int, draw func() *gap.Summary) map[action.Answer]float64 {
	t.Helper()
	shares := map[action.Answer]float64{}
	for range n {
		v, err := test.decide(draw(), nil)
		if err != nil {
			t.Fatal(err)
		}
		shares[v.Answer] += 1 / float64(n)
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
	// The mean of the standard error, from far more nights than one.
	detectable := 0.0
	for range 1000 {
		detectable += *row(r, "", documents, margin).Detectable / 1000
	}
	equal := answers(t, overall(margin), nights, at(margin))
	if equal[action.Pass] > 0.055 || equal[action.Fail] > 0.055 || equal[action.Pass] < 0.03 {
		t.Errorf("at the margin: %v", equal)
	}
	better, worse := answers(t, overall(margin), nights/5, at(margin-detectable)), answers(t, overall(margin), nights/5, at(margin+detectable))
	if better[action.Pass] < 0.75 || better[action.Pass] > 0.85 || worse[action.Fail] < 0.75 || worse[action.Fail] > 0.85 {
		t.Errorf("better by the detectable gap: %v, worse: %v", better, worse)
	}
}

// With 20 slices at the margin, a gate fails at most 5% of nights.
func TestManySlices(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	test := Test{Lists: []string{"datasets"}, Margin: 0.01, Confidence: 0.95}
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
	test := Test{Lists: []string{"datasets", "overall"}, Margin: 0.02, Confidence: 0.95}
	v, err := test.decide(s, nil)
	if err != nil || v.Answer != action.Fail || len(v.Slices) != 3 || v.Slices[0].Name != "bad" || len(v.TooSmall) != 1 {
		t.Fatalf("%+v, %v", v, err)
	}
	for _, slice := range v.Slices[1:] {
		if slice.Answer != action.Pass {
			t.Errorf("%+v", slice)
		}
	}
	v.Candidate, v.Against = "new", "old"
	if got := v.sentence(strings.ToUpper); !strings.HasPrefix(got, "NEW is worse than OLD on 1 of 3 slices (BAD: +0.0") {
		t.Errorf("got %q", got)
	}
	// A wider margin for that slice lets it pass.
	test.Margins = map[string]float64{"bad": 0.2}
	if v, err := test.decide(s, nil); err != nil || v.Answer != action.Pass || v.Slices[0].Name == "small" {
		t.Errorf("with a margin: %v, %v", v.Answer, err)
	}
	test.Margins = map[string]float64{"missing": 0.2}
	if _, err := test.decide(s, nil); err == nil || !strings.Contains(err.Error(), `"missing", which is not a slice of the gap`) {
		t.Errorf("got %v", err)
	}
}

// An inconclusive slice says how many units would decide it. With that many, most nights decide it.
func TestNeeded(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	first := row(r, "overall", 1000, 0.01)
	v, err := overall(*first.GapBPB+0.002).decide(&gap.Summary{Overall: first}, nil)
	if err != nil || v.Answer != action.Inconclusive || v.Slices[0].Needed < 1001 {
		t.Fatalf("%+v, %v", v, err)
	}
	needed := int(v.Slices[0].Needed)
	shares := answers(t, overall(0.002), 300, func() *gap.Summary { return &gap.Summary{Overall: row(r, "overall", needed, 0)} })
	if shares[action.Pass] < 0.7 || shares[action.Pass] > 0.9 {
		t.Errorf("%d units: %v", needed, shares)
	}
	if v, err := overall(0.01).decide(&gap.Summary{Overall: gap.Row{Verdict: gap.VerdictSmall, Name: "overall"}}, nil); err != nil || v.Answer != action.Inconclusive {
		t.Errorf("too small: %v, %v", v.Answer, err)
	}
}

// The worst answer of all gates is that of a run; an inconclusive gate counts if it is strict.
func TestAnswer(t *testing.T) {
	pass, open, fail := Verdict{Answer: action.Pass}, Verdict{Answer: action.Inconclusive}, Verdict{Answer: action.Fail}
	strict := open
	strict.Strict = true
	for _, c := range []struct {
		gates Headlines
		want  action.Answer
	}{
		{Headlines{pass, open}, action.Pass}, {Headlines{pass, strict}, action.Inconclusive}, {Headlines{strict, fail, pass}, action.Fail},
	} {
		if got := c.gates.Answer(); got != c.want {
			t.Errorf("%v: got %s, want %s", c.gates, got, c.want)
		}
	}
}
