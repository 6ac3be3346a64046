package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/engine"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
	"surprisal.dev/runner/store"
	"surprisal.dev/runner/workspace"
)

// printed returns the output of a command.
func printed(print func(a *app)) string {
	var b bytes.Buffer
	a := &app{stdout: newOutput(&b, false)}
	print(a)
	if err := a.stdout.Flush(); err != nil {
		return err.Error()
	}
	return b.String()
}

func TestExitCode(t *testing.T) {
	kind := func(k protocol.ErrorKind) error { return &protocol.Error{Kind: k, Message: "m"} }
	for _, test := range []struct {
		err  error
		want int
	}{
		{nil, 0}, {errors.New("x"), 1}, {usage("x"), 2}, {fmt.Errorf("x: %w", usage("y")), 2}, {spec.Errors{{Message: "m"}}, 2},
		{fmt.Errorf("x: %w", spec.Errors{{Message: "m"}}), 2}, {kind(protocol.InvalidInput), 2}, {kind(protocol.NeedsNetwork), 2}, {kind(protocol.Changed), 2},
		{kind(protocol.OutOfMemory), 1}, {context.Canceled, 130}, {fmt.Errorf("x: %w", context.Canceled), 130}, {context.DeadlineExceeded, 1},
		{errors.Join(context.Canceled, kind(protocol.InvalidInput)), 2}, {&exitError{exitSome, context.Canceled}, 3}, {&exitError{code: exitFailed}, 1},
	} {
		if got := exitCode(test.err); got != test.want {
			t.Errorf("%v: %d, want %d", test.err, got, test.want)
		}
	}
	if usage("x").Error() != "x" || (&exitError{code: 1}).Error() != "" || !errors.Is(&exitError{1, fs.ErrExist}, fs.ErrExist) {
		t.Error("an error with a code does not have the message of the error in it")
	}
}

// The error of an interrupted command names the command and all other errors, but not the canceled context.
func TestInterrupted(t *testing.T) {
	c := &cobra.Command{Use: "plan"}
	const did = "interrupted: plan did not finish"
	for _, test := range []struct {
		err  error
		want string
	}{
		{context.Canceled, did}, {fmt.Errorf("a: %w", context.Canceled), did},
		{errors.Join(context.Canceled, errors.New("left a file"), errors.Join(fmt.Errorf("b: %w", context.Canceled), errors.New("and another"))), "left a file\nand another\n" + did},
		{fmt.Errorf("wrapped: %w", errors.Join(context.Canceled, errors.New("x"))), did},
		{&exitError{exitCanceled, errors.New("canceled; run again")}, "canceled; run again"},
	} {
		if got := interrupted(c, test.err); got.Error() != test.want || exitCode(got) != exitCanceled {
			t.Errorf("%v: %v with the code %d, want %q", test.err, got, exitCode(got), test.want)
		}
	}
}

// The help of every command has examples that parse and exit codes. Only the help of the root command has the global
// flags.
// A canceled command does not wait for work that cannot be stopped.
func TestUntilDone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	stuck := make(chan struct{})
	defer close(stuck)
	if err := untilDone(ctx, func() error { cancel(); <-stuck; return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("stuck work returned %v", err)
	}
	if err := untilDone(t.Context(), func() error { return fs.ErrExist }); !errors.Is(err, fs.ErrExist) {
		t.Errorf("work returned %v", err)
	}
}

func TestHelp(t *testing.T) {
	var b bytes.Buffer
	root := (&app{stdout: newOutput(&b, false)}).root()
	root.SetOut(&b)
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		b.Reset()
		if err := c.Help(); err != nil {
			t.Error(err)
		}
		help := b.String()
		for _, want := range []string{"\nUsage:\n  runner", "\nExamples:\n  runner ", "\nExit codes:\n  0    success\n  1    "} {
			if !strings.Contains(help, want) {
				t.Errorf("%s: no %q in the help:\n%s", c.CommandPath(), want, help)
			}
		}
		if global := strings.Contains(help, "\n      --log-level "); global == c.HasParent() {
			t.Errorf("%s: global flags are listed: %v", c.CommandPath(), global)
		}
		for line := range strings.Lines(c.Example) {
			line, _, _ = strings.Cut(line, " > ")
			line, _, _ = strings.Cut(line, "#")
			of, args, err := root.Find(strings.Fields(line)[1:])
			if err == nil {
				err = of.ParseFlags(args)
			}
			if err != nil || !of.HasParent() {
				t.Errorf("%s: example %q: %v", c.CommandPath(), line, err)
			}
		}
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				visit(sub)
			}
		}
	}
	visit(root)
}

func TestFailure(t *testing.T) {
	for of, want := range map[[2]string]string{
		{"score m", "score m: bad"}: "score m: bad", {"score m", "bad"}: "score m: bad", {"score m", ""}: "score m: ",
		{"score m", "score me is bad"}: "score m: score me is bad",
	} {
		if got := failure(of[0], of[1]); got != want {
			t.Errorf("%q: %q, want %q", of, got, want)
		}
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "1": 1, "512MB": 512e6, "8GiB": 8 << 30, "4EiB": 1 << 62} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"0", "0GB", "lots", "-1", "4611686018427387905", "8EiB"} {
		if got, err := parseSize(text); exitCode(err) != exitInvalid || !strings.Contains(err.Error(), fmt.Sprintf("invalid size %q", text)) {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
}

func TestClosing(t *testing.T) {
	took := 1500 * time.Millisecond
	for _, test := range []struct {
		state  string
		counts map[plan.State]int
		want   string
	}{
		{workspace.StateDone, map[plan.State]int{plan.Cached: 1}, "nothing to do: all 1 action are cached (1.50 s)"},
		{workspace.StateDone, map[plan.State]int{plan.Cached: 7, plan.Skipped: 2}, "nothing to do: all 7 actions are cached, 2 skipped (1.50 s)"},
		{workspace.StateDone, map[plan.State]int{plan.Cached: 6, plan.Done: 1, plan.Skipped: 2}, "1 of 7 actions ran, 6 were cached, 2 skipped (1.5 s)"},
		{workspace.StateFailed, map[plan.State]int{plan.Cached: 6, plan.Failed: 1, plan.Blocked: 2}, "0 of 9 actions ran, 6 were cached, 1 failed, 2 blocked (1.5 s)"},
		{workspace.StateCanceled, map[plan.State]int{plan.Done: 3, plan.Canceled: 4}, "3 of 7 actions ran, 0 were cached, 4 canceled (1.5 s)"},
	} {
		if got := closing(workspace.Outcome{State: test.state, Counts: test.counts}, took); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

// Of many failures and skipped actions, a few are listed and the others counted. Each failure has the beginning and
// the end of its error.
func TestFailures(t *testing.T) {
	a := &app{dir: "my dir", state: "s"}
	const hint = "\n`runner status 'my dir' --state s` shows each failure in full; completed actions are kept: fix the problem and run again"
	for n, want := range map[int]string{1: "1 action failed:\n  a0: bad ... in detail" + hint, 20: "\n  a19: bad ... in detail" + hint, 21: "\n  a19: bad ... in detail\n  and 1 action more" + hint, 23: "23 actions failed:\n"} {
		var o workspace.Outcome
		for i := range n {
			o.Failures = append(o.Failures, workspace.Failure{Action: fmt.Sprint("a", i), Err: errors.New("bad\nin detail")})
		}
		if got := a.failures(o).Error(); !strings.Contains(got, want) {
			t.Errorf("%d: %q, want %q in it", n, got, want)
		}
	}
	o := workspace.Outcome{Failures: []workspace.Failure{{Action: "a", Err: errors.New("x\tb" + strings.Repeat("c", 600))}}, Counts: map[plan.State]int{plan.Blocked: 2}}
	a = &app{dir: "."}
	rows := workspace.Outcome{Failures: []workspace.Failure{{Action: "m", Err: errors.New("2 rows cannot be read:\n  row 3: x\n  row 4: y")}}}
	if got := a.failures(rows).Error(); !strings.Contains(got, "\n  m: 2 rows cannot be read: row 3: x ... row 4: y\n`") {
		t.Errorf("%q", got)
	}
	want := "1 action failed and 2 actions could not start:\n  a: x\\tb" + strings.Repeat("c", 248) + " ... " + strings.Repeat("c", 240) + "\n`runner status` shows"
	if got := a.failures(o).Error(); !strings.HasPrefix(got, want) {
		t.Errorf("%q", got)
	}
	for n, want := range map[int]string{0: "", 5: "skipped d4: r4\n", 6: "skipped d4: r4\nskipped 1 action more; `runner plan` lists them\n"} {
		p := &plan.Plan{Actions: []*plan.Action{{Name: "x", Status: plan.Status{State: plan.Cached}}}}
		for i := range n {
			p.Actions = append(p.Actions, &plan.Action{Name: fmt.Sprint("d", i), Status: plan.Status{State: plan.Skipped, Reason: fmt.Sprint("r", i)}})
		}
		if got := printed(func(a *app) { printSkipped(a.stdout, p) }); !strings.HasSuffix(got, want) || strings.Count(got, "\n") != n {
			t.Errorf("%d: %q, want %q at its end", n, got, want)
		}
	}
}

// Actions are listed by kind in plan order, and within a kind in natural order.
func TestPlanText(t *testing.T) {
	p := &plan.Plan{Experiment: "x", Kinds: []string{"materialize", "train", "score"}}
	for _, of := range []struct {
		kind, name string
		state      plan.State
	}{{"materialize", "m d10", plan.Cached}, {"score", "s d10", plan.Waits}, {"materialize", "m d2", plan.Pending}, {"score", "s d2", plan.Pending}, {"score", "s d1", plan.Skipped}} {
		p.Actions = append(p.Actions, &plan.Action{Kind: of.kind, Name: of.name, Status: plan.Status{State: of.state}})
	}
	want := [][]string{{"kind", "pending", "waits", "cached", "skipped"}, {"materialize", "1", "-", "1", "-"}, {"score", "1", "1", "-", "1"}}
	if diff := cmp.Diff(want, planCounts(p)); diff != "" {
		t.Error(diff)
	}
	text := printed(func(a *app) { printPlan(a.stdout, p) })
	at := -1
	for _, name := range []string{"experiment x: 5 actions\n", "\npending  m d2 ", "\ncached   m d10 ", "\nskipped  s d1 ", "\npending  s d2 ", "\nwaits    s d10 ", "\n1 action has a cache key that depends on unfinished actions.\n"} {
		next := strings.Index(text, name)
		if next <= at {
			t.Errorf("%q is not where it should be in\n%s", name, text)
		}
		at = next
	}
	p.Actions[0].State = plan.Waits
	if text := printed(func(a *app) { printPlan(a.stdout, p) }); !strings.HasSuffix(text, "\n2 actions have cache keys that depend on unfinished actions.\n") {
		t.Errorf("it ends in %q", text)
	}
	p.Actions = p.Actions[2:4]
	if text := printed(func(a *app) { printPlan(a.stdout, p) }); strings.Contains(text, "unfinished actions") {
		t.Errorf("nothing waits, and yet\n%s", text)
	}
}

func TestPrintStatus(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	entries := []engine.Entry{
		{Action: "a", State: plan.Running, Time: at}, {Action: "b", State: plan.Running, Time: at, Documents: 1}, {Action: "c", State: plan.Running, Time: at, Documents: 1500, Expected: 2000},
		{Action: "d", State: plan.Failed, Error: "no\nmemory"}, {Action: "e", State: plan.Blocked, Reason: "d failed"}, {Action: "f", State: plan.Done}, {Action: "g", State: plan.Canceled},
		{Action: "h", State: plan.Waiting, Time: at, Reason: "for process 7 (host), which executes it"},
	}
	counts := "  done      1\n  running   3\n  failed    1\n  blocked   1\n  canceled  1\n"
	rest := "failed    d: no\n  memory\nblocked   e  d failed\n"
	for _, test := range []struct {
		r    engine.Report
		want string
	}{
		{engine.Report{Run: "r", Experiment: "x", Started: at, State: "running", Actions: 10, Entries: entries}, "run r of x: running, started 2026-01-02T03:04:05Z\n" + counts + "  waiting   3\n" +
			"running   a  since 03:04:05\nrunning   b  since 03:04:05, after 1 document\nrunning   c  since 03:04:05, after 1,500 of 2,000 documents\n" + rest +
			"waiting   h  for process 7 (host), which executes it, since 03:04:05\n"},
		{engine.Report{Run: "r", Experiment: "x", Started: at, State: "interrupted", Actions: 8, Entries: entries}, "run r of x: interrupted, started 2026-01-02T03:04:05Z\n" + counts + "  waiting   1\n" +
			"lost      a  interrupted when the run ended; the next run executes it again\nlost      b  interrupted when the run ended, after 1 document; the next run executes it again\n" +
			"lost      c  interrupted when the run ended, after 1,500 of 2,000 documents; the next run executes it again\n" + rest},
		{engine.Report{Run: "r", State: "interrupted"}, "run r: interrupted before it wrote its journal\n"},
	} {
		if diff := cmp.Diff(test.want, printed(func(a *app) { a.printStatus(test.r) })); diff != "" {
			t.Error(diff)
		}
	}
}

// Results of other runs are counted: those with other keys, and those of actions that the run did not reach.
func TestAboutRun(t *testing.T) {
	p := &plan.Plan{Actions: []*plan.Action{
		{Name: "same", Status: plan.Status{State: plan.Cached, Key: "1"}}, {Name: "other", Status: plan.Status{State: plan.Cached, Key: "2"}}, {Name: "pending", Status: plan.Status{State: plan.Pending, Key: "3"}},
	}}
	last := engine.Report{Run: "r", State: "done", Entries: []engine.Entry{{Action: "same", Key: "1"}, {Action: "other", Key: "x"}, {Action: "pending", Key: "x"}}}
	if got, want := aboutRun(p, last), "r: done; 1 result below is not from that run, which had other settings"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	last.Entries, last.Started = last.Entries[2:], time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if got, want := aboutRun(p, last), "r: done, started 2026-01-02T03:04:05Z; 2 results below are not from that run, which had other settings"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	last.Entries = []engine.Entry{{Action: "same", Key: "1"}, {Action: "other", Key: "2"}}
	if got, want := aboutRun(p, last), "r: done, started 2026-01-02T03:04:05Z"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// The lines of a journal and a log are printed in chronological order; at the same time, those of the journal come
// first. An incomplete last line of a killed run is shown. Lines below the level or of other actions are not.
func TestPrintLogs(t *testing.T) {
	const journal = `{"time":"2026-01-02T00:00:01Z","run":"r","experiment":"x","actions":2}
{"time":"2026-01-02T00:00:02Z","action":"a","state":"running"}
{"time":"2026-01-02T00:00:03Z","action":"a","state":"running","attempt":2,"error":"a: again"}
{"time":"2026-01-02T00:00:05Z","action":"a","state":"done","seconds":1.25}
{"time":"2026-01-02T00:00:06Z","action":"b","state":"failed","error":"no memory"}
{"time":"2026-01-02T00:00:06Z","action":"c","state":"blocked","reason":"b failed"}
{"time":"2026-01-02T00:00:07Z","finished":"failed"}
`
	const log = `{"@level":"debug","@message":"early","@timestamp":"2026-01-02T00:00:01Z","action":"a"}
{"@level":"warn","@message":"hot","@timestamp":"2026-01-02T00:00:04.5Z","z":1,"action":"a","b":"x"}
{"@level":"odd","@message":"late","@timestamp":"2026-01-02T00:00:08Z"}
{"@level":"in`
	show := func(asJSON bool, action string, level hclog.Level) string {
		return printed(func(a *app) {
			a.asJSON = asJSON
			if err := a.printLogs(newLogLines(strings.NewReader(journal)), newLogLines(strings.NewReader(log)), action, level); err != nil {
				t.Error(err)
			}
		})
	}
	const day = "2026-01-02T00:00:0"
	of := []string{
		day + "1Z run       r of x: 2 actions\n", day + "1Z debug     early action=a\n", day + "3Z running   a: again\n", day + "4Z warn      hot action=a b=x z=1\n", day + "5Z done      a  1.2 s\n",
		day + "6Z failed    b: no memory\n", day + "6Z blocked   c  b failed\n", day + "7Z run       failed\n", day + "8Z odd       late\n", "incomplete line: {\"@level\":\"in\n",
	}
	if diff := cmp.Diff(strings.Join(of, ""), show(false, "", hclog.Debug)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(strings.ReplaceAll(strings.Join(of, ""), of[1], ""), show(false, "", hclog.Info)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(of[2]+of[3]+of[4], show(false, "a", hclog.Warn)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(of[2]+of[4], show(false, "a", hclog.Error)); diff != "" {
		t.Error(diff)
	}
	lines := strings.SplitAfter(show(true, "", hclog.Error), "\n")
	if len(lines) != 12 || !strings.HasPrefix(lines[1], `{"@level":"debug"`) || lines[10] != of[9] {
		t.Errorf("as JSON: %q", lines)
	}
}

// A long line of a log is an error and is not read into memory.
func TestLongLogLine(t *testing.T) {
	endless := newLogLines(endlessReader{})
	const want = "a line of the journal or the log: it is larger than 16 MiB; remove the directory of this run: this deletes its log, but no result"
	if err := endless.read(); err == nil || err.Error() != want {
		t.Errorf("got %v, want %q", err, want)
	}
}

type endlessReader struct{}

func (endlessReader) Read(p []byte) (int, error) { return len(p), nil }

func TestPrintDiff(t *testing.T) {
	x := &store.Record{Descriptor: []byte(`{"a":1,"b":2}`), Outputs: []store.File{{Name: "same", Digest: "1"}, {Name: "other", Digest: "2"}, {Name: "gone", Digest: "3"}}}
	y := &store.Record{Descriptor: []byte(`{"a":1,"b":3}`), Outputs: []store.File{{Name: "new", Digest: "4"}, {Name: "other", Digest: "5"}, {Name: "same", Digest: "1"}}}
	differ := func(x, y *store.Record) string {
		return printed(func(a *app) {
			if err := a.printDiff(x, y); err != nil {
				t.Error(err)
			}
		})
	}
	got := differ(x, y)
	if strings.Count(got, "output ") != 3 || strings.Count(got, "part ") != 1 || !strings.Contains(got, "output  other: 2 -> 5\n") || !strings.Contains(got, "part    b: 2 -> 3\n") {
		t.Errorf("%q", got)
	}
	if got := differ(x, x); got != "no difference\n" {
		t.Errorf("%q", got)
	}
}

func TestShares(t *testing.T) {
	for _, test := range []struct {
		n, of int64
		want  float64
		left  string
	}{{0, 0, 0, ""}, {0, 4, 0, ""}, {1, 4, 0.25, "30s left"}, {3, 4, 0.75, "3s left"}, {4, 4, 1, ""}, {5, 4, 1, ""}, {5, 0, 1, ""}} {
		if got := share(test.n, test.of); got != test.want {
			t.Errorf("%d of %d: %v, want %v", test.n, test.of, got, test.want)
		}
		if got := left(10*time.Second, test.n, test.of); got != test.left {
			t.Errorf("%d of %d: %q, want %q", test.n, test.of, got, test.left)
		}
	}
}

// The result of an action has its losses in bits per scored byte, if there are any.
func TestDescribe(t *testing.T) {
	a := &plan.Action{Status: plan.Status{Seconds: 1.25}}
	for _, test := range []struct {
		r    *runningAction
		want string
	}{
		{nil, "1.2 s"}, {&runningAction{}, "1.2 s"}, {&runningAction{sum: action.Progress{Documents: 1, Bytes: 30}}, "1 document, 30 B, 1.2 s"},
		{&runningAction{sum: action.Progress{Documents: 2, Bytes: 30, ScoredBytes: 10, Nats: 20 * math.Ln2}}, "2.0000 bpb, 2 documents, 30 B, 1.2 s"},
	} {
		if got := describe(a, test.r); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

// The line of an action shows its progress relative to the expected number of documents. The line of a run counts its
// actions.
func TestActionLine(t *testing.T) {
	state := func(s plan.State) plan.Status { return plan.Status{State: s} }
	p := &plan.Plan{Actions: []*plan.Action{{Status: state(plan.Pending)}, {Status: state(plan.Waits)}, {Status: state(plan.Cached)}, {Status: state(plan.Skipped)}}}
	var b bytes.Buffer
	d := newProgress(newOutput(&b, false), &b, p)
	d.Observe(engine.Event{Action: p.Actions[2], State: plan.Cached})
	d.Observe(engine.Event{Action: p.Actions[3], State: plan.Skipped})
	d.Observe(engine.Event{Action: p.Actions[0], State: plan.Failed, Err: errors.New("x")})
	if d.todo != 2 || d.ended != 1 {
		t.Errorf("%d of %d actions have ended, want 1 of 2", d.ended, d.todo)
	}
	d.Close()
	for _, test := range []struct {
		cost plan.Cost
		want string
	}{
		{plan.Cost{}, "a\\n  3 documents"}, {plan.Cost{Documents: 6, AtMost: true}, "a\\n  3 documents"}, {plan.Cost{Documents: 3}, "a\\n  [========================================]  3/3"},
	} {
		r := &runningAction{started: time.Now(), sum: action.Progress{Documents: 3}}
		if got := d.actionLine(&plan.Action{Name: "a\n", Cost: test.cost}, r, 80); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

func TestKindOf(t *testing.T) {
	for _, test := range []struct{ flag, program, want string }{
		{"", "/x/runner-provider-a", "provider"}, {"", "runner-backend-a", "backend"}, {"backend", "runner-provider-a", "backend"}, {"provider", "a", "provider"},
		{"model", "runner-provider-a", `invalid --kind "model": use provider or backend`}, {"", "a-runner-provider-b", "a-runner-provider-b is not named "}, {"", "runner-provider", "runner-provider is not named "},
	} {
		k, err := kindOf(test.flag, test.program)
		if string(k) != test.want && (err == nil || !strings.HasPrefix(err.Error(), test.want) || exitCode(err) != exitInvalid) {
			t.Errorf("%q, %q: %q, %v; want %q", test.flag, test.program, k, err, test.want)
		}
	}
	a := &app{dir: "x"}
	c, err := a.conformanceCase(protocol.KindProvider, `{"a":1}`, `{"b":2}`, []string{"f"})
	if err != nil || string(c.Source.Config) != `{"a":1}` || c.Large == nil || string(c.Large.Config) != `{"b":2}` || !strings.HasSuffix(c.Source.Dir, "/x") || c.Large.Dir != c.Source.Dir || c.Fields[0] != "f" {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := a.conformanceCase(protocol.KindBackend, `{"a":1}`, "", nil); err != nil || string(c.Model.Config) != `{"a":1}` || c.Source.Config != nil {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := a.conformanceCase(protocol.KindProvider, "{}", "{", nil); err == nil || err.Error() != "--large { is not valid JSON" {
		t.Errorf("%v", err)
	}
}

// Lines go above a display while there is one. If that fails, they go to the original destination.
func TestAbove(t *testing.T) {
	var b, display bytes.Buffer
	o := newOutput(&b, false)
	restore := o.above(&display)
	writef(o, "above\n")
	restore()
	writef(o, "after\n")
	restore = o.above(broken{})
	writef(o, "instead\n")
	restore()
	if err := o.Flush(); err != nil || display.String() != "above\n" || b.String() != "after\ninstead\n" {
		t.Errorf("the display got %q, the output %q, %v", display.String(), b.String(), err)
	}
}

// Each root cause is printed once, with the actions that it changes and the number of those that follow.
func TestCauses(t *testing.T) {
	of := func(name, path, before, after string) plan.Change {
		return plan.Change{What: "changed", Name: name, Fields: []plan.Field{{Path: path, Before: before, After: after}}}
	}
	changes := []plan.Change{
		of("train d10", "parameters.order", "2", "3"), of("train d2", "parameters.order", "2", "3"), of("score a", "inputs.model", "base value", "changed train d2"),
		of("gap g", "inputs.a", "base value", "changed score a"), {What: "added", Name: "x"}, {What: "dropped", Name: "y"},
		{What: "changed", Name: "score b", Fields: []plan.Field{{Path: "inputs.model", Before: "base value", After: "changed train d10"}, {Path: "parameters.context", Before: "1", After: "2"}}},
		{What: "changed", Name: "score c", Fields: []plan.Field{{Path: "inputs.model", Before: "base value", After: "changed train d10"}, {Path: "model.order", Before: "2", After: "3"}}},
	}
	want := `
against main: 1 added, 1 dropped, 6 changed
  cause: parameters.order: 2 -> 3
    changes train d2, train d10
    and in consequence 4 actions downstream
  cause: parameters.context: 1 -> 2
    changes score b
  added   x
  dropped y
`
	if diff := cmp.Diff(want, printed(func(a *app) { printChanges(a.stdout, "main", changes) })); diff != "" {
		t.Error(diff)
	}
}

// Sorting the halves of a plan separately gives the order of the whole plan.
func TestInOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 40 {
		var actions, want []*plan.Action
		for i := range n {
			want = append(want, &plan.Action{Kind: "score", Name: fmt.Sprintf("score m%d d", i)})
		}
		for _, i := range random.Perm(n) {
			actions = append(actions, want[i])
		}
		if got := inOrder(actions); !slices.Equal(got, want) {
			t.Errorf("%d actions: wrong order", n)
		}
	}
}
