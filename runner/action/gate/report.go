package gate

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/markdown"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/statistics"
)

// markdown returns the report for people. Its first line says what the gate found.
func (v *Verdict) markdown() string {
	var out strings.Builder
	fmt.Fprintf(&out, "# Gate %s: %s\n\n%s.\n\n", markdown.Code(v.Gate), v.Answer, v.Sentence(markdown.Code))
	fmt.Fprintf(&out, "Gap is the bits per byte of %s less those of %s. The interval is from the lower end of a one-sided interval of %g%% to the "+
		"upper end of another. A slice passes if the upper end is below its margin. It fails if its p-value, corrected for the number of slices (Holm), is "+
		"below %.2g. The gate fails if a slice does, and passes if all do.\n\n", markdown.Code(v.Candidate), markdown.Code(v.Against), 100*v.Confidence, 1-v.Confidence)
	if v.Confirmed == OtherDocuments {
		out.WriteString("A slice that fails counts only if other documents fail as well.\n\n")
	} else if v.Confirmed != "" {
		fmt.Fprintf(&out, "A slice that fails counts only if %s fails as well.\n\n", markdown.Code(v.Confirmed))
	}
	heads := []string{"slice", "answer", "gap bpb", "interval", "margin", "p", "corrected p", "units", "bytes", "units needed"}
	markdown.Table(&out, "Slices", heads, len(v.Slices), func(i int) []string {
		s := v.Slices[i]
		return []string{
			markdown.Code(s.Name), string(s.Answer), fmt.Sprintf("%+.4f", s.Gap), fmt.Sprintf("[%+.4f, %+.4f]", s.Low, s.High), fmt.Sprintf("%.4f", s.Margin),
			statistics.Probability(s.P), statistics.Probability(s.Adjusted), strconv.FormatInt(s.Units, 10), strconv.FormatInt(s.Bytes, 10), s.needed(),
		}
	})
	for i, name := range v.TooSmall {
		if i == 0 {
			out.WriteString("## Not tested\n\nToo few documents or bytes:\n\n")
		}
		fmt.Fprintf(&out, "- %s\n", markdown.Code(name))
	}
	if len(v.TooSmall) > 0 {
		out.WriteString("\n")
	}
	v.writeConfirmations(&out)
	for _, c := range v.Checks {
		c.write(&out)
	}
	return out.String()
}

// needed says how many units would decide an inconclusive slice.
func (s Slice) needed() string {
	switch {
	case s.Answer != action.Inconclusive:
		return ""
	case s.Confirmation != nil:
		return "worse, but not confirmed"
	case s.Needed > 0:
		return strconv.FormatInt(s.Needed, 10)
	}
	return "any number is too small: the gap is at the margin"
}

// writeConfirmations writes the second tests of slices.
func (v *Verdict) writeConfirmations(out *strings.Builder) {
	var again []Slice
	for _, s := range v.Slices {
		if s.Confirmation != nil {
			again = append(again, s)
		}
	}
	if len(again) == 0 {
		return
	}
	markdown.Table(out, "Second test of the slices that failed", []string{"slice", "tested on", "answer", "gap bpb", "interval", "corrected p", "units"}, len(again), func(i int) []string {
		s, c := again[i], again[i].Confirmation
		if c.Answer == "" {
			return []string{markdown.Code(s.Name), "", "not tested: no such slice, or too few documents or bytes", "", "", "", ""}
		}
		return []string{
			markdown.Code(s.Name), markdown.Code(c.Name), string(c.Answer), fmt.Sprintf("%+.4f", c.Gap), fmt.Sprintf("[%+.4f, %+.4f]", c.Low, c.High),
			statistics.Probability(c.Adjusted), strconv.FormatInt(c.Units, 10),
		}
	})
}

// write writes the section of a check.
func (c Check) write(out *strings.Builder) {
	heads := []string{"on", "what", "answer", "candidate", "against", "value", "interval", "bound", "corrected p"}
	markdown.Table(out, "Check "+markdown.Code(c.Name)+": "+c.answer(), heads, len(c.Measurements), func(i int) []string {
		m := c.Measurements[i]
		what := m.What
		if m.Reason != "" {
			what += ": " + m.Reason
		}
		p := "-"
		if m.Adjusted != nil {
			p = statistics.Probability(*m.Adjusted)
		}
		return []string{markdown.Code(m.On), what, string(m.Answer), number(m.Candidate), number(m.Against), number(m.Value), m.interval(), number(m.Bound), p}
	})
}

// answer is that of a check, for people.
func (c Check) answer() string {
	if c.Warning {
		return "warning"
	}
	return string(c.Answer)
}

func number(v *float64) string {
	if v == nil {
		return "-"
	}
	return strconv.FormatFloat(*v, 'g', 4, 64)
}

func (m Measurement) interval() string {
	if m.Low == nil {
		return "-"
	}
	return fmt.Sprintf("[%s, %s]", number(m.Low), number(m.High))
}

// Sentence says what a check found, in one line. name formats the name of a slice or a dataset.
func (c Check) Sentence(name func(string) string) string {
	if len(c.Measurements) == 0 {
		return "nothing to measure"
	}
	m := c.Measurements[0]
	text := fmt.Sprintf("%s on %s", m.What, name(m.On))
	if m.Value != nil {
		text += ": " + number(m.Value)
	}
	if m.Low != nil {
		text += " " + m.interval()
	}
	if m.Bound != nil {
		text += ", bound " + number(m.Bound)
	}
	if m.Value == nil && m.Candidate != nil {
		text += fmt.Sprintf(": %s and %s", number(m.Candidate), number(m.Against))
	}
	if m.Reason != "" {
		text += " (" + m.Reason + ")"
	}
	return text
}

// Headlines are the verdicts of gates.
type Headlines []Verdict

// Report implements action.Reporter.
func (Kind) Report(ctx context.Context, actions []*plan.Action, read action.ReadFile) (action.Report, error) {
	return action.ReportOf[Headlines](ctx, actions, read, verdictFile, func(a *plan.Action, v *Verdict) {
		v.Gate = a.Labels.Section // equal gates share an artifact
	})
}

// Print implements action.Report.
func (h Headlines) Print(w io.Writer) {
	for _, v := range h {
		fmt.Fprintf(w, "gate %s: %s: %s\n", v.Gate, strings.ToUpper(string(v.Answer)), v.Sentence(protocol.Visible))
		for _, c := range v.Checks {
			fmt.Fprintf(w, "  %s: %s: %s\n", c.Name, strings.ToUpper(c.answer()), c.Sentence(protocol.Visible))
		}
	}
}

// Answer implements action.Judge: the worst answer of all gates. An inconclusive gate counts if it is strict.
func (h Headlines) Answer() action.Answer {
	worst := action.Pass
	for _, v := range h {
		switch {
		case v.Answer == action.Fail:
			return action.Fail
		case v.Answer == action.Inconclusive && v.Strict:
			worst = action.Inconclusive
		}
	}
	return worst
}
