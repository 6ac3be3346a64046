package workspace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"surprisal.dev/runner/spec"
	"surprisal.dev/runner/terminal"
)

// Tag is a name of a run in the store, which keeps it.
type Tag struct {
	Name string `json:"tag"`
	Run  string `json:"run"`
	// Experiment, Started and State are those of the run. Started is zero if the store no longer has it.
	Experiment string    `json:"experiment,omitempty"`
	Started    time.Time `json:"started,omitzero"`
	State      string    `json:"state,omitempty"`
	// Before is the run that had the tag before, after Workspace.SetTag.
	Before string `json:"before,omitempty"`
}

// Tags returns the tags of the store, sorted by name.
func (w *Workspace) Tags(ctx context.Context) ([]Tag, error) {
	tags, err := w.Store.Tags(ctx)
	if err != nil {
		return nil, err
	}
	all := []Tag{}
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		t := Tag{Name: name, Run: tags[name]}
		switch r, err := w.Store.GetRun(ctx, t.Run); {
		case err == nil:
			t.Experiment, t.Started, t.State = r.Experiment, r.Started, r.State
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

// SetTag gives a run a name, so that no collection drops it. run is its id or the beginning of it, or "" for the last run of
// the directory.
func (w *Workspace) SetTag(ctx context.Context, name, run string) (t Tag, err error) {
	if strings.HasPrefix(name, baselineTags) {
		return t, invalid("tag %q: names that begin with %q are those of baselines; choose another name, or use `runner baseline set`", name, baselineTags)
	}
	if run == "" {
		last, err := lastRunDir(w.options.Dir, w.options.State)
		if err != nil {
			return t, err
		}
		run = filepath.Base(last)
	} else if run, err = w.runOf(ctx, run); err != nil {
		return t, err
	}
	tags, err := w.Store.Tags(ctx)
	if err != nil {
		return t, err
	}
	if err := w.Store.Tag(ctx, name, run); err != nil {
		return t, err
	}
	t = Tag{Name: name, Run: run}
	if before := tags[name]; before != run {
		t.Before = before
	}
	return t, nil
}

// runOf returns the id of the run of the store that begins with text.
func (w *Workspace) runOf(ctx context.Context, text string) (string, error) {
	runs, err := w.Store.Runs(ctx)
	if err != nil {
		return "", err
	}
	var found, all []string
	for _, r := range slices.Backward(runs) {
		all = append(all, r.ID)
		if r.ID == text {
			return text, nil
		}
		if strings.HasPrefix(r.ID, text) {
			found = append(found, r.ID)
		}
	}
	switch len(found) {
	case 0:
		if len(all) == 0 {
			return "", invalid("the store %s has no runs; start one with `runner run`", w.Store)
		}
		return "", invalid("the store %s has no run %q; its latest runs are %s", w.Store, text, terminal.Few(all))
	case 1:
		return found[0], nil
	}
	return "", invalid("%q begins the ids of the runs %s; use more of an id", text, terminal.Few(found))
}

// RemoveTag removes a tag. Its run stays until a collection drops it.
func (w *Workspace) RemoveTag(ctx context.Context, name string) (t Tag, err error) {
	tags, err := w.Store.Tags(ctx)
	if err != nil {
		return t, err
	}
	run, known := tags[name]
	if !known {
		if len(tags) == 0 {
			return t, invalid("the store %s has no tags", w.Store)
		}
		names := slices.Sorted(maps.Keys(tags))
		meant := ""
		if near := spec.Nearest(name, names); near != "" {
			meant = fmt.Sprintf("; did you mean %s?", near)
		}
		return t, invalid("the store %s has no tag %q; tags are %s%s", w.Store, name, terminal.Few(names), meant)
	}
	if strings.HasPrefix(name, baselineTags) {
		lock, err := spec.ReadLock(w.Dir, w.options.Confine)
		if err != nil {
			return t, err
		}
		for _, b := range lock.Baselines() {
			if b.Tag == name {
				return t, invalid("%s keeps the scores of the baseline %q of %s; run `runner baseline remove %s` first", name, b.Name, spec.LockFile, b.Name)
			}
		}
	}
	t = Tag{Name: name, Run: run}
	r, err := w.Store.GetRun(ctx, run)
	if err == nil && strings.HasPrefix(name, baselineTags) && strings.HasPrefix(r.Experiment, keeperPrefix) {
		return t, w.releaseBaseline(ctx, name, run)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return t, err
	}
	return t, w.Store.Untag(ctx, name)
}
