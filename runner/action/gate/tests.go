package gate

import (
	"context"
	"fmt"
	"strconv"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/plan"
)

// Tests implements action.Tester.
func (Kind) Tests(ctx context.Context, actions []*plan.Action, read action.ReadFile) ([]action.Test, error) {
	var tests []action.Test
	_, err := action.Results(ctx, actions, read, verdictFile, func(a *plan.Action, v *Verdict) {
		tests = append(tests, v.test(a.Name))
	})
	return tests, err
}

// test returns the verdict as a test with a case for each slice and each measurement of a check.
func (v *Verdict) test(name string) action.Test {
	t := action.Test{Action: name, Answer: v.Answer, Strict: v.Strict, Sentence: v.Sentence}
	for _, s := range v.Slices {
		t.Cases = append(t.Cases, action.Case{Group: s.List, Name: s.Name, Answer: s.Answer, Measures: s.measures()})
	}
	for _, name := range v.TooSmall {
		t.Cases = append(t.Cases, action.Case{Group: "too small", Name: name, Reason: "too few documents or bytes for a test"})
	}
	for _, c := range v.Checks {
		for _, m := range c.Measurements {
			t.Cases = append(t.Cases, action.Case{Group: "check " + c.Name, Name: m.On + ": " + m.What, Answer: m.Answer, Reason: m.Reason, Measures: m.measures()})
		}
	}
	return t
}

func (m Measurement) measures() []action.Measure {
	var all []action.Measure
	for _, v := range []struct {
		name  string
		value *float64
	}{
		{"candidate", m.Candidate}, {"against", m.Against}, {"value", m.Value}, {"low", m.Low}, {"high", m.High}, {"bound", m.Bound},
	} {
		if v.value != nil {
			all = append(all, action.Measure{Name: v.name, Value: strconv.FormatFloat(*v.value, 'g', 5, 64)})
		}
	}
	return all
}

func (s Slice) measures() []action.Measure {
	all := []action.Measure{
		{Name: "gap bpb", Value: fmt.Sprintf("%+.4f", s.Gap)}, {Name: "interval", Value: fmt.Sprintf("[%+.4f, %+.4f]", s.Low, s.High)},
		{Name: "margin", Value: fmt.Sprintf("%.4f", s.Margin)}, {Name: "units", Value: strconv.FormatInt(s.Units, 10)},
		{Name: "bytes", Value: strconv.FormatInt(s.Bytes, 10)},
	}
	if c := s.Confirmation; c != nil && c.Answer != "" {
		all = append(all, action.Measure{Name: "gap bpb of the second test", Value: fmt.Sprintf("%+.4f [%+.4f, %+.4f]", c.Gap, c.Low, c.High)})
	}
	if s.Answer == action.Inconclusive && s.Needed > 0 {
		all = append(all, action.Measure{Name: "units needed", Value: strconv.FormatInt(s.Needed, 10)})
	}
	return all
}
