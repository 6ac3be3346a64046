package workspace

import (
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

	experiment *spec.Experiment
	infos      map[protocol.Kind]map[string]host.Info
}

// Open opens the workspace of a folder. It writes nothing.
func Open(ctx context.Context, o Options) (*Workspace, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, invalid("%s is no folder; give the folder of a spec, or make one with runner init", o.Dir)
	}
	w := &Workspace{Dir: dir, options: o, state: filepath.Join(dir, stateDir)}
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

// Close stops the plugins and closes the store.
func (w *Workspace) Close() error { return errors.Join(w.stopPlugins(), w.Store.Close()) }

// Warnings returns what was found in the spec that is allowed and probably not meant.
func (w *Workspace) Warnings() []string { return w.warnings }

// forward hands log lines to another logger.
type forward struct{ to hclog.Logger }

func (f forward) Accept(name string, level hclog.Level, message string, args ...any) {
	f.to.Named(name).Log(level, message, args...)
}

// plugins starts all plugins that can be found and asks what they are.
func (w *Workspace) plugins(ctx context.Context) (map[protocol.Kind]map[string]host.Info, error) {
	if w.infos != nil {
		return w.infos, nil
	}
	infos := map[protocol.Kind]map[string]host.Info{protocol.KindProvider: {}, protocol.KindBackend: {}}
	var mu sync.Mutex
	var group sync.WaitGroup
	var errs []error
	for kind := range infos {
		for _, name := range w.host.Names(kind) {
			group.Go(func() {
				info, err := w.info(ctx, kind, name)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					errs = append(errs, err)
					return
				}
				infos[kind][name] = info
			})
		}
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	w.infos = infos
	return infos, nil
}

func (w *Workspace) info(ctx context.Context, kind protocol.Kind, name string) (host.Info, error) {
	if kind == protocol.KindProvider {
		p, err := w.host.Provider(ctx, name)
		if err != nil {
			return host.Info{}, err
		}
		return p.Info(), nil
	}
	b, err := w.host.Backend(ctx, name)
	if err != nil {
		return host.Info{}, err
	}
	return b.Info(), nil
}

// Plugins lists all plugins that can be found, by kind and name.
func (w *Workspace) Plugins(ctx context.Context) ([]host.Info, error) {
	infos, err := w.plugins(ctx)
	if err != nil {
		return nil, err
	}
	var all []host.Info
	for _, kind := range []protocol.Kind{protocol.KindProvider, protocol.KindBackend} {
		for _, name := range slices.Sorted(maps.Keys(infos[kind])) {
			all = append(all, infos[kind][name])
		}
	}
	return all, nil
}

// Schemas returns the CUE schemas of all plugins.
func (w *Workspace) Schemas(ctx context.Context) (providers, backends map[string]spec.Schema, err error) {
	infos, err := w.plugins(ctx)
	if err != nil {
		return nil, nil, err
	}
	providers, backends = map[string]spec.Schema{}, map[string]spec.Schema{}
	for name, info := range infos[protocol.KindProvider] {
		providers[name] = spec.Schema{CUE: info.Schema}
	}
	for name, info := range infos[protocol.KindBackend] {
		b, err := w.host.Backend(ctx, name)
		if err != nil {
			return nil, nil, err
		}
		d, err := b.Describe(ctx)
		if err != nil {
			return nil, nil, err
		}
		backends[name] = spec.Schema{CUE: info.Schema, Trains: d.Trains}
	}
	return providers, backends, nil
}

func invalid(format string, args ...any) error {
	return &protocol.Error{Kind: protocol.InvalidInput, Message: fmt.Sprintf(format, args...)}
}
