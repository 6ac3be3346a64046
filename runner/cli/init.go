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
		Short: "Create a small example experiment",
		Long: `init writes a small experiment that runs as it is: CUE files, a training text and a held-out text. It does not overwrite
files. --refresh only updates the copy of the specification language that cue vet and editors read.`,
		Args: oneDirectory,
		Example: `  runner init mine
  runner init experiments/2026 --name held-out
  runner init mine --refresh`,
		RunE: func(c *cobra.Command, args []string) error {
			dir := a.directory(args)
			absolute, err := filepath.Abs(dir)
			if err != nil {
				return err
			}
			if c.Flags().Changed("name") && (refresh || name == "") {
				return usage("--name %q: pass the name of a new experiment, without --refresh", name)
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
				writef(a.stdout, "wrote %s\n", f)
			}
			if !refresh {
				writef(a.stdout, "next: `runner plan %s`, then `runner run %s`\n", dir, dir)
			}
			return nil
		},
	}
	c.Flags().StringVar(&name, "name", "", "`NAME` of the experiment; default the name of the directory")
	c.Flags().BoolVar(&refresh, "refresh", false, "only update the copy of the specification language that cue vet reads")
	return c
}

// maxArgs is cobra.MaximumNArgs with the exit code of wrong usage.
func maxArgs(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) > n {
			return usage("%s accepts at most %s, got %d; see %s --help", c.CommandPath(), count(n, "argument"), len(args), c.CommandPath())
		}
		return nil
	}
}

// minArgs is cobra.MinimumNArgs with the exit code of wrong usage.
func minArgs(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < n {
			return usage("%s requires at least %s, got %d; see %s --help", c.CommandPath(), count(n, "argument"), len(args), c.CommandPath())
		}
		return nil
	}
}
