package outliers

import (
	"context"
	"fmt"
	"io"
	"math"
	"strconv"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/figure"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/terminal"
)

// Headlines are reports by name.
type Headlines []Headline

// Headline is a report and its name.
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
		of := append(heads(), "largest", "to median")
		rows := [][]string{append([]string{"outliers " + t.Name}, of[1:]...)}
		for j := range t.Rows {
			r := &t.Rows[j]
			cells := append(r.cells(), "-", "-")
			if r.Largest != nil {
				cells[len(cells)-2], cells[len(cells)-1] = short(&r.Largest.Magnitude), short(r.Largest.Ratio)
			}
			if letters != nil {
				cells[0] = letters[j] + " " + cells[0]
			}
			rows = append(rows, cells)
		}
		terminal.Columns(w, rows)
		for _, f := range t.Fits {
			if f.Of != numOutliers {
				continue
			}
			who := ""
			if f.Family != "" {
				who = " of " + protocol.Visible(f.Family)
			}
			fmt.Fprintf(w, "  dimensions%s: a exp(b x) of the perplexity x, a = %s, b = %s\n", who, f.Curve.A, f.Curve.B)
		}
		for _, n := range t.Notes {
			fmt.Fprintf(w, "  note: %s\n", protocol.Visible(n))
		}
		if letters != nil {
			fmt.Fprintf(w, "\n%s\n", t.graph())
		}
	}
}

// shown returns the number of dimensions of a row that the graph can show, or nil.
func (r *Row) shown() *float64 {
	if r.Perplexity == nil {
		return nil
	}
	return r.dimensions()
}

// letters returns a letter for each model, " " for one that cannot be shown, or nil if fewer than two models can be, or
// too many.
func (s *Summary) letters() []string {
	letters := make([]string, len(s.Rows))
	var shown []int
	for i := range s.Rows {
		letters[i] = " "
		if s.Rows[i].shown() != nil {
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

// graph returns the number of dimensions against perplexity.
func (s *Summary) graph() figure.Graph {
	x := s.perplexityAxis()
	x.Format = func(v float64) string { return strconv.FormatFloat(v, 'g', 3, 64) }
	g := figure.Graph{
		X: x, Y: figure.Axis{Format: func(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }},
		Caption: "outlier dimensions against perplexity per token",
	}
	for i := range s.Rows {
		if v := s.Rows[i].shown(); v != nil {
			g.Points = append(g.Points, figure.Point{X: *s.Rows[i].Perplexity, Y: *v})
		}
	}
	return g
}
