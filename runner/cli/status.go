package cli

import (
	"fmt"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"surprisal.dev/runner/engine"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/workspace"
)

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status [DIR]",
		Short: "Show the status of the last run",
		Long: `status shows the last run, which may be in progress: the number of actions in each state, the progress of running
actions, and the full error of each failed action.`,
		Args: oneDirectory,
		Example: `  runner status mine
  runner status mine --json`,
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := workspace.LastRun(a.directory(args), a.state)
			if err != nil {
				return err
			}
			if a.asJSON {
				return a.printJSON(r)
			}
			a.printStatus(r)
			return nil
		},
	}
}

func (a *app) printStatus(r engine.Report) {
	if r.Started.IsZero() {
		writef(a.stdout, "run %s: %s before it wrote its journal\n", r.Run, r.State)
	} else {
		writef(a.stdout, "run %s of %s: %s, started %s\n", r.Run, r.Experiment, r.State, r.Started.Format(time.RFC3339))
	}
	counts := map[plan.State]int{}
	for _, e := range r.Entries {
		counts[e.State]++
	}
	// Actions without an entry wait for their inputs or for resources.
	counts[plan.Waiting] += max(0, r.Actions-len(r.Entries))
	for _, s := range []plan.State{plan.Done, plan.Cached, plan.Skipped, plan.Running, plan.Failed, plan.Blocked, plan.Canceled, plan.Waiting} {
		if counts[s] > 0 {
			writef(a.stdout, "  %s %d\n", state(s), counts[s])
		}
	}
	for _, e := range r.Entries {
		switch e.State {
		case plan.Waiting:
			if r.State == "running" {
				writef(a.stdout, "%s %s  %s, since %s\n", state(e.State), e.Action, e.Reason, e.Time.Format(time.TimeOnly))
			}
		case plan.Running:
			if r.State == "running" {
				writef(a.stdout, "running   %s  since %s%s\n", e.Action, e.Time.Format(time.TimeOnly), reached(e))
			} else {
				writef(a.stdout, "lost      %s  interrupted when the run ended%s; the next run executes it again\n", e.Action, reached(e))
			}
		case plan.Failed:
			writef(a.stdout, "%s %s\n", state(e.State), block(failure(e.Action, e.Error)))
		case plan.Blocked:
			writef(a.stdout, "%s %s  %s\n", state(e.State), e.Action, e.Reason)
		}
	}
}

// reached returns the progress of a running action, or "" if it is unknown.
func reached(e engine.Entry) string {
	switch {
	case e.Documents == 0:
		return ""
	case e.Expected == 0:
		return ", after " + count(e.Documents, "document")
	}
	return fmt.Sprintf(", after %s of %s", humanize.Comma(e.Documents), count(e.Expected, "document"))
}
