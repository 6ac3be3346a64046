package workspace

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"surprisal.dev/plugins/bucket"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/executor"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
	"surprisal.dev/runner/store"
)

// Experiment reads the spec. If the spec has mistakes, it returns them as spec.Errors, together with the parts that
// have none; see spec.Load.
func (w *Workspace) Experiment(ctx context.Context) (*spec.Experiment, error) {
	if w.experiment != nil {
		return w.experiment, nil
	}
	e, err := w.load(ctx, w.Dir, w.options.Confine)
	if err != nil {
		return e, err
	}
	for _, warning := range e.Warnings {
		w.warnings = append(w.warnings, warning.String())
	}
	w.experiment = e
	return e, nil
}

// Plan reads the spec, resolves its sources and makes its plan, without network access. It returns the mistakes of the
// spec and the files that are missing, changed or not pinned together, as spec.Errors. Plan does not look up results in
// the store; see Resolve.
func (w *Workspace) Plan(ctx context.Context) (*plan.Plan, error) {
	e, err := w.Experiment(ctx)
	mistakes, ok := errors.AsType[spec.Errors](err)
	if err != nil && (!ok || e == nil) {
		return nil, err
	}
	return w.planOf(ctx, e, mistakes, false, w.place())
}

// Resolve looks up in the store which actions of a plan are done.
func (w *Workspace) Resolve(ctx context.Context, p *plan.Plan) error {
	return p.Resolve(ctx, lookups{w.Store, w.lookupDir})
}

// Advise returns warnings about a plan that is resolved, by the results of earlier runs.
func (w *Workspace) Advise(ctx context.Context, p *plan.Plan) (advice []string, err error) {
	for _, of := range []func(context.Context, *plan.Plan) ([]string, error){w.small, w.framed, w.equal} {
		warnings, err := of(ctx, p)
		if err != nil {
			return nil, err
		}
		advice = append(advice, warnings...)
	}
	for _, k := range w.kinds {
		if adviser, ok := k.(action.Adviser); ok {
			of, err := adviser.Advise(ctx, p.Actions, w.readFile)
			if err != nil {
				return nil, err
			}
			advice = append(advice, of...)
		}
	}
	return advice, nil
}

// lookups looks up keys in a store. Unless dir is "", it caches lookups of a bucket in that directory.
type lookups struct {
	store *store.Store
	dir   string
}

// LookupMany implements plan.Cache.
func (l lookups) LookupMany(ctx context.Context, keys []string) (map[string]*store.Record, error) {
	return l.store.LookupMany(ctx, keys, l.dir)
}

// place is where the relative paths of the spec start.
func (w *Workspace) place() place { return place{w.Dir, w.options.Confine} }

// planOf makes the plan of an experiment whose relative paths start in the first of the places that has the file. The plan of
// a past experiment trusts its lock file, because the files may have changed since. Of a spec with mistakes, planOf
// only checks the parts without mistakes, and returns all problems.
func (w *Workspace) planOf(ctx context.Context, e *spec.Experiment, mistakes spec.Errors, past bool, places ...place) (*plan.Plan, error) {
	c := plan.Catalog{
		Providers: identities(w.plugins, protocol.KindProvider), Backends: identities(w.plugins, protocol.KindBackend),
		Scores: map[string]protocol.File{}, Weights: map[string][]protocol.ModelFile{}, Estimates: map[string]protocol.Estimate{},
	}
	lock, err := spec.ReadLock(places[0].dir, places[0].confine)
	ofLock, damaged := errors.AsType[spec.Errors](err)
	if err != nil && !damaged {
		return nil, err
	}
	// Providers and backends are separate plugins, which work concurrently.
	var ofSources, ofModels spec.Errors
	group, both := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		c.Sources, ofSources, err = w.sources(both, e, past, places, lock)
		return err
	})
	group.Go(func() error {
		ofModels = w.modelFiles(both, e, c, past, places, lock)
		return w.estimate(both, e, c, &ofModels)
	})
	err = errors.Join(group.Wait(), ctx.Err())
	if err != nil && len(mistakes) > 0 && ctx.Err() == nil {
		return nil, errors.Join(mistakes, err)
	}
	if err != nil {
		return nil, err
	}
	if problems := mistakes.Merge(ofLock, ofSources, ofModels); len(problems) > 0 {
		return nil, problems
	}
	if !past {
		c.SecondsPerByte = w.rates()
	}
	p, err := plan.Build(ctx, e, c, planKinds(w.kinds))
	if problems, ok := errors.AsType[spec.Errors](err); ok {
		return nil, problems // Their positions say more than the names of actions around them.
	}
	return p, err
}

// modelFiles identifies the files of weights and the tables of models, and returns their problems. Those of a sweep
// point are reported under the name of its base model, which shares them.
func (w *Workspace) modelFiles(ctx context.Context, e *spec.Experiment, c plan.Catalog, past bool, places []place, lock *spec.Lock) spec.Errors {
	var problems spec.Errors
	for _, m := range e.Models {
		if m.Weights != nil {
			files, err := w.weights(ctx, m.Weights, places, lock)
			if errors.Is(err, errUnpinned) && w.options.Unpinned {
				provider, config := m.Weights.Source()
				w.letPass(Unpinned{Path: weightsPath(m), Provider: provider, Config: config, Model: m.Name, Weights: m.Weights})
				c.Weights[m.Name] = standInWeights(m.Weights)
				if size := m.Weights.Bytes(); size > 0 {
					c.Estimates[m.Name] = protocol.Estimate{MemoryBytes: size}
				}
				continue
			}
			if err != nil {
				problems = append(problems, spec.Error{Pos: m.Weights.Pos, Path: weightsPath(m), Message: err.Error()})
			}
			c.Weights[m.Name] = files
		}
		if m.Scores == nil {
			continue
		}
		file, err := w.table(ctx, m.Scores, past, places, lock)
		if err != nil {
			problems = append(problems, spec.Error{Pos: m.Scores.Pos, Path: scoresPath(m), Message: err.Error()})
			continue
		}
		c.Scores[m.Name] = file
	}
	return problems
}

func identities(plugins []Plugin, kind protocol.Kind) map[string]plan.Plugin {
	usable := map[string]plan.Plugin{}
	for _, p := range plugins {
		if p.Kind == kind && p.asked && p.Problem == "" {
			usable[p.Name] = plan.Plugin{Worker: executor.WorkerOf(p.Info), Neutral: p.neutral, Capabilities: p.Capabilities}
		}
	}
	return usable
}

func planKinds(kinds []action.Kind) []plan.Kind {
	of := make([]plan.Kind, len(kinds))
	for i, k := range kinds {
		of[i] = k
	}
	return of
}

// maxResolving is the maximum number of sources that are resolved concurrently.
var maxResolving = 2 * runtime.NumCPU()

// sources resolves the source of every dataset that is not skipped, and checks it against the lock file.
func (w *Workspace) sources(ctx context.Context, e *spec.Experiment, past bool, places []place, lock *spec.Lock) (map[string]protocol.Resolution, spec.Errors, error) {
	var mu sync.Mutex
	resolved := make(map[string]protocol.Resolution, len(e.Datasets))
	var problems spec.Errors
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxResolving)
	for _, d := range e.Datasets {
		if d.Skip != "" || d.Source.Config == nil {
			continue
		}
		group.Go(func() error {
			r, err := w.source(ctx, d, past, places, lock)
			mu.Lock()
			defer mu.Unlock()
			if protocol.KindOf(err) != "" {
				problems = append(problems, spec.Error{
					Pos: d.Source.Pos, Path: sourcePath(d), Message: err.Error(),
				})
				return nil
			}
			resolved[d.Name] = r
			return err
		})
	}
	err := group.Wait()
	return resolved, problems, err
}

// source resolves one source. A source that is not local is known by the lock file alone; if the lock file is damaged,
// it is not checked.
func (w *Workspace) source(ctx context.Context, d spec.Dataset, past bool, places []place, lock *spec.Lock) (protocol.Resolution, error) {
	provider, err := w.host.Provider(ctx, d.Source.Provider)
	if err != nil {
		return protocol.Resolution{}, err
	}
	pinned, isLocked, err := locked(lock, d.Source.Provider, d.Source.Config)
	if err != nil {
		return protocol.Resolution{}, err
	}
	if isLocked && (past || !pinned.Local) {
		return pinned, nil
	}
	var r protocol.Resolution
	for i, at := range places {
		var request protocol.ResolveRequest
		if request, err = w.request(d.Source.Config, at, false); err != nil {
			return r, err
		}
		r, err = provider.Resolve(ctx, request)
		if err == nil || protocol.KindOf(err) != protocol.InvalidInput || i == len(places)-1 {
			break
		}
	}
	if protocol.KindOf(err) == protocol.NeedsNetwork && lock == nil {
		return r, nil
	}
	if protocol.KindOf(err) == protocol.NeedsNetwork && w.options.Unpinned {
		w.letPass(Unpinned{Path: sourcePath(d), Provider: d.Source.Provider, Config: d.Source.Config, Dataset: d.Name})
		return standIn(d.Source), nil
	}
	if protocol.KindOf(err) == protocol.NeedsNetwork {
		advice := ""
		if !strings.Contains(err.Error(), "runner pin") {
			advice = "; run `runner pin` and commit the lock file"
		}
		return r, invalid("the source is not pinned: %v%s", err, advice)
	}
	if err != nil {
		return r, err
	}
	if isLocked {
		if change := changed(pinned, r); change != "" {
			return r, invalid("%s since the source was pinned; undo the change, or accept it with `runner pin`", change)
		}
	}
	return r, nil
}

// table identifies the table of an imported model, in the first of the places that has it. A remote table is known by the
// lock file alone.
func (w *Workspace) table(ctx context.Context, m *spec.Scores, past bool, places []place, lock *spec.Lock) (protocol.File, error) {
	provider, config := m.Source()
	pinned, isLocked, err := locked(lock, provider, config)
	if err != nil {
		return protocol.File{}, err
	}
	if isLocked && len(pinned.Files) != 1 {
		return protocol.File{}, invalid("%s: expected one file in the entry of this table, got %d; run `runner pin`", spec.LockFile, len(pinned.Files))
	}
	if isLocked && (past || store.IsURL(m.Path)) {
		return pinned.Files[0], nil
	}
	if store.IsURL(m.Path) {
		if lock == nil {
			return protocol.File{}, nil
		}
		if _, err := bucket.Parse(m.Path); err != nil {
			return protocol.File{}, err
		}
		return protocol.File{}, invalid("the table is not pinned; run `runner pin` and commit the lock file")
	}
	for _, at := range places {
		path := at.path(m.Path)
		file := protocol.File{Name: filepath.Base(path)}
		if file.Digest, file.Bytes, err = store.CopyObject(ctx, io.Discard, path, at.confine); err != nil {
			continue
		}
		if isLocked && pinned.Files[0].Digest != file.Digest {
			return file, invalid("%s since the source was pinned; undo the change, or accept it with `runner pin`",
				changed(pinned, protocol.Resolution{Files: []protocol.File{file}}))
		}
		return file, nil
	}
	return protocol.File{}, err
}

func (w *Workspace) runs() string { return filepath.Join(w.state, runsName) }
