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
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
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
		path, err := t.Input(ctx, in.Role, artifact.DocumentsFile)
		if err != nil {
			return result, err
		}
		paths = append(paths, path)
	}
	f, err := os.Create(t.Path(artifact.ModelFile))
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var read action.Progress
	documents := artifact.ReadDocuments(paths, func(d protocol.Document) {
		p := action.Progress{Documents: 1, Bytes: int64(len(d.Text))}
		read.Add(p)
		t.Advance(p)
	})
	if err := backend.Train(ctx, protocol.Model{Config: m.Backend.Config}, documents, f); err != nil {
		return result, fmt.Errorf("%s on %s: %w", t.Action.Name, strings.Join(m.Backend.Train, ", "), err)
	}
	return action.Result{
		Files: []string{artifact.ModelFile},
		Measured: map[string]float64{
			plan.MeasuredDocuments: float64(read.Documents), plan.MeasuredBytes: float64(read.Bytes),
		},
	}, nil
}
