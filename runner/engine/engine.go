package engine

import (
	"container/heap"
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/executor"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/store"
)

// Observer receives the events of a run. Its methods are not called concurrently.
type Observer interface {
	Observe(Event)
	// Advance reports progress of a running action.
	Advance(a *plan.Action, p action.Progress)
}

// Event is a change of an action's state.
type Event struct {
	Time   time.Time
	Action *plan.Action
	State  plan.State
	// Err is the reason why an action failed or is retried.
	Err error
	// Waits is who executes an action in the state plan.Waiting.
	Waits string
	// Attempt counts from 1.
	Attempt int
}

// Reason returns why the action is in its state, or "" if that is clear or if Err is the reason.
func (e Event) Reason() string {
	if e.State == plan.Waiting {
		return fmt.Sprintf("for %s, which executes it", e.Waits)
	}
	return e.Action.Reason
}

// Options are the options of an engine.
type Options struct {
	Store    *store.Store
	Executor executor.Executor
	Observer Observer
	Log      hclog.Logger
	// Retries is the maximum number of retries of an action that failed for a reason other than its input.
	Retries int
}

// Engine runs plans.
type Engine struct {
	Options
	backoff time.Duration
}

// New returns an engine.
func New(o Options) *Engine { return &Engine{Options: o, backoff: time.Second} }

// lookAhead bounds the actions that are being looked up or wait to be submitted to the executor. It allows an engine to
// look up many actions concurrently.
const lookAhead = 64

// maxBackoff is the maximum delay before a retry.
const maxBackoff = time.Minute

// Run executes all actions of the plan that are not cached. Once stop is closed, no action starts, and running actions
// finish. An action that waits for another process has not started. An error means that the run could not continue.
// Failures of actions are only in their states.
func (e *Engine) Run(ctx context.Context, p *plan.Plan, stop <-chan struct{}) error {
	w := newWalk(e, p, stop)
	defer close(w.over)
	w.start(ctx)
	canceled := ctx.Done()
	// Running work also observes the context. Wait for it, so that nothing outlives the run.
	for w.looking+w.working+len(w.delayed) > 0 {
		select {
		case l := <-w.looked:
			w.lookedUp(ctx, l)
		case u := <-w.Executor.Updates():
			w.update(ctx, u)
		case a := <-w.again:
			w.tryAgain(ctx, a)
		case <-w.stopping:
			w.stopNow(ctx)
		case <-canceled:
			canceled = nil
			w.endDelays(ctx)
		}
		w.dispatch(ctx)
	}
	w.cancelRest()
	return w.unwritable
}

// walk is one pass over a plan.
type walk struct {
	*Engine
	plan       *plan.Plan
	dependents [][]*plan.Action
	missing    []int                   // number of inputs that are not final, by action
	users      map[string]int          // number of actions that still need a model, by its ID
	ready      queue                   // actions whose inputs all exist
	missed     queue                   // actions without a result in the store
	leaders    map[string]*leader      // leaders of the keys that are being computed
	ended      map[string]error        // results of the keys that were computed
	delayed    map[*leader]*time.Timer // leaders to be retried
	stopped    bool                    // no action may start
	stopping   <-chan struct{}         // nil once it was closed
	unwritable error                   // why the store cannot be written to
	looking    int
	working    int
	looked     chan lookedUp
	again      chan *leader
	over       chan struct{} // closed at the end of the walk
}

// leader is the action that computes a key. Followers have the same key.
type leader struct {
	action    *plan.Action
	followers []*plan.Action
	attempt   int
	// err is the error of the previous attempt.
	err error
}

type lookedUp struct {
	action *plan.Action
	record *store.Record
	hit    bool
	again  bool
	err    error
}

func newWalk(e *Engine, p *plan.Plan, stop <-chan struct{}) *walk {
	n := len(p.Actions)
	w := &walk{
		Engine: e, plan: p,
		dependents: make([][]*plan.Action, n), missing: make([]int, n), users: map[string]int{},
		leaders: map[string]*leader{}, ended: map[string]error{}, delayed: map[*leader]*time.Timer{},
		stopping: stop, looked: make(chan lookedUp), again: make(chan *leader), over: make(chan struct{}),
	}
	for _, a := range p.Actions {
		if a.Model != nil && !isFinal(a.State) {
			w.users[a.Model.ID]++
		}
		for _, in := range a.Inputs {
			if in.Upstream.State != plan.Cached {
				w.missing[a.Index]++
				w.dependents[in.Upstream.Index] = append(w.dependents[in.Upstream.Index], a)
			}
		}
	}
	return w
}

func isFinal(s plan.State) bool { return s == plan.Cached || s == plan.Skipped }

func (w *walk) start(ctx context.Context) {
	for _, a := range w.plan.Actions {
		switch {
		case isFinal(a.State):
			w.observe(a, a.State, nil, 0)
		case w.missing[a.Index] == 0:
			heap.Push(&w.ready, a)
		}
	}
	w.dispatch(ctx)
}

func (w *walk) observe(a *plan.Action, state plan.State, err error, attempt int) {
	w.Observer.Observe(Event{Time: time.Now(), Action: a, State: state, Err: err, Attempt: attempt})
}

// closed reports whether no action may start.
func (w *walk) closed(ctx context.Context) bool {
	if w.stopped || ctx.Err() != nil {
		return true
	}
	select {
	case <-w.stopping:
		w.stopNow(ctx)
		return true
	default:
		return false
	}
}

// stopNow prevents new actions from starting. The executor returns jobs that it has not started, and pending retries
// fail.
func (w *walk) stopNow(ctx context.Context) {
	w.stopped, w.stopping = true, nil
	w.Executor.Stop()
	w.endDelays(ctx)
}

func (w *walk) endDelays(ctx context.Context) {
	for l, timer := range w.delayed {
		timer.Stop()
		delete(w.delayed, l)
		w.conclude(ctx, l, executor.Update{Err: l.err})
	}
}

// dispatch submits missed actions to the executor, in groups that share a model, and looks up ready actions.
func (w *walk) dispatch(ctx context.Context) {
	for w.missed.Len() > 0 && w.working < w.Executor.Slots() && !w.closed(ctx) {
		group := []*plan.Action{heap.Pop(&w.missed).(*plan.Action)}
		if model := group[0].Model; model != nil {
			group = append(group, w.missed.take(w.Executor.Group()-1, func(a *plan.Action) bool {
				return a.Model != nil && a.Model.ID == model.ID
			})...)
		}
		w.submit(ctx, group)
	}
	for w.ready.Len() > 0 && w.looking+w.missed.Len() < lookAhead && !w.closed(ctx) {
		w.lookUp(ctx, heap.Pop(&w.ready).(*plan.Action), false)
	}
}

func (w *walk) submit(ctx context.Context, group []*plan.Action) {
	var jobs []plan.Job
	for _, a := range group {
		job, err := a.Job()
		if err != nil {
			w.conclude(ctx, w.leaders[a.Key], executor.Update{Err: err})
			continue
		}
		w.leaders[a.Key].attempt++
		jobs = append(jobs, job)
	}
	w.working += len(jobs)
	if len(jobs) > 0 {
		w.Executor.Submit(ctx, jobs)
	}
}

func (w *walk) lookUp(ctx context.Context, a *plan.Action, again bool) {
	w.looking++
	go func() {
		l := lookedUp{action: a, again: again}
		_, l.err = a.SetKey()
		if l.err == nil {
			l.record, l.hit, l.err = w.Store.Lookup(ctx, a.Key)
		}
		w.looked <- l
	}()
}

func (w *walk) lookedUp(ctx context.Context, l lookedUp) {
	w.looking--
	a := l.action
	at := w.leaders[a.Key]
	end, ended := w.ended[a.Key]
	switch {
	case l.err != nil:
		w.settle(ctx, a, nil, l.err)
	case l.hit:
		a.Found(l.record)
		w.settle(ctx, a, nil, nil)
	case at != nil:
		at.followers = append(at.followers, a)
	case end != nil:
		w.settle(ctx, a, nil, end)
	case ended && !l.again:
		// Another action computed the key during this lookup.
		w.lookUp(ctx, a, true)
	default:
		w.leaders[a.Key] = &leader{action: a}
		heap.Push(&w.missed, a)
	}
}

func (w *walk) update(ctx context.Context, u executor.Update) {
	l := w.leaders[u.Key]
	if l == nil {
		w.Log.Warn("update of an unknown job", "key", u.Key)
		return
	}
	if u.Waits != "" {
		w.Observer.Observe(Event{Time: time.Now(), Action: l.action, State: plan.Waiting, Waits: u.Waits, Attempt: l.attempt})
	}
	if u.Started {
		w.observe(l.action, plan.Running, l.err, l.attempt)
	}
	if u.Progress != (action.Progress{}) {
		w.Observer.Advance(l.action, u.Progress)
	}
	if !u.Ended {
		return
	}
	w.working--
	if executor.IsStopped(u.Err) && l.err != nil {
		u.Err = l.err
	}
	if u.Err == nil || !w.retries(ctx, l, u.Err) {
		w.conclude(ctx, l, u)
		return
	}
	w.Log.Warn("retrying", "action", l.action.Name, "attempt", l.attempt, "error", u.Err)
	l.err = u.Err
	wait := maxBackoff
	if shift := l.attempt - 1; shift < 16 {
		wait = min(wait, w.backoff<<shift)
	}
	w.delayed[l] = time.AfterFunc(wait, func() {
		select {
		case w.again <- l:
		case <-w.over:
		}
	})
}

// retries reports whether a failed action is retried. It is not if its input is at fault or if no action may start.
func (w *walk) retries(ctx context.Context, l *leader, err error) bool {
	return l.attempt <= w.Retries && protocol.KindOf(err) == "" && !w.closed(ctx) && w.Store.Unwritable(err) == nil
}

func (w *walk) tryAgain(ctx context.Context, l *leader) {
	if _, waiting := w.delayed[l]; !waiting {
		return
	}
	delete(w.delayed, l)
	w.submit(ctx, []*plan.Action{l.action})
}

// conclude ends the work on a key.
func (w *walk) conclude(ctx context.Context, l *leader, u executor.Update) {
	key := l.action.Key
	delete(w.leaders, key)
	w.ended[key] = u.Err
	// The results of all remaining actions would be lost.
	if err := w.Store.Unwritable(u.Err); err != nil && w.unwritable == nil {
		w.unwritable = err
		w.stopNow(ctx)
	}
	if u.Err != nil || u.Found {
		if u.Err == nil {
			l.action.Found(u.Record)
		}
		w.settle(ctx, l.action, nil, u.Err)
	} else {
		w.settle(ctx, l.action, u.Record, nil)
	}
	for _, a := range l.followers {
		if u.Err == nil {
			a.Found(u.Record)
		}
		w.settle(ctx, a, nil, u.Err)
	}
}

// settle ends an action: with a new record, with an error, or with a cached record.
func (w *walk) settle(ctx context.Context, a *plan.Action, made *store.Record, err error) {
	if made != nil {
		a.Finished(made)
	}
	if err == nil {
		err = a.Unexpected()
	}
	switch {
	case executor.IsStopped(err) || err != nil && ctx.Err() != nil:
		a.State = plan.Canceled
	case err != nil:
		a.State = plan.Failed
	}
	w.observe(a, a.State, err, 0)
	w.retire(a)
	for _, d := range w.dependents[a.Index] {
		w.missing[d.Index]--
		if err != nil {
			w.block(d, a)
			continue
		}
		if w.missing[d.Index] == 0 && d.State != plan.Blocked && d.State != plan.Canceled {
			heap.Push(&w.ready, d)
		}
	}
}

func (w *walk) block(a, by *plan.Action) {
	if a.State == plan.Blocked || a.State == plan.Canceled {
		return
	}
	a.State, a.Reason = plan.Blocked, fmt.Sprintf("%s %s", by.Name, by.State)
	if by.State == plan.Canceled {
		a.State = plan.Canceled
	}
	w.observe(a, a.State, nil, 0)
	w.retire(a)
	for _, d := range w.dependents[a.Index] {
		w.block(d, a)
	}
}

// retire notifies the executor when the last action that uses a model has ended.
func (w *walk) retire(a *plan.Action) {
	if a.Model == nil {
		return
	}
	if w.users[a.Model.ID]--; w.users[a.Model.ID] == 0 {
		w.Executor.Retire(a.Model.ID)
	}
}

func (w *walk) cancelRest() {
	for _, a := range w.plan.Actions {
		if a.State == plan.Pending || a.State == plan.Waits {
			a.State = plan.Canceled
			w.observe(a, a.State, nil, 0)
		}
	}
}
