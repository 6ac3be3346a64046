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
		Short: "Check the requirements of the torch backend and suggest fixes",
		Long: `doctor lists the requirements of the torch backend, their versions on this machine, and commands that install
missing ones.`,
		Example: `  runner doctor
  runner doctor --json`,
		Args: maxArgs(0),
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
				writef(a.stdout, "%-20s  %s\n", f.Name, f.Found)
				if f.Fix != "" {
					writef(a.stdout, "%-20s  fix: %s\n", "", f.Fix)
				}
			}
			return nil
		},
	}
}
