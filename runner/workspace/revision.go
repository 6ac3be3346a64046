package workspace

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
	"surprisal.dev/runner/workspace/revision"
)

// PlanAt makes the plan of the spec at a git revision. The plan is empty if the revision does not have the spec.
// Sources in the lock file of the revision are taken from there. Other sources are read from the revision, or else from
// the working tree.
func (w *Workspace) PlanAt(ctx context.Context, at string) (_ *plan.Plan, err error) {
	if w.options.Confine != "" {
		if err := revision.Contained(ctx, w.Dir); err != nil {
			return nil, err
		}
	}
	tree, err := revision.Open(ctx, w.Dir, at)
	if err != nil {
		return nil, err
	}
	if !tree.HasPackage() {
		return &plan.Plan{}, nil
	}
	tmp, err := os.MkdirTemp("", "surprisal-revision-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	files, err := tree.Copy(ctx, tmp, spec.LockFile)
	if err != nil {
		return nil, err
	}
	confine := ""
	if w.options.Confine != "" {
		confine = tmp
	}
	e, err := w.load(ctx, files.Dir, confine)
	if err != nil {
		return nil, fmt.Errorf("the spec at %s: %w", at, err)
	}
	named, err := namedFiles(e, files.Dir, confine)
	if err != nil {
		return nil, fmt.Errorf("the spec at %s: %w", at, err)
	}
	if err := files.Add(ctx, named); err != nil {
		return nil, err
	}
	p, err := w.planOf(ctx, e, nil, true, place{files.Dir, confine}, w.place())
	if err != nil {
		return nil, fmt.Errorf("the spec at %s: %w", at, err)
	}
	return p, nil
}

// namedFiles returns the paths of files that an experiment of the past may read and that are not in its lock file. For
// a source, they are the field path, or all strings of the configuration if there is no such field.
func namedFiles(e *spec.Experiment, dir, confine string) (named []string, err error) {
	lock, err := spec.ReadLock(dir, confine)
	if err != nil {
		return nil, err
	}
	for _, d := range e.Datasets {
		_, isLocked, err := locked(lock, d.Source.Provider, d.Source.Config)
		switch {
		case err != nil:
			return nil, err
		case d.Skip != "" || isLocked:
			continue
		}
		files := spec.SourceFiles(d.Source.Config)
		if len(files) == 0 {
			var config any
			if err := json.Unmarshal(d.Source.Config, &config); err != nil {
				return nil, err
			}
			files = texts(config)
		}
		named = append(named, files...)
	}
	for _, m := range e.Models {
		if m.Weights != nil && !m.Weights.Remote() {
			named = append(named, m.Weights.Path)
		}
		if m.Scores == nil {
			continue
		}
		provider, config := m.Scores.Source()
		_, isLocked, err := locked(lock, provider, config)
		if err != nil {
			return nil, err
		}
		if !isLocked {
			named = append(named, m.Scores.Path)
		}
	}
	slices.Sort(named) // Errors must not depend on the order of a map.
	return named, nil
}

// texts returns all strings in a JSON value, except the names of fields.
func texts(value any) (all []string) {
	switch value := value.(type) {
	case string:
		return []string{value}
	case []any:
		for _, v := range value {
			all = append(all, texts(v)...)
		}
	case map[string]any:
		for _, v := range value {
			all = append(all, texts(v)...)
		}
	}
	return all
}
