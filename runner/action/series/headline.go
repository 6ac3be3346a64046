package series

import (
	"context"
	"fmt"
	"io"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/figure"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/terminal"
)

// Headlines are series by name.
type Headlines []Headline

// Headline is a series and its name.
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

// Limits of what a terminal shows.
const (
	// shownPoints is the number of last models.
	shownPoints = 12
	// shownChanges is the number of changes of level.
	shownChanges = 8
)

// Print implements action.Report.
func (h Headlines) Print(w io.Writer) {
	for i, s := range h {
		if i > 0 {
			fmt.Fprintln(w)
		}
		s.print(w)
	}
}

func (h Headline) print(w io.Writer) {
	if len(h.Slices) == 0 {
		fmt.Fprintf(w, "series %s: there are no scored bytes\n", h.Name)
		return
	}
	of := h.Slices[0]
	letters := figure.Letters(len(of.Points))
	first := max(len(of.Points)-shownPoints, 0)
	rows := [][]string{{"series " + h.Name, protocol.Visible(h.X.Title()), "bits per byte", "less previous", "", "less best so far", ""}}
	for i, p := range of.Points {
		if i < first {
			continue
		}
		model := protocol.Visible(p.Model)
		if letters != nil {
			model = letters[i] + " " + model
		}
		rows = append(rows, []string{model, h.X.Format(p.X), p.bpb(), p.Previous.interval(), p.Previous.short(), p.Best.interval(), p.Best.short()})
	}
	terminal.Columns(w, rows)
	if first > 0 {
		fmt.Fprintf(w, "  the last %d of %d models; the report has all\n", shownPoints, len(of.Points))
	}
	fmt.Fprintf(w, "  %s\n", of.sentence(protocol.Visible))
	h.printSlices(w)
	for _, n := range h.Notes {
		fmt.Fprintf(w, "  note: %s\n", protocol.Visible(n))
	}
	if letters != nil {
		fmt.Fprintf(w, "\n%s\n", h.graph(of))
	}
}

// short is a verdict without its p-value.
func (d *Difference) short() string {
	if d == nil {
		return ""
	}
	return d.Verdict
}

// printSlices prints the datasets on which the last model is worse than the best so far, and the changes of level of
// datasets and of everything.
func (h Headline) printSlices(w io.Writer) {
	changes := 0
	for _, of := range h.Slices {
		if of.List == ListGroups {
			continue
		}
		last := of.Points[len(of.Points)-1]
		if of.List != ListOverall && last.Best.Verdict == Worse {
			fmt.Fprintf(w, "  worse on %s than %s: %s\n", protocol.Visible(of.Name), protocol.Visible(last.Best.Model), last.Best.interval())
		}
		for _, c := range of.Changes {
			if changes++; changes <= shownChanges {
				fmt.Fprintf(w, "  the level of %s changes at %s: %+.4f [%+.4f, %+.4f]\n", protocol.Visible(of.Name), protocol.Visible(c.Model),
					c.By.Value, c.By.Low, c.By.High)
			}
		}
	}
	if changes > shownChanges {
		fmt.Fprintf(w, "  and %d more; the report has all\n", changes-shownChanges)
	}
}

// graph returns the loss of a slice over its models.
func (h Headline) graph(of Slice) figure.Graph {
	g := figure.Graph{
		X: h.X.Figure(), Y: figure.Axis{Format: func(v float64) string { return fmt.Sprintf("%.4f", v) }},
		Caption: "bits per byte over " + protocol.Visible(h.X.Title()),
	}
	for _, p := range of.Points {
		g.Points = append(g.Points, figure.Point{X: p.X, Y: p.BPB})
	}
	return g
}
