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
		Short: "Say what the last run did or is doing",
		Args:  oneDirectory,
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
		say(a.stdout, "run %s: %s before it wrote its journal\n", r.Run, r.State)
	} else {
		say(a.stdout, "run %s of %s: %s, started %s\n", r.Run, r.Experiment, r.State, r.Started.Format(time.RFC3339))
	}
	counts := map[plan.State]int{}
	for _, e := range r.Entries {
		counts[e.State]++
	}
	for _, s := range []plan.State{plan.Done, plan.Cached, plan.Skipped, plan.Running, plan.Failed, plan.Blocked, plan.Cancelled} {
		if counts[s] > 0 {
			say(a.stdout, "  %s %d\n", state(s), counts[s])
		}
	}
	if waiting := r.Actions - len(r.Entries); waiting > 0 {
		say(a.stdout, "  %-9s %d\n", "waiting", waiting)
	}
	for _, e := range r.Entries {
		switch e.State {
		case plan.Running:
			if r.State == "running" {
				say(a.stdout, "running   %s  since %s%s\n", e.Action, e.Time.Format(time.TimeOnly), reached(e))
			} else {
				say(a.stdout, "lost      %s  interrupted when the run ended%s; the next run does it again\n", e.Action, reached(e))
			}
		case plan.Failed:
			say(a.stdout, "%s %s\n", state(e.State), block(failure(e.Action, e.Error)))
		case plan.Blocked:
			say(a.stdout, "%s %s  %s\n", state(e.State), e.Action, e.Reason)
		}
	}
}

// reached says how far a running action is, if its run has told.
func reached(e engine.Entry) string {
	switch {
	case e.Documents == 0:
		return ""
	case e.Expected == 0:
		return ", after " + count(e.Documents, "document")
	}
	return fmt.Sprintf(", after %s of %s", humanize.Comma(e.Documents), count(e.Expected, "document"))
}
