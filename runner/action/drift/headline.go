package drift

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/terminal"
)

// Headlines are drifts by name.
type Headlines []Headline

// Headline is a drift and its name.
type Headline struct {
	Name string `json:"name"`
	Summary
}

// Report implements action.Reporter.
func (Kind) Report(ctx context.Context, actions []*plan.Action, read action.ReadFile) (action.Report, error) {
	return action.ReportOf[Headlines](ctx, actions, read, artifact.SummaryFile, func(a *plan.Action, h *Headline) {
		h.Name = a.Labels.Section
	})
}

// Print implements action.Report.
func (h Headlines) Print(w io.Writer) {
	for i, d := range h {
		if i > 0 {
			fmt.Fprintln(w)
		}
		d.print(w)
	}
}

func (h Headline) print(w io.Writer) {
	fmt.Fprintf(w, "drift %s: %s: %s\n", h.Name, strings.ToUpper(h.answer()), h.Sentence(protocol.Visible))
	if h.Gate != nil {
		fmt.Fprintf(w, "  gate: %s: %s\n", strings.ToUpper(string(h.Gate.Answer)), h.Gate.gateSentence())
	}
	rows := [][]string{{"", "reference", "current", "change", ""}}
	if len(h.Parts) > 1 {
		for _, p := range h.Parts {
			rows = append(rows, []string{p.Name, "", "", p.interval(), p.Verdict})
		}
	}
	rows = append(rows, []string{"by " + protocol.Visible(h.Current.Model), "", "", "", ""})
	for _, m := range h.Measures {
		if m.Model == h.Current.Model {
			rows = append(rows, []string{"  " + m.Name, fmt.Sprintf("%.4f", m.Reference.Value), fmt.Sprintf("%.4f", m.Current.Value), m.interval(), m.Verdict})
		}
	}
	terminal.Columns(w, rows)
	for _, n := range h.Notes {
		fmt.Fprintf(w, "  note: %s\n", protocol.Visible(n))
	}
}

// Answer implements action.Judge: the worst answer of all gates. An inconclusive gate counts if it is strict.
func (h Headlines) Answer() action.Answer {
	worst := action.Pass
	for _, d := range h {
		if d.Gate != nil && (d.Gate.Answer == action.Fail || d.Gate.Strict) {
			worst = worse(worst, d.Gate.Answer)
		}
	}
	return worst
}

// Tests implements action.Tester.
func (Kind) Tests(ctx context.Context, actions []*plan.Action, read action.ReadFile) ([]action.Test, error) {
	var tests []action.Test
	_, err := action.Results(ctx, actions, read, artifact.SummaryFile, func(a *plan.Action, s *Summary) {
		if s.Gate != nil {
			tests = append(tests, s.asTest(a.Name))
		}
	})
	return tests, err
}

// asTest returns the gate as a test with a case for each part.
func (s *Summary) asTest(name string) action.Test {
	t := action.Test{Action: name, Answer: s.Gate.Answer, Strict: s.Gate.Strict, Sentence: s.Sentence}
	for _, c := range s.Gate.Cases {
		part := s.part(c.Part)
		of := action.Case{Group: "parts", Name: c.Part, Answer: c.Answer, Measures: []action.Measure{
			{Name: "change bpb", Value: fmt.Sprintf("%+.4f", part.Value)}, {Name: "interval", Value: c.interval()},
			{Name: "margin", Value: fmt.Sprintf("%.4f", s.Gate.Margin)}, {Name: "units", Value: strconv.FormatInt(s.units(), 10)},
			{Name: "bytes", Value: strconv.FormatInt(min(s.Reference.ScoredBytes, s.Current.ScoredBytes), 10)},
		}}
		if c.P == nil {
			of.Reason = "too few documents or bytes for a test"
		}
		t.Cases = append(t.Cases, of)
	}
	return t
}
