package cli

import (
	"strconv"

	"github.com/spf13/cobra"

	"surprisal.dev/runner/spec"
	"surprisal.dev/runner/terminal"
	"surprisal.dev/runner/workspace"
)

func (a *app) baselineCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "baseline",
		Short: "Keep the scores of a model to compare others with",
		Long: `baseline keeps the scores of a model under a name that gates and gaps compare with, also when the model has left the
specification and its weights are gone. Digests of the scores are in surprisal.lock: commit that file. The store has
the scores, and gc does not delete them.`,
		Example: `  runner baseline set mine release-7 release
  runner baseline list mine
  runner baseline remove mine release-7`,
		Args: subcommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.baselineSetCommand(), a.baselineListCommand(), a.baselineRemoveCommand())
	return c
}

func (a *app) baselineSetCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "set [DIR] NAME MODEL",
		Short: "Keep the scores of a model as a baseline",
		Long: `set keeps the scores of a model of the specification on all its datasets as the baseline NAME. The scores must be in the
store: runner run makes them. An earlier baseline of that name is replaced in surprisal.lock; its scores stay in the
store under their tag, because the lock file of another branch may name them: see runner tag and runner untag.`,
		Example: `  runner baseline set mine release-7 release`,
		RunE: func(c *cobra.Command, args []string) error {
			args, err := a.between(c, args, 2, 2)
			if err != nil {
				return err
			}
			a.remember = true
			return a.open(c.Context(), a.dir, func(w *workspace.Workspace) error {
				b, err := w.SetBaseline(c.Context(), args[0], args[1])
				if err != nil {
					return err
				}
				a.warn(w.Warnings())
				if a.asJSON {
					return a.printJSON(b)
				}
				writef(a.stdout, "%s baseline %s: the scores of %s on %s; commit %s with the spec\n", b.Change, b.Name, b.Model, scored(b.Baseline), spec.LockFile)
				return nil
			})
		},
	}
}

// scored says on what a baseline was scored.
func scored(b spec.Baseline) string {
	if b.Imported() {
		return "the datasets of its table"
	}
	return count(len(b.Scores), "dataset")
}

func (a *app) baselineListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list [DIR]",
		Short: "List the baselines of surprisal.lock",
		Long: `list prints the baselines of surprisal.lock: their models, the number of their datasets, and whether the store has all
of their scores.`,
		Example: `  runner baseline list mine
  runner baseline list mine --json`,
		Args: oneDirectory,
		RunE: func(c *cobra.Command, args []string) error {
			return a.open(c.Context(), a.directory(args), func(w *workspace.Workspace) error {
				all, err := w.Baselines(c.Context())
				if err != nil {
					return err
				}
				if a.asJSON {
					return a.printJSON(all)
				}
				if len(all) == 0 {
					writef(a.stdout, "no baselines in %s; set one with `runner baseline set NAME MODEL`\n", spec.LockFile)
					return nil
				}
				rows := [][]string{{"baseline", "model", "datasets", "in the store"}}
				for _, b := range all {
					datasets, there := strconv.Itoa(len(b.Scores)), "yes"
					if b.Imported() {
						datasets = "imported"
					}
					if len(b.Missing) > 0 {
						there = "not " + terminal.Few(b.Missing)
					}
					rows = append(rows, []string{b.Name, b.Model, datasets, there})
				}
				columns(a.stdout, rows)
				return nil
			})
		},
	}
}

func (a *app) baselineRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "remove [DIR] NAME",
		Short: "Remove a baseline from surprisal.lock",
		Long: `remove removes a baseline from surprisal.lock. Its scores stay in the store under their tag, because the lock file of
another branch may name them. runner untag releases them: then gc may delete them.`,
		Example: `  runner baseline remove mine release-7`,
		RunE: func(c *cobra.Command, args []string) error {
			args, err := a.between(c, args, 1, 1)
			if err != nil {
				return err
			}
			return a.open(c.Context(), a.dir, func(w *workspace.Workspace) error {
				b, err := w.RemoveBaseline(c.Context(), args[0])
				if err != nil {
					return err
				}
				if a.asJSON {
					return a.printJSON(b)
				}
				writef(a.stdout, "removed baseline %s: the scores of %s on %s; commit %s\n", b.Name, b.Model, scored(b), spec.LockFile)
				kept, err := w.Kept(c.Context(), b)
				if kept {
					writef(a.stdout, "the store still keeps its scores, which other branches may name; to release them, run `runner untag %s`\n", b.Tag)
				}
				return err
			})
		},
	}
}
