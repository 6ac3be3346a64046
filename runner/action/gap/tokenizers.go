package gap

import (
	"fmt"
	"strings"

	"surprisal.dev/runner/markdown"
	"surprisal.dev/runner/statistics"
)

// Tokenizers compares the text that the tokenizers of both models cut alike with the rest. Text between two boundaries that
// both have is cut alike if neither has a boundary inside.
type Tokenizers struct {
	// DifferentShare is the share of the scored bytes that are cut differently.
	DifferentShare *Measure `json:"different_share"`
	// DifferentGap and AlikeGap are the parts of the gap, over all bytes: they add up to the gap of the documents with tokens.
	DifferentGap *Measure `json:"different_gap_bpb"`
	AlikeGap     *Measure `json:"alike_gap_bpb"`
	// Different and Alike are the sums over the two kinds of text. Documents counts parts.
	Different Row `json:"different"`
	Alike     Row `json:"alike"`
	// UnknownBytes counts the scored bytes of documents without tokens on a side, as in some imported tables.
	UnknownBytes int64 `json:"unknown_bytes"`
	// TopCuts are the parts of at most 32 bytes that are cut differently, by text and boundaries.
	TopCuts Directions[Cut] `json:"top_cuts"`
}

// Cut is the sum over the occurrences of one text that the tokenizers cut in one way, with the occurrence that differs most.
type Cut struct {
	Text        string `json:"text"`
	Occurrences int64  `json:"occurrences"`
	// LowerBound means that occurrences and bits before the first one counted may be missing: the comparison remembers 16,384
	// texts and forgets those that differ least.
	LowerBound      bool     `json:"lower_bound"`
	Bytes           int64    `json:"bytes"`
	GapBPB          *float64 `json:"gap_bpb"`
	DeltaBits       float64  `json:"delta_bits"`
	Units           int64    `json:"units"`
	Low             *float64 `json:"gap_low"`
	High            *float64 `json:"gap_high"`
	ABoundaries     string   `json:"model_a_token_boundaries"`
	BBoundaries     string   `json:"model_b_token_boundaries"`
	ExampleDataset  string   `json:"example_dataset"`
	ExampleShard    string   `json:"example_shard"`
	ExampleRowIndex int64    `json:"example_row_index"`
	ExamplePreview  string   `json:"example_doc_preview"`
}

// measure returns the estimate of sums, or nil for fewer than two units.
func measure(s statistics.Sums) *Measure {
	e, ok := s.Estimate()
	if !ok {
		return nil
	}
	return &Measure{e.Value, e.Low, e.High}
}

// tokenizers returns nil if no document has tokens on both sides.
func (c *comparison) tokenizers(noise float64) (*Tokenizers, error) {
	p := &c.parts
	rows := []Row{p.differ.row("different"), p.same.row("alike")}
	if rows[0].Bytes+rows[1].Bytes == 0 {
		return nil, nil
	}
	judge(rows, noise)
	t := &Tokenizers{
		DifferentShare: measure(p.share.Sums()), DifferentGap: measure(p.differGap.Sums()), AlikeGap: measure(p.sameGap.Sums()),
		Different: rows[0], Alike: rows[1], UnknownBytes: p.unknown,
	}
	positive, negative, _, err := c.cuts.top(topLiterals)
	if err != nil {
		return nil, err
	}
	a, b, err := c.examples(positive, negative)
	t.TopCuts = Directions[Cut]{cutsOf(a, positive), cutsOf(b, negative)}
	return t, err
}

func cutsOf(rows []Literal, from []literal) []Cut {
	cuts := []Cut{}
	for i, l := range rows {
		cuts = append(cuts, Cut{
			Text: l.Name, Occurrences: l.Documents, LowerBound: from[i].late, Bytes: l.Bytes, GapBPB: l.GapBPB, DeltaBits: l.DeltaBits, Units: l.Units, Low: l.Low,
			High: l.High, ABoundaries: l.ABoundaries, BBoundaries: l.BBoundaries, ExampleDataset: l.ExampleDataset, ExampleShard: l.ExampleShard,
			ExampleRowIndex: l.ExampleRowIndex, ExamplePreview: l.ExamplePreview,
		})
	}
	return cuts
}

// report writes the comparison for people.
func (t *Tokenizers) report(out *strings.Builder) {
	if t == nil {
		return
	}
	out.WriteString("## Where the tokenizers differ\n\n")
	if t.Different.Bytes == 0 {
		out.WriteString("The tokenizers cut all text alike.\n\n")
		return
	}
	if t.DifferentShare != nil && t.DifferentGap != nil && t.AlikeGap != nil {
		s := t.DifferentShare
		fmt.Fprintf(out, "The tokenizers cut %.1f%% of the bytes differently (95%% interval %.1f%% to %.1f%%). Of the gap, %s %s is from this text, and %s %s "+
			"from text that they cut alike.\n\n", 100*s.Value, 100*s.Low, 100*s.High, signed(&t.DifferentGap.Value), interval(&t.DifferentGap.Low, &t.DifferentGap.High),
			signed(&t.AlikeGap.Value), interval(&t.AlikeGap.Low, &t.AlikeGap.High))
	}
	if t.UnknownBytes > 0 {
		fmt.Fprintf(out, "A side has no tokens for %s, which are not part of this.\n\n", count(t.UnknownBytes, "byte"))
	}
	rows := []Row{t.Different, t.Alike}
	markdown.Table(out, "Gap by cut", []string{"text", "parts", "bytes", "a bpb", "b bpb", "gap bpb", "95% interval", "q", "delta bits", "verdict"}, len(rows), func(i int) []string {
		r := rows[i]
		return []string{"cut " + map[bool]string{true: "differently", false: "alike"}[i == 0], number(r.Documents), number(r.Bytes), decimal(r.ABPB), decimal(r.BBPB),
			signed(r.GapBPB), interval(r.Low, r.High), probability(r.Q), bits(r.DeltaBits), r.Verdict}
	})
	for _, d := range []struct {
		who  string
		cuts []Cut
	}{{"a", t.TopCuts.AWorse}, {"b", t.TopCuts.BWorse}} {
		markdown.Table(out, "Different cuts where "+d.who+" is worse", []string{"a's tokens", "b's tokens", "occurrences", "gap bpb", "95% interval", "delta bits", "around it"},
			len(d.cuts), func(i int) []string {
				r := d.cuts[i]
				return []string{markdown.Code(r.ABoundaries), markdown.Code(r.BBoundaries), map[bool]string{true: "at least "}[r.LowerBound] + number(r.Occurrences), signed(r.GapBPB), interval(r.Low, r.High),
					bits(r.DeltaBits), markdown.Code(r.ExamplePreview)}
			})
	}
}
