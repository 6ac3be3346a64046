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
		Args:  subcommand,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.pluginListCommand(), a.pluginTestCommand(), a.pluginServeCommand())
	return c
}

func (a *app) pluginListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list [DIR]",
		Short: "List the plugins that can be found",
		Args:  oneDirectory,
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
	rows := [][]string{{"kind", "name", "version", "protocol", "where"}}
	for _, p := range plugins {
		where, version := p.Path, fmt.Sprint(p.Protocol)
		switch {
		case p.Problem != "":
			where, version = "cannot be used", "-"
		case p.Builtin:
			where = "built in"
		}
		rows = append(rows, []string{string(p.Kind), p.Name, cmp.Or(p.Version, "-"), version, where})
	}
	columns(out, rows)
}

// unusable says why plugins cannot be used.
func unusable(plugins []workspace.Plugin) error {
	var errs []error
	for _, p := range plugins {
		if p.Problem != "" {
			errs = append(errs, errors.New(p.Problem))
		}
	}
	return errors.Join(errs...)
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
