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
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/mattn/go-runewidth"
	"github.com/spf13/cobra"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/engine"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/terminal"
	"surprisal.dev/runner/workspace"
)

func (a *app) runCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "run [DIR]",
		Short: "Execute the plan and print the results",
		Long: `run executes the actions of the plan whose results are not in the store yet. It is safe to interrupt or kill: a new run
resumes, and only unfinished actions are executed again. The first Ctrl-C finishes running actions and starts no
new ones; the second stops at once.`,
		Example: `  runner run mine
  runner run mine --cores 8 --memory 64GB
  runner run mine --store s3://bucket/prefix`,
		Annotations: runExits,
		Args:        oneDirectory,
	}
	options := runFlags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		o, err := options()
		if err != nil {
			return err
		}
		a.remember, a.dir = true, a.directory(args)
		return a.open(c.Context(), a.dir, func(w *workspace.Workspace) error { return a.run(c.Context(), w, o) })
	}
	return c
}

// runFlags adds the flags of executing a plan, and returns a function that checks their values.
func runFlags(c *cobra.Command) func() (workspace.RunOptions, error) {
	var o workspace.RunOptions
	var memory string
	f := c.Flags()
	f.Int64Var(&o.Cores, "cores", int64(runtime.NumCPU()), "maximum `NUMBER` of concurrent actions")
	f.StringVar(&memory, "memory", "", "total memory limit `SIZE` of running actions, such as 8GB; default the memory of the machine")
	f.Int64Var(&o.Devices, "devices", 0, "`NUMBER` of accelerators that actions may use")
	f.BoolVar(&o.Processes, "processes", false, "execute actions in separate processes, one for all actions that share a model")
	f.IntVar(&o.Retries, "retries", 1, "`NUMBER` of retries of an action that failed for a reason other than its input")
	return func() (workspace.RunOptions, error) {
		var err error
		if o.Memory, err = parseSize(memory); err != nil {
			return o, err
		}
		switch {
		case o.Cores < 1:
			return o, usage("--cores %d: must be at least 1", o.Cores)
		case o.Devices < 0:
			return o, usage("--devices %d: must be 0 or more", o.Devices)
		case o.Retries < 0:
			return o, usage("--retries %d: must be 0 or more", o.Retries)
		}
		if o.Memory > 0 {
			// The memory that the plan expects of actions assumes this limit.
			debug.SetMemoryLimit(artifact.RuntimeLimit(o.Memory))
		}
		return o, nil
	}
}

func (a *app) run(ctx context.Context, w *workspace.Workspace, o workspace.RunOptions) error {
	started := time.Now()
	p, err := w.Plan(ctx)
	if err != nil {
		return err
	}
	a.warn(w.Warnings())
	outcome, err := a.execute(ctx, w, p, o)
	if err != nil {
		return err
	}
	return a.conclude(ctx, w, p, outcome, time.Since(started))
}

// execute executes a plan with a display of its progress, until it is done or interrupted.
func (a *app) execute(ctx context.Context, w *workspace.Workspace, p *plan.Plan, o workspace.RunOptions) (workspace.Outcome, error) {
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
	if err == nil && outcome.Unrecorded != nil {
		writef(a.stderr, "everything is cached, but the run could not be recorded: %s\n", block(outcome.Unrecorded.Error()))
	}
	return outcome, err
}

// conclude prints the results of a run, and returns an error if it failed.
func (a *app) conclude(ctx context.Context, w *workspace.Workspace, p *plan.Plan, o workspace.Outcome, took time.Duration) error {
	// A stopped run still prints its results so far.
	summary, err := w.Summarize(context.WithoutCancel(ctx), p)
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
		advice, err := w.Advise(context.WithoutCancel(ctx), p)
		if err != nil {
			return err
		}
		a.warn(append(o.Warnings, advice...))
		writef(a.stdout, "%s\n", closing(o, took))
	}
	switch {
	case o.State == workspace.StateCanceled:
		return &exitError{exitCanceled, errors.New("canceled; run again to resume")}
	case failed == 0:
		return judged(summary)
	case invalid == failed:
		return &exitError{exitInvalid, a.failures(o)}
	}
	return &exitError{exitSome, a.failures(o)}
}

// judged returns the error of a run whose tests failed, or nil.
func judged(s workspace.Summary) error {
	var answers []action.Answer
	for _, r := range s.Reports {
		if judge, ok := r.Report.(action.Judge); ok {
			answers = append(answers, judge.Answer())
		}
	}
	switch {
	case slices.Contains(answers, action.Fail):
		return &exitError{exitGate, errors.New("a gate failed; see above")}
	case slices.Contains(answers, action.Inconclusive):
		return &exitError{exitUnknown, errors.New("a gate is inconclusive; see above")}
	}
	return nil
}

// printSummary prints the reports of all kinds of actions, and the paths of published reports.
func printSummary(w io.Writer, s workspace.Summary) {
	for _, r := range s.Reports {
		r.Print(w)
		writef(w, "\n")
	}
	for _, p := range s.Published {
		writef(w, "report of %s: %s\n", p.Action, p.Path)
	}
	if len(s.Stale) > 0 {
		writef(w, "not in this specification, so no longer updated; delete what you do not need: %s\n", terminal.Few(s.Stale))
	}
}

func closing(o workspace.Outcome, took time.Duration) string {
	ran, skipped := o.Counts[plan.Done], o.Counts[plan.Skipped]
	all := -skipped
	for _, n := range o.Counts {
		all += n
	}
	rest := ""
	for _, s := range []plan.State{plan.Failed, plan.Blocked, plan.Canceled} {
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

// printSkipped prints which actions the spec skips, with the reasons.
func printSkipped(out io.Writer, p *plan.Plan) {
	const most = 5
	n := 0
	for _, a := range inOrder(p.Actions) {
		if a.State != plan.Skipped {
			continue
		}
		if n++; n <= most {
			writef(out, "skipped %s: %s\n", a.Name, a.Reason)
		}
	}
	if n > most {
		writef(out, "skipped %s more; `runner plan` lists them\n", count(n-most, "action"))
	}
}

// failures returns the error of a run with failed actions: the gist of each failure, and the command that shows all of
// it. The display printed each failure in full when it happened, but many lines may have followed.
func (a *app) failures(o workspace.Outcome) error {
	const most = 20
	var lines []string
	for _, f := range o.Failures[:min(len(o.Failures), most)] {
		lines = append(lines, "  "+gist(failure(f.Action, f.Err.Error())))
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
		fmt.Errorf("`%s` shows each failure in full; completed actions are kept: fix the problem and run again", a.command("status")))
}

// gist returns a message in one line of bounded width: its beginning, and its end, where the remedy is.
func gist(message string) string {
	const width, end, mark = 500, 240, " ... "
	first, rest, _ := strings.Cut(strings.TrimSpace(message), "\n")
	if strings.HasSuffix(first, ":") {
		second := ""
		second, rest, _ = strings.Cut(rest, "\n")
		first = strings.TrimSpace(first + " " + strings.TrimSpace(second))
	}
	line := protocol.Visible(first)
	if rest != "" {
		last := strings.TrimSpace(rest[strings.LastIndexByte(rest, '\n')+1:])
		line = runewidth.Truncate(line, width-end, "") + mark + protocol.Visible(last)
	}
	cut := runewidth.StringWidth(line) - (width - len(mark))
	if cut <= 0 {
		return line
	}
	beginning := runewidth.Truncate(line, width-end-len(mark), "")
	return beginning + mark + runewidth.TruncateLeft(line, runewidth.StringWidth(line)-end, "")
}

// command returns the command line of a subcommand for the same experiment and state directory.
func (a *app) command(name string) string {
	line := "runner " + name
	for _, part := range []struct{ flag, value string }{{"", a.dir}, {"--state ", a.state}} {
		value := part.value
		if value == "" || part.flag == "" && value == "." {
			continue
		}
		if strings.ContainsFunc(value, unicode.IsSpace) {
			value = "'" + value + "'"
		}
		line += " " + part.flag + value
	}
	return line
}

// interruptible makes Ctrl-C and SIGTERM cancel the context of a command, so that it stops its plugins and removes its
// temporary files. The second signal ends the program. Some commands handle signals differently: run, ci, exec, which run
// stops, and the hidden commands that this program starts.
func interruptible(c *cobra.Command) (release func()) {
	if c.Hidden || slices.Contains([]string{"run", "ci", "exec"}, c.Name()) {
		return func() {}
	}
	ctx, release := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, release)
	c.SetContext(ctx)
	return release
}

// interrupts returns a channel that is closed at the first Ctrl-C, and a context that is canceled at the second.
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
				writef(a.stderr, "finishing running actions; press Ctrl-C again to stop at once\n")
				close(stop)
				continue
			}
			writef(a.stderr, "stopping\n")
			cancel()
		}
	}()
	return ctx, stop, func() { signal.Stop(signals); cancel() }
}
