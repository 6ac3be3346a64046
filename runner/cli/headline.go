package cli

import (
	"fmt"
	"io"
	"slices"

	"github.com/maruel/natural"

	"surprisal.dev/runner/report"
	"surprisal.dev/runner/workspace"
)

// maxRows and maxModels bound the table on a screen; the artifacts hold all of it.
const (
	maxRows   = 40
	maxModels = 12
)

func printHeadline(w io.Writer, h *report.Headline) {
	if len(h.Models) > 0 {
		columnsOf := naturalOrder(h.Models)[:min(len(h.Models), maxModels)]
		rows := [][]string{{"bits per byte"}}
		for _, i := range columnsOf {
			rows[0] = append(rows[0], h.Models[i])
		}
		cells := func(values []*float64) []string {
			shown := make([]*float64, len(columnsOf))
			for c, i := range columnsOf {
				shown[c] = values[i]
			}
			return bpbCells(shown)
		}
		for _, i := range naturalOrder(h.Datasets)[:min(len(h.Datasets), maxRows)] {
			rows = append(rows, append([]string{h.Datasets[i]}, cells(h.BPB[i])...))
		}
		if len(h.Datasets) > 1 {
			rows = append(rows, append([]string{"all datasets"}, cells(h.Total)...))
		}
		columns(w, rows)
		if len(h.Datasets) > maxRows || len(h.Models) > maxModels {
			say(w, "... %s and %s in all; runner show --json lists them\n", count(len(h.Datasets), "dataset"), count(len(h.Models), "model"))
		}
		say(w, "\n")
	}
	for _, g := range h.Gaps {
		say(w, "gap %s: %s\n", g.Name, gapSentence(g))
	}
	if len(h.Gaps) > 0 {
		say(w, "\n")
	}
}

// naturalOrder returns the indices of names in natural order, "d2" before "d10".
func naturalOrder(names []string) []int {
	order := make([]int, len(names))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return natural.Compare(names[i], names[j]) })
	return order
}

func bpbCells(values []*float64) []string {
	cells := make([]string, len(values))
	for i, v := range values {
		cells[i] = "-"
		if v != nil {
			cells[i] = fmt.Sprintf("%.4f", *v)
		}
	}
	return cells
}

func gapSentence(g report.Gap) string {
	if g.GapBPB == nil || g.ABPB == nil || g.BBPB == nil {
		return fmt.Sprintf("%s and %s share no scored bytes", g.A, g.B)
	}
	verdict := fmt.Sprintf("%s is worse than %s", g.A, g.B)
	switch {
	case *g.GapBPB == 0:
		verdict = fmt.Sprintf("%s equals %s", g.A, g.B)
	case *g.GapBPB < 0:
		verdict = fmt.Sprintf("%s is better than %s", g.A, g.B)
	}
	return fmt.Sprintf("%+.4f bits per byte over %s: %s (%.4f and %.4f)", *g.GapBPB, size(g.Bytes), verdict, *g.ABPB, *g.BBPB)
}

func printReports(w io.Writer, reports []workspace.Report) {
	for _, r := range reports {
		say(w, "report of %s: %s\n", r.Gap, r.Path)
	}
}
