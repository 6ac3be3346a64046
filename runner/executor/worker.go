package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"surprisal.dev/plugins/host"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/store"
)

// Worker turns a job into a record in the store. It implements Doer.
type Worker struct {
	store *store.Store
	kinds map[string]action.Kind
	host  *host.Host
	pool  *host.Pool
	log   hclog.Logger
	// cache is the directory for local copies of a remote store's blobs.
	cache     string
	estimates estimates
}

// WorkerOptions are the options of a worker.
type WorkerOptions struct {
	Store *store.Store
	Kinds []action.Kind
	Host  *host.Host
	Pool  *host.Pool
	Log   hclog.Logger
	// CacheDir is the directory for local copies of a remote store's blobs.
	CacheDir string
}

// NewWorker returns a worker.
func NewWorker(o WorkerOptions) *Worker {
	w := &Worker{store: o.Store, kinds: map[string]action.Kind{}, host: o.Host, pool: o.Pool, log: o.Log, cache: o.CacheDir}
	for _, k := range o.Kinds {
		w.kinds[k.Name()] = k
	}
	return w
}

// Do implements Doer. If another process computes the same key, Do waits and uses its record.
func (w *Worker) Do(ctx context.Context, job plan.Job, c Control) (record *store.Record, found bool, err error) {
	kind, canonical, err := w.check(job)
	if err != nil {
		return nil, false, err
	}
	release, err := w.claim(ctx, job.Key, c)
	if err != nil {
		return nil, false, err
	}
	defer func() { err = errors.Join(err, release()) }()
	if record, found, err = w.store.Lookup(ctx, job.Key); err != nil || found {
		return record, found, err
	}
	select {
	case <-c.Stop:
		return nil, false, ErrStopped
	default:
		c.Start()
	}
	dir, err := w.store.Scratch(w.cache)
	if err != nil {
		return nil, false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	log := w.log.With("action", job.Name)
	if job.Labels.Model != "" {
		log = log.With("model", job.Labels.Model)
	}
	started := time.Now()
	// Log lines of a plugin contain the action.
	ctx = hclog.WithContext(ctx, log)
	result, err := w.work(ctx, kind, job, dir, log, c.Advance)
	if err != nil {
		return nil, false, err
	}
	record = &store.Record{
		Key: job.Key, Descriptor: canonical, Name: job.Name, Warnings: result.Warnings, Measured: result.Measured,
		Started: started.UTC(), Computed: computed(result.Computed),
	}
	if record.Outputs, err = w.store.PutFiles(ctx, dir, result.Files); err != nil {
		return nil, false, err
	}
	record.Finished = time.Now().UTC()
	if record.Measured == nil {
		record.Measured = map[string]float64{}
	}
	record.Measured[plan.MeasuredSeconds] = record.Finished.Sub(started).Seconds()
	return w.publish(ctx, record, log)
}

// patience is the time that a job waits for another process before it reports that.
const patience = 2 * time.Second

// claim claims the key of a job. While another process has the claim, it waits, until a stop.
func (w *Worker) claim(ctx context.Context, key string, c Control) (release func() error, err error) {
	ctx, cancel := untilStop(ctx, c.Stop)
	defer cancel()
	silent, cancelSilent := context.WithTimeout(ctx, patience)
	defer cancelSilent()
	release, err = w.store.Claim(silent, key)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		var holder store.Holder
		if holder, err = w.store.Holder(key); err != nil {
			return nil, err
		}
		c.Wait(holder)
		release, err = w.store.Claim(ctx, key)
	}
	if err != nil && errors.Is(context.Cause(ctx), ErrStopped) {
		return nil, ErrStopped
	}
	return release, err
}

// untilStop returns a context that also ends, with the cause ErrStopped, when stop is closed.
func untilStop(ctx context.Context, stop <-chan struct{}) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-stop:
			cancel(ErrStopped)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// Redo does the work of a job in a temporary directory and returns its files. It neither looks up nor publishes
// anything.
func (w *Worker) Redo(ctx context.Context, job plan.Job) (files []store.File, err error) {
	kind, _, err := w.check(job)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "surprisal-again-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	log := w.log.With("action", job.Name)
	result, err := w.work(hclog.WithContext(ctx, log), kind, job, dir, log, func(action.Progress) {})
	if err != nil {
		return nil, err
	}
	for _, name := range result.Files {
		f := store.File{Name: name}
		if f.Digest, f.Bytes, err = store.CopyObject(ctx, io.Discard, filepath.Join(dir, filepath.FromSlash(name)), ""); err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// publish puts a record into the store. If another process has published one under the key in the meantime, the first
// stays.
func (w *Worker) publish(ctx context.Context, made *store.Record, log hclog.Logger) (*store.Record, bool, error) {
	kept, err := w.store.PutRecord(ctx, made)
	if err != nil {
		return nil, false, fmt.Errorf("publish the record: %w", err)
	}
	differs := kept.Differs(made)
	if len(differs) > 0 {
		log.Warn("another process published a different result first, which is kept", "key", made.Key,
			"files", strings.Join(differs, ", "), "computed", made.Computed, "kept", kept.Computed)
	}
	return kept, len(differs) > 0, nil
}

// check checks that this program supports a job, and that the job matches its key.
func (w *Worker) check(job plan.Job) (action.Kind, []byte, error) {
	key, canonical, err := job.Descriptor.Key()
	if err != nil {
		return nil, nil, err
	}
	if key != job.Key {
		return nil, nil, invalid("the descriptor of job %s has the key %s: it was modified; run the plan again", job.Key, key)
	}
	kind := w.kinds[job.Descriptor.Kind]
	if kind == nil {
		return nil, nil, invalid("this runner does not support actions of kind %q; its kinds are %s", job.Descriptor.Kind,
			strings.Join(slices.Sorted(maps.Keys(w.kinds)), ", "))
	}
	if kind.Schema() != job.Descriptor.Schema {
		return nil, nil, invalid("the job has schema %d of kind %s, but this runner has schema %d; use the runner that planned it",
			job.Descriptor.Schema, kind.Name(), kind.Schema())
	}
	return kind, canonical, nil
}

func invalid(format string, args ...any) error {
	return &protocol.Error{Kind: protocol.InvalidInput, Message: fmt.Sprintf(format, args...)}
}

func (w *Worker) work(
	ctx context.Context, kind action.Kind, job plan.Job, dir string, log hclog.Logger, advance func(action.Progress),
) (action.Result, error) {
	inputs := make(map[string]string, len(job.Descriptor.Inputs))
	for role, digest := range job.Descriptor.Inputs {
		at, err := w.store.LocalPath(ctx, digest, w.cache)
		if err != nil {
			return action.Result{}, fmt.Errorf("input %s: %w", role, err)
		}
		inputs[role] = at
	}
	return kind.Work(ctx, &action.Task{
		Descriptor: job.Descriptor, Name: job.Name, Labels: job.Labels, Machine: job.Machine, Dir: dir, Inputs: inputs,
		Plugins: plugins{w, job}, Log: log, Advance: advance,
	})
}

// computed adds the Go version and the platform to the work's own description of hardware and software.
func computed(by map[string]string) map[string]string {
	all := map[string]string{"go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH}
	maps.Copy(all, by)
	return all
}

// plugins gives a job the plugin of its descriptor.
type plugins struct {
	w   *Worker
	job plan.Job
}

// WorkerOf returns a plugin's identity in descriptors. A built-in plugin is identified by its version, others also by
// the digest of their binary.
func WorkerOf(i host.Info) plan.Worker {
	w := plan.Worker{Name: i.Name, Version: i.Version, Protocol: i.Protocol}
	if !i.Builtin {
		w.Digest = i.BinaryDigest
	}
	return w
}

func (p plugins) planned() (plan.Worker, error) {
	if p.job.Descriptor.Worker == nil {
		return plan.Worker{}, fmt.Errorf("the descriptor of %s has no plugin", p.job.Name)
	}
	return *p.job.Descriptor.Worker, nil
}

// same checks that a plugin is the one in the descriptor.
func same(planned plan.Worker, found host.Info) error {
	if got := WorkerOf(found); got != planned {
		return &protocol.Error{Kind: protocol.Changed, Message: fmt.Sprintf(
			"the plugin %s changed since the plan was made: expected version %s %s, got %s %s; run again", planned.Name,
			planned.Version, planned.Digest, got.Version, got.Digest)}
	}
	return nil
}

// Provider implements action.Plugins.
func (p plugins) Provider(ctx context.Context) (action.Provider, error) {
	planned, err := p.planned()
	if err != nil {
		return nil, err
	}
	provider, err := p.w.host.Provider(ctx, planned.Name)
	if err != nil {
		return nil, err
	}
	return provider, same(planned, provider.Info())
}

// Backend implements action.Plugins.
func (p plugins) Backend(ctx context.Context) (action.Backend, error) { return p.backend(ctx) }

func (p plugins) backend(ctx context.Context) (*host.Backend, error) {
	planned, err := p.planned()
	if err != nil {
		return nil, err
	}
	backend, err := p.w.host.Backend(ctx, planned.Name)
	if err != nil {
		return nil, err
	}
	return backend, same(planned, backend.Info())
}

// Estimate implements action.Plugins. Scores of a model on many datasets share an estimate.
func (p plugins) Estimate(ctx context.Context, m protocol.Model, s protocol.Settings) (protocol.Estimate, error) {
	backend, err := p.backend(ctx)
	if err != nil || p.job.Model == nil {
		return protocol.Estimate{}, errors.Join(err, p.needsModel())
	}
	return p.w.estimates.get(estimated{p.job.Model.ID, s}, func() (protocol.Estimate, error) { return backend.Plan(ctx, m, s) })
}

func (p plugins) needsModel() error {
	if p.job.Model == nil {
		return fmt.Errorf("%s was planned without a model", p.job.Name)
	}
	return nil
}

// Model implements action.Plugins.
func (p plugins) Model(ctx context.Context, m protocol.Model) (action.Model, func() error, error) {
	if err := p.needsModel(); err != nil {
		return nil, nil, err
	}
	backend, err := p.backend(ctx)
	if err != nil {
		return nil, nil, err
	}
	r := p.job.Model.Resources
	return p.w.pool.Acquire(ctx, p.job.Model.ID, host.Resources{Memory: r.Memory, Devices: r.Devices, DeviceMemory: r.DeviceMemory},
		func(ctx context.Context) (host.Loaded, error) { return backend.Load(ctx, m) })
}
