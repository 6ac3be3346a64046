package cli

import (
	"github.com/spf13/cobra"

	"surprisal.dev/runner/workspace"
)

func (a *app) pinCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "pin [DIR]",
		Short: "Resolve all sources and record their digests in the lock file",
		Long: `pin resolves every source of the experiment, over the network where needed, and writes the digests to
surprisal.lock. Commit that file with the specification. It is an error if a source differs from its digest later.`,
		Args: oneDirectory,
		Example: `  runner pin mine
  runner pin mine --json`,
		RunE: func(c *cobra.Command, args []string) error {
			a.remember = true
			return a.open(c.Context(), a.directory(args), func(w *workspace.Workspace) error {
				pinned, err := w.Pin(c.Context())
				if err != nil {
					return err
				}
				if a.asJSON {
					return a.printJSON(pinned)
				}
				for _, p := range pinned {
					writef(a.stdout, "%-9s %s  %s\n", p.Change, p.Source, count(len(p.Resolution.Files), "file"))
				}
				writef(a.stdout, "%s pinned; commit the lock file with the spec\n", count(len(pinned), "source"))
				return nil
			})
		},
	}
}
