package cli

import (
	"fmt"
	"io"

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
		models := h.Models[:min(len(h.Models), maxModels)]
		rows := [][]string{append([]string{"bits per byte"}, models...)}
		for i, dataset := range h.Datasets[:min(len(h.Datasets), maxRows)] {
			rows = append(rows, append([]string{dataset}, bpbCells(h.BPB[i][:len(models)])...))
		}
		if len(h.Datasets) > 1 {
			rows = append(rows, append([]string{"all datasets"}, bpbCells(h.Total[:len(models)])...))
		}
		columns(w, rows)
		if len(h.Datasets) > maxRows || len(h.Models) > maxModels {
			fmt.Fprintf(w, "... %s and %s in all; runner show --json lists them\n", count(len(h.Datasets), "dataset"), count(len(h.Models), "model"))
		}
		fmt.Fprintln(w)
	}
	for _, g := range h.Gaps {
		fmt.Fprintf(w, "gap %s: %s\n", g.Name, gapSentence(g))
	}
	if len(h.Gaps) > 0 {
		fmt.Fprintln(w)
	}
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
		fmt.Fprintf(w, "report of %s: %s\n", r.Gap, r.Path)
	}
}
