package workspace

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/engine"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/store"
)

// Published says where people find what an action made.
type Published struct {
	Action string `json:"action"`
	// Path is the file that a person reads first. It is relative to the working directory if it is below it.
	Path string `json:"path"`
}

// publish puts the files of every action that is published where a person finds them: .surprisal/reports/KIND/NAME. A report
// whose place is taken is left out, and the error says so.
func (w *Workspace) publish(ctx context.Context, p *plan.Plan) (all []Published, err error) {
	if !slices.ContainsFunc(p.Actions, isPublished) {
		return nil, nil
	}
	root, err := w.ownState()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	var refused []error
	for _, a := range p.Actions {
		if !isPublished(a) {
			continue
		}
		if err := w.exportReport(ctx, a, root); err != nil {
			refused = append(refused, fmt.Errorf("report of %s: %w", a.Name, err))
			continue
		}
		all = append(all, w.published(a))
	}
	return all, errors.Join(refused...)
}

func isPublished(a *plan.Action) bool {
	return a.Publish != "" && (a.State == plan.Cached || a.State == plan.Done)
}

func (w *Workspace) published(a *plan.Action) Published {
	return Published{a.Name, relative(filepath.Join(w.state, filepath.FromSlash(reportName(a)), w.mainFile(a.Kind, a.Outputs)))}
}

// reportName returns the place of an action's report in the state directory, with slashes.
func reportName(a *plan.Action) string { return path.Join(reportsName, a.Publish) }

// exportReport exports a report that is not in its place yet.
func (w *Workspace) exportReport(ctx context.Context, a *plan.Action, root *os.Root) error {
	if holds(root, a) {
		return nil
	}
	r, err := w.Store.GetRecord(ctx, a.Key)
	if err != nil {
		return err
	}
	return w.Store.ExportTo(ctx, r, root, reportName(a))
}

// holds reports whether the place of a report holds what the action made. One that cannot be read does not.
func holds(root *os.Root, a *plan.Action) bool {
	r, err := store.ExportedIn(root, reportName(a))
	return err == nil && r.Key == a.Key
}

// relative returns path as seen from the working folder, if it lies below it.
func relative(path string) string {
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	rel, err := filepath.Rel(here, path)
	if err != nil || strings.HasPrefix(rel, "..") {
		return path
	}
	return rel
}

// Summary is what the finished actions of a plan came to.
type Summary struct {
	// Reports are those of the kinds, in plan order, each under the name of its kind.
	Reports   []KindReport
	Published []Published
}

// KindReport is what the actions of a kind came to.
type KindReport struct {
	Kind string
	action.Report
}

// MarshalJSON gives an object with a field for each kind, and the published files.
func (s Summary) MarshalJSON() ([]byte, error) {
	fields := map[string]any{"published": s.Published}
	for _, r := range s.Reports {
		fields[r.Kind] = r.Report
	}
	return json.Marshal(fields)
}

// Summarise returns what the finished actions of a plan came to.
func (w *Workspace) Summarise(ctx context.Context, p *plan.Plan) (Summary, error) {
	s := Summary{Published: []Published{}}
	for _, k := range w.kinds {
		reporter, ok := k.(action.Reporter)
		if !ok {
			continue
		}
		r, err := reporter.Report(ctx, p.Of(k.Name()), w.readFile)
		if err != nil {
			return s, err
		}
		if r != nil {
			s.Reports = append(s.Reports, KindReport{k.Name(), r})
		}
	}
	root, _, err := openState(w.state)
	if err != nil {
		// There are no reports where there is no state directory of ours.
		return s, nil
	}
	defer root.Close()
	for _, a := range p.Actions {
		if a.Publish != "" && a.Outputs != nil && holds(root, a) {
			s.Published = append(s.Published, w.published(a))
		}
	}
	return s, nil
}

// readFile implements action.ReadFile.
func (w *Workspace) readFile(ctx context.Context, a *plan.Action, name string) (data []byte, err error) {
	f, err := store.FileOf(a.Outputs, name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.Name, err)
	}
	r, err := w.Store.Open(ctx, f.Digest)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.Name, err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	return io.ReadAll(r)
}

// Latest returns the plan with what the store holds of it, and what that came to.
func (w *Workspace) Latest(ctx context.Context) (*plan.Plan, Summary, error) {
	p, err := w.Plan(ctx)
	if err != nil {
		return nil, Summary{}, err
	}
	if err := w.Resolve(ctx, p); err != nil {
		return nil, Summary{}, err
	}
	if p.Count(plan.Cached) == 0 {
		return nil, Summary{}, invalid("nothing of %s has run yet; start it with runner run", p.Experiment)
	}
	s, err := w.Summarise(ctx, p)
	return p, s, err
}

var keyPrefix = regexp.MustCompile(`^[0-9a-f]{6,64}$`)

// Find returns the record of an action, by its key, the first digits of its key, its name, or the end of its name.
func (w *Workspace) Find(ctx context.Context, what string) (*store.Record, error) {
	entries, err := w.known()
	if err != nil {
		return nil, err
	}
	if len(what) == 64 && keyPrefix.MatchString(what) {
		return w.recordOf(ctx, what)
	}
	matches := map[string]string{} // name by key
	named := map[string]bool{}
	for _, e := range entries {
		if e.Key == "" {
			continue
		}
		if e.Action == what {
			return w.recordOf(ctx, e.Key)
		}
		// A name means the latest action of that name, the first one here.
		if strings.HasSuffix(e.Action, " "+what) && !named[e.Action] || keyPrefix.MatchString(what) && strings.HasPrefix(e.Key, what) {
			matches[e.Key] = e.Action
		}
		named[e.Action] = true
	}
	switch len(matches) {
	case 0:
		if len(entries) == 0 {
			return nil, nothingRan(w.options.Dir)
		}
		return nil, invalid("no action with the key or name %q has run here; runner status --json lists names and keys", what)
	case 1:
		for key := range matches {
			return w.recordOf(ctx, key)
		}
	}
	names := slices.Sorted(maps.Values(matches))
	return nil, invalid("%q fits %s; write more of it", what, strings.Join(names, ", "))
}

func (w *Workspace) recordOf(ctx context.Context, key string) (*store.Record, error) {
	r, err := w.Store.GetRecord(ctx, key)
	if errors.Is(err, os.ErrNotExist) {
		return nil, invalid("the store %s holds no action with the key %s", w.Store, key)
	}
	return r, err
}

// FindFile returns the record that args name, and the file of it if the last of them names one.
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

// MainFile names the file of an artifact that a person reads first, "" if it has none.
func (w *Workspace) MainFile(r *store.Record) string {
	d, err := plan.ReadDescriptor(r.Descriptor)
	if err != nil {
		return ""
	}
	return w.mainFile(d.Kind, r.Outputs)
}

func (w *Workspace) mainFile(kind string, outputs []store.File) string {
	filer, ok := w.kind(kind).(action.MainFiler)
	if !ok {
		return ""
	}
	if _, err := store.FileOf(outputs, filer.MainFile()); err != nil {
		return ""
	}
	return filer.MainFile()
}

// known returns the last entry of each action in the latest journals, newest first.
func (w *Workspace) known() ([]engine.Entry, error) {
	dirs, err := engine.JournalDirs(w.runs())
	if err != nil {
		return nil, err
	}
	var entries []engine.Entry
	for _, dir := range dirs {
		r, err := engine.ReadJournal(dir)
		if err != nil {
			return nil, err
		}
		entries = append(entries, r.Entries...)
	}
	return entries, nil
}

// Explanation says why an action ran or was cached.
type Explanation struct {
	Record *store.Record `json:"record"`
	Why    string        `json:"why,omitempty"`
	// Changed lists the parts of the key that differ from the run before.
	Changed []plan.Field `json:"changed,omitempty"`
}

// Explain says why the action ran or was cached when it was last part of a run.
func (w *Workspace) Explain(ctx context.Context, what string) (Explanation, error) {
	r, err := w.Find(ctx, what)
	if err != nil {
		return Explanation{}, err
	}
	x := Explanation{Record: r}
	entries, err := w.known()
	if err != nil {
		return x, err
	}
	mine := slices.DeleteFunc(entries, func(e engine.Entry) bool { return e.Action != r.Name || e.Key == "" })
	first := slices.IndexFunc(mine, func(e engine.Entry) bool { return e.Key == r.Key })
	if first < 0 {
		x.Why = "it is in the store, and no run of this folder knows it"
		return x, nil
	}
	if mine[first].State == plan.Cached {
		x.Why = "cached: the store held this key"
		return x, nil
	}
	x.Why = string(mine[first].State) + ": the store did not hold this key"
	for _, before := range mine[first+1:] {
		if before.Key == r.Key {
			continue
		}
		old, err := w.Store.GetRecord(ctx, before.Key)
		if errors.Is(err, fs.ErrNotExist) {
			// It failed, or was collected since.
			continue
		}
		if err != nil {
			return x, err
		}
		x.Why += "; since the run before, its parts changed:"
		x.Changed, err = plan.Diff(old.Descriptor, r.Descriptor)
		return x, err
	}
	return x, nil
}

// LastRun tells what the last run of a folder did or is doing. state is the folder of its runs as in Options.
func LastRun(dir, state string) (engine.Report, error) {
	last, err := lastRunDir(dir, state)
	if err != nil {
		return engine.Report{}, err
	}
	return engine.ReadJournal(last)
}

// OpenLog opens the log of the last run of a folder, and its journal.
func OpenLog(dir, state string) (log, journal io.ReadCloser, err error) {
	last, err := lastRunDir(dir, state)
	if err != nil {
		return nil, nil, err
	}
	root, err := os.OpenRoot(last)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	journal, err = openRegular(root, engine.JournalFile)
	if err != nil {
		return nil, nil, err
	}
	log, err = openRegular(root, logFile)
	if errors.Is(err, os.ErrNotExist) {
		// The run ended before it had a log.
		return io.NopCloser(strings.NewReader("")), journal, nil
	}
	if err != nil {
		return nil, nil, errors.Join(err, journal.Close())
	}
	return log, journal, nil
}

func nothingRan(dir string) error {
	return invalid("nothing has run in %s yet; start it with runner run", dir)
}

func lastRunDir(dir, state string) (string, error) {
	if err := checkFolder(dir); err != nil {
		return "", err
	}
	named := state != ""
	state = cmp.Or(state, filepath.Join(dir, stateDir))
	if err := checkLinks(state, named, false); err != nil {
		return "", err
	}
	dirs, err := engine.JournalDirs(filepath.Join(state, runsName))
	if err != nil {
		return "", err
	}
	if len(dirs) == 0 {
		return "", nothingRan(dir)
	}
	return dirs[0], nil
}
