package scores

import (
	"context"
	"errors"
	"fmt"
	"os"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/plan"
)

// Worker imports tables.
type Worker struct{ dir string }

// New returns a worker; relative paths of tables start at dir.
func New(dir string) *Worker { return &Worker{dir} }

// Work imports the table of the action's model: the files of a score for each of its datasets, in a folder of its key.
func (w *Worker) Work(ctx context.Context, t *action.Task) (result action.Result, err error) {
	m := t.Action.Model
	scratch, err := os.MkdirTemp(t.Dir, "scratch-")
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	table, err := fetch(ctx, m.Model.Scores.Path, w.dir, m.Scores.Digest, scratch)
	if err != nil {
		return result, fmt.Errorf("%s: %w", t.Action.Name, err)
	}
	found, err := Import(ctx, table, t.Dir, scratch, m.Model.Scores.Protocol)
	if err != nil {
		return result, fmt.Errorf("%s: %w", t.Action.Name, err)
	}
	var documents, bytes int64
	for _, d := range found.Datasets {
		documents += d.Documents
		bytes += d.Bytes
	}
	return action.Result{
		Files: Files(found), Warnings: Warnings(found),
		Measured: map[string]float64{plan.MeasuredDocuments: float64(documents), plan.MeasuredBytes: float64(bytes)},
	}, nil
}
