package drift

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/markdown"
	"surprisal.dev/runner/statistics"
)

// Sentence says what changed, in one line, and what explains it. name formats the name of a model.
func (s *Summary) Sentence(name func(string) string) string {
	if s.Explains == Small {
		return "too little text to tell: each side needs 20 documents or clusters with 2,000 bytes, none of which has nearly all of the text; " +
			"raise the limits, or add documents"
	}
	text, model := s.part(OfText), s.part(OfModel)
	if model == nil {
		return fmt.Sprintf("%s needs %.4f bits per byte of the current text and %.4f of the reference: %s, %s%s", name(s.Current.Model),
			s.Current.BPB.Value, s.Reference.BPB.Value, text.interval(), text.alone(), s.otherMeasures())
	}
	total := s.part(Total)
	start := fmt.Sprintf("bits per byte changed by %s: ", total.interval())
	parts := fmt.Sprintf("text %s, model %s", text.interval(), model.interval())
	switch s.Explains {
	case OfText, OfModel:
		other := map[string]*Part{OfText: model, OfModel: text}[s.Explains]
		if s.Larger != s.Explains {
			return start + fmt.Sprintf("the %s changed it (%s; the part of the %s %s, but %s)", s.Explains, parts, other.Name, other.chance(), s.larger())
		}
		return start + fmt.Sprintf("the %s explains it (%s; the part of the %s %s)", s.Explains, parts, other.Name, other.chance())
	case Both:
		return start + fmt.Sprintf("text and model both changed it (%s); %s", parts, s.larger())
	}
	advice := ""
	if n := s.largest().Needed; n > 0 {
		advice = fmt.Sprintf("; about %s documents or clusters like these on each side would tell", humanize.Comma(n))
	}
	return start + fmt.Sprintf("cannot tell whether the text or the model changed it (%s)%s", parts, advice)
}

// otherMeasures names the measures by the current model that differ beyond doubt, if the bits per byte do not.
func (s *Summary) otherMeasures() string {
	var names []string
	for _, m := range s.Measures {
		if m.certain() && m.Model == s.Current.Model {
			names = append(names, m.Name+" ("+m.Verdict+")")
		}
	}
	if len(names) == 0 || s.Explains != Neither {
		return ""
	}
	return "; but the texts differ in " + strings.Join(names, ", ")
}

// alone says what the part of the text means if there is no other.
func (p *Part) alone() string {
	switch p.Verdict {
	case Higher:
		return "higher beyond doubt: the text drifted"
	case Lower:
		return "lower beyond doubt: the text drifted"
	case Equal:
		return "no change"
	}
	if p.Needed > 0 {
		return fmt.Sprintf("which may be chance; about %s documents or clusters like these on each side would tell", humanize.Comma(p.Needed))
	}
	return "which may be chance"
}

// chance says that a part may be chance, or that it does not exist.
func (p *Part) chance() string {
	if p.Verdict == Equal {
		return "is none"
	}
	return "may be chance"
}

// larger says which of two parts is the larger one.
func (s *Summary) larger() string {
	if s.Larger == "" {
		return "which part is larger cannot be told"
	}
	return "the part of the " + s.Larger + " is larger beyond doubt"
}

// interval formats a change and its interval.
func (c Change) interval() string {
	if c.Estimate == nil {
		return fmt.Sprintf("%+.4f", c.Value)
	}
	return fmt.Sprintf("%+.4f [%+.4f, %+.4f]", c.Value, c.Low, c.High)
}

func (v Value) interval() string {
	if v.Low == nil {
		return fmt.Sprintf("%.4f", v.Value)
	}
	return fmt.Sprintf("%.4f [%.4f, %.4f]", v.Value, *v.Low, *v.High)
}

func probability(p *float64) string {
	if p == nil {
		return "-"
	}
	return statistics.Probability(*p)
}

// detectable formats the smallest change that the units could have shown.
func (c Change) detectable() string {
	if c.Estimate == nil {
		return "-"
	}
	return fmt.Sprintf("%.4f", c.Detectable)
}

func (c Change) needed() string {
	if c.Needed == 0 {
		return ""
	}
	return strconv.FormatInt(c.Needed, 10)
}

// markdown returns the report for people. Every sentence is derived from the numbers.
func (s *Summary) markdown() string {
	var b strings.Builder
	title := "Drift of text"
	if s.Reference.Model != s.Current.Model {
		title = "Drift of text and model"
	}
	fmt.Fprintf(&b, "# %s: %s\n\n%s.\n\n", title, s.answer(), s.Sentence(markdown.Code))
	s.writeNotes(&b)
	s.writeTexts(&b)
	s.writeParts(&b)
	s.writeMeasures(&b)
	s.writeGate(&b)
	return protocol.TextWithoutCommands(b.String())
}

// answer names in a word what explains the change.
func (s *Summary) answer() string {
	text := s.part(OfText)
	switch {
	case s.Explains == Small || s.Explains == Neither && text.Verdict != Equal:
		return "cannot tell"
	case s.Explains == Neither:
		return "no change"
	case s.Explains == Both:
		return "both changed"
	case len(s.Parts) == 1:
		return "the text is " + map[string]string{Higher: "harder", Lower: "easier"}[text.Verdict]
	}
	return "the " + s.Explains + " changed"
}

func (s *Summary) writeNotes(b *strings.Builder) {
	for _, n := range s.Notes {
		fmt.Fprintf(b, "- Note: %s.\n", markdown.Code(n))
	}
	for _, d := range s.ComputedDifferences {
		fmt.Fprintf(b, "- Computed by different hardware or software: %s\n", markdown.Code(d))
	}
	if len(s.Notes)+len(s.ComputedDifferences) > 0 {
		b.WriteString("\n")
	}
}

func (s *Summary) writeTexts(b *strings.Builder) {
	heads := []string{"side", "model", "documents", "units", "scored bytes", "bits per byte"}
	sides := []Text{s.Reference, s.Current}
	markdown.Table(b, "Sides", heads, len(sides), func(i int) []string {
		side := sides[i]
		return []string{
			[]string{"reference", "current"}[i], markdown.Code(side.Model), strconv.FormatInt(side.Documents, 10), strconv.FormatInt(side.Units, 10),
			strconv.FormatInt(side.ScoredBytes, 10), side.BPB.interval(),
		}
	})
	var names []string
	var rows []Dataset
	for i, side := range sides {
		for _, d := range side.Datasets {
			names, rows = append(names, []string{"reference", "current"}[i]), append(rows, d)
		}
	}
	heads = []string{"dataset", "side", "documents", "units", "scored bytes", "bits per byte by the current model", "less that by the model before"}
	markdown.Table(b, "Datasets", heads, len(rows), func(i int) []string {
		d := rows[i]
		gap := "-"
		if d.Difference != nil {
			gap = d.Difference.interval()
		}
		return []string{
			markdown.Code(d.Name), names[i], strconv.FormatInt(d.Documents, 10), strconv.FormatInt(d.Units, 10), strconv.FormatInt(d.ScoredBytes, 10),
			d.BPB[len(d.BPB)-1].interval(), gap,
		}
	})
}

func (s *Summary) writeParts(b *strings.Builder) {
	heads := []string{"part", "change of bits per byte", "answer", "corrected p", "detectable", "units needed"}
	markdown.Table(b, "Parts of the change", heads, len(s.Parts), func(i int) []string {
		p := s.Parts[i]
		return []string{p.Name, p.interval(), p.Verdict, probability(p.Adjusted), p.detectable(), p.needed()}
	})
	b.WriteString("The two sides are independent samples of documents (Welch). ")
	if len(s.Parts) > 1 {
		b.WriteString("On each side, both models have losses for the same documents, whose errors cancel in the part of the model. ")
	}
	b.WriteString("The p-values are corrected for the number of parts (Holm). Detectable is the smallest change that a one-sided test at 5% shows in four of five samples of such documents. As many units as needed would show a change of this size in four of five, with the correction.\n\n")
	if len(s.Orders) == 0 {
		return
	}
	b.WriteString("The change is the current model on the current text less the model before on the reference text. Each part is the mean over both " +
		"orders in which text and model may change (Shapley values). The interaction is by how much the models differ more on the current text than on the " +
		"reference; each part has one half of it.\n\n")
	heads = []string{"part", "given", "change of bits per byte", "answer", "p"}
	markdown.Table(b, "Both orders", heads, len(s.Orders), func(i int) []string {
		p := s.Orders[i]
		given := map[string]string{OfText: "model", OfModel: "text"}[p.Name]
		var of *float64
		if p.Estimate != nil {
			of = &p.P
		}
		return []string{p.Name, "the " + p.Given + " " + given, p.interval(), p.Verdict, probability(of)}
	})
}

func (s *Summary) writeMeasures(b *strings.Builder) {
	heads := []string{"model", "measure", "reference", "current", "change", "answer", "q", "detectable", "of reference", "of current"}
	markdown.Table(b, "Measures of the texts", heads, len(s.Measures), func(i int) []string {
		m := s.Measures[i]
		return []string{
			markdown.Code(m.Model), m.Name, m.Reference.interval(), m.Current.interval(), m.interval(), m.Verdict, probability(m.Q), m.detectable(),
			humanize.Comma(m.ReferenceSize) + " " + m.Of, humanize.Comma(m.CurrentSize) + " " + m.Of,
		}
	})
	b.WriteString("Each row compares the two texts under one model. Tokens per byte depend on the text and the tokenizer only, and not on the weights: a change " +
		"of them is one of the text. The q-values are those of all rows (Benjamini and Hochberg).\n\n")
}

func (s *Summary) writeGate(b *strings.Builder) {
	if s.Gate == nil {
		return
	}
	g := s.Gate
	markdown.Table(b, "Gate: "+string(g.Answer), []string{"part", "answer", "interval", "margin", "corrected p"}, len(g.Cases), func(i int) []string {
		c := g.Cases[i]
		return []string{c.Part, string(c.Answer), c.interval(), fmt.Sprintf("%.4f", g.Margin), probability(c.Adjusted)}
	})
	fmt.Fprintf(b, "The interval is from the lower end of a one-sided interval of %g%% to the upper end of another. A part passes if the upper end is below the "+
		"margin. It fails if its p-value, corrected for the number of parts (Holm), is below %.2g.\n", 100*g.Confidence, 1-g.Confidence)
}

func (c Case) interval() string {
	if c.Low == nil {
		return "-"
	}
	return fmt.Sprintf("[%+.4f, %+.4f]", *c.Low, *c.High)
}

// gateSentence says which part of the gate has its answer.
func (v *Verdict) gateSentence() string {
	var parts []string
	for _, c := range v.Cases {
		if c.Answer == v.Answer {
			parts = append(parts, c.Part+" "+c.interval())
		}
	}
	if v.Answer == action.Pass {
		return fmt.Sprintf("no part is above the margin %.4f", v.Margin)
	}
	return fmt.Sprintf("%s, margin %.4f", strings.Join(parts, ", "), v.Margin)
}
