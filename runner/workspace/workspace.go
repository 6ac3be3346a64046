package workspace

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/hashicorp/go-hclog"

	"surprisal.dev/plugins/host"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
	"surprisal.dev/runner/spec"
	"surprisal.dev/runner/store"
)

// stateDir is the folder beside a spec that holds its runs and, unless another store is named, its store.
const stateDir = ".surprisal"

// Builtins are the plugins that the binary holds.
type Builtins struct {
	Providers map[string]sdk.Provider
	Backends  map[string]sdk.Backend
}

// Options say what to open.
type Options struct {
	// Dir is the spec's folder.
	Dir string
	// Store is a folder or a URL; "" is the store beside the spec.
	Store string
	// State is the folder that holds runs, reports and the cache; "" is the one beside the spec.
	State string
	// Inject sets fields of the spec with a @tag attribute, as "key=value".
	Inject     []string
	PluginDirs []string
	Builtins   Builtins
	Log        hclog.Logger
}

// Workspace is an opened folder.
type Workspace struct {
	Dir   string
	Store *store.Store

	options Options
	state   string
	host    *host.Host
	// stopPlugins closes the host, once.
	stopPlugins func() error
	log         hclog.InterceptLogger
	warnings    []string
	digests     *digests

	experiment *spec.Experiment
	plugins    []Plugin
}

// Open opens the workspace of a folder. It writes nothing.
func Open(ctx context.Context, o Options) (*Workspace, error) {
	if err := checkFolder(o.Dir); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	state, err := filepath.Abs(cmp.Or(o.State, filepath.Join(dir, stateDir)))
	if err != nil {
		return nil, err
	}
	w := &Workspace{Dir: dir, options: o, state: state}
	w.digests = openDigests(filepath.Join(w.state, "digests.json"))
	location := o.Store
	if location == "" {
		location = filepath.Join(w.state, "store")
	}
	if w.Store, err = store.Open(ctx, location); err != nil {
		return nil, err
	}
	// What plugins and actions log goes to the terminal as far as its level allows, and to the run's log in full.
	w.log = hclog.NewInterceptLogger(&hclog.LoggerOptions{Name: "runner", Level: hclog.Trace, Output: io.Discard})
	w.log.RegisterSink(forward{o.Log})
	w.host, err = host.New(host.Options{
		Providers: slices.Sorted(maps.Keys(o.Builtins.Providers)), Backends: slices.Sorted(maps.Keys(o.Builtins.Backends)),
		Folders: o.PluginDirs, Log: w.log,
	})
	if err != nil {
		return nil, errors.Join(err, w.Store.Close())
	}
	w.stopPlugins = sync.OnceValue(w.host.Close)
	return w, nil
}

func checkFolder(dir string) error {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return invalid("%s is no folder; give the folder of a spec, or make one with runner init", dir)
	}
	return nil
}

// Close stops the plugins and closes the store.
func (w *Workspace) Close() error { return errors.Join(w.stopPlugins(), w.Store.Close()) }

// Warnings returns what was found in the spec that is allowed and probably not meant.
func (w *Workspace) Warnings() []string { return w.warnings }

// forward hands log lines to another logger.
type forward struct{ to hclog.Logger }

func (f forward) Accept(name string, level hclog.Level, message string, args ...any) {
	f.to.ResetNamed(name).Log(level, message, args...)
}

// Plugin is a plugin that was found.
type Plugin struct {
	host.Info
	// Problem says why it cannot be used, if it cannot; then not much more than its kind and name is known.
	Problem string `json:",omitempty"`
	// trains says whether a backend makes its models.
	trains bool
}

// Plugins starts all plugins that can be found and asks what they are. It lists them by kind, providers first, and name.
func (w *Workspace) Plugins(ctx context.Context) ([]Plugin, error) {
	if w.plugins != nil {
		return w.plugins, nil
	}
	var found []Plugin
	for _, kind := range []protocol.Kind{protocol.KindProvider, protocol.KindBackend} {
		for _, name := range w.host.Names(kind) {
			found = append(found, Plugin{Info: host.Info{Kind: kind, Name: name}})
		}
	}
	var group sync.WaitGroup
	for i := range found {
		group.Go(func() {
			if err := w.ask(ctx, &found[i]); err != nil {
				found[i].Problem = err.Error()
			}
		})
	}
	group.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w.plugins = found
	return found, nil
}

// ask starts a plugin and asks what it is.
func (w *Workspace) ask(ctx context.Context, p *Plugin) error {
	if p.Kind == protocol.KindProvider {
		provider, err := w.host.Provider(ctx, p.Name)
		if err != nil {
			return err
		}
		p.Info = provider.Info()
	} else {
		backend, err := w.host.Backend(ctx, p.Name)
		if err != nil {
			return err
		}
		d, err := backend.Describe(ctx)
		if err != nil {
			return err
		}
		p.Info, p.trains = backend.Info(), d.Trains
	}
	if err := spec.CheckSchema(p.Schema); err != nil {
		return fmt.Errorf("the schema of plugin %s is not valid CUE, which is a mistake of the plugin: %w", p.Path, err)
	}
	return nil
}

// Schemas returns the CUE schemas of all plugins.
func (w *Workspace) Schemas(ctx context.Context) (providers, backends map[string]spec.Schema, err error) {
	plugins, err := w.Plugins(ctx)
	if err != nil {
		return nil, nil, err
	}
	schemas := map[protocol.Kind]map[string]spec.Schema{protocol.KindProvider: {}, protocol.KindBackend: {}}
	for _, p := range plugins {
		schemas[p.Kind][p.Name] = spec.Schema{CUE: p.Schema, Trains: p.trains, Problem: p.Problem}
	}
	return schemas[protocol.KindProvider], schemas[protocol.KindBackend], nil
}

func invalid(format string, args ...any) error {
	return &protocol.Error{Kind: protocol.InvalidInput, Message: fmt.Sprintf(format, args...)}
}
