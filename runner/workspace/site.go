package workspace

import (
	"context"

	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/site"
)

// Site returns the results that the store holds for the spec, for a site.
func (w *Workspace) Site(ctx context.Context) (site.Experiment, error) {
	p, err := w.Plan(ctx)
	if err != nil {
		return site.Experiment{}, err
	}
	if err := w.Resolve(ctx, p); err != nil {
		return site.Experiment{}, err
	}
	if p.Count(plan.Cached) == 0 {
		return site.Experiment{}, invalid("no action of %s has run yet; start with `runner run`", p.Experiment)
	}
	e := site.Experiment{Plan: p, Kinds: w.kinds, Read: w.readFile, Path: func(ctx context.Context, digest string) (string, error) {
		return w.Store.LocalPath(ctx, digest, w.cacheDir())
	}, Record: w.Store.GetRecord, Memory: w.siteMemory(ctx), Save: func(m *site.Memory) { w.savePublished(ctx, m) }}
	if e.Runs, err = w.Store.Runs(ctx); err != nil {
		return site.Experiment{}, err
	}
	for _, m := range w.experiment.Models {
		e.Models = append(e.Models, site.Model{Name: m.Name, Family: m.Family})
	}
	return e, nil
}
