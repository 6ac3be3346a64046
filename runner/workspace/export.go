package workspace

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/store"
)

// Export writes the files of an artifact to dir, in a form that other tools read, and returns their names. dir must not
// exist or be empty. what is the name or key that the user gave: if several datasets share the artifact, it selects the
// labels.
func (w *Workspace) Export(ctx context.Context, r *store.Record, what, dir string) ([]string, error) {
	d, err := plan.ReadDescriptor(r.Descriptor)
	if err != nil {
		return nil, err
	}
	exporter, ok := w.kind(d.Kind).(action.Exporter)
	if !ok {
		names := make([]string, len(r.Outputs))
		for i, f := range r.Outputs {
			names[i] = f.Name
		}
		return names, w.Store.Export(ctx, r, dir)
	}
	labels, err := w.labels(ctx, r, what)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if len(entries) > 0 {
		return nil, invalid("cannot export to %s: the directory is not empty; remove it or use another directory", dir)
	}
	if errors.Is(err, syscall.ENOTDIR) {
		return nil, invalid("cannot export to %s: it is a file; remove it or use a directory", dir)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	parent := filepath.Dir(filepath.Clean(dir))
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return nil, err
	}
	partial, err := os.MkdirTemp(parent, ".export-*.partial")
	if err != nil {
		return nil, err
	}
	names, err := exporter.Export(ctx, w.files(r), labels, partial)
	if err == nil {
		err = describe(r, partial)
	}
	if err == nil {
		err = os.Rename(partial, dir)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(partial))
	}
	return names, nil
}

// describe writes the record of an artifact into the directory of its files.
func describe(r *store.Record, dir string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(filepath.Join(dir, store.Sidecar), append(data, '\n'), 0o644), os.Chmod(dir, 0o755))
}

// labels returns the labels of an action in the current spec.
func (w *Workspace) labels(ctx context.Context, r *store.Record, what string) (plan.Labels, error) {
	p, err := w.Plan(ctx)
	if err != nil {
		return plan.Labels{}, err
	}
	if err := w.Resolve(ctx, p); err != nil {
		return plan.Labels{}, err
	}
	var found *plan.Action
	for _, a := range p.Actions {
		if a.Key == r.Key && (found == nil || a.Name == what || strings.HasSuffix(a.Name, " "+what)) {
			found = a
		}
	}
	if found == nil {
		return plan.Labels{}, invalid("the specification no longer has the action %s, so the names of its dataset and tags are unknown; "+
			"export it with the specification that it was run with", r.Name)
	}
	return found.Labels, nil
}
