package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"surprisal.dev/plugins/sdk"
	"surprisal.dev/runner/workspace"
)

func (a *app) pluginCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "plugin",
		Short: "List and test plugins",
		Args:  subcommand,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.pluginListCommand(), a.pluginTestCommand(), a.pluginServeCommand())
	return c
}

func (a *app) pluginListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the plugins that can be found",
		Args:  maxArgs(0),
		RunE: func(c *cobra.Command, _ []string) error {
			return a.open(c.Context(), a.dir, func(w *workspace.Workspace) error {
				infos, err := w.Plugins(c.Context())
				if err != nil {
					return err
				}
				if a.asJSON {
					return writeJSON(a.stdout, infos)
				}
				rows := [][]string{{"kind", "name", "version", "protocol", "where"}}
				for _, i := range infos {
					where := i.Path
					if i.Builtin {
						where = "built in"
					}
					rows = append(rows, []string{string(i.Kind), i.Name, i.Version, fmt.Sprint(i.Protocol), where})
				}
				columns(a.stdout, rows)
				return nil
			})
		},
	}
}

// pluginServeCommand is how the runner starts the plugins that it holds itself.
func (a *app) pluginServeCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "serve KIND NAME",
		Hidden: true,
		Args:   minArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			if p, ok := a.builtins.Providers[args[1]]; ok && args[0] == "provider" {
				sdk.ServeProvider(p)
				return nil
			}
			if b, ok := a.builtins.Backends[args[1]]; ok && args[0] == "backend" {
				sdk.ServeBackend(b)
				return nil
			}
			return usage("no %s called %q is built in", args[0], args[1])
		},
	}
}
