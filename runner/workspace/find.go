package workspace

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"surprisal.dev/runner/engine"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
	"surprisal.dev/runner/store"
)

// event is the last entry of an action in the journal of a run.
type event struct {
	engine.Entry
	// run is the directory of the run.
	run string
}

// known returns the last entry of each action in each of the latest journals, newest journal first.
func (w *Workspace) known() ([]event, error) {
	dirs, err := engine.JournalDirs(w.runs())
	if err != nil {
		return nil, err
	}
	var events []event
	for _, dir := range dirs {
		r, err := engine.ReadJournal(dir)
		if err != nil {
			return nil, err
		}
		for _, e := range r.Entries {
			events = append(events, event{e, dir})
		}
	}
	return events, nil
}

var keyPrefix = regexp.MustCompile(`^[0-9a-f]{6,64}$`)

// Find returns the record of an action by its key, the first digits of its key, its name, or the end of its name. The
// record has the name of the action in its latest run, which may differ from the name under which it was computed.
func (w *Workspace) Find(ctx context.Context, what string) (*store.Record, error) {
	events, err := w.known()
	if err != nil {
		return nil, err
	}
	withKeys := slices.DeleteFunc(events, func(e event) bool { return e.Key == "" })
	e, err := w.find(withKeys, what)
	if err != nil {
		return nil, err
	}
	r, _, err := w.recordOf(ctx, e)
	return r, err
}

// find returns the latest event of the action with a key, the first digits of a key, a name or the end of a name. A
// complete key needs no event. events are the newest first.
func (w *Workspace) find(events []event, what string) (event, error) {
	isKey := keyPrefix.MatchString(what)
	for _, e := range events {
		if e.Action == what || isKey && e.Key == what {
			return e, nil
		}
	}
	if isKey && len(what) == 64 {
		return event{Entry: engine.Entry{Key: what}}, nil
	}
	matches := map[string]event{} // by key, or by name if there is no key
	named := map[string]bool{}
	for _, e := range events {
		id := cmp.Or(e.Key, e.Action)
		_, known := matches[id]
		// A name refers to the latest action of that name, which is the first one here.
		if !known && (strings.HasSuffix(e.Action, " "+what) && !named[e.Action] || isKey && strings.HasPrefix(e.Key, what)) {
			matches[id] = e
		}
		named[e.Action] = true
	}
	switch len(matches) {
	case 0:
		if len(events) == 0 {
			return event{}, nothingRan(w.options.Dir)
		}
		meant := ""
		if near := spec.Nearest(what, slices.Sorted(maps.Keys(named))); near != "" {
			meant = fmt.Sprintf("; did you mean %s?", near)
		}
		return event{}, invalid("no action with the key or name %q has run here; `runner status --json` lists names and keys%s", what, meant)
	case 1:
		for _, e := range matches {
			return e, nil
		}
	}
	var names []string
	for _, e := range matches {
		names = append(names, e.Action)
	}
	slices.Sort(names)
	return event{}, invalid("%q matches %s; use a longer name or key", what, strings.Join(names, ", "))
}

// recordOf returns the record of an action, with the action's name in its run, and the name under which the action was
// computed.
func (w *Workspace) recordOf(ctx context.Context, e event) (r *store.Record, computed string, err error) {
	r, err = w.Store.GetRecord(ctx, e.Key)
	switch {
	case errors.Is(err, fs.ErrNotExist) && e.State == plan.Failed:
		return nil, "", invalid("%s failed in its latest run, so it has no result; `runner explain` shows the error", e.Action)
	case errors.Is(err, fs.ErrNotExist):
		return nil, "", invalid("the store %s does not hold an action with the key %s", w.Store, e.Key)
	case err != nil:
		return nil, "", err
	}
	computed = r.Name
	r.Name = cmp.Or(e.Action, r.Name)
	return r, computed, nil
}

// FindFile returns the record that args name. If the last argument is a file of the record, it also returns that.
func (w *Workspace) FindFile(ctx context.Context, args []string) (*store.Record, string, error) {
	r, err := w.Find(ctx, strings.Join(args, " "))
	if err == nil || len(args) < 2 {
		return r, "", err
	}
	last := len(args) - 1
	if r, fileErr := w.Find(ctx, strings.Join(args[:last], " ")); fileErr == nil {
		return r, args[last], nil
	}
	return nil, "", err
}

// Explanation explains why an action ran, was cached or has no result.
type Explanation struct {
	Action string `json:"action"`
	Key    string `json:"key,omitempty"`
	// Record is nil if the action has no result.
	Record *store.Record `json:"record,omitempty"`
	Why    string        `json:"why,omitempty"`
	// Changed lists the parts of the cache key that differ from the previous run.
	Changed []plan.Field `json:"changed,omitempty"`
	// Error is the error of a failed action, and Log the path of the log of its run.
	Error string `json:"error,omitempty"`
	Log   string `json:"log,omitempty"`
}

// Explain explains what happened to an action in the last run that it was part of.
func (w *Workspace) Explain(ctx context.Context, what string) (Explanation, error) {
	events, err := w.known()
	if err != nil {
		return Explanation{}, err
	}
	e, err := w.find(events, what)
	if err != nil {
		return Explanation{}, err
	}
	if x, unfinished := w.unfinished(ctx, e); unfinished {
		return x, nil
	}
	r, computed, err := w.recordOf(ctx, e)
	if err != nil {
		return Explanation{}, err
	}
	x := Explanation{Action: r.Name, Key: r.Key, Record: r}
	switch e.State {
	case "":
		x.Why = "the action is in the store, but in no run of this directory"
		return x, nil
	case plan.Cached:
		x.Why = "cached: the store held this key"
		if computed != r.Name {
			x.Why += ", which was computed as " + computed
		}
		return x, nil
	}
	x.Why = string(e.State) + ": the store did not hold this key"
	mine := slices.DeleteFunc(events, func(o event) bool { return o.Action != e.Action || o.Key == "" })
	at := slices.Index(mine, e)
	for _, before := range mine[at+1:] {
		if before.Key == r.Key {
			continue
		}
		old, err := w.Store.GetRecord(ctx, before.Key)
		if errors.Is(err, fs.ErrNotExist) {
			// It failed, or was deleted by gc since.
			continue
		}
		if err != nil {
			return x, err
		}
		x.Why += "; parts of the key that changed since the previous run:"
		x.Changed, err = plan.Diff(old.Descriptor, r.Descriptor)
		return x, err
	}
	return x, nil
}

// unfinished explains an action that has no result in the run of e. It returns false if the action has one.
func (w *Workspace) unfinished(ctx context.Context, e event) (Explanation, bool) {
	x := Explanation{Action: e.Action, Key: e.Key}
	switch e.State {
	case plan.Failed:
		x.Why, x.Error, x.Log = "failed in run "+filepath.Base(e.run), e.Error, relative(filepath.Join(e.run, logFile))
	case plan.Blocked, plan.Skipped:
		x.Why = fmt.Sprintf("%s: %s", e.State, e.Reason)
	case plan.Canceled:
		x.Why = "canceled: run " + filepath.Base(e.run) + " stopped before the action ended"
	case plan.Waiting:
		x.Why = fmt.Sprintf("waiting %s, or interrupted with run %s", e.Reason, filepath.Base(e.run))
	case plan.Running:
		x.Why = "running, or interrupted with run " + filepath.Base(e.run)
	default:
		return x, false
	}
	if e.Key == "" {
		return x, true
	}
	// Another run may have computed the key since.
	_, err := w.Store.GetRecord(ctx, e.Key)
	return x, err != nil
}
