package workspace

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/store"
)

// Verification is the result of a check of the store.
type Verification struct {
	// Bytes is the number of bytes that were rehashed. Ledgers is the number of scores whose ledgers were replayed.
	Bytes    int64           `json:"bytes"`
	Ledgers  int             `json:"ledgers"`
	Problems []store.Problem `json:"problems"`
	// Redone names the actions that were executed again.
	Redone []string `json:"redone,omitempty"`
}

// Verify rehashes the whole store, and replays the ledgers of every action that the runs refer to.
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
		// The damaged run is among the problems. Its actions are unknown.
		return v, nil
	}
	if err != nil {
		return v, err
	}
	seen, damaged := map[string]bool{}, map[string]bool{}
	for _, p := range problems {
		damaged[p.Blob] = p.Blob != ""
	}
	for _, r := range runs {
		for _, a := range r.Actions {
			if a.Key == "" || seen[a.Key] {
				continue
			}
			seen[a.Key] = true
			if err := w.verify(ctx, a.Key, damaged, &v); err != nil {
				return v, err
			}
		}
	}
	return v, nil
}

// verify checks the output of an action, as defined by its kind, unless a file of it is damaged and thus among the problems.
func (w *Workspace) verify(ctx context.Context, key string, damaged map[string]bool, v *Verification) error {
	record, hit, err := w.Store.Lookup(ctx, key)
	if err != nil || !hit {
		// Damaged and missing records are among the problems already.
		return ctx.Err()
	}
	d, bad := plan.ReadDescriptor(record.Descriptor)
	if bad != nil {
		v.Problems = append(v.Problems, store.Problem{
			Path: record.Name, Problem: bad.Error(), Fix: "remove the action " + record.Key + " and run again",
		})
		return nil //nolint:nilerr // It is reported as a problem.
	}
	verifier, ok := w.kind(d.Kind).(action.Verifier)
	if !ok || slices.ContainsFunc(record.Outputs, func(f store.File) bool { return damaged[f.Digest] }) {
		return nil
	}
	n, err := verifier.Verify(ctx, w.files(record))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	v.Ledgers += n
	if err != nil {
		v.Problems = append(v.Problems, store.Problem{
			Path: record.Name, Problem: fmt.Sprintf("its ledger does not balance: %v", err), Fix: "remove the action " + record.Key + " and run again",
		})
	}
	return nil
}

// kind returns the kind with a name, or nil.
func (w *Workspace) kind(name string) action.Kind {
	for _, k := range w.kinds {
		if k.Name() == name {
			return k
		}
	}
	return nil
}

// files returns the files of an artifact.
func (w *Workspace) files(r *store.Record) action.Files {
	return action.NewFiles(r.Outputs, func(ctx context.Context, digest string) (string, error) {
		return w.Store.LocalPath(ctx, digest, w.cacheDir())
	})
}
