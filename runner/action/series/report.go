package series

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/fit"
	"surprisal.dev/runner/markdown"
	"surprisal.dev/runner/statistics"
	"surprisal.dev/runner/terminal"
)

// markdown returns the report for people. Every sentence is derived from the numbers. figures are the names of the files
// of figures.
func (s *Summary) markdown(figures []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Series of %s over %s\n\n", terminal.Count(len(s.Models), "model"), markdown.Code(s.X.Title()))
	if len(s.Slices) == 0 {
		b.WriteString("There are no scored bytes.\n")
		return b.String()
	}
	fmt.Fprintf(&b, "%s.\n\nOver %s of %s in %s; every model was scored on the same bytes under the same scoring protocol. Lower is better. A difference "+
		"is the bits per byte of a model less those of an earlier one: above 0 is worse. Errors of the same documents cancel in a difference, so that its "+
		"interval is narrower than those of the two models.\n\n", s.Slices[0].sentence(markdown.Code),
		terminal.Count(s.ScoredBytes, "scored byte"), terminal.Count(s.Documents, "document"), terminal.Count(len(s.Datasets), "dataset"))
	for _, n := range s.Notes {
		fmt.Fprintf(&b, "- Note: %s.\n", markdown.Code(n))
	}
	for _, d := range s.ComputedDifferences {
		fmt.Fprintf(&b, "- Computed by different hardware or software: %s\n", markdown.Code(d))
	}
	if len(s.Notes)+len(s.ComputedDifferences) > 0 {
		b.WriteString("\n")
	}
	for _, name := range []string{bpbFigure, bestFigure, datasetsFigure} {
		if file := name + "-light.png"; slices.Contains(figures, file) {
			fmt.Fprintf(&b, "![%s](%s)\n\n", name, file)
		}
	}
	s.writePoints(&b)
	s.writeSlices(&b)
	s.writeChanges(&b)
	s.writeSlopes(&b)
	return protocol.TextWithoutCommands(b.String())
}

// sentence says where a slice is at its last model. name formats the name of a model.
func (s *Slice) sentence(name func(string) string) string {
	last := s.Points[len(s.Points)-1]
	text := fmt.Sprintf("%s needs %.4f bits per byte", name(last.Model), last.BPB)
	if d := last.Best; s.Best == last.Model {
		text += fmt.Sprintf(", the best of %d models", len(s.Points))
	} else {
		text += fmt.Sprintf(", and %s, the best of %d models, %.4f: a difference of %s, %s", name(s.Best), len(s.Points),
			last.BPB-d.Gap, d.interval(), map[string]string{
				Worse: "which is worse beyond doubt", Open: "which may be chance", Small: "on too little text to tell", Better: "better", Equal: "since their losses are equal",
			}[d.Verdict])
	}
	return text
}

// interval formats a difference and its interval.
func (d *Difference) interval() string {
	if d == nil {
		return "-"
	}
	if d.Estimate == nil {
		return fmt.Sprintf("%+.4f", d.Gap)
	}
	return fmt.Sprintf("%+.4f [%+.4f, %+.4f]", d.Gap, d.Low, d.High)
}

// verdict formats a verdict and the p-value behind it.
func (d *Difference) verdict() string {
	switch {
	case d == nil:
		return ""
	case d.Adjusted == nil:
		return d.Verdict
	}
	return d.Verdict + " (p " + statistics.Probability(*d.Adjusted) + ")"
}

// bpb formats the loss of a point and half of its interval.
func (p Point) bpb() string {
	if p.Low == nil {
		return fmt.Sprintf("%.4f", p.BPB)
	}
	return fmt.Sprintf("%.4f ±%.4f", p.BPB, (*p.High-*p.Low)/2)
}

func (s *Summary) writePoints(b *strings.Builder) {
	of := s.Slices[0]
	heads := []string{markdown.Code(s.X.Title()), "model", "bits per byte", "less the previous", "answer", "less the best so far", "best so far", "answer"}
	markdown.Table(b, "Overall", heads, len(of.Points), func(i int) []string {
		p := of.Points[i]
		best := ""
		if p.Best != nil {
			best = markdown.Code(p.Best.Model)
		}
		return []string{
			s.X.Format(p.X), markdown.Code(p.Model), p.bpb(), p.Previous.interval(), p.Previous.verdict(), p.Best.interval(), best, p.Best.verdict(),
		}
	})
	b.WriteString("The p-values are corrected for the number of steps (Holm). Those against the best so far are also multiplied by the number of models before, " +
		"because the same documents chose the best of them; the difference itself is larger than that to a model chosen without them.\n\n")
}

func (s *Summary) writeSlices(b *strings.Builder) {
	rest := s.Slices[1:]
	last := s.Models[len(s.Models)-1]
	heads := []string{"slice", "documents", "first", "last", "last less the previous", "answer", "best", "last less the best before", "answer"}
	markdown.Table(b, "Datasets and groups", heads, len(rest), func(i int) []string {
		of := rest[i]
		first, p := of.Points[0], of.Points[len(of.Points)-1]
		return []string{
			markdown.Code(of.Name), strconv.FormatInt(of.Units, 10), fmt.Sprintf("%.4f", first.BPB), p.bpb(), p.Previous.interval(), p.Previous.verdict(),
			markdown.Code(of.Best), p.Best.interval(), p.Best.verdict(),
		}
	})
	if len(rest) > 0 {
		fmt.Fprintf(b, "The last model is %s. `points.csv` has every model on every slice.\n\n", markdown.Code(last))
	}
}

func (s *Summary) writeChanges(b *strings.Builder) {
	if len(s.Models) < fit.FewestForShift {
		return
	}
	type row struct {
		slice string
		Change
	}
	var rows []row
	for _, of := range s.Slices {
		for _, c := range of.Changes {
			rows = append(rows, row{of.Name, c})
		}
	}
	heads := []string{"slice", markdown.Code(s.X.Title()), "model", "change bpb", "p"}
	markdown.Table(b, "Changes of level", heads, len(rows), func(i int) []string {
		r := rows[i]
		return []string{
			markdown.Code(r.slice), s.X.Format(r.X), markdown.Code(r.Model), fmt.Sprintf("%+.4f [%+.4f, %+.4f]", r.By.Value, r.By.Low, r.By.High),
			statistics.Probability(r.Adjusted),
		}
	})
	if len(rows) > 0 {
		b.WriteString("From the model on, the level is higher by the change than the trend of the models around it. A change needs two models on each side.\n\n")
	}
}

func (s *Summary) writeSlopes(b *strings.Builder) {
	per := markdown.Code(s.X.Title())
	if s.X.Logarithmic() {
		per = "ln of " + per
	}
	markdown.Table(b, "Slopes", []string{"slice", "bits per byte for each " + per, "95% interval by the steps", "95% interval by the documents"}, len(s.Slices),
		func(i int) []string {
			slope := s.Slices[i].Slope
			return []string{markdown.Code(s.Slices[i].Name), fmt.Sprintf("%.4g", slope.Value), between(slope.Steps), between(slope.Documents)}
		})
	b.WriteString("A slope is that of a line by least squares. Its interval by the steps assumes independent normal deviations of the models from the line. " +
		"That by the documents is how much the slope of these models may differ on other such documents.\n")
}

func between(i *fit.Interval) string {
	if i == nil {
		return "-"
	}
	return fmt.Sprintf("[%.4g, %.4g]", i.Low, i.High)
}
