package actiontest

import (
	"context"
	"path/filepath"

	"surprisal.dev/internal/bounded"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/site"
	"surprisal.dev/runner/site/sitetest"
	"surprisal.dev/runner/store"
)

// Site exports the site of a plan that was run.
func (l *Lab) Site(p *plan.Plan, text action.Text) *sitetest.Site {
	l.t.Helper()
	dir := filepath.Join(l.t.TempDir(), "site")
	e := site.Experiment{Plan: p, Kinds: l.kinds, Record: l.Store.GetRecord, Read: l.read, Path: func(ctx context.Context, digest string) (string, error) {
		return l.Store.LocalPath(ctx, digest, "")
	}}
	if _, err := site.Export(l.t.Context(), dir, site.Options{Text: text}, []site.Experiment{e}); err != nil {
		l.t.Fatal(err)
	}
	return sitetest.Open(l.t, dir)
}

// read implements action.ReadFile.
func (l *Lab) read(ctx context.Context, a *plan.Action, name string) ([]byte, error) {
	f, err := store.FileOf(a.Outputs, name)
	if err != nil {
		return nil, err
	}
	r, err := l.Store.Open(ctx, f.Digest)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return bounded.ReadAll(r, artifact.MaxJSON)
}
