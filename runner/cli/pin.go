package cli

import (
	"github.com/spf13/cobra"

	"surprisal.dev/runner/workspace"
)

func (a *app) pinCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "pin [DIR]",
		Short: "Resolve revisions and digests of all sources and write them to the lock file",
		Args:  oneDirectory,
		RunE: func(c *cobra.Command, args []string) error {
			return a.open(c.Context(), a.directory(args), func(w *workspace.Workspace) error {
				pinned, err := w.Pin(c.Context())
				if err != nil {
					return err
				}
				if a.asJSON {
					return a.printJSON(pinned)
				}
				for _, p := range pinned {
					say(a.stdout, "%-9s %s  %s\n", p.Change, p.Source, count(len(p.Resolution.Files), "file"))
				}
				say(a.stdout, "%s pinned; commit the lock file with the spec\n", count(len(pinned), "source"))
				return nil
			})
		},
	}
}
