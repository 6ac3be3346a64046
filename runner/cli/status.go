package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"surprisal.dev/runner/engine"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/workspace"
)

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status [FOLDER]",
		Short: "Say what the last run did or is doing",
		Args:  maxArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := workspace.LastRun(a.folder(args))
			if err != nil {
				return err
			}
			if a.asJSON {
				return writeJSON(a.stdout, r)
			}
			a.printStatus(r)
			return nil
		},
	}
}

func (a *app) printStatus(r engine.Report) {
	fmt.Fprintf(a.stdout, "run %s of %s: %s, started %s\n", r.Run, r.Experiment, r.State, r.Started.Format(time.RFC3339))
	counts := map[plan.State]int{}
	for _, e := range r.Entries {
		counts[e.State]++
	}
	for _, s := range []plan.State{plan.Done, plan.Cached, plan.Skipped, plan.Running, plan.Failed, plan.Blocked, plan.Cancelled} {
		if counts[s] > 0 {
			fmt.Fprintf(a.stdout, "  %-9s %d\n", s, counts[s])
		}
	}
	if waiting := r.Actions - len(r.Entries); waiting > 0 {
		fmt.Fprintf(a.stdout, "  %-9s %d\n", "waiting", waiting)
	}
	for _, e := range r.Entries {
		switch e.State {
		case plan.Running:
			if r.State == "running" {
				fmt.Fprintf(a.stdout, "running   %s  since %s\n", e.Action, e.Time.Format(time.TimeOnly))
			} else {
				fmt.Fprintf(a.stdout, "lost      %s  was at work when the run ended; the next run does it again\n", e.Action)
			}
		case plan.Failed:
			fmt.Fprintf(a.stdout, "failed    %s\n", failure(e.Action, e.Error))
		case plan.Blocked:
			fmt.Fprintf(a.stdout, "blocked   %s  %s\n", e.Action, e.Reason)
		}
	}
}
