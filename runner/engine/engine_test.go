package engine

import (
	"container/heap"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"surprisal.dev/plugins/host"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/kinds"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/executor"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
	"surprisal.dev/runner/store"
)

// bench runs plans whose work is a function of the test.
type bench struct {
	t      *testing.T
	store  *store.Store
	kinds  []action.Kind
	engine *Engine
	stop   chan struct{}

	mu     sync.Mutex
	events []string
	failed map[string]error
	tasks  []string // names of actions, as their work began
	work   func(ctx context.Context, t *action.Task) error
}

func newBench(t *testing.T, cores int64) *bench {
	t.Helper()
	return newBenchIn(t, cores, t.TempDir(), "run")
}

// newBenchIn returns a bench with a store in a directory, for a run.
func newBenchIn(t *testing.T, cores int64, dir, run string) *bench {
	t.Helper()
	s, err := store.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Begin(t.Context(), store.Run{ID: run, Started: time.Now(), State: "running"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.Release(context.Background()), s.Close()); err != nil {
			t.Error(err)
		}
	})
	b := &bench{t: t, store: s, stop: make(chan struct{}), failed: map[string]error{}, work: func(context.Context, *action.Task) error { return nil }}
	b.kinds = kinds.All()
	for i, k := range b.kinds {
		b.kinds[i] = fake{k, b}
	}
	b.open(cores)
	return b
}

// Work implements Worker. The outputs of an action follow from its descriptor and its inputs.
// open makes the engine.
func (b *bench) open(cores int64) {
	x := executor.NewLocal(
		executor.NewBudget(plan.Resources{Cores: cores, Memory: 1 << 20}, host.NewPool(), nil),
		executor.NewWorker(executor.WorkerOptions{Store: b.store, Kinds: b.kinds, Log: hclog.NewNullLogger()}))
	b.engine = New(Options{Store: b.store, Executor: x, Observer: b, Log: hclog.NewNullLogger()})
	b.engine.backoff = time.Millisecond
}

// cache looks up keys in a store on this machine.
type cache struct{ store *store.Store }

func (c cache) LookupMany(ctx context.Context, keys []string) (map[string]*store.Record, error) {
	return c.store.LookupMany(ctx, keys, "")
}

// fake is a kind whose work a test defines.
type fake struct {
	action.Kind
	b *bench
}

func (f fake) Work(ctx context.Context, t *action.Task) (action.Result, error) {
	return f.b.Work(ctx, t)
}

func (b *bench) Work(ctx context.Context, t *action.Task) (action.Result, error) {
	b.mu.Lock()
	b.tasks = append(b.tasks, t.Name)
	b.mu.Unlock()
	if err := b.work(ctx, t); err != nil {
		return action.Result{}, err
	}
	content := t.Descriptor.Kind + " " + string(t.Descriptor.Parameters)
	for _, role := range t.Roles("") {
		path, err := t.Input(role)
		if err != nil {
			return action.Result{}, err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return action.Result{}, err
		}
		content += "(" + role + string(data) + ")"
	}
	files := map[string][]string{
		"materialize": {artifact.CountsFile, artifact.DocumentsFile}, "train": {artifact.ModelFile},
		"score": {artifact.LedgerFile, artifact.ScoredFile, artifact.SummaryFile}, "gap": {artifact.SummaryFile},
	}[t.Descriptor.Kind]
	for _, name := range files {
		if err := os.WriteFile(t.Path(name), []byte(name+" of "+content), 0o644); err != nil {
			return action.Result{}, err
		}
	}
	return action.Result{Files: files, Warnings: []string{"warned"}}, nil
}

func (b *bench) Observe(e Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	line := e.Action.Name + ": " + string(e.State)
	if e.Attempt > 1 {
		line += fmt.Sprintf(" (attempt %d after %v)", e.Attempt, e.Err)
	}
	b.events = append(b.events, line)
	if e.State == plan.Failed {
		b.failed[e.Action.Name] = e.Err
	}
}

// Advance implements Observer.
func (b *bench) Advance(*plan.Action, action.Progress) {}

// plan has two models, one of them trained on a, and the datasets a, b and c; c has the content of b. A gap compares
// the models on a.
func (b *bench) plan() *plan.Plan {
	b.t.Helper()
	e := spec.Experiment{Name: "test", Sections: map[string]json.RawMessage{
		"gap": json.RawMessage(`[{"name":"g","a":"x","b":"y","datasets":["a"]}]`),
	}}
	c := plan.Catalog{Sources: map[string]protocol.Resolution{}}
	for key, content := range map[string]string{"a": "1", "b": "2", "c": "2"} {
		e.Datasets = append(e.Datasets, spec.Dataset{Name: key})
		c.Sources[key] = protocol.Resolution{
			Parameters: []byte("{}"), Files: []protocol.File{{Name: "f", Digest: protocol.Digest([]byte(content))}},
		}
	}
	slices.SortFunc(e.Datasets, func(x, y spec.Dataset) int { return strings.Compare(x.Name, y.Name) })
	for name, train := range map[string][]string{"x": nil, "y": {"a"}} {
		e.Models = append(e.Models, spec.Model{Name: name, Backend: &spec.Backend{Config: []byte("{}"), Train: train}})
	}
	slices.SortFunc(e.Models, func(x, y spec.Model) int { return strings.Compare(x.Name, y.Name) })
	p, err := plan.Build(b.t.Context(), &e, c, b.planned())
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

func (b *bench) planned() []plan.Kind {
	var all []plan.Kind
	for _, k := range b.kinds {
		all = append(all, k)
	}
	return all
}

func (b *bench) run(ctx context.Context, p *plan.Plan) {
	b.t.Helper()
	if err := p.Resolve(ctx, cache{b.store}); err != nil && ctx.Err() == nil {
		b.t.Fatal(err)
	}
	if err := b.engine.Run(ctx, p, b.stop); err != nil {
		b.t.Fatal(err)
	}
	// No temporary directory of an action is left.
	err := fs.WalkDir(os.DirFS(b.store.String()), "tmp", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != "tmp" {
			b.t.Errorf("%s is left", path)
		}
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// states lists the actions of a plan by state.
func states(p *plan.Plan) string {
	by := map[plan.State][]string{}
	for _, a := range p.Actions {
		by[a.State] = append(by[a.State], a.Name)
	}
	var lines []string
	for _, s := range slices.Sorted(maps.Keys(by)) {
		lines = append(lines, string(s)+": "+strings.Join(by[s], ", "))
	}
	return strings.Join(lines, "\n")
}

func check(t *testing.T, p *plan.Plan, want ...string) {
	t.Helper()
	if d := cmp.Diff(strings.Join(want, "\n"), states(p)); d != "" {
		t.Error(d)
	}
}

func TestRun(t *testing.T) {
	b := newBench(t, 4)
	finished := map[string]bool{}
	p := b.plan()
	b.work = func(_ context.Context, task *action.Task) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		a := p.Action(task.Name)
		for _, in := range a.Inputs {
			if !slices.Contains(b.events, in.Upstream.Name+": done") && !slices.Contains(b.events, in.Upstream.Name+": cached") {
				t.Errorf("%s began before %s had ended", task.Name, in.Upstream.Name)
			}
		}
		if finished[a.Key] {
			t.Errorf("%s was done twice", task.Name)
		}
		finished[a.Key] = true
		return nil
	}
	b.run(t.Context(), p)
	if p.Count(plan.Done)+p.Count(plan.Cached) != len(p.Actions) {
		t.Error(states(p))
	}
	// b and c are equal, so that only one was made.
	if x, y := p.Action("materialize b"), p.Action("materialize c"); x.State == y.State || x.Outputs[0] != y.Outputs[0] {
		t.Errorf("%s and %s", x.State, y.State)
	}
	for _, a := range p.Actions {
		if len(a.Warnings) != 1 || len(a.Outputs) == 0 {
			t.Errorf("%s: warnings %q, outputs %v", a.Name, a.Warnings, a.Outputs)
		}
		begins, ends := slices.Index(b.events, a.Name+": running"), slices.Index(b.events, a.Name+": "+string(a.State))
		if ends < 0 || (a.State == plan.Done) != (begins >= 0) || begins > ends {
			t.Errorf("%s: events %q", a.Name, b.events)
		}
	}
	b.tasks, b.events = nil, nil
	p = b.plan()
	b.run(t.Context(), p)
	if len(b.tasks) > 0 || p.Count(plan.Cached) != len(p.Actions) || len(b.events) != len(p.Actions) {
		t.Errorf("a second run did %q", b.tasks)
	}
}

// On one core, actions run in the order of the plan, as far as their inputs allow and once the lookups are done.
func TestOrder(t *testing.T) {
	b := newBench(t, 1)
	b.run(t.Context(), b.plan())
	var scores []string
	for _, name := range b.tasks {
		if rest, ok := strings.CutPrefix(name, "score "); ok {
			scores = append(scores, rest[:1])
		}
	}
	if d := cmp.Diff([]string{"x", "x", "y", "y"}, scores); d != "" {
		t.Errorf("a model's datasets do not come together: %q", b.tasks)
	}
}

func TestFailureBlocksOnlyDependents(t *testing.T) {
	b := newBench(t, 2)
	failure := &protocol.Error{Kind: protocol.InvalidInput, Message: "bad text"}
	b.work = func(_ context.Context, task *action.Task) error {
		if task.Name == "train y" {
			return failure
		}
		return nil
	}
	b.engine.Retries = 5
	p := b.plan()
	b.run(t.Context(), p)
	if got := p.Action("gap g").Reason; got != "score y a blocked" {
		t.Errorf("the gap's reason is %q", got)
	}
	if n := len(slices.DeleteFunc(b.tasks, func(s string) bool { return s != "train y" })); n != 1 {
		t.Errorf("invalid input was tried %d times", n)
	}
	if !errors.Is(b.failed["train y"], failure) || len(b.failed) != 1 {
		t.Errorf("failures %v", b.failed)
	}
	if got := states(p); !strings.Contains(got, "blocked: score y a, score y b, score y c, gap g\n") ||
		!strings.Contains(got, "failed: train y") || p.Count(plan.Done)+p.Count(plan.Cached) != 6 {
		t.Error(got)
	}
}

// Actions with the same key as a failed action also fail.
func TestFailureIsShared(t *testing.T) {
	b := newBench(t, 2)
	b.work = func(_ context.Context, task *action.Task) error {
		if task.Name == "materialize b" || task.Name == "materialize c" {
			return errors.New("disk on fire")
		}
		return nil
	}
	p := b.plan()
	b.run(t.Context(), p)
	check(t, p,
		"blocked: score x b, score x c, score y b, score y c",
		"done: materialize a, train y, score x a, score y a, gap g",
		"failed: materialize b, materialize c")
	if n := len(slices.DeleteFunc(b.tasks, func(s string) bool { return s != "materialize b" && s != "materialize c" })); n != 1 {
		t.Errorf("the failing work was done %d times", n)
	}
}

func TestRetries(t *testing.T) {
	b := newBench(t, 1)
	attempts := 0
	b.work = func(_ context.Context, task *action.Task) error {
		if task.Name != "train y" {
			return nil
		}
		if attempts++; attempts < 3 {
			return fmt.Errorf("crash %d", attempts)
		}
		return nil
	}
	b.engine.Retries = 2
	p := b.plan()
	b.run(t.Context(), p)
	if p.Action("train y").State != plan.Done || p.Action("gap g").State != plan.Done {
		t.Error(states(p))
	}
	got := slices.DeleteFunc(b.events, func(s string) bool { return !strings.HasPrefix(s, "train y") })
	if d := cmp.Diff([]string{
		"train y: running", "train y: running (attempt 2 after crash 1)", "train y: running (attempt 3 after crash 2)", "train y: done",
	}, got); d != "" {
		t.Error(d)
	}
}

// An action that failed and was not restarted keeps its error.
func TestStopWhileRetrying(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		b.engine.Retries = 3
		release := make(chan struct{})
		begun := 0
		b.work = func(context.Context, *action.Task) error {
			if begun++; begun == 1 {
				return errors.New("crash")
			}
			<-release
			return nil
		}
		p := b.plan()
		over := make(chan struct{})
		go func() {
			defer close(over)
			b.run(t.Context(), p)
		}()
		time.Sleep(time.Second) // by now the first is handed out again, and waits for the core
		close(b.stop)
		synctest.Wait()
		close(release)
		<-over
		if err := b.failed[b.tasks[0]]; len(b.tasks) != 2 || err == nil || err.Error() != "crash" {
			t.Errorf("%q, error %v: %s", b.tasks, err, states(p))
		}
	})
}

// An action that waits for a retry when a run is stopped has failed, and the run does not wait for it.
func TestStopInBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		b.engine.Retries, b.engine.backoff = 3, maxBackoff
		b.work = func(_ context.Context, task *action.Task) error {
			if task.Name == "train y" {
				return errors.New("crash")
			}
			return nil
		}
		time.AfterFunc(maxBackoff/2, func() { close(b.stop) })
		p, began := b.plan(), time.Now()
		b.run(t.Context(), p)
		if err := b.failed["train y"]; err == nil || err.Error() != "crash" || time.Since(began) != maxBackoff/2 {
			t.Errorf("error %v after %v: %s", err, time.Since(began), states(p))
		}
	})
}

// A store that cannot be written to ends the run, because all further results would be lost.
func TestUnwritableStore(t *testing.T) {
	b := newBench(t, 1)
	b.engine.Retries = 3
	b.work = func(context.Context, *action.Task) error {
		return &fs.PathError{Op: "write", Path: filepath.Join(b.store.String(), "blobs"), Err: syscall.ENOSPC}
	}
	p := b.plan()
	if err := p.Resolve(t.Context(), cache{b.store}); err != nil {
		t.Fatal(err)
	}
	if err := b.engine.Run(t.Context(), p, b.stop); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("the run ended with %v", err)
	}
	if len(b.tasks) != 1 || p.Action(b.tasks[0]).State != plan.Failed || p.Count(plan.Done) > 0 || p.Count(plan.Canceled) == 0 {
		t.Errorf("%q: %s", b.tasks, states(p))
	}
}

// retiring records which models are retired.
type retiring struct {
	executor.Executor
	models []string
}

func (r *retiring) Retire(model string) {
	r.models = append(r.models, model)
	r.Executor.Retire(model)
}

// A model is retired when the last action that uses it has ended. Cached actions do not count.
func TestModelsAreRetired(t *testing.T) {
	b := newBench(t, 2)
	b.work = func(_ context.Context, task *action.Task) error {
		if task.Name == "score x b" || task.Name == "score x c" {
			return errors.New("crash")
		}
		return nil
	}
	for _, want := range []int{2, 1} { // models
		p := b.plan()
		r := &retiring{Executor: b.engine.Executor}
		b.engine.Executor = r
		b.run(t.Context(), p)
		if len(r.models) != want || !slices.Contains(r.models, p.Action("score x b").Model.ID) {
			t.Errorf("retired %q, want %d models: %s", r.models, want, states(p))
		}
		b.engine.Executor = r.Executor
		b.work = func(context.Context, *action.Task) error { return nil }
	}
}

// If another process published a result under the key in the meantime, that result is used.
func TestPublishedMeanwhile(t *testing.T) {
	b := newBench(t, 1)
	b.work = func(ctx context.Context, task *action.Task) error {
		if task.Name != "materialize a" {
			return nil
		}
		key, canonical, err := task.Descriptor.Key()
		if err != nil {
			return err
		}
		r := &store.Record{Key: key, Descriptor: canonical, Name: "theirs"}
		for _, name := range []string{artifact.CountsFile, artifact.DocumentsFile} {
			path := task.Path("their " + name)
			if err := os.WriteFile(path, []byte("their "+name), 0o644); err != nil {
				return err
			}
			f := store.File{Name: name}
			if f.Digest, f.Bytes, err = b.store.PutFile(ctx, path); err != nil {
				return err
			}
			r.Outputs = append(r.Outputs, f)
		}
		_, err = b.store.PutRecord(ctx, r)
		return err
	}
	p := b.plan()
	b.run(t.Context(), p)
	if a := p.Action("materialize a"); a.State != plan.Cached || a.Outputs[0].Digest != protocol.Digest([]byte("their "+artifact.CountsFile)) {
		t.Errorf("%+v: %s", a.Outputs, states(p))
	}
}

// Two equal runs with one store execute each action once, and both have its result.
func TestRunsShareWork(t *testing.T) {
	first := newBench(t, 1)
	second := newBenchIn(t, 4, first.store.String(), "other")
	begun := make(chan struct{})
	first.work = func(_ context.Context, task *action.Task) error {
		if len(first.tasks) > 1 {
			return nil
		}
		// Enough time for the other run to start the same action, if it does not wait.
		close(begun)
		for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); time.Sleep(time.Millisecond) {
			second.mu.Lock()
			twice := slices.Contains(second.tasks, task.Name)
			second.mu.Unlock()
			if twice {
				break
			}
		}
		return nil
	}
	p, q := first.plan(), second.plan()
	var runs sync.WaitGroup
	run := func(b *bench, p *plan.Plan) {
		if err := errors.Join(p.Resolve(t.Context(), cache{b.store}), b.engine.Run(t.Context(), p, b.stop)); err != nil {
			t.Error(err)
		}
	}
	runs.Go(func() { run(first, p) })
	<-begun
	runs.Go(func() { run(second, q) })
	runs.Wait()
	keys := map[string]bool{}
	for _, a := range p.Actions {
		keys[a.Key] = true
		if other := q.Action(a.Name); other.Key != a.Key || len(a.Outputs) == 0 || other.Outputs[0] != a.Outputs[0] {
			t.Errorf("%s: %v and %v", a.Name, a.Outputs, other.Outputs)
		}
	}
	if n := len(first.tasks) + len(second.tasks); n != len(keys) {
		t.Errorf("%d actions were done %d times: %q and %q", len(keys), n, first.tasks, second.tasks)
	}
}

// A group has the maximum number of actions, in plan order, and the others stay in the queue.
func TestTake(t *testing.T) {
	var q queue
	for i := range 6 {
		heap.Push(&q, &plan.Action{Index: 5 - i})
	}
	indexes := func(actions []*plan.Action) (all []int) {
		for _, a := range actions {
			all = append(all, a.Index)
		}
		return all
	}
	taken := q.take(2, func(a *plan.Action) bool { return a.Index%2 == 0 })
	if got := indexes(taken); !slices.Equal(got, []int{0, 2}) {
		t.Errorf("took %v", got)
	}
	if got := indexes(q.take(9, func(*plan.Action) bool { return true })); !slices.Equal(got, []int{1, 3, 4, 5}) {
		t.Errorf("left %v", got)
	}
}

// The delays before retries never decrease, and none is longer than a minute.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		b.engine.Retries = 100
		var tries []time.Time
		b.work = func(_ context.Context, task *action.Task) error {
			if task.Name != "train y" {
				return nil
			}
			tries = append(tries, time.Now())
			return errors.New("crash")
		}
		far := time.AfterFunc(200*maxBackoff, func() { close(b.stop) })
		b.run(t.Context(), b.plan())
		far.Stop()
		before := time.Duration(0)
		for i := 1; i < len(tries); i++ {
			wait := tries[i].Sub(tries[i-1])
			if wait < before || wait > maxBackoff {
				t.Errorf("try %d came after %v, the one before after %v", i+1, wait, before)
			}
			before = wait
		}
		if len(tries) != 101 || before != maxBackoff {
			t.Errorf("%d tries, the last after %v", len(tries), before)
		}
	})
}

func TestTooFewRetries(t *testing.T) {
	b := newBench(t, 2)
	b.work = func(context.Context, *action.Task) error { return errors.New("crash") }
	b.engine.Retries = 1
	p := b.plan()
	b.run(t.Context(), p)
	if p.Action("materialize a").State != plan.Failed || len(b.tasks) != 4 { // a twice, b or c twice
		t.Errorf("%q: %s", b.tasks, states(p))
	}
}

// A worker that gives up by itself, like a call to a plugin, has failed, because the run was not canceled.
func TestCanceledByNobody(t *testing.T) {
	b := newBench(t, 2)
	b.work = func(_ context.Context, task *action.Task) error {
		if task.Name == "materialize a" {
			return fmt.Errorf("the stream ended: %w", context.Canceled)
		}
		return nil
	}
	p := b.plan()
	b.run(t.Context(), p)
	if p.Action("materialize a").State != plan.Failed || p.Count(plan.Canceled) > 0 || p.Action("score x b").State == plan.Blocked {
		t.Error(states(p))
	}
}

// telling records the events and the progress of a run.
type telling struct {
	events   []Event
	progress map[string]action.Progress
}

func (o *telling) Observe(e Event) { o.events = append(o.events, e) }
func (o *telling) Advance(a *plan.Action, p action.Progress) {
	sum := o.progress[a.Name]
	sum.Add(p)
	o.progress[a.Name] = sum
}

// Progress is reported for the action that makes it. An event has a time, and the error and the number of the attempt
// if there is one.
func TestObserver(t *testing.T) {
	b := newBench(t, 1)
	b.work = func(_ context.Context, task *action.Task) error {
		task.Advance(action.Progress{Documents: 3, Nats: 1})
		if task.Name == "train y" {
			return errors.New("crash")
		}
		return nil
	}
	o := &telling{progress: map[string]action.Progress{}}
	b.engine.Observer, b.engine.Retries = o, 1
	began := time.Now()
	p := b.plan()
	b.run(t.Context(), p)
	of := map[string][]string{}
	for _, e := range o.events {
		if e.Time.Before(began) || e.Time.After(time.Now()) {
			t.Errorf("%s: it was %v", e.Action.Name, e.Time)
		}
		of[e.Action.Name] = append(of[e.Action.Name], fmt.Sprint(e.State, " ", e.Attempt, " ", e.Err))
	}
	for name, want := range map[string][]string{
		"materialize a": {"running 1 <nil>", "done 0 <nil>"}, "score x a": {"running 1 <nil>", "done 0 <nil>"},
		"train y": {"running 1 <nil>", "running 2 crash", "failed 0 crash"}, "score y a": {"blocked 0 <nil>"}, "gap g": {"blocked 0 <nil>"},
	} {
		if d := cmp.Diff(want, of[name]); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	if o.progress["materialize a"] != (action.Progress{Documents: 3, Nats: 1}) || o.progress["train y"] != (action.Progress{Documents: 6, Nats: 2}) || len(o.progress) < 4 {
		t.Errorf("told the progress %v", o.progress)
	}
	if p.Action("score y a").Reason != "train y failed" || p.Action("gap g").Reason != "score y a blocked" {
		t.Errorf("got the reasons %q and %q", p.Action("score y a").Reason, p.Action("gap g").Reason)
	}
}

// Cached and skipped actions are reported, not executed.
func TestFinalStates(t *testing.T) {
	b := newBench(t, 1)
	p := b.plan()
	b.run(t.Context(), p)
	b.events, b.tasks = nil, nil
	p = b.plan()
	if err := p.Resolve(t.Context(), cache{b.store}); err != nil {
		t.Fatal(err)
	}
	p.Action("gap g").State = plan.Skipped
	if err := b.engine.Run(t.Context(), p, b.stop); err != nil {
		t.Fatal(err)
	}
	if len(b.tasks) > 0 || p.Action("gap g").State != plan.Skipped || !slices.Contains(b.events, "gap g: skipped") || !slices.Contains(b.events, "train y: cached") {
		t.Errorf("%q: %q", b.tasks, b.events)
	}
}

// groups is an executor that records the submitted groups.
type groups struct {
	executor.Executor
	given [][]string
	size  int
}

func (g *groups) Group() int { return g.size }
func (g *groups) Submit(ctx context.Context, group []plan.Job) {
	var names []string
	for _, job := range group {
		names = append(names, job.Name)
	}
	g.given = append(g.given, names)
	g.Executor.Submit(ctx, group)
}

// Actions that use the same model are submitted together, up to the executor's group size. Others are submitted alone.
func TestGroups(t *testing.T) {
	for size, want := range map[int]string{1: "1 1", 2: "2", 32: "2"} {
		b := newBench(t, 1)
		g := &groups{Executor: b.engine.Executor, size: size}
		b.engine.Executor = g
		p := b.plan()
		// The datasets exist, so that all scores of x are ready at once.
		for _, name := range []string{"materialize a", "materialize b"} {
			if err := p.Resolve(t.Context(), cache{b.store}); err != nil {
				t.Fatal(err)
			}
			canonical, err := p.Action(name).SetKey()
			if err != nil {
				t.Fatal(err)
			}
			r := &store.Record{Key: p.Action(name).Key, Descriptor: canonical, Name: name}
			for _, file := range []string{artifact.CountsFile, artifact.DocumentsFile} {
				path := filepath.Join(t.TempDir(), file)
				if err := os.WriteFile(path, []byte(name+file), 0o644); err != nil {
					t.Fatal(err)
				}
				f := store.File{Name: file}
				if f.Digest, f.Bytes, err = b.store.PutFile(t.Context(), path); err != nil {
					t.Fatal(err)
				}
				r.Outputs = append(r.Outputs, f)
			}
			if _, err := b.store.PutRecord(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		b.run(t.Context(), p)
		var sizes []string
		for _, names := range g.given {
			models := map[string]bool{}
			for _, name := range names {
				model := ""
				if a := p.Action(name); a.Model != nil {
					model = a.Model.ID
				}
				models[model] = true
			}
			if len(models) != 1 || models[""] && len(names) > 1 {
				t.Errorf("size %d: handed out together: %q", size, names)
			}
			if strings.HasPrefix(names[0], "score y") {
				sizes = append(sizes, fmt.Sprint(len(names)))
			}
		}
		if got := strings.Join(sizes, " "); got != want {
			t.Errorf("size %d: got groups of %s of y, want %s: %q", size, got, want, g.given)
		}
	}
}

// After a stop, running actions may finish, and no action starts.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		b.engine.Retries = 3
		release := make(chan struct{})
		b.work = func(context.Context, *action.Task) error {
			<-release
			return nil
		}
		p := b.plan()
		over := make(chan struct{})
		go func() {
			defer close(over)
			b.run(t.Context(), p)
		}()
		synctest.Wait()
		close(b.stop)
		synctest.Wait()
		close(release)
		<-over
		if len(b.tasks) != 1 || p.Action(b.tasks[0]).State != plan.Done || p.Count(plan.Canceled) < len(p.Actions)-2 {
			t.Errorf("%q: %s", b.tasks, states(p))
		}
		if len(b.failed) > 0 || len(b.events) != 1+len(p.Actions) {
			t.Errorf("events %q", b.events)
		}
	})
}

// An action that fails after the run was stopped has failed, and is not retried.
func TestStopKeepsFailures(t *testing.T) {
	b := newBench(t, 1)
	b.engine.Retries = 3
	b.work = func(context.Context, *action.Task) error {
		close(b.stop)
		return errors.New("crash")
	}
	p := b.plan()
	b.run(t.Context(), p)
	if len(b.tasks) != 1 || b.failed[b.tasks[0]] == nil || p.Count(plan.Done) > 0 {
		t.Errorf("%q: %s", b.tasks, states(p))
	}
}

func TestStoppedBeforeItStarts(t *testing.T) {
	b := newBench(t, 2)
	close(b.stop)
	p := b.plan()
	b.run(t.Context(), p)
	if len(b.tasks) > 0 || p.Count(plan.Canceled) != len(p.Actions) {
		t.Errorf("%q: %s", b.tasks, states(p))
	}
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 2)
		b.engine.Retries = 3
		ctx, cancel := context.WithCancelCause(t.Context())
		b.work = func(ctx context.Context, task *action.Task) error {
			if task.Name == "materialize a" {
				return nil
			}
			<-ctx.Done()
			// A plugin's error for a canceled call need not wrap the context's error.
			return errors.New("rpc error: code = Canceled")
		}
		p := b.plan()
		over := make(chan struct{})
		go func() {
			defer close(over)
			b.run(ctx, p)
		}()
		synctest.Wait()
		cancel(errors.New("interrupted"))
		<-over
		if p.Action("materialize a").State != plan.Done || p.Count(plan.Canceled) != len(p.Actions)-1 {
			t.Error(states(p))
		}
	})
}

// A missing output fails the action, and no result is stored.
func TestPublishFailure(t *testing.T) {
	b := newBench(t, 2)
	gap := slices.IndexFunc(b.kinds, func(k action.Kind) bool { return k.Name() == "gap" })
	b.kinds[gap] = promising{b.kinds[gap]}
	b.open(2)
	p := b.plan()
	b.run(t.Context(), p)
	of := p.Action("gap g")
	if of.State != plan.Failed || !errors.Is(b.failed["gap g"], fs.ErrNotExist) || !strings.Contains(b.failed["gap g"].Error(), "summary.json") {
		t.Errorf("%s: %v", of.State, b.failed)
	}
	if _, err := b.store.GetRecord(t.Context(), of.Key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the failed action has a record: %v", err)
	}
}

type promising struct{ action.Kind }

func (promising) Work(context.Context, *action.Task) (action.Result, error) {
	return action.Result{Files: []string{artifact.SummaryFile}}, nil
}

// A plan of another runner may have kinds that this one does not support.
func TestNoKind(t *testing.T) {
	b := newBench(t, 2)
	p := b.plan()
	b.kinds = slices.DeleteFunc(b.kinds, func(k action.Kind) bool { return k.Name() == "gap" })
	b.open(2)
	b.run(t.Context(), p)
	if err := b.failed["gap g"]; err == nil || !strings.HasPrefix(err.Error(), `this runner does not support actions of kind "gap"`) {
		t.Errorf("%v", b.failed)
	}
}

func TestTooLargeForTheMachine(t *testing.T) {
	b := newBench(t, 2)
	b.engine.Retries = 3
	p := b.plan()
	p.Action("train y").Resources.Memory = 2 << 20
	b.run(t.Context(), p)
	if err := b.failed["train y"]; err == nil || !strings.HasPrefix(err.Error(), "needs 2.0 MiB of memory, but the limit is 1.0 MiB") {
		t.Errorf("%v", b.failed)
	}
	if slices.ContainsFunc(b.events, func(s string) bool { return strings.HasPrefix(s, "train y: running") }) {
		t.Errorf("it began: %q", b.events)
	}
}

// Many more actions than run concurrently, most of them equal, are each executed once.
func TestManyActions(t *testing.T) {
	const datasets, contents = 300, 7
	b := newBench(t, 8)
	e, c := spec.Experiment{}, plan.Catalog{Sources: map[string]protocol.Resolution{}}
	for i := range datasets {
		key := fmt.Sprintf("d%03d", i)
		e.Datasets = append(e.Datasets, spec.Dataset{Name: key})
		c.Sources[key] = protocol.Resolution{
			Parameters: []byte("{}"), Files: []protocol.File{{Name: "f", Digest: protocol.Digest(fmt.Append(nil, i%contents))}},
		}
	}
	// Equal training data with different names, so that many actions make the same models.
	for i := range datasets {
		e.Models = append(e.Models, spec.Model{Name: fmt.Sprintf("m%03d", i), Backend: &spec.Backend{
			Config: []byte("{}"), Train: []string{e.Datasets[i].Name},
		}})
		e.Datasets[i].TrainOnly = true
	}
	p, err := plan.Build(b.t.Context(), &e, c, b.planned())
	if err != nil {
		t.Fatal(err)
	}
	b.run(t.Context(), p)
	if len(b.tasks) != 2*contents || p.Count(plan.Done) != 2*contents || p.Count(plan.Cached) != 2*(datasets-contents) {
		t.Errorf("%d tasks for %d contents: %d done, %d cached", len(b.tasks), contents, p.Count(plan.Done), p.Count(plan.Cached))
	}
}
