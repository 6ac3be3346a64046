package scaling

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

// Headlines are tables by name.
type Headlines []Headline

// Headline is a table and its name.
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
	for i, t := range h {
		if i > 0 {
			fmt.Fprintln(w)
		}
		letters := t.letters()
		heads := t.heads()
		rows := [][]string{append([]string{"scaling " + t.Name}, heads[1:]...)}
		for j, r := range t.Rows {
			cells := t.cells(r)
			if letters != nil {
				cells[0] = letters[j] + " " + cells[0]
			}
			rows = append(rows, cells)
		}
		terminal.Columns(w, rows)
		for _, f := range t.Fits {
			if f.Of == ofBPB {
				who := ""
				if f.Family != "" {
					who = " of " + protocol.Visible(f.Family)
				}
				fmt.Fprintf(w, "  a tenfold x multiplies bits per byte%s by %s\n", who, f.Law.PerTenfold)
			}
		}
		for _, n := range t.Notes {
			fmt.Fprintf(w, "  note: %s\n", protocol.Visible(n))
		}
		if letters != nil {
			fmt.Fprintf(w, "\n%s\n", t.graph(letters))
		}
	}
}

// letters returns a letter for each model, " " for one that cannot be shown, or nil if fewer than two models can be, or
// too many.
func (s *Summary) letters() []string {
	letters := make([]string, len(s.Rows))
	var shown []int
	for i, r := range s.Rows {
		letters[i] = " "
		if r.X != nil && r.BPB > 0 {
			shown = append(shown, i)
		}
	}
	of := figure.Letters(len(shown))
	if of == nil {
		return nil
	}
	for k, i := range shown {
		letters[i] = of[k]
	}
	return letters
}

// graph returns bits per byte against x of the models with letters, both on the axes of the figure.
func (s *Summary) graph(letters []string) figure.Graph {
	g := figure.Graph{
		X: s.X.Figure(), Y: figure.Axis{Scale: figure.Log, Format: func(v float64) string { return fmt.Sprintf("%.3f", v) }},
		Caption: "bits per byte against " + protocol.Visible(s.X.Title()),
	}
	for i, r := range s.Rows {
		if letters[i] != " " {
			g.Points = append(g.Points, figure.Point{X: *r.X, Y: r.BPB})
		}
	}
	return g
}
