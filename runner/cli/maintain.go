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
		Short: "Rehash everything in the store and replay the ledgers of all scores",
		Long: `verify rehashes everything in the store, replays the ledgers of all scores and checks that records are what they say, as
far as can be told without doing the work again. --redo does N of the experiment's actions again, drawn by a seed, in a
temporary directory, and compares what they make with the store: that finds what was forged. Actions that are named, or given
by the first digits of their keys, are done again, too.`,
		Example: `  runner verify mine
  runner verify mine --redo 5
  runner verify mine 'score order-3 diary/sunday'`,
		RunE: func(c *cobra.Command, args []string) (err error) {
			if o.Actions, err = a.after(c, args, 0); err != nil {
				return err
			}
			if o.Count < 0 {
				return usage("--redo %d: give 0 or more", o.Count)
			}
			if !c.Flags().Changed("seed") {
				o.Seed = rand.Uint64()
			}
			return a.open(c.Context(), a.dir, func(w *workspace.Workspace) error { return a.verify(c.Context(), w, o) })
		},
	}
	c.Flags().IntVar(&o.Count, "redo", 0, "do `N` actions again and compare what they make")
	c.Flags().Uint64Var(&o.Seed, "seed", 0, "draw the same actions as before, by the `seed` that verify said; default another one each time")
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
			say(a.stdout, "%s: %s; %s\n", p.Path, p.Problem, p.Fix)
		}
		if o.Count > 0 || len(o.Actions) > 0 {
			say(a.stdout, "%s done again, seed %d\n", count(len(report.Redone), "action"), o.Seed)
		}
		say(a.stdout, "%s rehashed, %s replayed, %s\n", size(report.Bytes),
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
		Short: "Delete what no run refers to from the store",
		Long: `gc deletes artifacts that no recorded run refers to. --older-than first deletes the records of runs that started longer
ago than a duration, --keep-last those of all but the last N runs of each experiment; where both are given a run goes if
both say so. The journals and logs of those runs go, too, and copies of a bucket's blobs on this machine. gc may be used while
runs are going on.`,
		Example: `  runner gc mine --dry-run
  runner gc mine --older-than 720h
  runner gc mine --keep-last 10`,
		Args: oneDirectory,
		RunE: func(c *cobra.Command, args []string) error {
			if c.Flags().Changed("older-than") {
				if older < 0 {
					return usage("--older-than %s: give a duration of 0 or more, such as 720h", older)
				}
				o.DropBefore = time.Now().Add(-older)
			}
			if c.Flags().Changed("keep-last") && o.KeepLast < 1 {
				return usage("--keep-last %d: give at least 1", o.KeepLast)
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
				say(a.stdout, "%s %s: %s, %s, %s\n", verb, size(r.Bytes), count(r.Blobs, "blob"), count(r.Records, "action"), count(len(r.Runs), "run"))
				return nil
			})
		},
	}
	c.Flags().BoolVar(&o.DryRun, "dry-run", false, "say what would be deleted and delete nothing")
	c.Flags().IntVar(&o.KeepLast, "keep-last", 0, "also delete the records of all but the last `N` runs of each experiment")
	c.Flags().DurationVar(&older, "older-than", 0, "also delete the records of runs that started longer ago than this `duration`, such as 720h")
	return c
}
