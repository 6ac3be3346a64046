package workspace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"surprisal.dev/runner/engine"
	"surprisal.dev/runner/store"
)

// Collection is the result of GC: the objects that it removed, or would remove.
type Collection struct {
	store.GCReport
	// Journals are the ids of dropped runs with journals and logs in the state directory.
	Journals []string `json:"journals"`
	// CacheBytes is the size of the local copies of a bucket's blobs.
	CacheBytes int64 `json:"cacheBytes"`
	// Warnings name files that could not be removed.
	Warnings []string `json:"warnings"`
}

// GC removes the objects from the store that no run and no baseline of the lock file refers to. From the state directory it removes the files of dropped
// runs and the copies of a bucket's blobs.
func (w *Workspace) GC(ctx context.Context, o store.GCOptions) (c Collection, err error) {
	c.Journals, c.Warnings = []string{}, []string{}
	if err := w.foreignState(); err != nil {
		return c, err
	}
	if o.Keep, o.KeepFiles, err = w.pinned(); err != nil {
		return c, err
	}
	if c.GCReport, err = w.Store.GC(ctx, o); err != nil {
		return c, err
	}
	if c.CacheBytes, err = store.PruneCache(ctx, w.cacheDir(), o.DryRun); err != nil {
		if ctx.Err() != nil {
			return c, err
		}
		c.Warnings = append(c.Warnings, err.Error())
	}
	removed, err := w.pruneJournals(c.Runs, o.DryRun)
	c.Journals = append(c.Journals, removed...)
	return c, err
}

// pruneJournals removes the files of runs from the state directory, if it has our marker.
func (w *Workspace) pruneJournals(ids []string, dryRun bool) (removed []string, err error) {
	state, marked, err := openState(w.state)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	if !marked {
		return nil, nil
	}
	runs, err := state.OpenRoot(runsName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func(runs *os.Root) { err = errors.Join(err, runs.Close()) }(runs)
	removed, err = store.PruneRuns(runs, ids, []string{engine.JournalFile, logFile, ratesFile}, dryRun)
	if err != nil {
		return removed, fmt.Errorf("journals of dropped runs: %w", err)
	}
	return removed, nil
}
