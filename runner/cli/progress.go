package cli

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/engine"
	"surprisal.dev/runner/plan"
)

// progress shows a run on stderr: live bars on a terminal, a line for each finished action elsewhere.
type progress struct {
	out   io.Writer
	bars  *mpb.Progress
	total *mpb.Bar

	started time.Time
	// mu guards what follows. It is never held while a bar is touched: a bar asks for rates when it is drawn, and a call
	// to it may wait for the drawing.
	mu      sync.Mutex
	sum     action.Progress
	running map[*plan.Action]*runningAction
}

type runningAction struct {
	bar *mpb.Bar
	sum action.Progress
}

// newProgress shows the plan's actions that are not done yet.
func newProgress(out io.Writer, terminal bool, p *plan.Plan) *progress {
	d := &progress{out: out, started: time.Now(), running: map[*plan.Action]*runningAction{}}
	if !terminal {
		return d
	}
	var todo int64
	for _, a := range p.Actions {
		if a.State == plan.Pending || a.State == plan.Waits {
			todo++
		}
	}
	d.bars = mpb.New(mpb.WithOutput(out), mpb.WithWidth(40), mpb.WithRefreshRate(150*time.Millisecond), mpb.WithAutoRefresh())
	d.total = d.bars.AddBar(todo, mpb.BarPriority(math.MaxInt),
		mpb.PrependDecorators(decor.Name("actions "), decor.CountersNoUnit("%d/%d")),
		mpb.AppendDecorators(decor.AverageETA(decor.ET_STYLE_GO, decor.WCSyncSpaceR),
			decor.Any(func(decor.Statistics) string { return d.rates() })),
	)
	return d
}

// rates describes how fast the run goes and the loss so far.
func (d *progress) rates() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	seconds := time.Since(d.started).Seconds()
	s := fmt.Sprintf("%.0f documents/s  %.0f tokens/s", float64(d.sum.Documents)/seconds, float64(d.sum.Tokens)/seconds)
	if d.sum.ScoredBytes > 0 {
		s += fmt.Sprintf("  %.4f bpb so far", d.sum.Nats/math.Ln2/float64(d.sum.ScoredBytes))
	}
	return s
}

// Observe shows a change of state.
func (d *progress) Observe(e engine.Event) {
	a := e.Action
	if e.State == plan.Running {
		d.start(a)
		return
	}
	d.mu.Lock()
	r := d.running[a]
	delete(d.running, a)
	d.mu.Unlock()
	if r != nil && r.bar != nil {
		r.bar.Abort(true)
	}
	switch e.State {
	case plan.Cached, plan.Skipped:
		return
	case plan.Done:
		d.line("%-9s %s  %s", e.State, a.Name, describe(a, r))
	case plan.Failed:
		d.line("%-9s %s", e.State, failure(a.Name, e.Err.Error()))
	default:
		d.line("%-9s %s  %s", e.State, a.Name, a.Reason)
	}
	if d.total != nil {
		d.total.Increment()
	}
}

func (d *progress) start(a *plan.Action) {
	r := &runningAction{}
	if d.bars != nil {
		counters := decor.CountersNoUnit("%d/%d")
		if a.Cost.AtMost || a.Cost.Documents == 0 {
			counters = decor.CurrentNoUnit("%d documents")
		}
		r.bar = d.bars.AddBar(a.Cost.Documents,
			mpb.PrependDecorators(decor.Name(a.Name+" "), counters),
			mpb.AppendDecorators(decor.AverageETA(decor.ET_STYLE_GO)), mpb.BarRemoveOnComplete())
	}
	d.mu.Lock()
	d.running[a] = r
	d.mu.Unlock()
}

// line prints above the bars.
func (d *progress) line(format string, args ...any) {
	text := fmt.Sprintf(format, args...) + "\n"
	if d.bars != nil {
		// A write to a closed display falls through to the plain output below.
		if _, err := d.bars.Write([]byte(text)); err == nil {
			return
		}
	}
	fmt.Fprint(d.out, text)
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
	d.sum.Add(p)
	r := d.running[a]
	if r != nil {
		r.sum.Add(p)
	}
	d.mu.Unlock()
	if r != nil && r.bar != nil {
		r.bar.IncrBy(int(p.Documents))
	}
}

// Close takes the bars off the screen.
func (d *progress) Close() {
	if d.bars == nil {
		return
	}
	d.mu.Lock()
	running := slices.Collect(maps.Values(d.running))
	d.mu.Unlock()
	for _, r := range running {
		r.bar.Abort(true)
	}
	d.total.Abort(true)
	d.bars.Wait()
}
