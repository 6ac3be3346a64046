package workspace

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync/atomic"

	"surprisal.dev/runner/action/score"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/store"
)

// Verification is what a check of the store found.
type Verification struct {
	// Bytes counts what was rehashed, Ledgers the scores whose ledgers were replayed.
	Bytes    int64           `json:"bytes"`
	Ledgers  int             `json:"ledgers"`
	Problems []store.Problem `json:"problems"`
}

// Verify rehashes the whole store and replays the ledgers of every score that the runs name.
func (w *Workspace) Verify(ctx context.Context) (Verification, error) {
	v := Verification{Problems: []store.Problem{}}
	var bytes atomic.Int64
	problems, err := w.Store.Verify(ctx, func(_, total int64) { bytes.Store(total) })
	if err != nil {
		return v, err
	}
	v.Bytes = bytes.Load()
	v.Problems = append(v.Problems, problems...)
	runs, err := w.Store.Runs(ctx)
	if err != nil && len(problems) > 0 {
		// A damaged run is among the problems; which scores it names is not known.
		return v, nil
	}
	if err != nil {
		return v, err
	}
	seen := map[string]bool{}
	for _, r := range runs {
		for _, a := range r.Actions {
			if a.Key == "" || seen[a.Key] {
				continue
			}
			seen[a.Key] = true
			record, hit, err := w.Store.Lookup(ctx, a.Key)
			if err != nil || !hit || record.Kind != string(plan.Score) {
				// What is damaged or gone is among the problems already.
				continue
			}
			v.Ledgers++
			err = w.replay(ctx, record)
			if ctx.Err() != nil {
				return v, ctx.Err()
			}
			if err != nil {
				v.Problems = append(v.Problems, store.Problem{
					Path: record.Name, Found: fmt.Sprintf("its ledger does not balance: %v", err), Do: "remove the action " + record.Key + " and run again",
				})
			}
		}
	}
	return v, nil
}

func (w *Workspace) replay(ctx context.Context, r *store.Record) error {
	var paths []string
	for _, name := range []string{artifact.ScoredFile, artifact.LedgerFile} {
		i := slices.IndexFunc(r.Outputs, func(f store.File) bool { return f.Name == name })
		if i < 0 {
			return fmt.Errorf("it has no %s", name)
		}
		path, err := w.Store.LocalPath(ctx, r.Outputs[i].Digest, filepath.Join(w.state, "cache"))
		if err != nil {
			return err
		}
		paths = append(paths, path)
	}
	_, err := score.Replay(paths[0], paths[1])
	return err
}
