// Package actiontest runs actions in tests: plans with a real store in a directory, and plugins in separate processes.
//
// It may import every package of the runner except workspace and cli, and the built-in plugins.
package actiontest

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"surprisal.dev/plugins/host"
	"surprisal.dev/plugins/ngram"
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
	"surprisal.dev/providers/jsonl"
	"surprisal.dev/providers/text"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/kinds"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/engine"
	"surprisal.dev/runner/executor"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
	"surprisal.dev/runner/store"
)

// Main is TestMain of a test binary that also serves as its own plugins: the built-in ones and the backends of the
// test.
func Main(m *testing.M, backends map[string]sdk.Backend) {
	if len(os.Args) != 5 || os.Args[1] != "plugin" {
		os.Exit(m.Run())
	}
	kind, name := protocol.Kind(os.Args[3]), os.Args[4]
	switch b, ok := backends[name]; {
	case kind == protocol.KindProvider && name == "text":
		sdk.ServeProvider(text.New())
	case kind == protocol.KindProvider && name == "jsonl":
		sdk.ServeProvider(jsonl.New())
	case kind == protocol.KindBackend && name == "ngram":
		sdk.ServeBackend(ngram.New())
	case ok:
		sdk.ServeBackend(b)
	}
	os.Exit(1)
}

// Lab is an experiment under construction, with everything to run it.
type Lab struct {
	spec.Experiment
	Store *store.Store
	Host  *host.Host
	// Cores is the number of concurrent actions.
	Cores int64
	// Progress is the total progress of all runs.
	Progress action.Progress

	t     testing.TB
	kinds []action.Kind
	observer
}

// New returns an empty experiment in a new directory, with a store and plugins. backends lists the backends of Main.
func New(t testing.TB, backends ...string) *Lab {
	t.Helper()
	dir := t.TempDir()
	l := &Lab{t: t, kinds: kinds.All(), Cores: 1, Experiment: spec.Experiment{Name: "test", Dir: dir}}
	var err error
	if l.Store, err = store.Open(t.Context(), filepath.Join(dir, "store")); err != nil {
		t.Fatal(err)
	}
	l.Host, err = host.New(host.Options{Providers: []string{"jsonl", "text"}, Backends: append(backends, "ngram")})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Store.Begin(t.Context(), store.Run{ID: "run", Started: time.Now(), State: "running"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(l.Host.Close(), l.Store.Close()); err != nil {
			t.Error(err)
		}
	})
	return l
}

// Write writes a file in the experiment's directory.
func (l *Lab) Write(name, content string) {
	l.t.Helper()
	if err := os.WriteFile(filepath.Join(l.Dir, name), []byte(content), 0o644); err != nil {
		l.t.Fatal(err)
	}
}

// Text writes a file with the given lines and adds it as a dataset.
func (l *Lab) Text(name string, lines ...string) *spec.Dataset {
	l.t.Helper()
	file := strings.ReplaceAll(name, "/", "-") + ".txt"
	l.Write(file, strings.Join(lines, "\n"))
	return l.Dataset(name, "text", `{"path":"`+file+`","split":"lines"}`, "text")
}

// Dataset adds a dataset with the default policies of a spec.
func (l *Lab) Dataset(name, provider, config string, fields ...string) *spec.Dataset {
	l.Datasets = append(l.Datasets, spec.Dataset{
		Name: name, Source: spec.Source{Provider: provider, Config: json.RawMessage(config)}, Fields: fields,
		InvalidUTF8: "error", BadRows: "error",
	})
	return &l.Datasets[len(l.Datasets)-1]
}

// Model adds a model with the default scoring settings of a spec.
func (l *Lab) Model(name, backend, config string, on ...string) *spec.Model {
	l.Models = append(l.Models, spec.Model{
		Name: name, Backend: &spec.Backend{Name: backend, Config: json.RawMessage(config), Train: on},
		Scoring: spec.Scoring{Prefix: protocol.PrefixBOS, Anchor: protocol.AnchorTokens},
	})
	return &l.Models[len(l.Models)-1]
}

// Plan returns the plan of the experiment.
func (l *Lab) Plan() *plan.Plan {
	l.t.Helper()
	c := plan.Catalog{
		Providers: map[string]plan.Plugin{}, Backends: map[string]plan.Plugin{}, Sources: map[string]protocol.Resolution{},
	}
	for i := range l.Datasets {
		d := &l.Datasets[i]
		p, err := l.Host.Provider(l.t.Context(), d.Source.Provider)
		if err != nil {
			l.t.Fatal(err)
		}
		c.Providers[d.Source.Provider] = plan.Plugin{Worker: executor.WorkerOf(p.Info())}
		c.Sources[d.Name], err = p.Resolve(l.t.Context(), protocol.ResolveRequest{Source: protocol.Source{Config: d.Source.Config, Dir: l.Dir}})
		if err != nil {
			l.t.Fatal(err)
		}
	}
	for _, m := range l.Models {
		b, err := l.Host.Backend(l.t.Context(), m.Backend.Name)
		if err != nil {
			l.t.Fatal(err)
		}
		c.Backends[m.Backend.Name] = plan.Plugin{Worker: executor.WorkerOf(b.Info()), Capabilities: b.Info().Capabilities}
	}
	var planned []plan.Kind
	for _, k := range l.kinds {
		planned = append(planned, k)
	}
	p, err := plan.Build(l.t.Context(), &l.Experiment, c, planned)
	if err != nil {
		l.t.Fatal(err)
	}
	return p
}

// Section sets the spec's section of a kind.
func (l *Lab) Section(kind string, v any) {
	l.t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		l.t.Fatal(err)
	}
	if l.Sections == nil {
		l.Sections = map[string]json.RawMessage{}
	}
	l.Sections[kind] = text
}

// Run plans the experiment and executes the remaining actions. It returns the errors of actions by name.
func (l *Lab) Run() (*plan.Plan, map[string]error) {
	l.t.Helper()
	p := l.Plan()
	if err := p.Resolve(l.t.Context(), Cache{Store: l.Store}); err != nil {
		l.t.Fatal(err)
	}
	pool := host.NewPool()
	l.failed = map[string]error{}
	l.advance = func(p action.Progress) { l.Progress.Add(p) }
	x := executor.NewLocal(
		executor.NewBudget(plan.Resources{Cores: l.Cores, Memory: 2 << 30}, pool, func(model string, err error) { l.t.Error(model, err) }),
		executor.NewWorker(executor.WorkerOptions{
			Store: l.Store, Kinds: l.kinds, Host: l.Host, Pool: pool, Log: hclog.NewNullLogger(),
		}))
	e := engine.New(engine.Options{Store: l.Store, Executor: x, Observer: &l.observer, Log: hclog.NewNullLogger()})
	if err := e.Run(l.t.Context(), p, nil); err != nil {
		l.t.Fatal(err)
	}
	if err := errors.Join(x.Close(), pool.Close()); err != nil {
		l.t.Error(err)
	}
	return p, maps.Clone(l.failed)
}

// MustRun is Run, but fails the test unless every action succeeds.
func (l *Lab) MustRun() *plan.Plan {
	l.t.Helper()
	p, failed := l.Run()
	for _, name := range slices.Sorted(maps.Keys(failed)) {
		l.t.Error(failed[name])
	}
	if l.t.Failed() {
		l.t.FailNow()
	}
	return p
}

// Path returns the path of a file in an action's artifact.
func (l *Lab) Path(p *plan.Plan, name, file string) string {
	l.t.Helper()
	a := p.Action(name)
	if a == nil {
		l.t.Fatalf("no action %q; actions are %q", name, p.Names())
	}
	f, err := store.FileOf(a.Outputs, file)
	if err != nil {
		l.t.Fatalf("%s (%s): %v", name, a.State, err)
	}
	path, err := l.Store.LocalPath(l.t.Context(), f.Digest, "")
	if err != nil {
		l.t.Fatal(err)
	}
	return path
}

// JSON reads a JSON file of an action's artifact.
func JSON[T any](l *Lab, p *plan.Plan, name, file string) (v T) {
	l.t.Helper()
	if err := artifact.ReadJSON(l.Path(p, name, file), &v); err != nil {
		l.t.Fatal(err)
	}
	return v
}

// Cache looks up keys in a store on this machine.
type Cache struct{ Store *store.Store }

// LookupMany implements plan.Cache.
func (c Cache) LookupMany(ctx context.Context, keys []string) (map[string]*store.Record, error) {
	return c.Store.LookupMany(ctx, keys, "")
}
