package gap

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/terminal"
)

// Headlines are the overall results of gaps.
type Headlines []Headline

// Headline is the overall result of a gap.
type Headline struct {
	Name string `json:"name"`
	A    string `json:"a"`
	B    string `json:"b"`
	// ABPB and BBPB are bits per byte of both models over the same bytes, and GapBPB = ABPB - BBPB. They are null if
	// the gap has no scored bytes.
	ABPB   *float64 `json:"aBpb"`
	BBPB   *float64 `json:"bBpb"`
	GapBPB *float64 `json:"gapBpb"`
	Bytes  int64    `json:"bytes"`
	// Low and High are the ends of the 95% interval of GapBPB, null for fewer than two documents. Verdict says what they
	// show.
	Low     *float64 `json:"gapLow"`
	High    *float64 `json:"gapHigh"`
	Verdict string   `json:"verdict"`
	// Worse and Better count the datasets on which a is worse and better than b beyond doubt, Open the others.
	Worse  int `json:"datasetsWorse"`
	Better int `json:"datasetsBetter"`
	Open   int `json:"datasetsOpen"`
	// Differences are the fields of the scoring protocol in which the two sides differ.
	Differences []string `json:"differences,omitempty"`
}

// Report implements action.Reporter.
func (Kind) Report(ctx context.Context, actions []*plan.Action, read action.ReadFile) (action.Report, error) {
	var all Headlines
	for _, a := range actions {
		if a.Outputs == nil {
			continue
		}
		var summary struct {
			Overall struct {
				Bytes   int64    `json:"bytes"`
				ABPB    *float64 `json:"model_a_bpb"`
				BBPB    *float64 `json:"model_b_bpb"`
				GapBPB  *float64 `json:"gap_bpb"`
				Low     *float64 `json:"gap_low"`
				High    *float64 `json:"gap_high"`
				Verdict string   `json:"verdict"`
			} `json:"overall"`
			Datasets []struct {
				Verdict string `json:"verdict"`
			} `json:"datasets"`
			Protocols struct {
				Differences []string `json:"differences"`
			} `json:"scoringProtocols"`
		}
		if err := read.JSON(ctx, a, artifact.SummaryFile, &summary); err != nil {
			return nil, err
		}
		var p parameters
		if err := json.Unmarshal(a.Parameters, &p); err != nil {
			return nil, fmt.Errorf("%s: %w", a.Name, err)
		}
		o := summary.Overall
		h := Headline{
			Name: a.Labels.Section, A: p.A, B: p.B, ABPB: o.ABPB, BBPB: o.BBPB, GapBPB: o.GapBPB, Bytes: o.Bytes,
			Low: o.Low, High: o.High, Verdict: o.Verdict,
			Differences: summary.Protocols.Differences,
		}
		for _, d := range summary.Datasets {
			switch d.Verdict {
			case VerdictA:
				h.Worse++
			case VerdictB:
				h.Better++
			default:
				h.Open++
			}
		}
		all = append(all, h)
	}
	if all == nil {
		return nil, nil
	}
	return all, nil
}

// Print implements action.Report.
func (h Headlines) Print(w io.Writer) {
	for _, g := range h {
		fmt.Fprintf(w, "gap %s: %s\n", g.Name, g.sentence())
		if n := g.Worse + g.Better + g.Open; n > 1 {
			fmt.Fprintf(w, "  of %s: %s is worse on %d, better on %d, and %d cannot be told\n", terminal.Count(n, "dataset"), g.A, g.Worse, g.Better, g.Open)
		}
		if len(g.Differences) > 0 {
			fmt.Fprintln(w, "  the two sides have different scoring protocols; the report lists the differences")
		}
	}
}

func (h Headline) sentence() string {
	if h.GapBPB == nil || h.ABPB == nil || h.BBPB == nil {
		return fmt.Sprintf("%s and %s share no scored bytes", h.A, h.B)
	}
	gap := fmt.Sprintf("%+.4f bits per byte", *h.GapBPB)
	if h.Low != nil && h.High != nil {
		gap = fmt.Sprintf("%+.4f [%+.4f, %+.4f] bits per byte", *h.GapBPB, *h.Low, *h.High)
	}
	verdict := fmt.Sprintf("%s and %s cannot be told apart", h.A, h.B)
	switch {
	case h.Verdict == VerdictA:
		verdict = fmt.Sprintf("%s is worse than %s", h.A, h.B)
	case h.Verdict == VerdictB:
		verdict = fmt.Sprintf("%s is better than %s", h.A, h.B)
	case *h.GapBPB == 0:
		verdict = fmt.Sprintf("%s equals %s", h.A, h.B)
	case h.Verdict == VerdictSmall:
		verdict = fmt.Sprintf("too little text to tell %s and %s apart", h.A, h.B)
	}
	return fmt.Sprintf("%s over %s: %s (%.4f and %.4f)", gap, terminal.Size(h.Bytes), verdict, *h.ABPB, *h.BBPB)
}
