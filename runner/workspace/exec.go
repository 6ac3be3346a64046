package workspace

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"surprisal.dev/plugins/host"
	"surprisal.dev/runner/action/kinds"
	"surprisal.dev/runner/executor"
	"surprisal.dev/runner/store"
)

// ExecOptions say which stored jobs to do.
type ExecOptions struct {
	// Store is a directory or a URL.
	Store string
	// Run is the run that the jobs belong to; "" makes one.
	Run string
	// CacheDir holds blobs of a remote store on this machine; "" is a directory that goes when the work is done.
	CacheDir string
	// Keys are those of the jobs; nil reads them from the input, as executor.Serve does.
	Keys       []string
	PluginDirs []string
	Builtins   Builtins
	Log        hclog.Logger
}

// Exec does jobs that a run put into the store, and writes what becomes of them to out. It needs no spec.
func Exec(ctx context.Context, o ExecOptions, in io.Reader, out io.Writer) (err error) {
	s, err := store.Open(ctx, o.Store)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if o.CacheDir == "" {
		if o.CacheDir, err = os.MkdirTemp("", "surprisal-cache-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(o.CacheDir)) }()
	}
	h, err := newHost(o.Builtins, o.PluginDirs, o.Log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	pool := host.NewPool()
	defer func() { err = errors.Join(err, pool.Close()) }()
	if o.Run == "" {
		run := store.Run{ID: newRunID(), Experiment: "exec", Started: time.Now().UTC(), State: StateRunning}
		err = s.Begin(ctx, run)
	} else {
		err = s.Join(ctx, o.Run)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Release(context.WithoutCancel(ctx))) }()
	worker := executor.NewWorker(executor.WorkerOptions{
		Store: s, Kinds: kinds.All(), Host: h, Pool: pool, Log: o.Log, CacheDir: o.CacheDir,
	})
	if o.Keys != nil {
		return executor.Do(ctx, s, worker, o.Keys, nil, out)
	}
	return executor.Serve(ctx, s, worker, in, out)
}

func newHost(b Builtins, dirs []string, log hclog.Logger) (*host.Host, error) {
	return host.New(host.Options{
		Providers: slices.Sorted(maps.Keys(b.Providers)), Backends: slices.Sorted(maps.Keys(b.Backends)), Folders: dirs, Log: log,
	})
}

// process returns what starts a process that does jobs of a run.
func (w *Workspace) process(run string) func(ctx context.Context) *exec.Cmd {
	return func(ctx context.Context) *exec.Cmd {
		args := []string{"exec", "--store", w.location, "--run", run, "--cache", w.cacheDir(), "--log-level", "debug"}
		for _, dir := range w.options.PluginDirs {
			args = append(args, "--plugins", dir)
		}
		c := exec.CommandContext(ctx, w.program, args...)
		c.Stderr = logLines{w.log}
		return c
	}
}

// logLines passes on the log of a process.
type logLines struct{ log hclog.Logger }

func (l logLines) Write(b []byte) (int, error) {
	for line := range strings.Lines(string(b)) {
		l.log.Debug(strings.TrimSpace(line))
	}
	return len(b), nil
}
