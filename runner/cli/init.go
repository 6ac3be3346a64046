package cli

import (
	"cmp"
	"path/filepath"

	"github.com/spf13/cobra"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/kinds"
	"surprisal.dev/runner/spec"
)

func (a *app) initCommand() *cobra.Command {
	var refresh bool
	var name string
	c := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Write a small experiment to start from",
		Args:  oneDirectory,
		Example: `  runner init mine
  runner init experiments/2026 --name held-out`,
		RunE: func(c *cobra.Command, args []string) error {
			dir := a.directory(args)
			absolute, err := filepath.Abs(dir)
			if err != nil {
				return err
			}
			if c.Flags().Changed("name") && (refresh || name == "") {
				return usage("--name %q: give the name of a new experiment", name)
			}
			sections := action.Sections(kinds.All())
			write := func() ([]string, error) { return spec.Init(dir, cmp.Or(name, filepath.Base(absolute)), sections) }
			if refresh {
				write = func() ([]string, error) { return spec.Refresh(dir, sections) }
			}
			files, err := write()
			if err != nil {
				return err
			}
			if a.asJSON {
				return a.printJSON(files)
			}
			for _, f := range files {
				say(a.stdout, "wrote %s\n", f)
			}
			if !refresh {
				say(a.stdout, "next: runner plan %s, then runner run %s\n", dir, dir)
			}
			return nil
		},
	}
	c.Flags().StringVar(&name, "name", "", "the experiment's `name`; default the directory's")
	c.Flags().BoolVar(&refresh, "refresh", false, "renew the copy of the spec language that cue vet reads, and nothing else")
	return c
}

// maxArgs is cobra.MaximumNArgs with the exit code of a wrong use.
func maxArgs(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) > n {
			return usage("%s takes at most %s and got %d; see %s --help", c.CommandPath(), count(n, "argument"), len(args), c.CommandPath())
		}
		return nil
	}
}

// minArgs is cobra.MinimumNArgs with the exit code of a wrong use.
func minArgs(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < n {
			return usage("%s takes at least %s and got %d; see %s --help", c.CommandPath(), count(n, "argument"), len(args), c.CommandPath())
		}
		return nil
	}
}
