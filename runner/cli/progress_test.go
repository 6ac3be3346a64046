package cli

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mattn/go-runewidth"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/engine"
	"surprisal.dev/runner/plan"
)

// A display that is drawn while actions start, advance and end must not hang or lose a line, and must leave the screen
// clean.
func TestProgressOnATerminal(t *testing.T) {
	var p plan.Plan
	for i := range 200 {
		p.Actions = append(p.Actions, &plan.Action{
			Index: i, Kind: "score", Name: fmt.Sprintf("score m d%d", i), Status: plan.Status{State: plan.Pending}, Cost: plan.Cost{Documents: 50},
		})
	}
	var b bytes.Buffer
	out := newOutput(&b, false)
	d := newProgress(out, &b, &p)
	var observing sync.Mutex
	observe := func(a *plan.Action, s plan.State) {
		observing.Lock()
		defer observing.Unlock()
		d.Observe(engine.Event{Time: time.Now(), Action: a, State: s})
	}
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for i := worker; i < len(p.Actions); i += 4 {
				a := p.Actions[i]
				observe(a, plan.Running)
				for range 50 {
					d.Advance(a, action.Progress{Documents: 1, Bytes: 10, Tokens: 10, Nats: 7, ScoredBytes: 10})
				}
				time.Sleep(5 * time.Millisecond)
				observe(a, plan.Done)
			}
		})
	}
	group.Wait()
	d.Close()
	if got := strings.Count(b.String(), "done      score m d"); got != len(p.Actions) {
		t.Errorf("got %d lines about finished actions, want %d", got, len(p.Actions))
	}
	if !strings.Contains(b.String(), "/200  [") {
		t.Error("there never is a bar of all actions")
	}
	for _, line := range screen(t, b.String()) {
		if !strings.HasPrefix(line, "done      score m d") {
			t.Errorf("at the end the screen shows %q", line)
		}
	}
}

// An action that waits for another process has a line, which its progress replaces.
func TestWaitingOnATerminal(t *testing.T) {
	a := &plan.Action{Kind: "score", Name: "score m d", Status: plan.Status{State: plan.Pending}}
	var b bytes.Buffer
	d := newProgress(newOutput(&b, false), &b, &plan.Plan{Actions: []*plan.Action{a}})
	d.Observe(engine.Event{Action: a, State: plan.Waiting, Waits: "process 7 (host)"})
	time.Sleep(400 * time.Millisecond) // the line is drawn after 150 ms
	d.Observe(engine.Event{Action: a, State: plan.Running})
	d.Observe(engine.Event{Action: a, State: plan.Done})
	d.Close()
	if !strings.Contains(b.String(), "score m d  waiting for another process  0s") {
		t.Errorf("no line says that the action waits:\n%q", b.String())
	}
	want := []string{"waiting   score m d  for process 7 (host), which executes it", "done      score m d  0.0 s"}
	if got := screen(t, b.String()); !slices.Equal(got, want) {
		t.Errorf("at the end the screen shows %q, want %q", got, want)
	}
}

var moves = regexp.MustCompile("\x1b\\[(\\d*)([AJ])")

// screen returns the lines that a terminal shows after output with the sequences cursor up (A) and erase below (J).
func screen(t *testing.T, output string) []string {
	var lines []string
	at := 0
	for at < len(output) {
		if m := moves.FindStringSubmatchIndex(output[at:]); m != nil && m[0] == 0 {
			move := output[at+m[2] : at+m[3]]
			if output[at+m[4]:at+m[5]] == "A" {
				up, err := strconv.Atoi(move)
				if err != nil || up > len(lines) {
					t.Fatalf("the cursor goes up by %q of %d lines", move, len(lines))
				}
				lines = lines[:len(lines)-up]
			}
			at += m[1]
			continue
		}
		line, _, _ := strings.Cut(output[at:], "\n")
		if i := strings.IndexByte(line, 0x1b); i >= 0 {
			t.Fatalf("a control character within the line %q", line)
		}
		lines = append(lines, line)
		at += len(line) + 1
	}
	return slices.DeleteFunc(lines, func(s string) bool { return s == "" })
}

// A line fits any width and keeps the most important facts.
func TestFit(t *testing.T) {
	facts := []string{"3/40", "1m0s left", "12 documents/s"}
	for _, test := range []struct {
		width int
		want  string
	}{
		{0, ""}, {1, "…"}, {4, "sco…"}, {9, "score m a"}, {14, "score m a"}, {15, "score m a  3/40"},
		{26, "score m a  3/40  1m0s left"}, {39, "score m a  3/40  1m0s left"}, {40, "score m a  [=====-----]  3/40  1m0s left"}, {42, "score m a  3/40  1m0s left  12 documents/s"},
		{56, "score m a  [=====-----]  3/40  1m0s left  12 documents/s"},
		{200, "score m a  [" + strings.Repeat("=", 20) + strings.Repeat("-", 20) + "]  3/40  1m0s left  12 documents/s"},
	} {
		if got := fit(test.width, "score m a", 0.5, facts...); got != test.want {
			t.Errorf("width %d: %q, want %q", test.width, got, test.want)
		}
	}
	for width := range 100 {
		if got := fit(width, "score 文字 文字", 1, facts...); runewidth.StringWidth(got) > width {
			t.Errorf("%q does not fit %d columns", got, width)
		}
	}
}

// The rates of a run are totals over all models. A mean of their losses would be meaningless and is not shown.
func TestTotalLine(t *testing.T) {
	d := newProgress(newOutput(&bytes.Buffer{}, false), nil, &plan.Plan{})
	d.todo, d.started = 4, time.Now().Add(-10*time.Second)
	d.Observe(engine.Event{Action: &plan.Action{Name: "a"}, State: plan.Done})
	d.Advance(nil, action.Progress{Documents: 100, Tokens: 1000, Nats: 7, ScoredBytes: 10})
	if got := d.totalLine(200); !regexp.MustCompile(`^actions 1/4  \[=+-+\]  \d+s left  \d+ documents/s  \d+ tokens/s$`).MatchString(got) {
		t.Errorf("%q", got)
	}
}

// Of many actions that could not start, a few are listed and the others counted. All failed actions are listed.
func TestProgressOfAStoppedRun(t *testing.T) {
	var b bytes.Buffer
	d := newProgress(newOutput(&b, false), nil, &plan.Plan{})
	want := ""
	for i := range 25 {
		a := &plan.Action{Name: fmt.Sprintf("score m d%d\n", i), Status: plan.Status{Reason: "train m failed"}}
		d.Observe(engine.Event{Action: a, State: plan.Failed, Err: errors.New("no\n::error::memory")})
		want += fmt.Sprintf("failed    score m d%d\n  : no\n  :\\:error::memory\n", i)
		d.Observe(engine.Event{Action: a, State: plan.Blocked})
		if i < 20 {
			want += fmt.Sprintf("blocked   score m d%d\\n  train m failed\n", i)
		}
		d.Observe(engine.Event{Action: &plan.Action{Name: fmt.Sprintf("gap %d", i)}, State: plan.Canceled})
		if i < 3 {
			want += fmt.Sprintf("canceled  gap %d\n", i)
		}
	}
	d.Close()
	if want += "blocked   and 5 actions more\ncanceled  and 22 actions more\n"; b.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", b.String(), want)
	}
}
