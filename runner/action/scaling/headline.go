package scaling

import (
	"context"
	"fmt"
	"io"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
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
		rows := [][]string{append([]string{"scaling " + t.Name}, heads[1:]...)}
		for _, r := range t.Rows {
			rows = append(rows, r.cells())
		}
		terminal.Columns(w, rows)
	}
}
