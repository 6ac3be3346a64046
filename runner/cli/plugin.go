package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"surprisal.dev/plugins/sdk"
	"surprisal.dev/runner/workspace"
)

func (a *app) pluginCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "plugin",
		Short: "List and test plugins",
		Example: `  runner plugin list mine
  runner plugin test ./runner-provider-fortune`,
		Args: subcommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.pluginListCommand(), a.pluginTestCommand(), a.pluginServeCommand())
	return c
}

func (a *app) pluginListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list [DIR]",
		Short: "List the plugins that were found",
		Long: `list starts each plugin that is built in, in a --plugins directory, next to this program or on PATH, and prints its
version and location.`,
		Example: `  runner plugin list
  runner plugin list --plugins ./plugins`,
		Args:        oneDirectory,
		Annotations: map[string]string{"1": "failure, or a plugin cannot be used"},
		RunE: func(c *cobra.Command, args []string) error {
			return a.open(c.Context(), a.directory(args), func(w *workspace.Workspace) error {
				plugins, err := w.Plugins(c.Context())
				if err != nil {
					return err
				}
				if a.asJSON {
					err = a.printJSON(plugins)
				} else {
					printPlugins(a.stdout, plugins)
				}
				return errors.Join(err, unusable(plugins))
			})
		},
	}
}

func printPlugins(out io.Writer, plugins []workspace.Plugin) {
	rows := [][]string{{"kind", "name", "version", "protocol", "location"}}
	for _, p := range plugins {
		location, version := p.Path, fmt.Sprint(p.Protocol)
		switch {
		case p.Problem != "":
			location, version = "cannot be used", "-"
		case p.Builtin:
			location = "built in"
		}
		rows = append(rows, []string{string(p.Kind), p.Name, cmp.Or(p.Version, "-"), version, location})
	}
	columns(out, rows)
}

// unusable returns an error that explains why plugins cannot be used, or nil.
func unusable(plugins []workspace.Plugin) error {
	var errs []error
	for _, p := range plugins {
		if p.Problem != "" {
			errs = append(errs, errors.New(p.Problem))
		}
	}
	return errors.Join(errs...)
}

// pluginServeCommand is the hidden command that runs a built-in plugin.
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
			return usage("there is no built-in %s named %q", args[0], args[1])
		},
	}
}
