package scaling

import (
	"context"
	"fmt"
	"io"
	"math"

	"github.com/guptarohit/asciigraph"

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
	var all Headlines
	for _, a := range actions {
		if a.Outputs == nil {
			continue
		}
		h := Headline{Name: a.Labels.Section}
		if err := read.JSON(ctx, a, artifact.SummaryFile, &h.Summary); err != nil {
			return nil, err
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

// Size of the graph in characters, without its axes.
const (
	graphWidth  = 60
	graphHeight = 12
)

// letters returns a letter for each model, or nil if fewer than two models can be shown, or too many.
func (s *Summary) letters() []string {
	shown := 0
	letters := make([]string, len(s.Rows))
	for i, r := range s.Rows {
		letters[i] = " "
		if r.X != nil && r.BPB > 0 {
			letters[i] = string(rune('A' + shown%26))
			shown++
		}
	}
	if shown < 2 || shown > 26 {
		return nil
	}
	return letters
}

// graph draws bits per byte against x, both as in the figure, with a dot and a letter for each model.
func (s *Summary) graph(letters []string) string {
	axis := s.X.figure()
	to, from := func(x float64) float64 { return x }, func(x float64) float64 { return x }
	if axis.Scale == figure.Log {
		to, from = math.Log, math.Exp
	}
	low, high := math.Inf(1), math.Inf(-1)
	for i, r := range s.Rows {
		if letters[i] != " " {
			low, high = min(low, to(*r.X)), max(high, to(*r.X))
		}
	}
	if low == high {
		low, high = low-1, high+1
	}
	// The column of a letter follows that of its dot, and the library draws nothing in the last column.
	const columns = graphWidth + 2
	var series [][]float64
	var marks []asciigraph.CharSet
	for i, r := range s.Rows {
		if letters[i] == " " {
			continue
		}
		line := make([]float64, columns)
		for j := range line {
			line[j] = math.NaN()
		}
		// A value between missing ones is drawn as the start of a line in the column before it, and as the end in its own.
		line[1+int(math.Round((to(*r.X)-low)/(high-low)*(graphWidth-1)))] = math.Log(r.BPB)
		series = append(series, line)
		mark := asciigraph.DefaultCharSet
		mark.StartCap, mark.EndCap = "•", letters[i]
		marks = append(marks, mark)
	}
	return asciigraph.PlotMany(series,
		asciigraph.Height(graphHeight), asciigraph.SeriesChars(marks...),
		asciigraph.YAxisValueFormatter(func(v float64) string { return fmt.Sprintf("%.3f", math.Exp(v)) }),
		asciigraph.XAxisRange(low, low+(high-low)*(columns-1)/(graphWidth-1)), asciigraph.XAxisTickCount(5),
		asciigraph.XAxisValueFormatter(func(v float64) string { return axis.Format(from(v)) }),
		asciigraph.Caption("bits per byte against "+protocol.Visible(s.X.title())),
	)
}
