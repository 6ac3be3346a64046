package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"surprisal.dev/plugins/torch/libtorch"
)

func (a *app) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Say what the torch backend finds on this machine, and how to fix what is missing",
		Args:  maxArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			finder, err := libtorch.DefaultFinder()
			if err != nil {
				return err
			}
			findings := libtorch.Examine(c.Context(), finder, slices.Concat(a.pluginFolders(), filepath.SplitList(os.Getenv("PATH"))))
			if a.asJSON {
				return writeJSON(a.stdout, findings)
			}
			for _, f := range findings {
				fmt.Fprintf(a.stdout, "%-20s  %s\n", f.Name, f.Found)
				if f.Fix != "" {
					fmt.Fprintf(a.stdout, "%-20s  fix it with: %s\n", "", f.Fix)
				}
			}
			return nil
		},
	}
}
