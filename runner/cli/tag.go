package cli

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"surprisal.dev/runner/workspace"
)

func (a *app) tagCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "tag [DIR] [NAME [RUN]]",
		Short: "Name a run, so that gc keeps its artifacts",
		Long: `tag gives a run a name in the store: the last run of the directory, or the one whose id begins with RUN. gc keeps all
artifacts of a run that has a tag. A tag that another run has moves to this one. Without a name, tag lists the tags of
the store, also those of baselines.`,
		Example: `  runner tag mine paper
  runner tag mine paper 20260131-120000
  runner tag mine`,
		RunE: func(c *cobra.Command, args []string) error {
			args, err := a.between(c, args, 0, 2)
			if err != nil {
				return err
			}
			return a.open(c.Context(), a.dir, func(w *workspace.Workspace) error {
				if len(args) == 0 {
					return a.listTags(c, w)
				}
				t, err := w.SetTag(c.Context(), args[0], strings.Join(args[1:], ""))
				if err != nil {
					return err
				}
				if a.asJSON {
					return a.printJSON(t)
				}
				before := ""
				if t.Before != "" {
					before = ", no longer " + t.Before
				}
				writef(a.stdout, "tag %s: run %s%s\n", t.Name, t.Run, before)
				return nil
			})
		},
	}
}

func (a *app) listTags(c *cobra.Command, w *workspace.Workspace) error {
	tags, err := w.Tags(c.Context())
	if err != nil {
		return err
	}
	if a.asJSON {
		return a.printJSON(tags)
	}
	if len(tags) == 0 {
		writef(a.stdout, "no tags in the store; `runner tag NAME` gives one to the last run\n")
		return nil
	}
	rows := [][]string{{"tag", "run", "state", "experiment", "started"}}
	for _, t := range tags {
		row := []string{t.Name, t.Run, t.State, t.Experiment, t.Started.Format(time.RFC3339)}
		if t.Started.IsZero() {
			row = []string{t.Name, t.Run, "gone", "", ""}
		}
		rows = append(rows, row)
	}
	columns(a.stdout, rows)
	return nil
}

func (a *app) untagCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "untag [DIR] NAME",
		Short: "Remove the name of a run",
		Long: `untag removes a tag from the store. The run stays: gc --keep-last or --older-than may then drop it, and delete the
artifacts that only it refers to.`,
		Example: `  runner untag mine paper`,
		RunE: func(c *cobra.Command, args []string) error {
			args, err := a.between(c, args, 1, 1)
			if err != nil {
				return err
			}
			return a.open(c.Context(), a.dir, func(w *workspace.Workspace) error {
				t, err := w.RemoveTag(c.Context(), args[0])
				if err != nil {
					return err
				}
				if a.asJSON {
					return a.printJSON(t)
				}
				writef(a.stdout, "removed tag %s of run %s\n", t.Name, t.Run)
				return nil
			})
		},
	}
}
