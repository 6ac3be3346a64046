package windows

import (
	"context"
	"fmt"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
)

// Verify implements action.Verifier: it adds up the log probabilities of the tokens of each window, and checks the order
// of the windows and their number.
func (Kind) Verify(ctx context.Context, files action.Files) (ledgers int, err error) {
	table, err := files.Path(ctx, artifact.WindowsFile)
	if err != nil {
		return 0, err
	}
	path, err := files.Path(ctx, artifact.SummaryFile)
	if err != nil {
		return 0, err
	}
	var s Summary
	if err := artifact.ReadJSON(path, &s); err != nil {
		return 0, err
	}
	rows := int64(0)
	var last artifact.Window
	err = ReadRows(table, func(w *artifact.Window) error {
		if rows > 0 && (w.Document < last.Document || w.Document == last.Document && w.Cursor <= last.Cursor) {
			return fmt.Errorf("document %d, window at %d: the row is not in order", w.Document, w.Start)
		}
		last = *w
		rows++
		return nil
	})
	if err == nil && rows != s.Windows {
		err = fmt.Errorf("the table has %d windows, and the summary %d", rows, s.Windows)
	}
	if err == nil && (s.AtEnd < 0 || s.AtEnd > s.Skipped) {
		err = fmt.Errorf("the summary has %d windows skipped at the end of a text, of %d that are skipped", s.AtEnd, s.Skipped)
	}
	return 1, err
}
