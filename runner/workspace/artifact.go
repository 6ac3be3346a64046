package workspace

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"surprisal.dev/internal/bounded"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/engine"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/store"
)

// Published is a report that was exported to the state directory.
type Published struct {
	Action string `json:"action"`
	// Path is the main file of the report. It is relative to the working directory if it is below it.
	Path string `json:"path"`
}

// publish exports the files of every published action to .surprisal/reports/KIND/NAME. It skips a report whose
// directory is in use, and returns an error for it.
func (w *Workspace) publish(ctx context.Context, p *plan.Plan) (all []Published, err error) {
	if !slices.ContainsFunc(p.Actions, isPublished) {
		return nil, nil
	}
	root, err := w.ownState()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	var failed []error
	for _, a := range p.Actions {
		if !isPublished(a) {
			continue
		}
		if err := w.exportReport(ctx, a, root); err != nil {
			failed = append(failed, fmt.Errorf("report of %s: %w", a.Name, err))
			continue
		}
		all = append(all, w.published(a))
	}
	return all, errors.Join(failed...)
}

func isPublished(a *plan.Action) bool {
	return a.Publish != "" && (a.State == plan.Cached || a.State == plan.Done)
}

func (w *Workspace) published(a *plan.Action) Published {
	return Published{a.Name, relative(filepath.Join(w.state, filepath.FromSlash(reportName(a)), w.mainFile(a.Kind, a.Outputs)))}
}

// reportName returns the slash-separated path of an action's report in the state directory.
func reportName(a *plan.Action) string { return path.Join(reportsName, a.Publish) }

// exportReport exports a report, unless its directory is up to date.
func (w *Workspace) exportReport(ctx context.Context, a *plan.Action, root *os.Root) error {
	if holds(root, a) {
		return nil
	}
	r, err := w.Store.GetRecord(ctx, a.Key)
	if err != nil {
		return err
	}
	r.Name = a.Name
	return w.Store.ExportTo(ctx, r, root, reportName(a))
}

// holds reports whether the directory of a report holds the output of the action. It returns false if the directory
// cannot be read.
func holds(root *os.Root, a *plan.Action) bool {
	r, err := store.ExportedIn(root, reportName(a))
	return err == nil && r.Key == a.Key
}

// relative returns path relative to the working directory, if it is below it.
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

// Summary holds the results of the finished actions of a plan.
type Summary struct {
	// Reports has the reports of the kinds, in plan order.
	Reports   []KindReport
	Published []Published
	// Stale lists the directories of reports that earlier runs wrote and that the spec no longer has.
	Stale []string
}

// KindReport holds the results of the actions of a kind.
type KindReport struct {
	Kind string
	action.Report
}

// MarshalJSON returns an object with a field for each kind, and one for the published reports.
func (s Summary) MarshalJSON() ([]byte, error) {
	fields := map[string]any{"published": s.Published}
	if len(s.Stale) > 0 {
		fields["staleReports"] = s.Stale
	}
	for _, r := range s.Reports {
		fields[r.Kind] = r.Report
	}
	return json.Marshal(fields)
}

// Summarize returns the results of the finished actions of a plan.
func (w *Workspace) Summarize(ctx context.Context, p *plan.Plan) (Summary, error) {
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
		// Without a usable state directory there are no reports.
		return s, nil
	}
	defer root.Close()
	for _, a := range p.Actions {
		if a.Publish != "" && a.Outputs != nil && holds(root, a) {
			s.Published = append(s.Published, w.published(a))
		}
	}
	s.Stale = w.stale(root, p)
	return s, nil
}

// stale returns the directories of reports that a run wrote and that are not those of an action of the plan. It reads
// only names: what cannot be listed is not reported.
func (w *Workspace) stale(root *os.Root, p *plan.Plan) (dirs []string) {
	current := map[string]bool{}
	for _, a := range p.Actions {
		if a.Publish != "" {
			current[reportName(a)] = true
		}
	}
	_ = fs.WalkDir(root.FS(), reportsName, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return nil //nolint:nilerr // It is not reported.
		}
		if info, err := root.Lstat(path.Join(name, store.Sidecar)); err == nil && info.Mode().IsRegular() {
			if !current[name] {
				dirs = append(dirs, relative(filepath.Join(w.state, filepath.FromSlash(name))))
			}
			return fs.SkipDir
		}
		return nil
	})
	return dirs
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
	if data, err = bounded.ReadAll(r, artifact.MaxJSON); err != nil {
		return nil, fmt.Errorf("%s: %s: %w", a.Name, name, err)
	}
	return data, nil
}

// Latest returns the plan with the states of its actions, and the results that the store holds.
func (w *Workspace) Latest(ctx context.Context) (*plan.Plan, Summary, error) {
	p, err := w.Plan(ctx)
	if err != nil {
		return nil, Summary{}, err
	}
	if err := w.Resolve(ctx, p); err != nil {
		return nil, Summary{}, err
	}
	if p.Count(plan.Cached) == 0 {
		return nil, Summary{}, invalid("no action of %s has run yet; start with `runner run`", p.Experiment)
	}
	s, err := w.Summarize(ctx, p)
	return p, s, err
}

// MainFile returns the name of the main file of an artifact, or "" if it has none.
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

// LastRun reports on the last run of a directory, which may be in progress. state is the state directory, as in
// Options.
func LastRun(dir, state string) (engine.Report, error) {
	last, err := lastRunDir(dir, state)
	if err != nil {
		return engine.Report{}, err
	}
	return engine.ReadJournal(last)
}

// OpenLog opens the log and the journal of the last run of a directory.
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
		// The run ended before it created a log.
		return io.NopCloser(strings.NewReader("")), journal, nil
	}
	if err != nil {
		return nil, nil, errors.Join(err, journal.Close())
	}
	return log, journal, nil
}

func nothingRan(dir string) error {
	return invalid("no run in %s yet; start one with `runner run`", dir)
}

func lastRunDir(dir, state string) (string, error) {
	if err := checkDirectory(dir); err != nil {
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
