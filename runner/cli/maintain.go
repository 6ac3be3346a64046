package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"surprisal.dev/runner/store"
	"surprisal.dev/runner/workspace"
)

func (a *app) verifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify [FOLDER]",
		Short: "Rehash everything in the store and replay the ledgers of all scores",
		Args:  maxArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.open(c.Context(), a.folder(args), func(w *workspace.Workspace) error {
				report, err := w.Verify(c.Context())
				if err != nil {
					return err
				}
				if a.asJSON {
					if err := writeJSON(a.stdout, report); err != nil {
						return err
					}
				} else {
					for _, p := range report.Problems {
						fmt.Fprintf(a.stdout, "%s: %s; %s\n", p.Path, p.Found, p.Do)
					}
					fmt.Fprintf(a.stdout, "%s rehashed, %s replayed, %s\n", size(report.Bytes),
						count(report.Ledgers, "ledger"), count(len(report.Problems), "problem"))
				}
				if len(report.Problems) > 0 {
					return &exitError{code: exitFailed}
				}
				return nil
			})
		},
	}
}

func (a *app) gcCommand() *cobra.Command {
	var o store.GCOptions
	var older time.Duration
	c := &cobra.Command{
		Use:   "gc [FOLDER]",
		Short: "Free what no run reaches",
		Long: `gc frees artifacts that no run reaches. --older-than first drops the runs that started longer ago, but for those that
work. It is safe beside a running run.`,
		Args: maxArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if older < 0 {
				return usage("--older-than %s is negative; name how long ago the runs that are dropped started, such as 720h", older)
			}
			if c.Flags().Changed("older-than") {
				o.DropBefore = time.Now().Add(-older)
			}
			return a.open(c.Context(), a.folder(args), func(w *workspace.Workspace) error {
				r, err := w.Store.GC(c.Context(), o)
				if err != nil {
					return err
				}
				if a.asJSON {
					return writeJSON(a.stdout, r)
				}
				verb := "freed"
				if o.DryRun {
					verb = "would free"
				}
				fmt.Fprintf(a.stdout, "%s %s: %s, %s, %s\n", verb, size(r.Bytes), count(r.Blobs, "blob"), count(r.Records, "action"), count(len(r.Runs), "run"))
				return nil
			})
		},
	}
	c.Flags().BoolVar(&o.DryRun, "dry-run", false, "say what would be freed and free nothing")
	c.Flags().DurationVar(&older, "older-than", 0, "drop runs that started longer ago than this, such as 720h")
	return c
}
