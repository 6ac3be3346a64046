package workspace

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/hashicorp/go-hclog"

	"surprisal.dev/plugins/digests"
	"surprisal.dev/plugins/host"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/kinds"
	"surprisal.dev/runner/spec"
	"surprisal.dev/runner/store"
)

// stateDir is the state directory in an experiment directory. It holds the runs and, by default, the store.
const stateDir = ".surprisal"

// Builtins are the plugins that are built into the binary.
type Builtins struct {
	Providers map[string]sdk.Provider
	Backends  map[string]sdk.Backend
}

// Options are the options of Open.
type Options struct {
	// Dir is the experiment directory.
	Dir string
	// Store is a directory or a URL; "" means the store in the state directory.
	Store string
	// State is the directory of runs, reports and the cache; "" means .surprisal in the experiment directory.
	State string
	// Inject sets fields of the spec with a @tag attribute, as "name=value".
	Inject []string
	// Evaluator reads the spec; nil reads it in this process.
	Evaluator spec.Evaluator
	// Confine, if set, is a directory that contains Dir. No file outside of it is read for the spec.
	Confine    string
	PluginDirs []string
	// Remember writes the digests of files to the state directory, if there is one, so that each file is read once.
	Remember bool
	// Values asks for the values of the spec in plans, to compare them.
	Values bool
	// Unpinned plans sources and weights that are not pinned as far as possible, instead of refusing them.
	Unpinned bool
	// Fetching, if set, is called as downloads of weights grow, from several goroutines.
	Fetching func(Fetched)
	Builtins Builtins
	Log      hclog.Logger
}

// Workspace is an open experiment directory.
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
	digests     *digests.Cache
	kinds       []action.Kind
	// location is the location of the store, and program the path of this program.
	location, program string
	// lookupDir is the directory where a run caches lookups of a store in a bucket. It is "" before there is a run,
	// because a plan does not write files.
	lookupDir string

	// setting is the name of the baseline that is being set, or "".
	setting string

	experiment *spec.Experiment
	plugins    []Plugin

	// absent holds pinned weights without a local copy, by the path of the file that is missing.
	absentMutex sync.Mutex
	absent      map[string]absentWeights
	// unpinned lists what Options.Unpinned let pass, by the path of the field.
	unpinned map[string]Unpinned
}

// Open opens the workspace of a directory. It does not write files.
func Open(ctx context.Context, o Options) (*Workspace, error) {
	if err := checkDirectory(o.Dir); err != nil {
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
	if err := checkLinks(state, o.State != "", o.Store == ""); err != nil {
		return nil, err
	}
	w := &Workspace{Dir: dir, options: o, state: state, kinds: kinds.All(), absent: map[string]absentWeights{}, unpinned: map[string]Unpinned{}}
	w.digests = digests.Open(w.state)
	if w.program, err = os.Executable(); err != nil {
		return nil, err
	}
	if w.location = o.Store; o.Store == "" {
		w.location = filepath.Join(w.state, storeName)
	}
	if w.Store, err = store.Open(ctx, w.location); err != nil {
		return nil, err
	}
	// Log lines of plugins and actions go to the terminal at its level, and to the log of the run at all levels.
	w.log = hclog.NewInterceptLogger(&hclog.LoggerOptions{Name: "runner", Level: hclog.Trace, Output: io.Discard})
	w.log.RegisterSink(forward{o.Log})
	w.Store.Warn = func(message string) { w.log.Warn(message) }
	if w.host, err = newHost(ctx, o.Builtins, o.PluginDirs, w.log); err != nil {
		return nil, errors.Join(err, w.Store.Close())
	}
	w.stopPlugins = sync.OnceValue(w.host.Close)
	return w, nil
}

func checkDirectory(dir string) error {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return invalid("%s is not a directory; pass the experiment directory, or create one with `runner init`", dir)
	}
	return nil
}

// Close stops the plugins and closes the store.
func (w *Workspace) Close() error { return errors.Join(w.stopPlugins(), w.Store.Close()) }

// Warnings returns the warnings about the spec.
func (w *Workspace) Warnings() []string { return w.warnings }

// forward forwards log lines to another logger.
type forward struct{ to hclog.Logger }

func (f forward) Accept(name string, level hclog.Level, message string, args ...any) {
	f.to.ResetNamed(name).Log(level, message, args...)
}

// Plugin is a plugin that was found.
type Plugin struct {
	host.Info
	// Problem is the reason why the plugin cannot be used, or "". With a problem, little more than kind and name is
	// known.
	Problem string `json:",omitempty"`
	// trains reports whether a backend trains its models, and neutral lists its settings that do not change results.
	trains  bool
	neutral []string
	asked   bool
}

// Plugins lists all plugins by kind, providers first, and name. It starts those that are not built in, to ask for their
// descriptions.
func (w *Workspace) Plugins(ctx context.Context) ([]Plugin, error) {
	return w.askAll(ctx, func(protocol.Kind, string) bool { return true })
}

// askAll lists all plugins. It asks for the descriptions of those that are selected and were not asked before.
func (w *Workspace) askAll(ctx context.Context, selected func(kind protocol.Kind, name string) bool) ([]Plugin, error) {
	if w.plugins == nil {
		for _, kind := range []protocol.Kind{protocol.KindProvider, protocol.KindBackend} {
			for _, name := range w.host.Names(kind) {
				w.plugins = append(w.plugins, Plugin{Info: host.Info{Kind: kind, Name: name}})
			}
		}
	}
	var group sync.WaitGroup
	for i := range w.plugins {
		p := &w.plugins[i]
		if p.asked || !selected(p.Kind, p.Name) {
			continue
		}
		group.Go(func() {
			if err := w.ask(ctx, p); err != nil {
				p.Problem = err.Error()
			}
		})
	}
	group.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for i := range w.plugins {
		w.plugins[i].asked = w.plugins[i].asked || selected(w.plugins[i].Kind, w.plugins[i].Name)
	}
	return w.plugins, nil
}

// ask asks a plugin for its description.
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
		p.Info, p.trains, p.neutral = backend.Info(), d.Trains, d.NeutralSettings
	}
	if err := spec.CheckSchema(p.Schema); err != nil {
		return fmt.Errorf("the schema of plugin %s is not valid CUE; this is a bug in the plugin: %w", p.Path, err)
	}
	return nil
}

// Language returns the spec language with the configurations of all plugins.
func (w *Workspace) Language(ctx context.Context) (spec.Options, error) {
	plugins, err := w.Plugins(ctx)
	return w.language(plugins), err
}

// language returns the spec language with the configurations of the plugins that were asked. Those of others are not
// checked.
func (w *Workspace) language(plugins []Plugin) spec.Options {
	o := spec.Options{
		Tags: w.options.Inject, Values: w.options.Values, Sections: action.Sections(w.kinds),
		Providers: map[string]spec.Schema{}, Backends: map[string]spec.Schema{},
	}
	schemas := map[protocol.Kind]map[string]spec.Schema{protocol.KindProvider: o.Providers, protocol.KindBackend: o.Backends}
	for _, p := range plugins {
		s := spec.Schema{CUE: p.Schema, Trains: p.trains, Problem: p.Problem}
		if !p.asked {
			s = spec.Schema{CUE: "#Config: {...}"}
		}
		schemas[p.Kind][p.Name] = s
	}
	return o
}

// load reads the spec in a directory. It asks the built-in plugins, which starts no process, and the plugins that the
// spec names. See spec.Options for confine.
func (w *Workspace) load(ctx context.Context, dir, confine string) (*spec.Experiment, error) {
	read := func(plugins []Plugin) (*spec.Experiment, error) {
		o := w.language(plugins)
		o.Confine, o.Setting = confine, w.setting
		if w.options.Evaluator == nil {
			return spec.Load(ctx, dir, o)
		}
		return w.options.Evaluator.Load(ctx, dir, o)
	}
	plugins, err := w.askAll(ctx, func(kind protocol.Kind, name string) bool { return w.isBuiltin(kind, name) })
	if err != nil {
		return nil, err
	}
	e, err := read(plugins)
	if e == nil {
		return nil, err
	}
	// The second pass, with the schemas of the named plugins, also finds the mistakes in their settings.
	named := pluginsOf(e)
	unknown := func(p Plugin) bool { return !p.asked && named[p.Kind][p.Name] }
	if !slices.ContainsFunc(plugins, unknown) {
		return e, err
	}
	if plugins, err = w.askAll(ctx, func(kind protocol.Kind, name string) bool { return named[kind][name] }); err != nil {
		return nil, err
	}
	return read(plugins)
}

func (w *Workspace) isBuiltin(kind protocol.Kind, name string) bool {
	var is bool
	if kind == protocol.KindProvider {
		_, is = w.options.Builtins.Providers[name]
	} else {
		_, is = w.options.Builtins.Backends[name]
	}
	return is
}

// pluginsOf returns the names of the plugins that an experiment uses.
func pluginsOf(e *spec.Experiment) map[protocol.Kind]map[string]bool {
	named := map[protocol.Kind]map[string]bool{protocol.KindProvider: {}, protocol.KindBackend: {}}
	for _, d := range e.Datasets {
		named[protocol.KindProvider][d.Source.Provider] = true
	}
	for _, m := range e.Models {
		if m.Backend != nil {
			named[protocol.KindBackend][m.Backend.Name] = true
		}
	}
	return named
}

func invalid(format string, args ...any) error {
	return &protocol.Error{Kind: protocol.InvalidInput, Message: fmt.Sprintf(format, args...)}
}
