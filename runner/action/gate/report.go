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
	fmt.Fprintf(&out, "# Gate %s: %s\n\n%s.\n\n", markdown.Code(v.Gate), v.Answer, v.sentence(markdown.Code))
	fmt.Fprintf(&out, "Gap is the bits per byte of %s less those of %s. The interval is from the lower end of a one-sided interval of %g%% to the "+
		"upper end of another. A slice passes if the upper end is below its margin. It fails if its p-value, corrected for the number of slices (Holm), is "+
		"below %.2g. The gate fails if a slice does, and passes if all do.\n\n", markdown.Code(v.Candidate), markdown.Code(v.Against), 100*v.Confidence, 1-v.Confidence)
	heads := []string{"slice", "answer", "gap bpb", "interval", "margin", "p", "corrected p", "units", "bytes", "units needed"}
	markdown.Table(&out, "Slices", heads, len(v.Slices), func(i int) []string {
		s := v.Slices[i]
		needed := ""
		if s.Answer == action.Inconclusive {
			needed = "any number is too small: the gap is at the margin"
			if s.Needed > 0 {
				needed = strconv.FormatInt(s.Needed, 10)
			}
		}
		return []string{
			markdown.Code(s.Name), string(s.Answer), fmt.Sprintf("%+.4f", s.Gap), fmt.Sprintf("[%+.4f, %+.4f]", s.Low, s.High), fmt.Sprintf("%.4f", s.Margin),
			statistics.Probability(s.P), statistics.Probability(s.Adjusted), strconv.FormatInt(s.Units, 10), strconv.FormatInt(s.Bytes, 10), needed,
		}
	})
	for i, name := range v.TooSmall {
		if i == 0 {
			out.WriteString("## Not tested\n\nToo few documents or bytes:\n\n")
		}
		fmt.Fprintf(&out, "- %s\n", markdown.Code(name))
	}
	return out.String()
}

// Headlines are the verdicts of gates.
type Headlines []Verdict

// Report implements action.Reporter.
func (Kind) Report(ctx context.Context, actions []*plan.Action, read action.ReadFile) (action.Report, error) {
	all, err := action.Results(ctx, actions, read, verdictFile, func(a *plan.Action, v *Verdict) {
		v.Gate = a.Labels.Section // equal gates share an artifact
	})
	if len(all) == 0 {
		return nil, err
	}
	return Headlines(all), nil
}

// Print implements action.Report.
func (h Headlines) Print(w io.Writer) {
	for _, v := range h {
		fmt.Fprintf(w, "gate %s: %s: %s\n", v.Gate, strings.ToUpper(string(v.Answer)), v.sentence(protocol.Visible))
		if n := len(v.TooSmall); n > 0 {
			fmt.Fprintf(w, "  not tested, too small: %d\n", n)
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
