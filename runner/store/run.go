package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Run is the manifest of a run.
type Run struct {
	// ID consists of letters, digits, '.', '_' and '-', and starts with a letter or digit.
	ID         string    `json:"id"`
	Experiment string    `json:"experiment"`
	Started    time.Time `json:"started"`
	// Finished is zero while the run is in progress. It stays zero if the run is killed.
	Finished time.Time   `json:"finished,omitzero"`
	State    string      `json:"state"`
	Actions  []RunAction `json:"actions"`
}

// RunAction is an action of a run. Key is empty if the run ended before the key was known.
type RunAction struct {
	Name  string `json:"name"`
	Key   string `json:"key,omitempty"`
	State string `json:"state"`
}

func runName(id string) string       { return "runs/" + id + ".json" }
func noteName(id, key string) string { return "runs/" + id + "/" + key }
func tagName(name string) string     { return "tags/" + name + ".json" }

// PutRun writes a run's manifest and replaces any earlier one. The manifest of a finished run must contain every action
// that the run recorded.
func (s *Store) PutRun(ctx context.Context, r Run) error {
	if err := checkName("run", r.ID); err != nil {
		return err
	}
	named := map[string]bool{}
	for _, a := range r.Actions {
		if a.Key != "" {
			if err := checkKey(a.Key); err != nil {
				return fmt.Errorf("run %s: action %q: %w", r.ID, a.Name, err)
			}
			named[a.Key] = true
		}
	}
	data, err := encode(r)
	if err == nil && len(data) > maxManifest {
		err = fmt.Errorf("its %d actions need %s, more than the limit of %s; split the experiment", len(r.Actions), size(len(data)), size(maxManifest))
	}
	if err != nil {
		return fmt.Errorf("run %s: %w", r.ID, err)
	}
	if err := s.write(ctx, runName(r.ID), data); err != nil || r.Finished.IsZero() {
		return err
	}
	return s.removeNotes(ctx, r.ID, func(key string) bool { return named[key] })
}

// removeNotes removes the notes of a run for which remove returns true.
func (s *Store) removeNotes(ctx context.Context, id string, remove func(key string) bool) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(lookups)
	for o, err := range s.b.list(ctx, noteName(id, "")) {
		if err != nil {
			return errors.Join(fmt.Errorf("store %s: %w", s, err), group.Wait())
		}
		if key := strings.TrimPrefix(o.name, noteName(id, "")); isHex64(key) && remove(key) {
			group.Go(func() error { return s.b.remove(groupCtx, o.name) })
		}
	}
	err := group.Wait()
	if err == nil {
		// The directory stays if it still contains a note.
		err = s.b.prune("runs/" + id)
	}
	if err != nil {
		return fmt.Errorf("store %s: %w", s, err)
	}
	return nil
}

// GetRun returns a run's manifest. If there is none, the error is fs.ErrNotExist.
func (s *Store) GetRun(ctx context.Context, id string) (Run, error) {
	if err := checkName("run", id); err != nil {
		return Run{}, err
	}
	var r Run
	err := s.read(ctx, runName(id), maxManifest, damagedManifest, func(data []byte) error {
		if err := json.Unmarshal(data, &r); err != nil {
			return err
		}
		if r.ID != id {
			return fmt.Errorf("it contains run %q", r.ID)
		}
		for _, a := range r.Actions {
			if a.Key != "" && !isHex64(a.Key) {
				return fmt.Errorf("action %q has key %q", a.Name, a.Key)
			}
		}
		return nil
	})
	if err != nil {
		return Run{}, err
	}
	return r, nil
}

// badManifest is a damaged run or tag. If it is deleted, results are lost only at the next collection.
type badManifest struct{ where, found string }

const manifestHint = "restore it from a copy, or delete it (gc may then remove artifacts that only it refers to)"

func damagedManifest(where, found string) error { return &badManifest{where, found} }

func (b *badManifest) Error() string {
	return b.where + ": is damaged: " + b.found + "; " + manifestHint
}

// Runs returns all runs, the oldest first. It reports damaged ones to Warn.
func (s *Store) Runs(ctx context.Context) ([]Run, error) {
	runs, damaged, err := s.runs(ctx)
	for _, d := range damaged {
		s.warn(d.Error())
	}
	return runs, err
}

// runs returns all runs, the oldest first, and the errors of those that cannot be read.
func (s *Store) runs(ctx context.Context) (runs []Run, damaged []error, err error) {
	var mu sync.Mutex
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(requests)
	for name, err := range s.b.children(ctx, "runs/") {
		if err != nil {
			return nil, nil, errors.Join(fmt.Errorf("store %s: %w", s, err), group.Wait())
		}
		id, ok := strings.CutSuffix(name, ".json")
		if !ok || !isName(id) {
			continue
		}
		group.Go(func() error {
			r, err := s.GetRun(groupCtx, id)
			mu.Lock()
			defer mu.Unlock()
			if _, bad := errors.AsType[*badManifest](err); bad {
				damaged = append(damaged, err)
				return nil
			}
			if err == nil {
				runs = append(runs, r)
			}
			return ignoreMissing(err) // it may have been removed meanwhile
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	slices.SortFunc(runs, func(a, b Run) int { return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.ID, b.ID)) })
	return runs, damaged, nil
}

type tag struct {
	Run string `json:"run"`
}

// Tag gives a run a name. The run keeps it until the name is removed or given to another run.
func (s *Store) Tag(ctx context.Context, name, run string) error {
	if err := checkName("tag", name); err != nil {
		return err
	}
	if err := s.hasRun(ctx, run); err != nil {
		return err
	}
	data, err := encode(tag{run})
	if err != nil {
		return err
	}
	if err := s.write(ctx, tagName(name), data); err != nil {
		return err
	}
	// A collection in progress may drop the run, because it has not seen the tag.
	if err := s.awaitCollectors(ctx); err != nil {
		return err
	}
	if err := s.hasRun(ctx, run); err != nil {
		return errors.Join(err, s.Untag(ctx, name))
	}
	return nil
}

// DropRun removes a run that has no tag, so that a collection may remove what only it refers to. It is not an error if there
// is none.
func (s *Store) DropRun(ctx context.Context, id string) error {
	if err := checkName("run", id); err != nil {
		return err
	}
	tags, err := s.Tags(ctx)
	if err != nil {
		return err
	}
	for _, name := range sortedKeys(tags) {
		if tags[name] == id {
			return invalid("store %s: run %s has the tag %q; remove the tag first", s, id, name)
		}
	}
	claims, err := s.b.claimed(ctx, writers)
	if err != nil {
		return fmt.Errorf("store %s: %w", s, err)
	}
	for _, c := range claims {
		if run, ok := writerOf(c.name); ok && c.live && run == id {
			return invalid("store %s: run %s is in progress; wait for it", s, id)
		}
	}
	// The manifest goes last, as in a collection.
	if err := s.removeNotes(ctx, id, func(string) bool { return true }); err != nil {
		return err
	}
	if err := s.b.remove(ctx, runName(id)); err != nil {
		return fmt.Errorf("store %s: %w", s, err)
	}
	return nil
}

func (s *Store) hasRun(ctx context.Context, id string) error {
	_, err := s.GetRun(ctx, id)
	if errors.Is(err, fs.ErrNotExist) {
		return invalid("store %s: no run %q; list the runs with `runner status`", s, id)
	}
	return err
}

// Untag removes a tag. It is not an error if there is none.
func (s *Store) Untag(ctx context.Context, name string) error {
	if err := checkName("tag", name); err != nil {
		return err
	}
	if err := s.b.remove(ctx, tagName(name)); err != nil {
		return fmt.Errorf("store %s: %w", s, err)
	}
	return nil
}

// Tags returns the run of each tag.
func (s *Store) Tags(ctx context.Context) (map[string]string, error) {
	tags := map[string]string{}
	for o, err := range s.b.list(ctx, "tags/") {
		if err != nil {
			return nil, fmt.Errorf("store %s: %w", s, err)
		}
		name, ok := strings.CutSuffix(strings.TrimPrefix(o.name, "tags/"), ".json")
		if !ok || !isName(name) {
			continue
		}
		run, err := s.readTag(ctx, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		tags[name] = run
	}
	return tags, nil
}

func (s *Store) readTag(ctx context.Context, name string) (string, error) {
	var t tag
	err := s.read(ctx, tagName(name), maxSmall, damagedManifest, func(data []byte) error {
		if err := json.Unmarshal(data, &t); err != nil {
			return err
		}
		if !isName(t.Run) {
			return fmt.Errorf("it refers to run %q", t.Run)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	return t.Run, nil
}
