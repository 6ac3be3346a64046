package train

import (
	"context"
	"errors"
	"os"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
)

// Work implements action.Kind. It trains a model on its datasets, in the order of the spec, and writes the model file.
func (Kind) Work(ctx context.Context, t *action.Task) (result action.Result, err error) {
	var p parameters
	var at localSettings
	if err := errors.Join(t.Parameters(&p), t.LocalSettings(&at)); err != nil {
		return result, err
	}
	config, err := plan.JoinSettings(p.Config, at.Settings)
	if err != nil {
		return result, err
	}
	backend, err := t.Plugins.Backend(ctx)
	if err != nil {
		return result, err
	}
	var paths []string
	for _, role := range t.Roles("") {
		path, err := t.Input(role)
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
	if err := backend.Train(ctx, protocol.Model{Config: config}, documents, f); err != nil {
		return result, err
	}
	return action.Result{
		Files: []string{artifact.ModelFile},
		Measured: map[string]float64{
			plan.MeasuredDocuments: float64(read.Documents), plan.MeasuredBytes: float64(read.Bytes),
		},
	}, nil
}
