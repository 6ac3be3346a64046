package workspace

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"surprisal.dev/runner/engine"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/report"
	"surprisal.dev/runner/store"
)

// ReportFile is the file of a gap that a person reads.
const ReportFile = "report.md"

// Report says where the report of a gap is.
type Report struct {
	Gap string `json:"gap"`
	// Path is relative to the working folder if it is below it.
	Path string `json:"path"`
}

// exportReports puts the files of every gap that has run where a person finds them: .surprisal/reports/NAME.
func (w *Workspace) exportReports(ctx context.Context, p *plan.Plan) ([]Report, error) {
	var reports []Report
	for _, a := range p.Actions {
		if a.Kind != plan.Gap || a.State != plan.Cached && a.State != plan.Done {
			continue
		}
		dir := w.reportDir(a.Gap.Name)
		if err := w.exportReport(ctx, a, dir); err != nil {
			return nil, fmt.Errorf("report of %s: %w", a.Gap.Name, err)
		}
		reports = append(reports, Report{a.Gap.Name, relative(filepath.Join(dir, ReportFile))})
	}
	return reports, nil
}

// exportReport exports a report that is not in its place yet.
func (w *Workspace) exportReport(ctx context.Context, a *plan.Action, dir string) (err error) {
	if holds(dir, a) {
		return nil
	}
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	// Another run of this folder may be about to do the same.
	lock, err := os.Open(parent)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", parent, err)
	}
	if holds(dir, a) {
		return nil
	}
	r, err := w.Store.GetRecord(ctx, a.Key)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return w.Store.Export(ctx, r, dir)
}

// holds reports whether a folder holds what the action made. One that cannot be read does not.
func holds(dir string, a *plan.Action) bool {
	r, err := store.Exported(dir)
	return err == nil && r.Key == a.Key
}

func (w *Workspace) reportDir(gap string) string {
	return filepath.Join(w.state, "reports", filepath.FromSlash(gap))
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

// Headline returns the result of the plan as far as the store holds it, and where its reports are.
func (w *Workspace) Headline(ctx context.Context) (*report.Headline, []Report, error) {
	p, err := w.Plan(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := w.Resolve(ctx, p); err != nil {
		return nil, nil, err
	}
	return w.HeadlineOf(ctx, p)
}

// HeadlineOf is Headline for a plan that is resolved.
func (w *Workspace) HeadlineOf(ctx context.Context, p *plan.Plan) (*report.Headline, []Report, error) {
	if p.Count(plan.Cached) == 0 {
		return nil, nil, invalid("nothing of %s has run yet; start it with runner run", p.Experiment)
	}
	h, err := report.New(ctx, p, w.Store)
	if err != nil {
		return nil, nil, err
	}
	var reports []Report
	for _, a := range p.Actions {
		if a.Kind != plan.Gap || a.State != plan.Cached {
			continue
		}
		if dir := w.reportDir(a.Gap.Name); holds(dir, a) {
			reports = append(reports, Report{a.Gap.Name, relative(filepath.Join(dir, ReportFile))})
		}
	}
	return h, reports, nil
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
func MainFile(r *store.Record) string {
	for _, name := range []string{ReportFile, plan.SummaryFile, plan.MetadataFile} {
		if slices.ContainsFunc(r.Outputs, func(f store.File) bool { return f.Name == name }) {
			return name
		}
	}
	if len(r.Outputs) == 0 {
		return ""
	}
	return r.Outputs[0].Name
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
		x.Changed, err = plan.Diff(old.Parts, r.Parts)
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
	journal, err = os.Open(filepath.Join(last, engine.JournalFile))
	if err != nil {
		return nil, nil, err
	}
	log, err = os.Open(filepath.Join(last, logFile))
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
	dirs, err := engine.JournalDirs(filepath.Join(cmp.Or(state, filepath.Join(dir, stateDir)), "runs"))
	if err != nil {
		return "", err
	}
	if len(dirs) == 0 {
		return "", nothingRan(dir)
	}
	return dirs[0], nil
}
