package train

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/table"
)

// Backend makes a model file of documents.
type Backend interface {
	Train(ctx context.Context, m protocol.Model, documents iter.Seq2[protocol.Document, error], w io.Writer) error
}

// Worker trains models.
type Worker struct {
	backend func(ctx context.Context, name string) (Backend, error)
}

// New returns a worker that gets backends by name.
func New(backend func(ctx context.Context, name string) (Backend, error)) *Worker {
	return &Worker{backend: backend}
}

// Work trains the action's model on its datasets, in the order of the spec, and writes the model file.
func (w *Worker) Work(ctx context.Context, t *action.Task) (result action.Result, err error) {
	m := t.Action.Model
	backend, err := w.backend(ctx, m.Backend.Name)
	if err != nil {
		return result, fmt.Errorf("%s: %w", t.Action.Name, err)
	}
	var paths []string
	for _, in := range t.Action.Inputs {
		path, err := t.Input(ctx, in.Role, plan.DocumentsFile)
		if err != nil {
			return result, err
		}
		paths = append(paths, path)
	}
	f, err := os.Create(t.Path(plan.ModelFile))
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var read action.Progress
	documents := Documents(paths, func(d protocol.Document) {
		p := action.Progress{Documents: 1, Bytes: int64(len(d.Text))}
		read.Add(p)
		t.Advance(p)
	})
	if err := backend.Train(ctx, protocol.Model{Config: m.Backend.Config}, documents, f); err != nil {
		return result, fmt.Errorf("%s on %s: %w", t.Action.Name, strings.Join(m.Backend.Train, ", "), err)
	}
	return action.Result{
		Files: []string{plan.ModelFile},
		Measured: map[string]float64{
			plan.MeasuredDocuments: float64(read.Documents), plan.MeasuredBytes: float64(read.Bytes),
		},
	}, nil
}

// Documents reads tables of documents one after the other, and calls each as it goes.
func Documents(paths []string, each func(protocol.Document)) iter.Seq2[protocol.Document, error] {
	return func(yield func(protocol.Document, error) bool) {
		var index int64
		for _, path := range paths {
			for row, err := range rows(path) {
				if err != nil {
					yield(protocol.Document{}, err)
					return
				}
				d := protocol.Document{
					Index: index, Shard: row.Shard, Row: row.Row, Text: row.Text, ScoreStart: row.ScoreStart, ScoreEnd: row.ScoreEnd,
				}
				index++
				each(d)
				if !yield(d, nil) {
					return
				}
			}
		}
	}
}

// rows reads a table of documents and closes it. It stops after an error.
func rows(path string) iter.Seq2[table.Document, error] {
	return func(yield func(table.Document, error) bool) {
		in, err := table.OpenDocuments(path)
		if err != nil {
			yield(table.Document{}, err)
			return
		}
		stopped := false
		for row, err := range in.All() {
			if stopped = !yield(row, err) || err != nil; stopped {
				break
			}
		}
		if err := in.Close(); err != nil && !stopped {
			yield(table.Document{}, err)
		}
	}
}
