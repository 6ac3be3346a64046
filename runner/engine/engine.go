package engine

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/executor"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/store"
)

// Worker does the work of a kind of action.
type Worker interface {
	Work(ctx context.Context, t *action.Task) (action.Result, error)
}

// Executor runs work when there is room for it.
type Executor interface {
	// Slots returns the most actions that can run at the same time.
	Slots() int
	Run(ctx context.Context, takes executor.Resources, work func(context.Context) error) error
}

// Observer is told what happens, from one goroutine at a time except for Advance.
type Observer interface {
	Observe(Event)
	// Advance tells progress of a running action.
	Advance(a *plan.Action, p action.Progress)
}

// Event is a change of an action's state.
type Event struct {
	Time   time.Time
	Action *plan.Action
	State  plan.State
	// Err says why an action failed or is tried again.
	Err error
	// Attempt counts from 1.
	Attempt int
}

// Options are what an Engine works with.
type Options struct {
	Store    *store.Store
	Executor Executor
	Workers  map[plan.Kind]Worker
	Observer Observer
	Log      hclog.Logger
	// CacheDir holds blobs of a remote store on this machine.
	CacheDir string
	// Retries is how often an action that failed for a reason other than its input is tried again.
	Retries int
}

// Engine runs plans.
type Engine struct {
	Options
	backoff time.Duration
}

// New returns an engine.
func New(o Options) *Engine { return &Engine{Options: o, backoff: time.Second} }

// lookAhead bounds how many actions are looked up, or wait for a slot after that.
const lookAhead = 64

var errStopped = errors.New("stopped before it started")

// Run does every action of a resolved plan that is neither cached nor skipped. When stop is closed it starts nothing new
// and waits for what is in flight; when ctx is done it ends that, too. Actions that did not get their turn are
// Cancelled. A store that cannot be written to stops it, too, and is the error that Run returns; what became of each action
// is in its State.
func (e *Engine) Run(ctx context.Context, p *plan.Plan, stop <-chan struct{}) error {
	w := newWalk(e, p, stop)
	w.start(ctx)
	// Work in flight sees the context, too; it is waited for, so that nothing outlives the run.
	for w.looking+w.working > 0 {
		select {
		case l := <-w.looked:
			w.lookedUp(ctx, l)
		case f := <-w.worked:
			w.finished(ctx, f)
		}
		w.dispatch(ctx)
	}
	w.cancelRest()
	return w.unwritable
}

// walk is the state of one Run. It belongs to the goroutine of Run.
type walk struct {
	*Engine
	plan       *plan.Plan
	dependents [][]*plan.Action
	missing    []int                     // inputs that are not final, by action
	ready      queue                     // all inputs are there
	missed     queue                     // the store has no result
	parts      map[*plan.Action][]byte   // of the keys of missed actions
	leaders    map[string][]*plan.Action // followers of the action at work on a key
	ended      map[string]error          // what became of the keys that were worked on
	looking    int
	working    int
	stop       <-chan struct{}
	unwritable error         // why the store takes nothing more
	full       chan struct{} // closed when it does not
	observing  sync.Mutex
	looked     chan lookedUp
	worked     chan finished
}

type lookedUp struct {
	action *plan.Action
	parts  []byte
	record *store.Record
	hit    bool
	again  bool
	err    error
}

type finished struct {
	action *plan.Action
	record *store.Record
	err    error
}

func newWalk(e *Engine, p *plan.Plan, stop <-chan struct{}) *walk {
	n := len(p.Actions)
	w := &walk{
		Engine: e, plan: p,
		dependents: make([][]*plan.Action, n), missing: make([]int, n),
		leaders: map[string][]*plan.Action{}, ended: map[string]error{}, parts: map[*plan.Action][]byte{},
		stop: stop, full: make(chan struct{}),
		looked: make(chan lookedUp), worked: make(chan finished),
	}
	for _, a := range p.Actions {
		for _, in := range a.Inputs {
			if in.Upstream.State != plan.Cached {
				w.missing[a.Index]++
				w.dependents[in.Upstream.Index] = append(w.dependents[in.Upstream.Index], a)
			}
		}
	}
	return w
}

func (w *walk) start(ctx context.Context) {
	for _, a := range w.plan.Actions {
		switch a.State {
		case plan.Cached, plan.Skipped:
			w.observe(a, a.State, nil, 0)
		default:
			if w.missing[a.Index] == 0 {
				heap.Push(&w.ready, a)
			}
		}
	}
	w.dispatch(ctx)
}

// stopped reports whether nothing new may start.
func (w *walk) stopped(ctx context.Context) bool {
	select {
	case <-w.stop:
		return true
	case <-w.full:
		return true
	case <-ctx.Done():
		return true
	default:
		return false
	}
}

func (w *walk) observe(a *plan.Action, state plan.State, err error, attempt int) {
	w.observing.Lock()
	defer w.observing.Unlock()
	w.Observer.Observe(Event{Time: time.Now(), Action: a, State: state, Err: err, Attempt: attempt})
}

// dispatch starts what there is a slot for and looks up what is ready, the earliest of the plan first, so that all datasets
// of a model come together and it is loaded once.
func (w *walk) dispatch(ctx context.Context) {
	for w.missed.Len() > 0 && w.working < max(w.Executor.Slots(), 1) && !w.stopped(ctx) {
		a := heap.Pop(&w.missed).(*plan.Action)
		parts := w.parts[a]
		delete(w.parts, a)
		w.working++
		go func() {
			record, err := w.work(ctx, a, parts)
			w.worked <- finished{a, record, err}
		}()
	}
	for w.ready.Len() > 0 && w.looking+w.missed.Len() < lookAhead && !w.stopped(ctx) {
		w.lookUp(ctx, heap.Pop(&w.ready).(*plan.Action), false)
	}
}

func (w *walk) lookUp(ctx context.Context, a *plan.Action, again bool) {
	w.looking++
	go func() {
		l := lookedUp{action: a, again: again}
		l.parts, l.err = a.SetKey()
		if l.err == nil {
			l.record, l.hit, l.err = w.Store.Lookup(ctx, a.Key)
		}
		w.looked <- l
	}()
}

func (w *walk) lookedUp(ctx context.Context, l lookedUp) {
	w.looking--
	a := l.action
	followers, leading := w.leaders[a.Key]
	end, ended := w.ended[a.Key]
	switch {
	case l.err != nil:
		w.settle(ctx, a, nil, l.err)
	case l.hit:
		a.Found(l.record)
		w.settle(ctx, a, nil, nil)
	case leading:
		w.leaders[a.Key] = append(followers, a)
	case end != nil:
		w.settle(ctx, a, nil, end)
	case ended && !l.again:
		// Another action made it while this one was looked up.
		w.lookUp(ctx, a, true)
	default:
		w.leaders[a.Key] = nil
		w.parts[a] = l.parts
		heap.Push(&w.missed, a)
	}
}

func (w *walk) finished(ctx context.Context, f finished) {
	w.working--
	followers := w.leaders[f.action.Key]
	delete(w.leaders, f.action.Key)
	w.ended[f.action.Key] = f.err
	// All that is left would be computed in vain.
	if err := w.Store.Unwritable(f.err); err != nil && w.unwritable == nil {
		w.unwritable = err
		close(w.full)
	}
	for i, a := range append([]*plan.Action{f.action}, followers...) {
		switch {
		case f.err != nil:
			w.settle(ctx, a, nil, f.err)
		case i == 0:
			w.settle(ctx, a, f.record, nil)
		default:
			a.Found(f.record)
			w.settle(ctx, a, nil, nil)
		}
	}
}

// settle makes an action's state final and readies or blocks what depends on it.
func (w *walk) settle(ctx context.Context, a *plan.Action, made *store.Record, err error) {
	switch {
	case errors.Is(err, errStopped) || err != nil && ctx.Err() != nil:
		a.State = plan.Cancelled
	case err != nil:
		a.State = plan.Failed
	case made != nil:
		a.Finished(made)
	}
	w.observe(a, a.State, err, 0)
	for _, d := range w.dependents[a.Index] {
		w.missing[d.Index]--
		if err != nil {
			w.block(d, a)
			continue
		}
		if w.missing[d.Index] == 0 && d.State != plan.Blocked && d.State != plan.Cancelled {
			heap.Push(&w.ready, d)
		}
	}
}

func (w *walk) block(a, by *plan.Action) {
	if a.State == plan.Blocked || a.State == plan.Cancelled {
		return
	}
	a.State, a.Reason = plan.Blocked, fmt.Sprintf("%s %s", by.Name, by.State)
	if by.State == plan.Cancelled {
		a.State = plan.Cancelled
	}
	w.observe(a, a.State, nil, 0)
	for _, d := range w.dependents[a.Index] {
		w.block(d, a)
	}
}

func (w *walk) cancelRest() {
	for _, a := range w.plan.Actions {
		if a.State == plan.Pending || a.State == plan.Waits {
			a.State = plan.Cancelled
			w.observe(a, a.State, nil, 0)
		}
	}
}

// work does an action, as often as Retries allows, and publishes what it made.
func (w *walk) work(ctx context.Context, a *plan.Action, parts []byte) (record *store.Record, err error) {
	for attempt := 1; ; attempt++ {
		before := err
		err = w.Executor.Run(ctx, takes(a), func(ctx context.Context) (err error) {
			if w.stopped(ctx) {
				return cmp.Or(before, errStopped)
			}
			w.observe(a, plan.Running, before, attempt)
			record, err = w.attempt(ctx, a, parts)
			return err
		})
		if err == nil || attempt > w.Retries || w.stopped(ctx) || protocol.KindOf(err) != "" || w.Store.Unwritable(err) != nil {
			return record, err
		}
		w.Log.Warn("trying again", "action", a.Name, "attempt", attempt, "error", err)
		select {
		case <-time.After(w.backoff << (attempt - 1)):
		case <-w.stop:
			return nil, err
		case <-ctx.Done():
			return nil, err
		}
	}
}

func takes(a *plan.Action) executor.Resources {
	return executor.Resources{Cores: 1, Memory: a.Cost.Memory}
}

func (w *walk) attempt(ctx context.Context, a *plan.Action, parts []byte) (record *store.Record, err error) {
	worker := w.Workers[a.Kind]
	if worker == nil {
		return nil, fmt.Errorf("%s: nothing does actions of kind %s", a.Name, a.Kind)
	}
	dir, err := w.Store.Scratch(w.CacheDir)
	if err != nil {
		return nil, err
	}
	defer func() { err = cmp.Or(err, os.RemoveAll(dir)) }()
	log := w.Log.With("action", a.Name)
	if a.Model != nil {
		log = log.With("model", a.Model.Name)
	}
	task := &action.Task{
		Action: a, Dir: dir,
		Log: log,
		Blob: func(ctx context.Context, digest string) (string, error) {
			return w.Store.LocalPath(ctx, digest, w.CacheDir)
		},
		Advance: func(p action.Progress) { w.Observer.Advance(a, p) },
	}
	started := time.Now()
	// A plugin's lines say for which action it works.
	result, err := worker.Work(hclog.WithContext(ctx, log), task)
	if err != nil {
		return nil, err
	}
	record = &store.Record{
		Key: a.Key, Descriptor: parts, Name: a.Name,
		Warnings: result.Warnings, Measured: result.Measured, Started: started.UTC(),
	}
	for _, name := range result.Files {
		f := store.File{Name: name}
		if f.Digest, f.Bytes, err = w.Store.PutFile(ctx, task.Path(name)); err != nil {
			return nil, fmt.Errorf("%s: publish %s: %w", a.Name, name, err)
		}
		record.Outputs = append(record.Outputs, f)
	}
	record.Finished = time.Now().UTC()
	if record.Measured == nil {
		record.Measured = map[string]float64{}
	}
	record.Measured[plan.MeasuredSeconds] = record.Finished.Sub(started).Seconds()
	stored, err := w.Store.PutRecord(ctx, record)
	if err != nil {
		return nil, fmt.Errorf("%s: publish the record: %w", a.Name, err)
	}
	if files := stored.Differs(record); len(files) > 0 {
		log.Warn("the store held another result of this action, which stays", "key", a.Key, "files", files)
	}
	return stored, nil
}
