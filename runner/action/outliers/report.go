package outliers

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
	d := s.Definition
	fmt.Fprintf(&b, "# Outlier features\n\nOver at most the first %s of each of %s, each cut to %s. ", terminal.Count(d.Sequences, "document"),
		terminal.Count(len(s.Datasets), "dataset"), terminal.Count(d.SequenceLength, "token"))
	fmt.Fprintf(&b, "The activations are the outputs of the norms in front of each layer's parts. A dimension of them is systematic in a sequence if its "+
		"magnitude is at least %s in %s%% of the norms or more, and at %s%% of the positions or more.\n\n",
		number(d.Threshold), number(100*d.LayerShare), number(100*d.SequenceShare))
	for _, n := range s.Notes {
		fmt.Fprintf(&b, "- Note: %s.\n", markdown.Code(n))
	}
	for _, n := range s.ComputedDifferences {
		fmt.Fprintf(&b, "- Computed by different hardware or software: %s\n", markdown.Code(n))
	}
	if len(s.Notes)+len(s.ComputedDifferences) > 0 {
		b.WriteString("\n")
	}
	s.writeRows(&b)
	s.writeFigures(&b, figures)
	s.writeFits(&b)
	s.writeLargest(&b)
	s.writeDimensions(&b)
	b.WriteString("## How to read the numbers\n\n" + explanation)
	return protocol.TextWithoutCommands(b.String())
}

// explanation says what the numbers are, and how they differ from those of the reference.
const explanation = `- An occurrence is a pair of a dimension and a sequence in which it is systematic. Published tables often count these.
  The number of dimensions counts each dimension once.
- A percentage of layers is the share of the norms at which a dimension reaches the threshold in a sequence. A percentage
  of positions is the share of the positions of the sequence at which it does so at any norm. Means and medians are over
  the occurrences.
- Perplexity is exp(nats / tokens), where the tokens are those that were predicted, in the same pass. A common reference
  program weights the mean loss of each sequence by its tokens with the first, which is not predicted. That gives short
  sequences slightly more weight.
- A threshold means the same only for models whose norms have outputs of similar size. The ratio of the largest magnitude
  to the median of the same norm and sequence compares others.
- Perplexities per token of different tokenizers are not comparable. Bits per byte are.
`

// number formats a number of the specification.
func number(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

// heads are the columns of the table of models.
func heads() []string {
	return []string{
		"model", "perplexity", "bits per byte", "occurrences", "dimensions", "layers, mean", "layers, median", "positions, mean", "positions, median",
	}
}

// cells returns the cells of a row, for the report and the terminal.
func (r *Row) cells() []string {
	cells := []string{r.Model, short(r.Perplexity), fmt.Sprintf("%.4f", r.BPB)}
	if r.Sites == 0 {
		return append(cells, "-", "-", "-", "-", "-", "-")
	}
	cells = append(cells, strconv.FormatInt(r.Occurrences, 10), strconv.FormatInt(r.Dimensions, 10))
	for _, v := range []*float64{r.MeanLayer, r.MedianLayer, r.MeanSequence, r.MedianSequence} {
		cells = append(cells, percent(v))
	}
	return cells
}

// short formats a number with four digits.
func short(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.4g", *v)
}

func percent(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f%%", *v)
}

func (s *Summary) writeRows(b *strings.Builder) {
	heads := append(heads(), "tokens", "norms", "hidden size")
	hasFamilies := slices.ContainsFunc(s.Rows, func(r Row) bool { return r.Family != "" })
	if hasFamilies {
		heads = append(heads, "family")
	}
	markdown.Table(b, "Models", heads, len(s.Rows), func(i int) []string {
		r := &s.Rows[i]
		cells := append(r.cells(), strconv.FormatInt(r.Predicted, 10), strconv.Itoa(r.Sites), strconv.FormatInt(r.HiddenSize, 10))
		cells[0] = markdown.Code(cells[0])
		if hasFamilies {
			cells = append(cells, markdown.Code(r.Family))
		}
		return cells
	})
}

// writeFigures writes the images of the figures that exist.
func (s *Summary) writeFigures(b *strings.Builder, figures []string) {
	for i, m := range measures() {
		if file := m.figure(i) + "-light.png"; slices.Contains(figures, file) {
			fmt.Fprintf(b, "![%s against perplexity](%s)\n\n", m.title, file)
		}
	}
}

func (s *Summary) writeFits(b *strings.Builder) {
	if len(s.Fits) == 0 {
		return
	}
	fmt.Fprintf(b, "## Exponential curves\n\ny(x) = a exp(b x), where x is the perplexity, by least squares of y. Intervals are 95%% intervals of the linearized curve "+
		"under independent normal deviations of y. They say nothing about perplexities outside of those that were fitted.\n\n")
	for _, f := range s.Fits {
		who := "All models"
		if f.Family != "" {
			who = "Family " + markdown.Code(f.Family)
		}
		fmt.Fprintf(b, "- %s, `%s`, %d models: a = %s, b = %s.\n", who, f.Of, len(f.Models), f.Curve.A, f.Curve.B)
	}
	b.WriteString("\n")
}

func (s *Summary) writeLargest(b *strings.Builder) {
	var rows []*Row
	for i := range s.Rows {
		if s.Rows[i].Largest != nil {
			rows = append(rows, &s.Rows[i])
		}
	}
	markdown.Table(b, "Largest magnitudes", []string{"model", "magnitude", "ratio to the median", "dimension", "norm"}, len(rows), func(i int) []string {
		l := rows[i].Largest
		dimension := "-"
		if l.Dimension != nil {
			dimension = strconv.Itoa(int(*l.Dimension))
		}
		return []string{markdown.Code(rows[i].Model), short(&l.Magnitude), short(l.Ratio), dimension, markdown.Code(l.Site)}
	})
}

func (s *Summary) writeDimensions(b *strings.Builder) {
	type row struct {
		model string
		DimensionRow
	}
	var rows []row
	for i := range s.Rows {
		for _, d := range s.Rows[i].Top {
			rows = append(rows, row{s.Rows[i].Model, d})
		}
	}
	heads := []string{"model", "dimension", "occurrences", "layers, mean", "positions, mean", "largest", "norms affected"}
	markdown.Table(b, fmt.Sprintf("Dimensions with the most occurrences, at most %d of each model", topDimensions), heads, len(rows), func(i int) []string {
		r := rows[i]
		return []string{
			markdown.Code(r.model), strconv.Itoa(int(r.Dimension)), strconv.FormatInt(r.Occurrences, 10), percent(&r.MeanLayer), percent(&r.MeanSequence),
			short(&r.Largest), strconv.FormatInt(r.Layers, 10),
		}
	})
}
