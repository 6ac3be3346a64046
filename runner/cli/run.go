package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"surprisal.dev/runner/engine"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/workspace"
)

func (a *app) runCommand() *cobra.Command {
	var o workspace.RunOptions
	var memory string
	c := &cobra.Command{
		Use:   "run [FOLDER]",
		Short: "Do what the plan says is left to do, and print the result",
		Long: `run does the actions of the plan that the store does not hold yet. Killed at any moment, it loses only actions that
were not finished; run it again and it goes on. The first Ctrl-C finishes what is in flight, the second stops at once.`,
		Args: maxArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var err error
			if o.Memory, err = parseSize(memory); err != nil {
				return err
			}
			if o.Cores < 1 {
				return usage("--cores %d: give at least 1", o.Cores)
			}
			if o.Devices < 0 {
				return usage("--devices %d: give 0 or more", o.Devices)
			}
			if o.Retries < 0 {
				return usage("--retries %d: give 0 or more", o.Retries)
			}
			return a.open(c.Context(), a.folder(args), func(w *workspace.Workspace) error { return a.run(c.Context(), w, o) })
		},
	}
	f := c.Flags()
	f.Int64Var(&o.Cores, "cores", int64(runtime.NumCPU()), "how many actions to do at the same time")
	f.StringVar(&memory, "memory", "", "how much memory actions may take together, such as 8GB; default all of the machine's")
	f.Int64Var(&o.Devices, "devices", 0, "how many accelerators actions may use")
	f.BoolVar(&o.Processes, "processes", false, "do actions in processes, one for all that share a model, instead of in this one")
	f.IntVar(&o.Retries, "retries", 1, "how often an action that failed for no fault of its input is tried again")
	return c
}

func (a *app) run(ctx context.Context, w *workspace.Workspace, o workspace.RunOptions) error {
	started := time.Now()
	p, err := w.Plan(ctx)
	if err != nil {
		return err
	}
	for _, warning := range w.Warnings() {
		fmt.Fprintf(a.stderr, "warning: %s\n", warning)
	}
	ctx, stop, done := a.interrupts(ctx)
	defer done()
	o.Stop = stop
	var display *progress
	o.Observer = func(p *plan.Plan) engine.Observer {
		display = newProgress(a.stderr, a.isTerminal(), p)
		return display
	}
	outcome, err := w.Run(ctx, p, o)
	if display != nil {
		display.Close()
	}
	if err != nil {
		return err
	}
	if outcome.Unrecorded != nil {
		fmt.Fprintf(a.stderr, "nothing to do, and the run could not be recorded: %v\n", outcome.Unrecorded)
	}
	return a.conclude(ctx, w, p, outcome, time.Since(started))
}

// conclude prints the result of a run and says how it ended.
func (a *app) conclude(ctx context.Context, w *workspace.Workspace, p *plan.Plan, o workspace.Outcome, took time.Duration) error {
	// A stopped run still shows what it has.
	summary, err := w.Summarise(context.WithoutCancel(ctx), p)
	if err != nil {
		return err
	}
	var failed, invalid int
	for _, f := range o.Failures {
		failed++
		if isInvalid(f.Err) {
			invalid++
		}
	}
	if a.asJSON {
		result := struct {
			Run     string             `json:"run"`
			State   string             `json:"state"`
			Counts  map[plan.State]int `json:"counts"`
			Results workspace.Summary  `json:"results"`
			Seconds float64            `json:"seconds"`
		}{o.ID, o.State, o.Counts, summary, took.Seconds()}
		if err := writeJSON(a.stdout, result); err != nil {
			return err
		}
	} else {
		printSummary(a.stdout, summary)
		for _, warning := range o.Warnings {
			fmt.Fprintf(a.stderr, "warning: %s\n", warning)
		}
		fmt.Fprintln(a.stdout, closing(o, took))
	}
	switch {
	case o.State == workspace.StateCancelled:
		return &exitError{exitCancelled, errors.New("cancelled; run again to go on")}
	case failed == 0:
		return nil
	case invalid == failed:
		return &exitError{exitInvalid, failures(o)}
	}
	return &exitError{exitSome, failures(o)}
}

// printSummary prints what the kinds of actions say, and where to read more.
func printSummary(w io.Writer, s workspace.Summary) {
	for _, r := range s.Reports {
		r.Print(w)
		fmt.Fprintln(w)
	}
	for _, p := range s.Published {
		fmt.Fprintf(w, "report of %s: %s\n", p.Action, p.Path)
	}
}

func closing(o workspace.Outcome, took time.Duration) string {
	ran := o.Counts[plan.Done]
	all := 0
	for _, n := range o.Counts {
		all += n
	}
	if ran == 0 && o.State == workspace.StateDone {
		return fmt.Sprintf("nothing to do: all %s are cached (%.2f s)", count(o.Counts[plan.Cached], "action"), took.Seconds())
	}
	return fmt.Sprintf("%d of %s ran, %d were cached (%.1f s)", ran, count(all, "action"), o.Counts[plan.Cached], took.Seconds())
}

// failures says what failed, once for each action; the display has shown each as it happened.
func failures(o workspace.Outcome) error {
	var lines []string
	for _, f := range o.Failures {
		lines = append(lines, "  "+f.Action)
	}
	blocked := ""
	if n := o.Counts[plan.Blocked]; n > 0 {
		blocked = fmt.Sprintf(" and %s could not start", count(n, "action"))
	}
	return fmt.Errorf("%s failed%s:\n%s\nsee runner logs; what is done is kept, so mend it and run again",
		count(len(o.Failures), "action"), blocked, strings.Join(lines, "\n"))
}

// interrupts returns a context that ends at the second Ctrl-C and a channel that closes at the first.
func (a *app) interrupts(ctx context.Context) (context.Context, <-chan struct{}, func()) {
	ctx, cancel := context.WithCancel(ctx)
	stop := make(chan struct{})
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		for first := true; ; first = false {
			select {
			case <-ctx.Done():
				return
			case <-signals:
			}
			if first {
				fmt.Fprintln(a.stderr, "finishing what is in flight; press Ctrl-C again to stop at once")
				close(stop)
				continue
			}
			fmt.Fprintln(a.stderr, "stopping")
			cancel()
		}
	}()
	return ctx, stop, func() { signal.Stop(signals); cancel() }
}

func (a *app) isTerminal() bool {
	f, ok := a.stderr.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}
