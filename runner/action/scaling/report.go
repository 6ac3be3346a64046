package scaling

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/markdown"
	"surprisal.dev/runner/terminal"
)

// markdown returns the report for people. Every sentence is derived from the numbers. figures are the names of the files
// of figures.
func (s *Summary) markdown(figures []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Scaling\n\nOver %s of %s in %s; every model was scored on the same bytes under the same scoring protocol. "+
		"Bits per byte and perplexities are ratios of sums; ± is half of a 95%% interval over documents, or over clusters of them.\n\n", terminal.Count(s.ScoredBytes, "scored byte"), terminal.Count(s.Documents, "document"),
		terminal.Count(len(s.Datasets), "dataset"))
	for _, n := range s.Notes {
		fmt.Fprintf(&b, "- Note: %s.\n", markdown.Code(n))
	}
	for _, d := range s.ComputedDifferences {
		fmt.Fprintf(&b, "- Computed by different hardware or software: %s\n", markdown.Code(d))
	}
	if len(s.Notes)+len(s.ComputedDifferences) > 0 {
		b.WriteString("\n")
	}
	s.writeFigures(&b, figures, bpbFigure, perplexityFigure)
	s.writeModels(&b)
	s.writeFits(&b)
	s.writeDatasets(&b, figures)
	s.writeGain(&b)
	s.writeParts(&b, "Sentences by position in the document", "position", "sentences", s.Sentences)
	s.writeParts(&b, "Buckets", "bucket", "segments", s.Buckets)
	s.writeLists(&b)
	s.writeTokens(&b)
	return protocol.TextWithoutCommands(b.String())
}

// writeFigures writes the images of those of the figures that exist.
func (s *Summary) writeFigures(b *strings.Builder, figures []string, names ...string) {
	for _, name := range names {
		if file := name + "-light.png"; slices.Contains(figures, file) {
			fmt.Fprintf(b, "![%s against x](%s)\n\n", name, file)
		}
	}
}

// heads are the columns of the table of models in the terminal.
func (s *Summary) heads() []string {
	heads := []string{"model", s.X.Title(), "bits per byte", "perplexity per token", "perplexity per word", "perplexity per byte"}
	heads[1] = protocol.Visible(heads[1])
	return heads
}

// cells returns the cells of a row, for the report and the terminal.
func (s *Summary) cells(r Row) []string {
	cells := []string{r.Model, "-", r.Interval.Around(r.BPB)}
	if r.X != nil {
		cells[1] = s.X.Format(*r.X)
	}
	for _, p := range []*float64{r.Perplexity.PerToken, r.Perplexity.PerWord, r.Perplexity.PerByte} {
		cells = append(cells, short(p))
	}
	return cells
}

// short formats a perplexity.
func short(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.4g", *v)
}

func decimal(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.4f", *v)
}

func (s *Summary) writeModels(b *strings.Builder) {
	heads := s.heads()
	heads[1] = markdown.Code(heads[1])
	hasFamilies := slices.ContainsFunc(s.Rows, func(r Row) bool { return r.Family != "" })
	if hasFamilies {
		heads = append(heads, "family")
	}
	markdown.Table(b, "Models", heads, len(s.Rows), func(i int) []string {
		cells := s.cells(s.Rows[i])
		cells[0] = markdown.Code(cells[0])
		if hasFamilies {
			cells = append(cells, markdown.Code(s.Rows[i].Family))
		}
		return cells
	})
}

func (s *Summary) writeFits(b *strings.Builder) {
	if len(s.Fits) == 0 {
		return
	}
	fmt.Fprintf(b, "## Power laws\n\nL(x) = a x^-b, by least squares of ln L; intervals are 95%% intervals under independent normal deviations of ln L. "+
		"With five or more values of x, a law with an offset is fitted as well: L(x) = c + a x^-b. "+
		"An interval says nothing about x outside of the values that were fitted.\n\n")
	for _, f := range s.Fits {
		who := "All models"
		if f.Family != "" {
			who = "Family " + markdown.Code(f.Family)
		}
		l := f.Law
		fmt.Fprintf(b, "- %s, %s, %d models: b = %s, a = %s. A tenfold x multiplies the loss by %s.\n", who, f.Of, len(f.Models), l.B, l.A, l.PerTenfold)
		if o := f.Offset; o != nil {
			fmt.Fprintf(b, "  With an offset: c = %s, b = %s, a = %s.\n", o.C, o.B, o.A)
		} else if len(f.Models) >= fewestOffsetSizes {
			b.WriteString("  No offset above 0 fits better than none.\n")
		}
	}
	b.WriteString("\n")
}

func (s *Summary) writeDatasets(b *strings.Builder, figures []string) {
	if len(s.Datasets) < 2 {
		return
	}
	first, last, ok := s.ends()
	table := func(title string, value func(r Row, j int) (*float64, string)) {
		heads := append([]string{"dataset"}, s.names()...)
		if ok {
			heads = append(heads, s.changeHead(first, last))
		}
		markdown.Table(b, title, heads, len(s.Datasets), func(j int) []string {
			cells := []string{markdown.Code(s.Datasets[j])}
			for _, r := range s.Rows {
				_, cell := value(r, j)
				cells = append(cells, cell)
			}
			if ok {
				x, _ := value(s.Rows[first], j)
				y, _ := value(s.Rows[last], j)
				cells = append(cells, percent(x, y))
			}
			return cells
		})
	}
	table("Bits per byte by dataset", func(r Row, j int) (*float64, string) {
		return &r.ByDataset[j], r.IntervalByDataset[j].Around(r.ByDataset[j])
	})
	s.writeFigures(b, figures, datasetsFigure)
	table("Perplexity per token by dataset", func(r Row, j int) (*float64, string) {
		return r.PerplexityByDataset[j], short(r.PerplexityByDataset[j])
	})
}

// names returns the names of the models as heads of columns.
func (s *Summary) names() []string {
	var names []string
	for _, r := range s.Rows {
		names = append(names, markdown.Code(r.Model))
	}
	return names
}

// ends returns the rows of the first and the last model of Gain.
func (s *Summary) ends() (first, last int, ok bool) {
	gain := s.largest()
	if len(gain) == 0 {
		return 0, 0, false
	}
	return gain[0], gain[len(gain)-1], true
}

// changeHead is the head of a column of changes from one row to another. The columns before it may be models of other
// families.
func (s *Summary) changeHead(first, last int) string {
	return fmt.Sprintf("change from %s to %s", markdown.Code(s.Rows[first].Model), markdown.Code(s.Rows[last].Model))
}

func (s *Summary) writeGain(b *strings.Builder) {
	first, last, ok := s.ends()
	if !ok {
		return
	}
	x, y := s.Rows[first], s.Rows[last]
	between := ""
	if of := s.Change.Interval; of != nil {
		between = fmt.Sprintf(", a difference of %+.4f [%+.4f, %+.4f]", s.Change.BPB, of.Low, of.High)
	}
	axis := markdown.Code(s.X.Title())
	fmt.Fprintf(b, "## What changes with %s\n\nFrom %s (%s) to %s (%s), bits per byte change from %.4f to %.4f (%s)%s. ", axis, markdown.Code(x.Model),
		s.X.Format(*x.X), markdown.Code(y.Model), s.X.Format(*y.X), x.BPB, y.BPB, percent(&x.BPB, &y.BPB), between)
	d := s.Ranked
	fmt.Fprintf(b, "Of %s with at least %d scored bytes, %d have a lower loss, %d a higher one and %d the same; on %d, the loss falls at each of %s.\n\n",
		terminal.Count(d.Lower+d.Higher+d.Equal, "document"), fewestBytes, d.Lower, d.Higher, d.Equal, d.Monotone,
		terminal.Count(len(s.Gain)-1, "step"))
}

// percent is the change from x to y in percent.
func percent(x, y *float64) string {
	if x == nil || y == nil || *x == 0 {
		return "-"
	}
	return fmt.Sprintf("%+.1f%%", 100*(*y / *x - 1))
}

func (s *Summary) writeParts(b *strings.Builder, title, name, counted string, parts []Breakdown) {
	first, last, ok := s.ends()
	heads := append([]string{name, counted, "bytes"}, s.names()...)
	if ok {
		heads = append(heads, s.changeHead(first, last))
	}
	markdown.Table(b, title, heads, len(parts), func(i int) []string {
		p := parts[i]
		cells := []string{p.Name, strconv.FormatInt(p.Parts, 10), strconv.FormatInt(p.Bytes, 10)}
		for _, v := range p.BPB {
			cells = append(cells, decimal(v))
		}
		if ok {
			cells = append(cells, percent(p.BPB[first], p.BPB[last]))
		}
		return cells
	})
}

func (s *Summary) writeLists(b *strings.Builder) {
	list := func(title, explanation string, documents []Document) {
		fmt.Fprintf(b, "## %s\n\n%s\n\n", title, explanation)
		if len(documents) == 0 {
			b.WriteString("None.\n\n")
			return
		}
		for i, d := range documents {
			fmt.Fprintf(b, "%d. %s of %s, %s:\n", i+1, markdown.Code(d.Shard+":"+strconv.FormatInt(d.Row, 10)), markdown.Code(d.Dataset),
				terminal.Count(d.Bytes, "scored byte"))
			var of []string
			for j, r := range s.Rows {
				of = append(of, fmt.Sprintf("%s %.4f (perplexity %s)", markdown.Code(r.Model), d.BPB[j], short(d.Perplexity[j])))
			}
			fmt.Fprintf(b, "   %s.\n\n", strings.Join(of, ", "))
			text := strings.NewReplacer("\n", "⏎", "\t", "⇥", "\r", "↵").Replace(d.Text)
			if d.Cut {
				text += "…"
			}
			fmt.Fprintf(b, "   %s\n", markdown.Code(text))
		}
		b.WriteString("\n")
	}
	of := fmt.Sprintf("Documents of at least %d scored bytes, with bits per byte and perplexity per token of each model.", fewestBytes)
	list("Hardest documents", of+" The order is by the mean over the models.", s.Ranked.Hardest)
	list("Easiest documents", of+" The order is by the mean over the models.", s.Ranked.Easiest)
	if first, last, ok := s.ends(); ok {
		between := fmt.Sprintf(" The order is by the difference between %s and %s.", markdown.Code(s.Rows[first].Model), markdown.Code(s.Rows[last].Model))
		list("Documents that gain most", of+between, s.Ranked.MostGain)
		list("Documents that gain least", of+between, s.Ranked.LeastGain)
	}
}

func (s *Summary) writeTokens(b *strings.Builder) {
	table := func(title string, rank func(Token) *int64) {
		var shown []Token
		for _, t := range s.Tokens {
			if r := rank(t); r != nil && *r <= tokensShown {
				shown = append(shown, t)
			}
		}
		slices.SortFunc(shown, func(x, y Token) int { return int(*rank(x) - *rank(y)) })
		heads := []string{"token", "occurrences", "nats", "mean nats"}
		first, _, ok := s.ends()
		if ok {
			heads = append(heads, "mean nats of "+markdown.Code(s.Rows[first].Model))
		}
		markdown.Table(b, title, heads, len(shown), func(i int) []string {
			t := shown[i]
			cells := []string{markdown.Code(t.Text), strconv.FormatInt(t.Count, 10), fmt.Sprintf("%.1f", t.Total), fmt.Sprintf("%.4f", t.Mean)}
			if ok {
				cells = append(cells, decimal(t.FirstMean))
			}
			return cells
		})
	}
	if len(s.Tokens) == 0 {
		return
	}
	model := markdown.Code(s.Tokens[0].Model)
	table("Tokens with the highest total loss for "+model, func(t Token) *int64 { return t.ByTotal })
	table(fmt.Sprintf("Tokens with the highest mean loss for %s, of at least %d occurrences", model, fewestTokens), func(t Token) *int64 { return t.ByMean })
}
