package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/engine"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/workspace"
)

// leastMemory is the least limit of memory that the runtime is given: below it a process would do nothing but collect garbage.
const leastMemory = 64 << 20

func (a *app) runCommand() *cobra.Command {
	var o workspace.RunOptions
	var memory string
	c := &cobra.Command{
		Use:   "run [DIR]",
		Short: "Do what the plan says is left to do, and print the result",
		Long: `run does the actions of the plan that the store does not hold yet. Killed at any moment, it loses only actions that
were not finished; run it again and it goes on. The first Ctrl-C finishes what is in flight, the second stops at once.`,
		Example: `  runner run mine
  runner run mine --cores 8 --memory 64GB
  runner run mine --store s3://bucket/prefix`,
		Args: oneDirectory,
		RunE: func(c *cobra.Command, args []string) error {
			var err error
			if o.Memory, err = parseSize(memory); err != nil {
				return err
			}
			if o.Memory > 0 {
				// What the plan says of memory counts on it.
				debug.SetMemoryLimit(max(o.Memory-o.Memory/8, leastMemory))
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
			a.remember = true
			return a.open(c.Context(), a.directory(args), func(w *workspace.Workspace) error { return a.run(c.Context(), w, o) })
		},
	}
	f := c.Flags()
	f.Int64Var(&o.Cores, "cores", int64(runtime.NumCPU()), "the most actions that run at the same time")
	f.StringVar(&memory, "memory", "", "the memory that running actions may take together, a `size` such as 8GB; default all of the machine's")
	f.Int64Var(&o.Devices, "devices", 0, "the number of accelerators that actions may use")
	f.BoolVar(&o.Processes, "processes", false, "do actions in processes, one for all that share a model, instead of in this one")
	f.IntVar(&o.Retries, "retries", 1, "how often an action is tried again that failed for a reason other than its input")
	return c
}

func (a *app) run(ctx context.Context, w *workspace.Workspace, o workspace.RunOptions) error {
	started := time.Now()
	p, err := w.Plan(ctx)
	if err != nil {
		return err
	}
	a.warn(w.Warnings())
	ctx, stop, done := a.interrupts(ctx)
	defer done()
	o.Stop = stop
	var display *progress
	o.Observer = func(p *plan.Plan) engine.Observer {
		var screen io.Writer
		if a.terminal != nil {
			screen = a.terminal
		}
		display = newProgress(a.stderr, screen, p)
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
		say(a.stderr, "everything is cached, but the run could not be recorded: %s\n", block(outcome.Unrecorded.Error()))
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
		if err := a.printJSON(result); err != nil {
			return err
		}
	} else {
		printSummary(a.stdout, summary)
		printSkipped(a.stdout, p)
		a.warn(o.Warnings)
		say(a.stdout, "%s\n", closing(o, took))
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
		say(w, "\n")
	}
	for _, p := range s.Published {
		say(w, "report of %s: %s\n", p.Action, p.Path)
	}
}

func closing(o workspace.Outcome, took time.Duration) string {
	ran, skipped := o.Counts[plan.Done], o.Counts[plan.Skipped]
	all := -skipped
	for _, n := range o.Counts {
		all += n
	}
	rest := ""
	for _, s := range []plan.State{plan.Failed, plan.Blocked, plan.Cancelled} {
		if n := o.Counts[s]; n > 0 {
			rest += fmt.Sprintf(", %d %s", n, s)
		}
	}
	if skipped > 0 {
		rest += fmt.Sprintf(", %d skipped", skipped)
	}
	if ran == 0 && o.State == workspace.StateDone {
		return fmt.Sprintf("nothing to do: all %s are cached%s (%.2f s)", count(o.Counts[plan.Cached], "action"), rest, took.Seconds())
	}
	return fmt.Sprintf("%d of %s ran, %d were cached%s (%.1f s)", ran, count(all, "action"), o.Counts[plan.Cached], rest, took.Seconds())
}

// printSkipped says which actions the spec skips, and why.
func printSkipped(out io.Writer, p *plan.Plan) {
	const most = 5
	n := 0
	for _, a := range inOrder(p.Actions) {
		if a.State != plan.Skipped {
			continue
		}
		if n++; n <= most {
			say(out, "skipped %s: %s\n", a.Name, a.Reason)
		}
	}
	if n > most {
		say(out, "skipped %s more; runner plan lists them\n", count(n-most, "action"))
	}
}

// failures says what failed, once for each action; the display has shown each as it happened.
func failures(o workspace.Outcome) error {
	const most = 20
	var lines []string
	for _, f := range o.Failures[:min(len(o.Failures), most)] {
		lines = append(lines, "  "+protocol.Visible(f.Action))
	}
	if n := len(o.Failures) - most; n > 0 {
		lines = append(lines, fmt.Sprintf("  and %s more", count(n, "action")))
	}
	blocked := ""
	if n := o.Counts[plan.Blocked]; n > 0 {
		blocked = fmt.Sprintf(" and %s could not start", count(n, "action"))
	}
	return errors.Join(
		fmt.Errorf("%s failed%s:\n%s", count(len(o.Failures), "action"), blocked, strings.Join(lines, "\n")),
		errors.New("runner status and runner logs say more; completed actions are kept: fix the problem and run again"))
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
				say(a.stderr, "finishing what is in flight; press Ctrl-C again to stop at once\n")
				close(stop)
				continue
			}
			say(a.stderr, "stopping\n")
			cancel()
		}
	}()
	return ctx, stop, func() { signal.Stop(signals); cancel() }
}
