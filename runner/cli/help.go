package cli

import (
	"errors"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// helpCommand is cobra's, but that it refuses what there is no help about, and writes manual pages.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND...] | help man DIR",
		Short: "Print help about a command, or write manual pages to a directory",
		Example: `  runner help plan
  runner help man ~/.local/share/man/man1`,
		ValidArgsFunction: func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			of, _, err := c.Root().Find(args)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var names []string
			for _, sub := range of.Commands() {
				if sub.IsAvailableCommand() {
					names = append(names, sub.Name())
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 && args[0] == "man" {
				return writeManual(c, args[1:])
			}
			of, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usage("there is no help about %q; runner help lists the commands", strings.Join(args, " "))
			}
			of.InitDefaultHelpFlag()
			return of.Help()
		},
	}
}

// writeManual writes a manual page for each command.
func writeManual(c *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usage("runner help man takes a directory to write manual pages to, and got %s", count(len(args), "argument"))
	}
	if err := os.Mkdir(args[0], 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	c.Root().DisableAutoGenTag = true
	return doc.GenManTree(c.Root(), &doc.GenManHeader{Section: "1", Source: "Surprisal"}, args[0])
}
