package workspace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"surprisal.dev/plugins/host"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action/kinds"
	"surprisal.dev/runner/executor"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/store"
)

// ExecOptions are the options of Exec.
type ExecOptions struct {
	// Store is a directory or a URL.
	Store string
	// Run is the run that the jobs belong to; "" makes one.
	Run string
	// CacheDir holds local copies of the blobs of a remote store; "" means a temporary directory.
	CacheDir string
	// Keys are the keys of the jobs. If there are none, they are read from the input; see executor.Serve.
	Keys       []string
	PluginDirs []string
	Builtins   Builtins
	Log        hclog.Logger
}

// Exec executes jobs that a run put into the store, and writes their progress and results to out. It does not read a
// spec. If o.Keys names the jobs, the error names those that failed.
func Exec(ctx context.Context, o ExecOptions, in io.Reader, out io.Writer) (err error) {
	s, err := store.Open(ctx, o.Store)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	s.Warn = func(message string) { o.Log.Warn(message) }
	for _, key := range o.Keys {
		// Check all jobs before anything is written.
		if _, err := executor.Stored(ctx, s, key); err != nil {
			return err
		}
	}
	if o.CacheDir == "" {
		if o.CacheDir, err = os.MkdirTemp("", "surprisal-cache-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(o.CacheDir)) }()
	}
	h, err := newHost(ctx, o.Builtins, o.PluginDirs, o.Log)
	if err != nil {
		return err
	}
	closeHost := sync.OnceValue(h.Close)
	defer func() { err = errors.Join(err, closeHost()) }()
	pool := host.NewPool()
	defer func() { err = errors.Join(err, pool.Close()) }()
	finish, err := takeLease(ctx, s, o.Run)
	if err != nil {
		return err
	}
	worker := prompt{closeHost, executor.NewWorker(executor.WorkerOptions{
		Store: s, Kinds: kinds.All(), Host: h, Pool: pool, Log: o.Log, CacheDir: o.CacheDir,
	})}
	if len(o.Keys) == 0 {
		keys, failed, err := executor.Serve(ctx, s, worker, in, out)
		return errors.Join(err, finish(keys, failed))
	}
	failed, err := executor.Do(ctx, s, worker, o.Keys, nil, out)
	return errors.Join(err, finish(o.Keys, failed), failures(o.Keys, failed))
}

// takeLease begins a run, or joins the run with an id. finish ends it: keys are the jobs of a run that was begun here,
// and failed are those that failed.
func takeLease(ctx context.Context, s *store.Store, id string) (finish func(keys []string, failed map[string]error) error, err error) {
	background := context.WithoutCancel(ctx)
	if id != "" {
		return func([]string, map[string]error) error { return s.Release(background) }, s.Join(ctx, id)
	}
	run := store.Run{ID: newRunID(), Experiment: "exec", Started: time.Now().UTC(), State: StateRunning}
	finish = func(keys []string, failed map[string]error) error {
		run.State, run.Finished = StateDone, time.Now().UTC()
		if len(failed) > 0 {
			run.State = StateFailed
		}
		for _, key := range keys {
			if failed[key] == nil {
				run.Actions = append(run.Actions, store.RunAction{Name: key, Key: key, State: string(plan.Done)})
			}
		}
		return errors.Join(s.PutRun(background, run), s.Release(background))
	}
	return finish, s.Begin(ctx, run)
}

// failures returns an error that names the jobs that failed, or nil if there are none.
func failures(keys []string, failed map[string]error) error {
	var all []error
	for _, key := range keys {
		if err := failed[key]; err != nil {
			all = append(all, fmt.Errorf("%s: %w", key, err))
		}
	}
	return errors.Join(all...)
}

// prompt is a worker that stops its plugins when its work is canceled, because a plugin that never answers would block
// it.
type prompt struct {
	stopPlugins func() error
	executor.Doer
}

// Do implements executor.Doer.
func (p prompt) Do(ctx context.Context, job plan.Job, c executor.Control) (*store.Record, bool, error) {
	// Exec returns the error of stopping the plugins.
	defer context.AfterFunc(ctx, func() { _ = p.stopPlugins() })()
	return p.Doer.Do(ctx, job, c)
}

func newHost(ctx context.Context, b Builtins, dirs []string, log hclog.Logger) (*host.Host, error) {
	o := host.Options{
		Providers: slices.Sorted(maps.Keys(b.Providers)), Backends: slices.Sorted(maps.Keys(b.Backends)), SearchDirs: dirs, Log: log,
		ProviderDescriptions: map[string]protocol.ProviderDescription{}, BackendDescriptions: map[string]protocol.BackendDescription{},
	}
	var err error
	for name, p := range b.Providers {
		if o.ProviderDescriptions[name], err = p.Describe(ctx); err != nil {
			return nil, fmt.Errorf("describing the built-in provider %s: %w", name, err)
		}
	}
	for name, p := range b.Backends {
		if o.BackendDescriptions[name], err = p.Describe(ctx); err != nil {
			return nil, fmt.Errorf("describing the built-in backend %s: %w", name, err)
		}
	}
	return host.New(o)
}

// process returns a function that starts a process for jobs of a run.
func (w *Workspace) process(run string) func(ctx context.Context) *exec.Cmd {
	return func(ctx context.Context) *exec.Cmd {
		args := []string{"exec", "--store", w.location, "--run", run, "--cache", w.cacheDir(), "--log-level", "debug"}
		for _, dir := range w.options.PluginDirs {
			args = append(args, "--plugins", dir)
		}
		c := exec.CommandContext(ctx, w.program, args...)
		c.Stderr = &logLines{log: w.log}
		return c
	}
}

// logLines forwards the log lines of a process at their levels.
type logLines struct {
	log  hclog.Logger
	rest []byte // the unfinished line
}

// maxLogLine bounds the length of an unfinished line in bytes.
const maxLogLine = 1 << 16

func (l *logLines) Write(b []byte) (int, error) {
	l.rest = append(l.rest, b...)
	for {
		line, after, whole := bytes.Cut(l.rest, []byte{'\n'})
		if !whole && len(line) < maxLogLine {
			return len(b), nil
		}
		l.rest = after
		if level, message, ok := strings.Cut(string(line), "]"); ok && level == "[WARN" {
			l.log.Warn(strings.TrimSpace(message))
		} else if ok && level == "[ERROR" {
			l.log.Error(strings.TrimSpace(message))
		} else {
			l.log.Debug(strings.TrimSpace(string(line)))
		}
	}
}
