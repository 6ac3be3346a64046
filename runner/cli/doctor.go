package cli

import (
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"surprisal.dev/plugins/torch/libtorch"
)

func (a *app) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Check what the torch backend needs on this machine, and suggest fixes",
		Args:  maxArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			finder, err := libtorch.DefaultFinder()
			if err != nil {
				return err
			}
			findings := libtorch.Examine(c.Context(), finder, slices.Concat(a.pluginDirectories(), filepath.SplitList(os.Getenv("PATH"))))
			if a.asJSON {
				return a.printJSON(findings)
			}
			for _, f := range findings {
				say(a.stdout, "%-20s  %s\n", f.Name, f.Found)
				if f.Fix != "" {
					say(a.stdout, "%-20s  fix: %s\n", "", f.Fix)
				}
			}
			return nil
		},
	}
}
