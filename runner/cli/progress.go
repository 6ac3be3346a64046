package cli

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-runewidth"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/engine"
	"surprisal.dev/runner/plan"
)

// progress shows a run on stderr: live progress bars on a terminal, one line per finished action elsewhere.
type progress struct {
	out     *output
	restore func() // restores out at the end of the display
	bars    *mpb.Progress
	total   *mpb.Bar

	started time.Time
	todo    int64
	// mu guards the fields below. It is never held during a call to a bar: a bar calls back for its line when it is
	// drawn, and the call may wait for that.
	mu        sync.Mutex
	ended     int64
	sum       action.Progress
	running   map[*plan.Action]*runningAction
	unstarted map[plan.State]int // actions that could not start, by state
}

type runningAction struct {
	bar     *mpb.Bar
	started time.Time
	sum     action.Progress
}

// maxListed limits how many actions that could not start are listed, by state. The others are counted.
var maxListed = map[plan.State]int{plan.Blocked: 20, plan.Canceled: 3}

// newProgress shows the plan's actions that are not done yet. It draws bars if screen, the terminal that out writes to,
// is not nil.
func newProgress(out *output, screen io.Writer, p *plan.Plan) *progress {
	d := &progress{
		out: out, restore: func() {}, started: time.Now(),
		running: map[*plan.Action]*runningAction{}, unstarted: map[plan.State]int{},
	}
	if screen == nil {
		return d
	}
	for _, a := range p.Actions {
		if a.State == plan.Pending || a.State == plan.Waits {
			d.todo++
		}
	}
	d.bars = mpb.New(mpb.WithOutput(screen), mpb.WithRefreshRate(150*time.Millisecond), mpb.WithAutoRefresh())
	d.total = d.bar(math.MaxInt, d.totalLine)
	d.restore = out.above(d.bars)
	return d
}

// bar adds a bar, which is drawn as a line of at most a width. It ends when it is aborted.
func (d *progress) bar(priority int, line func(width int) string) *mpb.Bar {
	fill := mpb.BarFillerFunc(func(w io.Writer, s decor.Statistics) error {
		_, err := io.WriteString(w, line(s.AvailableWidth))
		return err
	})
	return d.bars.MustAdd(0, fill, mpb.BarFillerTrim(), mpb.BarPriority(priority))
}

// totalLine returns the progress and speed of the run.
func (d *progress) totalLine(width int) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	elapsed := time.Since(d.started)
	perSecond := func(n int64) float64 { return float64(n) / elapsed.Seconds() }
	return fit(width, fmt.Sprintf("actions %d/%d", d.ended, d.todo), share(d.ended, d.todo), left(elapsed, d.ended, d.todo),
		fmt.Sprintf("%.0f documents/s", perSecond(d.sum.Documents)), fmt.Sprintf("%.0f tokens/s", perSecond(d.sum.Tokens)))
}

// actionLine returns the progress of an action.
func (d *progress) actionLine(a *plan.Action, r *runningAction, width int) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	name, n, of := protocol.Visible(a.Name), r.sum.Documents, a.Cost.Documents
	if a.Cost.AtMost || of == 0 {
		return fit(width, name, -1, count(n, "document"))
	}
	return fit(width, name, share(n, of), fmt.Sprintf("%d/%d", n, of), left(time.Since(r.started), n, of))
}

// waitingLine returns the line of an action that waits for another process.
func (d *progress) waitingLine(a *plan.Action, r *runningAction, width int) string {
	return fit(width, protocol.Visible(a.Name), -1, "waiting for another process", time.Since(r.started).Round(time.Second).String())
}

func share(n, of int64) float64 { return min(float64(n)/float64(max(of, 1)), 1) }

// left returns the estimated remaining time, or "" if it is unknown.
func left(elapsed time.Duration, n, of int64) string {
	if n == 0 || n >= of {
		return ""
	}
	return (time.Duration(float64(elapsed) / float64(n) * float64(of-n))).Round(time.Second).String() + " left"
}

// fit returns a line of at most width columns: a name, a bar that shows a share, and as many of the facts as fit. The
// bar is omitted if the share is negative or if it does not fit.
func fit(width int, name string, share float64, facts ...string) string {
	const leastBar, mostBar = 10, 40
	if width < 1 {
		return ""
	}
	name = runewidth.Truncate(name, width, "…")
	room := width - runewidth.StringWidth(name)
	tail := ""
	for _, fact := range facts {
		if n := runewidth.StringWidth(fact) + 2; fact != "" && n <= room {
			tail += "  " + fact
			room -= n
		}
	}
	bar := ""
	if inner := min(room-4, mostBar); share >= 0 && inner >= leastBar {
		done := int(share * float64(inner))
		bar = "  [" + strings.Repeat("=", done) + strings.Repeat("-", inner-done) + "]"
	}
	return name + bar + tail
}

// Observe shows a change of state.
func (d *progress) Observe(e engine.Event) {
	a := e.Action
	switch e.State {
	case plan.Running:
		d.start(a, d.actionLine)
		return
	case plan.Waiting:
		d.start(a, d.waitingLine)
		writef(d.out, "%s %s  %s\n", state(e.State), a.Name, e.Reason())
		return
	}
	d.mu.Lock()
	r := d.running[a]
	delete(d.running, a)
	if e.State != plan.Cached && e.State != plan.Skipped {
		d.ended++
	}
	d.mu.Unlock()
	if r != nil && r.bar != nil {
		r.bar.Abort(true)
	}
	switch e.State {
	case plan.Cached, plan.Skipped:
	case plan.Done:
		writef(d.out, "%s %s  %s\n", state(e.State), a.Name, describe(a, r))
	case plan.Failed:
		writef(d.out, "%s %s\n", state(e.State), block(failure(a.Name, e.Err.Error())))
	default:
		d.mu.Lock()
		d.unstarted[e.State]++
		listed := d.unstarted[e.State] <= maxListed[e.State]
		d.mu.Unlock()
		if listed {
			writef(d.out, "%s %s\n", state(e.State), strings.TrimSpace(a.Name+"  "+a.Reason))
		}
	}
}

// state returns the state of an action, padded and colored for the beginning of a line.
func state(s plan.State) painted {
	colors := map[plan.State]color{plan.Done: green, plan.Failed: red, plan.Blocked: yellow, plan.Canceled: yellow}
	return painted{colors[s], fmt.Sprintf("%-9s", s)}
}

// start begins to show an action, on a terminal as a line that changes.
func (d *progress) start(a *plan.Action, line func(a *plan.Action, r *runningAction, width int) string) {
	r := &runningAction{started: time.Now()}
	if d.bars != nil {
		r.bar = d.bar(a.Index, func(width int) string { return line(a, r, width) })
	}
	d.mu.Lock()
	before := d.running[a]
	d.running[a] = r
	d.mu.Unlock()
	// The action waited, or this is another attempt, which starts from zero.
	if before != nil && before.bar != nil {
		before.bar.Abort(true)
	}
}

func describe(a *plan.Action, r *runningAction) string {
	s := fmt.Sprintf("%.1f s", a.Seconds)
	if r == nil {
		return s
	}
	if p := r.sum; p.Documents > 0 {
		s = fmt.Sprintf("%s, %s, %s", count(p.Documents, "document"), size(p.Bytes), s)
		if p.ScoredBytes > 0 {
			s = fmt.Sprintf("%.4f bpb, %s", p.Nats/math.Ln2/float64(p.ScoredBytes), s)
		}
	}
	return s
}

// Advance adds to the figures of a running action.
func (d *progress) Advance(a *plan.Action, p action.Progress) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sum.Add(p)
	if r := d.running[a]; r != nil {
		r.sum.Add(p)
	}
}

// Close removes the bars and prints the number of actions that were not listed.
func (d *progress) Close() {
	if d.bars != nil {
		d.mu.Lock()
		running := slices.Collect(maps.Values(d.running))
		d.mu.Unlock()
		for _, r := range running {
			r.bar.Abort(true)
		}
		d.total.Abort(true)
		d.bars.Wait()
	}
	d.restore()
	for _, s := range []plan.State{plan.Blocked, plan.Canceled} {
		if n := d.unstarted[s] - maxListed[s]; n > 0 {
			writef(d.out, "%s and %s more\n", state(s), count(n, "action"))
		}
	}
}
