package workspace

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"

	"surprisal.dev/plugins/host"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/engine"
	"surprisal.dev/runner/executor"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/store"
)

// States of a run.
const (
	StateRunning  = "running"
	StateDone     = "done"
	StateFailed   = "failed"
	StateCanceled = "canceled"
)

// RunOptions are the options of a run.
type RunOptions struct {
	Cores int64
	// Memory is the total memory limit of running actions in bytes; 0 means the memory of the machine.
	Memory  int64
	Devices int64
	Retries int
	// Processes executes actions in separate processes, one per group of actions that share a model.
	Processes bool
	// Stop, once closed, prevents actions from starting.
	Stop <-chan struct{}
	// Observer returns the observer of the run. It is called when the states of the plan are known.
	Observer func(*plan.Plan) engine.Observer
}

// Outcome is the outcome of a run.
type Outcome struct {
	ID, State string
	Counts    map[plan.State]int
	// Failures are in the order of the plan.
	Failures  []Failure
	Warnings  []string
	Published []Published
	// Unrecorded is the reason why a run with nothing to do was not recorded in the store.
	Unrecorded error
}

// Failure is an action that failed.
type Failure struct {
	Action string
	Err    error
}

// Run executes the remaining actions of a plan.
func (w *Workspace) Run(ctx context.Context, p *plan.Plan, o RunOptions) (outcome Outcome, err error) {
	outcome = Outcome{ID: newRunID(), Counts: map[plan.State]int{}}
	manifest := store.Run{ID: outcome.ID, Experiment: p.Experiment, Started: time.Now().UTC(), State: StateRunning}
	if err := w.foreignState(); err != nil {
		return outcome, err
	}
	if err := w.Store.Begin(ctx, manifest); err != nil {
		return w.withoutLease(ctx, p, outcome, err)
	}
	defer func() { err = errors.Join(err, w.Store.Release(context.WithoutCancel(ctx))) }()
	w.lookupDir = w.cacheDir()
	if err := w.Resolve(ctx, p); err != nil {
		return outcome, err
	}
	if err := w.Available(ctx, p); err != nil {
		return outcome, err
	}
	if err := w.Fetch(ctx, p); err != nil {
		return outcome, err
	}
	recorder, err := w.record(outcome.ID, p)
	if err != nil {
		return outcome, err
	}
	defer func() { err = errors.Join(err, recorder.close(outcome.State)) }()
	recorder.next = o.Observer(p)
	w.saveDigests(ctx)

	// After cancellation, do not wait for a plugin that may never answer. Close returns the error.
	defer context.AfterFunc(ctx, func() { _ = w.stopPlugins() })()
	pool := host.NewPool()
	x := w.executor(o, outcome.ID, pool)
	e := engine.New(engine.Options{Store: w.Store, Executor: x, Observer: recorder, Log: w.log, Retries: o.Retries})
	runErr := e.Run(ctx, p, o.Stop)
	outcome.conclude(p, recorder.failures)
	if runErr != nil {
		outcome.State = StateFailed
	}
	manifest.State, manifest.Finished, manifest.Actions = outcome.State, time.Now().UTC(), actionsOf(p)
	background := context.WithoutCancel(ctx)
	if err := errors.Join(runErr, x.Close(), pool.Close(), w.Store.PutRun(background, manifest)); err != nil {
		return outcome, err
	}
	outcome.Published, err = w.publish(background, p)
	return outcome, err
}

// withoutLease ends a run that the store did not record. That is an error unless everything is cached.
func (w *Workspace) withoutLease(ctx context.Context, p *plan.Plan, outcome Outcome, cause error) (Outcome, error) {
	if err := w.Resolve(ctx, p); err != nil {
		return outcome, errors.Join(cause, err)
	}
	if p.Count(plan.Cached)+p.Count(plan.Skipped) < len(p.Actions) {
		return outcome, cause
	}
	outcome.conclude(p, nil)
	outcome.Unrecorded = cause
	return outcome, nil
}

func (o *Outcome) conclude(p *plan.Plan, failures []Failure) {
	place := map[string]int{}
	for i, a := range p.Actions {
		place[a.Name] = i
	}
	slices.SortStableFunc(failures, func(x, y Failure) int { return cmp.Compare(place[x.Action], place[y.Action]) })
	o.Failures = failures
	for _, a := range p.Actions {
		o.Counts[a.State]++
		o.Warnings = append(o.Warnings, Warnings(a)...)
	}
	switch {
	case o.Counts[plan.Canceled] > 0:
		o.State = StateCanceled
	case len(failures) > 0:
		o.State = StateFailed
	default:
		o.State = StateDone
	}
}

// Warnings returns the warnings of an action, with its name.
func Warnings(a *plan.Action) []string {
	var all []string
	for _, warning := range a.Warnings {
		all = append(all, a.Name+": "+warning)
	}
	return all
}

func actionsOf(p *plan.Plan) []store.RunAction {
	actions := make([]store.RunAction, len(p.Actions))
	for i, a := range p.Actions {
		actions[i] = store.RunAction{Name: a.Name, Key: a.Key, State: string(a.State)}
		if a.State != plan.Cached && a.State != plan.Done {
			actions[i].Key = ""
		}
	}
	return actions
}

func newRunID() string {
	var random [4]byte
	// Read never returns an error; see crypto/rand.
	rand.Read(random[:])
	return time.Now().UTC().Format("20060102-150405.000-") + hex.EncodeToString(random[:])
}

// executor returns the executor of a run.
func (w *Workspace) executor(o RunOptions, run string, pool *host.Pool) executor.Executor {
	budget := executor.NewBudget(machine(o), pool, func(model string, err error) {
		w.log.Warn("cannot close a model", "model", model, "error", err)
	})
	if o.Processes {
		return executor.NewProcesses(budget, w.process(run), w.Store, w.log)
	}
	return executor.NewLocal(budget, w.worker(pool))
}

// worker returns a worker that executes jobs in this process.
func (w *Workspace) worker(pool *host.Pool) *executor.Worker {
	return executor.NewWorker(executor.WorkerOptions{
		Store: w.Store, Kinds: w.kinds, Host: w.host, Pool: pool, Log: w.log, CacheDir: w.cacheDir(),
	})
}

func (w *Workspace) cacheDir() string { return filepath.Join(w.state, cacheName) }

// machine returns the resources of this machine that actions may use.
func machine(o RunOptions) plan.Resources {
	memory := o.Memory
	if memory == 0 {
		memory = physicalMemory()
	}
	return plan.Resources{Cores: o.Cores, Memory: memory, Devices: o.Devices}
}

// recorder writes the journal and the log of a run, and forwards events to another observer.
type recorder struct {
	journal  *engine.Journal
	log      *os.File
	sink     hclog.SinkAdapter
	from     hclog.InterceptLogger
	next     engine.Observer
	failures []Failure
	// measured has the measurements of the run so far. dir is the directory of the run, where close saves them.
	measured map[work]measurement
	dir      *os.Root
}

// logFile is the name of the log in the directory of a run.
const logFile = "log.jsonl"

func (w *Workspace) record(id string, p *plan.Plan) (_ *recorder, err error) {
	root, err := w.ownState()
	if err != nil {
		return nil, err
	}
	// Files that are created here stay open, or are reached by paths without links.
	defer func() { err = errors.Join(err, root.Close()) }()
	dir := path.Join(runsName, id)
	if err := root.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	journal, err := engine.NewJournal(filepath.Join(w.runs(), id), id, p.Experiment, len(p.Actions))
	if err != nil {
		return nil, err
	}
	log, err := root.Create(path.Join(dir, logFile))
	if err == nil {
		err = ignoreState(root)
	}
	var opened *os.Root
	if err == nil {
		opened, err = root.OpenRoot(dir)
	}
	if err != nil {
		if log != nil {
			err = errors.Join(err, log.Close())
		}
		return nil, errors.Join(err, journal.Close(StateFailed))
	}
	sink := hclog.NewSinkAdapter(&hclog.LoggerOptions{Level: hclog.Debug, Output: visibleJSON{log}, JSONFormat: true})
	w.log.RegisterSink(sink)
	return &recorder{journal: journal, log: log, sink: sink, from: w.log, measured: map[work]measurement{}, dir: opened}, nil
}

// visibleJSON writes JSON lines with hidden characters escaped. Each call of Write has whole lines.
type visibleJSON struct{ to io.Writer }

func (w visibleJSON) Write(line []byte) (int, error) {
	if _, err := w.to.Write(protocol.VisibleJSON(line)); err != nil {
		return 0, err
	}
	return len(line), nil
}

// Observe implements engine.Observer.
func (r *recorder) Observe(e engine.Event) {
	switch e.State {
	case plan.Failed:
		r.failures = append(r.failures, Failure{e.Action.Name, e.Err})
	case plan.Done:
		measure(r.measured, e.Action)
	}
	r.journal.Observe(e)
	r.next.Observe(e)
}

// Advance implements engine.Observer.
func (r *recorder) Advance(a *plan.Action, p action.Progress) {
	r.journal.Advance(a, p)
	r.next.Advance(a, p)
}

func (r *recorder) close(state string) error {
	if err := saveRates(r.dir, r.measured); err != nil {
		r.from.Warn("cannot save the durations of this run; the next plan lacks them", "error", err)
	}
	r.from.DeregisterSink(r.sink)
	return errors.Join(r.journal.Close(state), r.log.Close(), r.dir.Close())
}
