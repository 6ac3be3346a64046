package cli

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/spf13/cobra"

	"surprisal.dev/runner/store"
	"surprisal.dev/runner/workspace"
)

func (a *app) verifyCommand() *cobra.Command {
	var o workspace.RedoOptions
	c := &cobra.Command{
		Use:   "verify [DIR] [ACTION]...",
		Short: "Rehash the store and check all ledgers",
		Long: `verify rehashes all files in the store, replays the ledgers of all scores, and checks that records match their keys. To
detect forged results as well, --redo executes N random actions of the experiment again in a temporary directory and
compares their outputs with the store. Actions given by name, or by the first digits of their keys, are executed
again, too. Weights that they need and that are not on this machine are downloaded.`,
		Annotations: map[string]string{"1": "failure, or problems were found"},
		Example: `  runner verify mine
  runner verify mine --redo 5
  runner verify mine 'score order-3 diary/sunday'`,
		RunE: func(c *cobra.Command, args []string) (err error) {
			if o.Actions, err = a.after(c, args, 0); err != nil {
				return err
			}
			if o.Count < 0 {
				return usage("--redo %d: must be 0 or more", o.Count)
			}
			if !c.Flags().Changed("seed") {
				o.Seed = rand.Uint64()
			}
			return a.open(c.Context(), a.dir, func(w *workspace.Workspace) error { return a.verify(c.Context(), w, o) })
		},
	}
	c.Flags().IntVar(&o.Count, "redo", 0, "execute `N` random actions again and compare their outputs")
	c.Flags().Uint64Var(&o.Seed, "seed", 0, "`SEED` of the random choice, as an earlier verify printed it; default a new one")
	return c
}

func (a *app) verify(ctx context.Context, w *workspace.Workspace, o workspace.RedoOptions) error {
	report, err := w.Verify(ctx)
	if err != nil {
		return err
	}
	if o.Count > 0 || len(o.Actions) > 0 {
		if err := w.Redo(ctx, o, &report); err != nil {
			return err
		}
	}
	if a.asJSON {
		if err := a.printJSON(report); err != nil {
			return err
		}
	} else {
		for _, p := range report.Problems {
			writef(a.stdout, "%s: %s; %s\n", p.Path, p.Problem, p.Fix)
		}
		if o.Count > 0 || len(o.Actions) > 0 {
			writef(a.stdout, "%s executed again, seed %d\n", count(len(report.Redone), "action"), o.Seed)
		}
		writef(a.stdout, "%s rehashed, %s replayed, %s\n", size(report.Bytes),
			count(report.Ledgers, "ledger"), count(len(report.Problems), "problem"))
	}
	if len(report.Problems) > 0 {
		return &exitError{code: exitFailed}
	}
	return nil
}

func (a *app) gcCommand() *cobra.Command {
	var o store.GCOptions
	var older time.Duration
	c := &cobra.Command{
		Use:   "gc [DIR]",
		Short: "Delete artifacts that no recorded run or baseline refers to",
		Long: `gc deletes artifacts that no recorded run and no baseline refers to. --older-than first deletes the records of runs that
started longer ago than a duration; --keep-last deletes those of all but the last N runs of each experiment. If both
are given, a record is deleted only if both apply. Records of runs with a tag stay. With a record, gc deletes the
journal and log of the run. It also deletes local copies of the blobs of a bucket. gc is safe to use during a run.`,
		Example: `  runner gc mine --dry-run
  runner gc mine --older-than 720h
  runner gc mine --keep-last 10`,
		Args: oneDirectory,
		RunE: func(c *cobra.Command, args []string) error {
			if c.Flags().Changed("older-than") {
				if older < 0 {
					return usage("--older-than %s: must be a duration of 0 or more, such as 720h", older)
				}
				o.DropBefore = time.Now().Add(-older)
			}
			if c.Flags().Changed("keep-last") && o.KeepLast < 1 {
				return usage("--keep-last %d: must be at least 1", o.KeepLast)
			}
			return a.open(c.Context(), a.directory(args), func(w *workspace.Workspace) error {
				r, err := w.GC(c.Context(), o)
				if err != nil {
					return err
				}
				a.warn(r.Warnings)
				if a.asJSON {
					return a.printJSON(r)
				}
				verb := "freed"
				if o.DryRun {
					verb = "would free"
				}
				writef(a.stdout, "%s %s: %s, %s, %s\n", verb, size(r.Bytes), count(r.Blobs, "blob"), count(r.Records, "action"), count(len(r.Runs), "run"))
				return nil
			})
		},
	}
	c.Flags().BoolVar(&o.DryRun, "dry-run", false, "show what would be deleted without deleting it")
	c.Flags().IntVar(&o.KeepLast, "keep-last", 0, "also delete the records of all but the last `N` runs of each experiment")
	c.Flags().DurationVar(&older, "older-than", 0, "also delete the records of runs older than `DURATION`, such as 720h")
	return c
}
