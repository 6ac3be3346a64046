package cli

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"surprisal.dev/runner/spec"
	"surprisal.dev/runner/workspace"
)

// aboutTable tabulates what the specification says about the texts of datasets that are not skipped: how many have each
// license, and with which risk that models have been trained on them. It is empty if it says nothing.
func aboutTable(datasets []spec.Dataset) [][]string {
	type row struct {
		datasets, unconfirmed int
		risk                  map[string]int
	}
	rows := map[string]*row{}
	for _, d := range datasets {
		if d.About == nil || d.Skip != "" {
			continue
		}
		license := cmp.Or(d.About.License, "not said")
		r := rows[license]
		if r == nil {
			r = &row{risk: map[string]int{}}
			rows[license] = r
		}
		r.datasets++
		r.risk[d.About.Contamination]++
		if slices.Contains(d.About.Unconfirmed, "license") {
			r.unconfirmed++
		}
	}
	if len(rows) == 0 {
		return nil
	}
	cell := func(n int) string {
		if n == 0 {
			return "-"
		}
		return fmt.Sprint(n)
	}
	table := [][]string{{"license", "datasets", "unconfirmed", "low risk", "medium", "high"}}
	byCount := func(x, y string) int {
		return cmp.Or(cmp.Compare(rows[y].datasets, rows[x].datasets), cmp.Compare(x, y))
	}
	for _, license := range slices.SortedFunc(maps.Keys(rows), byCount) {
		r := rows[license]
		table = append(table, []string{
			license, cell(r.datasets), cell(r.unconfirmed), cell(r.risk["low"]), cell(r.risk["medium"]), cell(r.risk["high"]),
		})
	}
	return table
}

// printAbout prints what the specification of a workspace says about texts.
func (a *app) printAbout(ctx context.Context, w *workspace.Workspace) error {
	e, err := w.Experiment(ctx)
	if err != nil {
		return err
	}
	if table := aboutTable(e.Datasets); len(table) > 0 {
		writef(a.stdout, "\n")
		columns(a.stdout, table)
	}
	return nil
}
