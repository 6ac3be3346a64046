package plan_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action/gap"
	"surprisal.dev/runner/action/kinds"
	"surprisal.dev/runner/action/scaling"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
	"surprisal.dev/runner/store"
)

// world is an experiment and the catalog for its plan.
type world struct {
	spec.Experiment
	plan.Catalog
	Gaps   []gap.Gap
	tables []scaling.Table
}

// newWorld has the datasets a, b and corpus (for training only); the models flat, which is not trained, and big and
// small, which are trained on corpus; and a gap between the trained ones.
func newWorld() *world {
	w := &world{
		Experiment: spec.Experiment{Name: "test"},
		Catalog: plan.Catalog{
			Providers: map[string]plan.Plugin{"text": {Worker: plan.Worker{Name: "text", Version: "1", Protocol: 1, Digest: digest("provider")}}},
			Backends: map[string]plan.Plugin{
				"ngram": {Worker: plan.Worker{Name: "ngram", Version: "1", Protocol: 1, Digest: digest("ngram")}, Neutral: []string{"threads", "batch.tokens"}},
				"flat":  {Worker: plan.Worker{Name: "flat", Version: "1", Protocol: 1, Digest: digest("flat")}},
			},
			Sources: map[string]protocol.Resolution{}, Scores: map[string]protocol.File{}, Estimates: map[string]protocol.Estimate{},
			Weights: map[string][]protocol.ModelFile{"flat": {{Name: "flat.bin", Path: "/models/flat.bin", Digest: digest("weights")}}},
		},
	}
	for _, key := range []string{"a", "b", "corpus"} {
		w.dataset(key).TrainOnly = key == "corpus"
	}
	w.model("big", "ngram", `{"order":5}`, "corpus")
	w.model("flat", "flat", `{}`)
	w.model("small", "ngram", `{"order":2}`, "corpus")
	w.Gaps = []gap.Gap{{Name: "big-small", A: "big", B: "small", Datasets: []string{"a", "b"}, Allow: []string{"context", "eos"}}}
	return w
}

func digest(content string) string { return protocol.Digest([]byte(content)) }

func (w *world) dataset(name string) *spec.Dataset {
	w.Datasets = append(w.Datasets, spec.Dataset{
		Name: name, Source: spec.Source{Provider: "text", Config: json.RawMessage(`{"path":"/data/` + name + `.txt"}`)},
		Fields: []string{"text"}, Tags: []string{"tag:" + name}, Limits: spec.Limits{Documents: 10, Bytes: 100}, InvalidUTF8: "error", BadRows: "error",
	})
	w.Sources[name] = protocol.Resolution{
		Parameters: json.RawMessage(`{"split":"lines"}`), Local: true,
		Files: []protocol.File{{Name: "text.txt", Digest: digest(name), Bytes: 5000}},
	}
	return w.named(name)
}

func (w *world) named(name string) *spec.Dataset {
	return &w.Datasets[slices.IndexFunc(w.Datasets, func(d spec.Dataset) bool { return d.Name == name })]
}

func (w *world) model(name, backend, config string, train ...string) *spec.Model {
	w.Models = append(w.Models, spec.Model{
		Name: name, Backend: &spec.Backend{Name: backend, Config: json.RawMessage(config), Train: train}, Scoring: spec.Scoring{Prefix: "bos"},
	})
	w.Estimates[name] = protocol.Estimate{MemoryBytes: 1 << 20, BytesPerToken: 4, FLOPsPerToken: 10}
	return &w.Models[len(w.Models)-1]
}

func (w *world) called(name string) *spec.Model {
	return &w.Models[slices.IndexFunc(w.Models, func(m spec.Model) bool { return m.Name == name })]
}

func (w *world) plan(t testing.TB) *plan.Plan {
	t.Helper()
	p, err := w.build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (w *world) build(ctx context.Context) (*plan.Plan, error) {
	text, err := json.Marshal(w.Gaps)
	if err != nil {
		return nil, err
	}
	tables, err := json.Marshal(w.tables)
	if err != nil {
		return nil, err
	}
	w.Sections = map[string]json.RawMessage{"gap": text, "scaling": tables}
	var all []plan.Kind
	for _, k := range kinds.All() {
		all = append(all, k)
	}
	return plan.Build(ctx, &w.Experiment, w.Catalog, all)
}

// cache returns earlier results. Outputs depend only on the key, like those of a deterministic action.
type cache map[string]*store.Record

func (c cache) LookupMany(_ context.Context, keys []string) (map[string]*store.Record, error) {
	hits := map[string]*store.Record{}
	for _, key := range keys {
		if r := c[key]; r != nil {
			hits[key] = r
		}
	}
	return hits, nil
}

func (c cache) add(a *plan.Action, measured map[string]float64) {
	r := &store.Record{Key: a.Key, Measured: measured}
	for _, name := range []string{
		artifact.CountsFile, artifact.DocumentsFile, artifact.LedgerFile, artifact.ModelFile, artifact.ScoredFile, artifact.SummaryFile,
	} {
		r.Outputs = append(r.Outputs, store.File{Name: name, Digest: digest(a.Key + name), Bytes: 1})
	}
	c[a.Key] = r
}

func resolve(t testing.TB, p *plan.Plan, c plan.Cache) {
	t.Helper()
	if err := p.Resolve(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

// fill executes every action of the plan.
func (c cache) fill(t testing.TB, p *plan.Plan) {
	t.Helper()
	for _, kind := range p.Kinds {
		resolve(t, p, c)
		for _, a := range p.Actions {
			if a.Kind == kind && a.State == plan.Pending {
				c.add(a, nil)
			}
		}
	}
	resolve(t, p, c)
}

// keys returns all keys of the finished plan by action name.
func (w *world) keys(t testing.TB) map[string]string {
	t.Helper()
	p := w.plan(t)
	cache{}.fill(t, p)
	keys := map[string]string{}
	for _, a := range p.Actions {
		if a.Key == "" && a.State != plan.Skipped {
			t.Fatalf("%s has no key", a.Name)
		}
		keys[a.Name] = a.Key
	}
	return keys
}

func TestBuild(t *testing.T) {
	want := []string{
		"materialize corpus", "materialize a", "materialize b",
		"train big", "train small",
		"score big a", "score big b", "score flat a", "score flat b", "score small a", "score small b",
		"gap big-small",
	}
	p := newWorld().plan(t)
	if d := cmp.Diff(want, p.Names()); d != "" {
		t.Error(d)
	}
	for i, a := range p.Actions {
		if a.Index != i || p.Action(a.Name) != a {
			t.Errorf("%s is not at its place", a.Name)
		}
		for _, in := range a.Inputs {
			if in.Upstream.Index >= i {
				t.Errorf("%s comes before its input %s", a.Name, in.Upstream.Name)
			}
		}
	}
}

// A change of the spec or the catalog changes the keys of exactly the actions that depend on it.
func TestKeys(t *testing.T) {
	for _, test := range []struct {
		what   string
		change func(*world)
		moves  string // names of actions, "" for none
	}{
		{"the directory of a dataset", func(w *world) { w.named("a").Source.Config = json.RawMessage(`{"path":"/elsewhere"}`) }, ""},
		{"the order of datasets", func(w *world) { slices.Reverse(w.Datasets) }, ""},
		{"the order of models", func(w *world) { slices.Reverse(w.Models) }, ""},
		{"the order of a gap's exceptions", func(w *world) { slices.Reverse(w.Gaps[0].Allow) }, ""},
		{"the experiment's name and directory", func(w *world) { w.Name, w.Dir = "other", "/other" }, ""},
		{"a model's family", func(w *world) { w.called("big").Family = "ngrams" }, ""},
		{"how a configuration is written", func(w *world) { w.called("flat").Backend.Config = json.RawMessage(" { }") }, ""},
		{"whether a source is local", func(w *world) { s := w.Sources["a"]; s.Local = false; w.Sources["a"] = s }, ""},
		{"an estimate", func(w *world) { w.Estimates["big"] = protocol.Estimate{} }, ""},
		{"a dataset's content", func(w *world) { w.Sources["a"].Files[0].Digest = digest("new") },
			"materialize a, score big a, score flat a, score small a, gap big-small"},
		{"a shard's name", func(w *world) { w.Sources["b"].Files[0].Name = "other.txt" },
			"materialize b, score big b, score flat b, score small b, gap big-small"},
		{"a limit of documents", func(w *world) { w.named("a").Limits.Documents = 11 },
			"materialize a, score big a, score flat a, score small a, gap big-small"},
		{"a limit of bytes", func(w *world) { w.named("a").Limits.Bytes = 101 },
			"materialize a, score big a, score flat a, score small a, gap big-small"},
		{"tags", func(w *world) { w.named("a").Tags = []string{"x"} }, "gap big-small"},
		{"threads", func(w *world) { w.called("small").Backend.Config = json.RawMessage(`{"order":2,"threads":7}`) }, ""},
		{"a setting in a struct that changes no result", func(w *world) {
			w.called("small").Backend.Config = json.RawMessage(`{"batch":{"tokens":9,"size":1},"order":2}`)
		}, "train small, score small a, score small b, gap big-small"},
		{"the truncation in force, set by a sweep", func(w *world) { w.called("flat").Limits = &spec.Limits{Documents: -1, Bytes: 50} },
			"score flat a, score flat b, materialize a@documents=10,bytes=50, materialize b@documents=10,bytes=50"},
		{"what happens to bad rows", func(w *world) { w.named("b").BadRows = "skip" },
			"materialize b, score big b, score flat b, score small b, gap big-small"},
		{"what happens to text that is not UTF-8", func(w *world) { w.named("b").InvalidUTF8 = "replace" },
			"materialize b, score big b, score flat b, score small b, gap big-small"},
		{"the field that is read", func(w *world) { w.named("b").Fields = []string{"body"} },
			"materialize b, score big b, score flat b, score small b, gap big-small"},
		{"a source's parameters", func(w *world) {
			s := w.Sources["b"]
			s.Parameters = json.RawMessage(`{"split":"file"}`)
			w.Sources["b"] = s
		},
			"materialize b, score big b, score flat b, score small b, gap big-small"},
		{"a source's revision", func(w *world) { s := w.Sources["b"]; s.Revision = "r2"; w.Sources["b"] = s },
			"materialize b, score big b, score flat b, score small b, gap big-small"},
		{"the content of weights", func(w *world) { w.Weights["flat"][0].Digest = digest("new") }, "score flat a, score flat b"},
		{"the name of a file of weights", func(w *world) { w.Weights["flat"][0].Name = "other.bin" }, "score flat a, score flat b"},
		{"the place of weights", func(w *world) { w.Weights["flat"][0].Path = "/elsewhere" }, ""},
		{"the version of a backend", func(w *world) {
			b := w.Backends["ngram"]
			b.Version = "2"
			w.Backends["ngram"] = b
		}, "train big, train small, score big a, score big b, score small a, score small b, gap big-small"},
		{"special tokens", func(w *world) { w.named("a").ParseSpecial = true }, "score big a, score flat a, score small a, gap big-small"},
		{"a row range", func(w *world) { w.named("corpus").Rows.From = 1 },
			"materialize corpus, train big, train small, score big a, score big b, score small a, score small b, gap big-small"},
		{"the end of a row range", func(w *world) { w.named("b").Rows.To = 5 },
			"materialize b, score big b, score flat b, score small b, gap big-small"},
		{"the binary of a provider", func(w *world) {
			w.Providers["text"] = plan.Plugin{Worker: plan.Worker{Name: "text", Version: "1", Protocol: 1, Digest: digest("new")}}
		}, "materialize a, materialize b, materialize corpus, train big, train small, score big a, score big b, score flat a, score flat b, score small a, score small b, gap big-small"},
		{"the protocol of a backend", func(w *world) {
			w.Backends["flat"] = plan.Plugin{Worker: plan.Worker{Name: "flat", Version: "1", Protocol: 2, Digest: digest("flat")}}
		}, "score flat a, score flat b"},
		{"one more shard", func(w *world) {
			s := w.Sources["b"]
			s.Files = append(s.Files, protocol.File{Name: "more.txt", Digest: digest("more")})
			w.Sources["b"] = s
		}, "materialize b, score big b, score flat b, score small b, gap big-small"},
		{"the context of a model", func(w *world) { w.called("flat").Scoring.Context = 64 }, "score flat a, score flat b"},
		{"the stride of a model", func(w *world) { w.called("flat").Scoring.Stride = 64 }, "score flat a, score flat b"},
		{"the anchor of a model's context", func(w *world) { w.called("flat").Scoring.Anchor = "bytes" }, "score flat a, score flat b"},
		{"the end of text", func(w *world) { w.called("flat").Scoring.EOS = true }, "score flat a, score flat b"},
		{"the sides of a gap", func(w *world) { w.Gaps[0].A, w.Gaps[0].B = w.Gaps[0].B, w.Gaps[0].A }, "gap big-small"},
		{"the datasets of a gap", func(w *world) { w.Gaps[0].Datasets = []string{"a"} }, "gap big-small"},
		{"a sample", func(w *world) { w.named("b").Sample = &spec.Sample{Documents: 3, Seed: 1} },
			"materialize b, score big b, score flat b, score small b, gap big-small"},
		{"a model's setting", func(w *world) { w.called("small").Backend.Config = json.RawMessage(`{"order":3}`) },
			"train small, score small a, score small b, gap big-small"},
		{"how a model scores", func(w *world) { w.called("small").Scoring.Prefix = "none" }, "score small a, score small b, gap big-small"},
		{"a backend's binary", func(w *world) {
			w.Backends["flat"] = plan.Plugin{Worker: plan.Worker{Name: "flat", Version: "1", Protocol: 1, Digest: digest("new")}}
		},
			"score flat a, score flat b"},
		{"the allowed fields of a gap", func(w *world) { w.Gaps[0].Allow = []string{"stride"} }, "gap big-small"},
	} {
		t.Run(test.what, func(t *testing.T) {
			before := newWorld().keys(t)
			w := newWorld()
			test.change(w)
			after := w.keys(t)
			var moved []string
			for name := range after {
				if before[name] != after[name] {
					moved = append(moved, name)
				}
			}
			want := strings.Split(test.moves, ", ")
			if test.moves == "" {
				want = nil
			}
			slices.Sort(moved)
			slices.Sort(want)
			if d := cmp.Diff(want, moved); d != "" {
				t.Error(d)
			}
		})
	}
}

// The descriptor of an action is in the form that a store accepts, and can be read back.
func TestDescriptors(t *testing.T) {
	w := newWorld()
	w.dataset("odd/é\u2028<&>")
	w.Gaps[0].Datasets = append(w.Gaps[0].Datasets, "odd/é\u2028<&>")
	w.named("a").Tags = []string{"<&>", `"\`, "é\u2028"}
	p := w.plan(t)
	cache{}.fill(t, p)
	for _, a := range p.Actions {
		descriptor, err := a.SetKey()
		if err != nil {
			t.Fatal(err)
		}
		a.State = plan.Cached
		canonical, err := store.Canonical(descriptor)
		if err != nil || store.KeyOf(canonical) != a.Key || !bytes.Equal(canonical, descriptor) {
			t.Errorf("%s: the key %s belongs to %s (%v)", a.Name, a.Key, canonical, err)
		}
		d, err := plan.ReadDescriptor(descriptor)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := d.Canonical(); err != nil || !bytes.Equal(again, descriptor) {
			t.Errorf("%s: read back, %s became %s (%v)", a.Name, descriptor, again, err)
		}
		job, err := a.Job()
		if err != nil {
			t.Fatal(err)
		}
		traveled, err := json.Marshal(job)
		if err != nil {
			t.Fatal(err)
		}
		var back plan.Job
		if err := json.Unmarshal(traveled, &back); err != nil {
			t.Fatal(err)
		}
		if key, _, err := back.Descriptor.Key(); err != nil || key != a.Key {
			t.Errorf("%s: after a journey as JSON its key is %s, not %s (%v)", a.Name, key, a.Key, err)
		}
	}
}

// Samples with another size or seed are other documents.
func TestKeysOfSamples(t *testing.T) {
	keys := map[string]bool{}
	for _, sample := range []spec.Sample{{Documents: 3, Seed: 1}, {Documents: 4, Seed: 1}, {Documents: 3, Seed: 2}} {
		w := newWorld()
		w.named("b").Sample = &sample
		keys[w.keys(t)["materialize b"]] = true
	}
	if len(keys) != 3 {
		t.Errorf("got %d keys of three samples", len(keys))
	}
}

// Each kind sets the labels, local settings, inputs and resources of its actions.
func TestKinds(t *testing.T) {
	w := newWorld()
	w.Estimates["big"] = protocol.Estimate{MemoryBytes: 10, TrainingMemoryPerByte: 2, MemoryPerTrainingByte: 3, Devices: 1, DeviceMemoryBytes: 70}
	w.Estimates["small"] = protocol.Estimate{Parameters: 12}
	w.called("big").Backend.Config = json.RawMessage(`{"order":5,"threads":4,"batch":{"tokens":7}}`)
	w.named("b").Tags = nil
	w.named("b").ParseSpecial = true
	w.Dir = "/specs"
	w.Models = append(w.Models, spec.Model{Name: "theirs", Scores: &spec.Scores{Path: "s.parquet", Protocol: "marin"}})
	w.Scores["theirs"] = protocol.File{Name: "s.parquet", Digest: digest("table"), Bytes: 7}
	w.Gaps[0].Allow = []string{"stride", "eos"}
	w.tables = []scaling.Table{{Name: "order", Models: []string{"small", "big"}, Datasets: []string{"a", "b"}}}
	p := w.plan(t)
	inputs := func(a *plan.Action) (all []string) {
		for _, in := range a.Inputs {
			all = append(all, fmt.Sprintf("%s < %s %s %t", in.Role, in.Upstream.Name, in.Files, in.Counted))
		}
		return all
	}
	for _, test := range []struct {
		name, parameters, machine, who, publish, worker string
		labels                                          plan.Labels
		inputs                                          []string
	}{
		{
			name: "materialize a", who: "text", worker: "text", labels: plan.Labels{Dataset: "a", Tags: []string{"tag:a"}},
			parameters: `{"badRows":"error","fields":["text"],"files":[{"digest":"` + digest("a") + `","name":"text.txt"}],"invalidUTF8":"error",` +
				`"limits":{"bytes":100,"documents":10},"revision":"","rows":{"from":0,"to":0},"sample":null,"source":{"split":"lines"}}`,
			machine: `{"config":{"path":"/data/a.txt"},"dir":"/specs","source":{"parameters":{"split":"lines"},"files":[{"name":"text.txt","digest":"` + digest("a") + `","bytes":5000}],"local":true}}`,
		}, {
			name: "train big", who: "big", worker: "ngram", labels: plan.Labels{Model: "big"}, parameters: `{"config":{"batch":{},"order":5}}`,
			machine: `{"settings":{"batch.tokens":7,"threads":4}}`, inputs: []string{"000 < materialize corpus [documents.parquet] true"},
		}, {
			name: "score big b", who: "big", worker: "ngram", labels: plan.Labels{Dataset: "b", Model: "big"},
			parameters: `{"config":{"batch":{},"order":5},"parseSpecial":true,"settings":{"anchor":"","context":0,"eos":false,"prefix":"bos","stride":0},"truncation":100}`,
			machine:    `{"settings":{"batch.tokens":7,"threads":4}}`,
			inputs:     []string{"documents < materialize b [counts.json documents.parquet] true", "model < train big [model.bin] false"},
		}, {
			name: "score flat a", who: "flat", worker: "flat", labels: plan.Labels{Dataset: "a", Model: "flat", Tags: []string{"tag:a"}},
			parameters: `{"config":{},"parseSpecial":false,"settings":{"anchor":"","context":0,"eos":false,"prefix":"bos","stride":0},"truncation":100,` +
				`"weights":[{"digest":"` + digest("weights") + `","name":"flat.bin"}]}`,
			machine: `{"weights":[{"Name":"flat.bin","Path":"/models/flat.bin","Digest":"` + digest("weights") + `"}]}`,
			inputs:  []string{"documents < materialize a [counts.json documents.parquet] true"},
		}, {
			name: "import theirs", who: "theirs", labels: plan.Labels{Model: "theirs"},
			parameters: `{"scoringProtocol":"marin","table":"` + digest("table") + `"}`, machine: `{"path":"s.parquet","dir":"/specs"}`,
		}, {
			name: "gap big-small", publish: "gap/big-small", labels: plan.Labels{Section: "big-small"},
			parameters: `{"a":"big","allow":["eos","stride"],"b":"small","datasets":["a","b"],"tags":{"a":["tag:a"]}}`,
			inputs: []string{
				"a/a < score big a [scored_documents.parquet summary.json] true", "a/b < score big b [scored_documents.parquet summary.json] true",
				"b/a < score small a [scored_documents.parquet summary.json] false", "b/b < score small b [scored_documents.parquet summary.json] false",
			},
		}, {
			name: "scaling order", publish: "scaling/order", labels: plan.Labels{Section: "order"},
			parameters: `{"datasets":["a","b"],"models":[{"name":"small"},{"name":"big"}],"x":{"of":""}}`,
			inputs: []string{
				"000/a < score small a [scored_documents.parquet summary.json] true", "000/b < score small b [scored_documents.parquet summary.json] true",
				"001/a < score big a [scored_documents.parquet summary.json] false", "001/b < score big b [scored_documents.parquet summary.json] false",
			},
		},
	} {
		a := p.Action(test.name)
		if a == nil {
			t.Fatalf("no action %s among %q", test.name, p.Names())
		}
		worker := ""
		if a.Worker != nil {
			worker = a.Worker.Name
		}
		if d := cmp.Diff(test.labels, a.Labels); d != "" || string(a.Parameters) != test.parameters || string(a.Machine) != test.machine || a.Rates.Who != test.who ||
			a.Publish != test.publish || worker != test.worker {
			t.Errorf("%s: parameters %s, machine %s, who %q, publish %q, worker %q: %s", test.name, a.Parameters, a.Machine, a.Rates.Who, a.Publish, worker, d)
		}
		if d := cmp.Diff(test.inputs, inputs(a)); d != "" {
			t.Errorf("%s: %s", test.name, d)
		}
	}
	if got, want := p.Action("score big a").Model.Resources, (plan.Resources{Memory: 10 + 3*1000, Devices: 1, DeviceMemory: 70}); got != want {
		t.Errorf("the model takes %+v, want %+v", got, want)
	}
	if p.Action("score big a").Model.ID != p.Action("score big b").Model.ID || p.Action("score big a").Model.ID == p.Action("score small a").Model.ID {
		t.Error("models are not told apart, or one is taken for two")
	}
	for name, want := range map[string]int64{
		"gap big-small": artifact.GapMemory(100), "materialize a": artifact.MaterializeMemory(100), "train big": 10 + 2*1000, "train small": 0, "score big a": artifact.ScoreMemory(100, false),
		"scaling order": artifact.ScalingMemory(2, 100), "import theirs": 0,
	} {
		if got := p.Action(name).Resources; got != (plan.Resources{Cores: 1, Memory: want}) {
			t.Errorf("%s takes %+v, want %d bytes", name, got, want)
		}
	}
	for name, want := range map[string]plan.Cost{
		"gap big-small": {Documents: 20, Bytes: 2000, Largest: 100, AtMost: true}, "scaling order": {Documents: 20, Bytes: 2000, Largest: 100, AtMost: true},
		"import theirs": {Bytes: 7, AtMost: true}, "train big": {Documents: 10, Bytes: 1000, Largest: 100, AtMost: true},
	} {
		got := p.Action(name).Cost
		if got.Memory = 0; got != want {
			t.Errorf("%s costs %+v, want %+v", name, got, want)
		}
	}
}

// A table of models that read a dataset with different limits is rejected.
func TestScalingLimits(t *testing.T) {
	w := newWorld()
	w.called("small").Limits = &spec.Limits{Documents: -1, Bytes: 50}
	w.tables = []scaling.Table{{Name: "order", Models: []string{"big", "flat", "small"}, Datasets: []string{"a", "b"}}}
	want := `scaling "order": models "big" and "small" read the dataset "a" with different limits; remove the limits from the sweep`
	if _, err := w.build(t.Context()); err == nil || err.Error() != want {
		t.Errorf("got error %v, want %s", err, want)
	}
	w.tables[0].Models = []string{"big", "other"}
	if _, err := w.build(t.Context()); err == nil || err.Error() != `scaling "order": model "other" does not score dataset "a"` {
		t.Errorf("got error %v", err)
	}
}

func TestKeysIgnoreModelNames(t *testing.T) {
	w := newWorld()
	w.called("flat").Name = "zero"
	w.Weights["zero"] = w.Weights["flat"]
	before, after := newWorld().keys(t), w.keys(t)
	if before["score flat a"] != after["score zero a"] {
		t.Error("a model's name moved the key of its scores")
	}
	w = newWorld()
	w.named("a").Name = "renamed"
	w.Sources["renamed"] = w.Sources["a"]
	w.Gaps = nil
	after = w.keys(t)
	if before["materialize a"] != after["materialize renamed"] {
		t.Error("a dataset's name moved the key of its documents, which do not hold it")
	}
	if before["score flat a"] != after["score flat renamed"] {
		t.Error("a dataset's name moved the key of its scores, which do not hold it")
	}
}

func TestTrainingIsShared(t *testing.T) {
	w := newWorld()
	w.model("big-without-prefix", "ngram", `{"order":5}`, "corpus").Scoring = spec.Scoring{Prefix: "none", Context: 64}
	p := w.plan(t)
	if a := p.Action("train big-without-prefix"); a != nil {
		t.Errorf("%s does what train big does", a.Name)
	}
	if got := p.Action("score big-without-prefix a").Inputs[1].Upstream.Name; got != "train big" {
		t.Errorf("the model comes from %s", got)
	}
	w.dataset("more").TrainOnly = true
	w.model("bigger", "ngram", `{"order":5}`, "corpus", "more")
	w.model("reordered", "ngram", `{"order":5}`, "more", "corpus")
	keys := w.keys(t)
	if keys["train bigger"] == keys["train big"] || keys["train bigger"] == keys["train reordered"] || keys["train reordered"] == "" {
		t.Error("models with other training data share a key")
	}
	w.Backends["other"] = plan.Plugin{Worker: plan.Worker{Name: "other", Version: "1", Protocol: 1, Digest: digest("other")}}
	w.model("elsewhere", "other", `{"order":5}`, "corpus")
	p = w.plan(t)
	id := func(name string) string { return p.Action("score " + name + " a").Model.ID }
	if id("big") != id("big-without-prefix") || id("big") == id("bigger") || id("bigger") == id("reordered") {
		t.Error("loaded models are shared by other than what they were trained on")
	}
	if a := p.Action("train elsewhere"); a == nil || a.Worker.Name != "other" {
		t.Error("a model is trained by another model's backend")
	}
}

func TestLimitsSweep(t *testing.T) {
	w := newWorld()
	m := w.model("flat@documents=5", "flat", `{}`)
	m.Limits = &spec.Limits{Documents: 5, Bytes: -1}
	m = w.model("flat@documents=10", "flat", `{}`)
	w.Weights[m.Name] = w.Weights["flat"]
	m.Limits = &spec.Limits{Documents: 10, Bytes: -1}
	p := w.plan(t)
	if p.Action("materialize a@documents=5,bytes=100") == nil {
		t.Errorf("no action reads a under the swept limit: %q", p.Names())
	}
	if got := p.Action("score flat@documents=10 a").Inputs[0].Upstream.Name; got != "materialize a" {
		t.Errorf("the dataset's own limits are read by %s", got)
	}
	cache{}.fill(t, p)
	if p.Action("score flat@documents=10 a").Key != p.Action("score flat a").Key {
		t.Error("equal scores have two keys")
	}
	// If no document reaches the limits, the documents are the same, but the scoring protocols differ.
	m = w.model("flat@bytes=50", "flat", `{}`)
	w.Weights[m.Name] = w.Weights["flat"]
	m.Limits = &spec.Limits{Documents: -1, Bytes: 50}
	p = w.plan(t)
	done := cache{}
	resolve(t, p, done)
	under100, under50 := p.Action("materialize a"), p.Action("materialize a@documents=10,bytes=50")
	done.add(under100, nil)
	done[under50.Key] = &store.Record{Key: under50.Key, Outputs: done[under100.Key].Outputs}
	resolve(t, p, done)
	if key := p.Action("score flat@bytes=50 a").Key; key == "" || key == p.Action("score flat a").Key {
		t.Errorf("scores under two limits have the key %q", key)
	}
}

func TestStates(t *testing.T) {
	w := newWorld()
	w.dataset("broken").Skip = "upstream removed it"
	delete(w.Sources, "broken")
	p := w.plan(t)
	done := cache{}
	resolve(t, p, done)
	states := func() string {
		var b strings.Builder
		for _, name := range []string{"materialize broken", "materialize corpus", "train big", "score flat a", "score big a", "gap big-small"} {
			fmt.Fprintf(&b, "%s: %s\n", name, p.Action(name).State)
		}
		return b.String()
	}
	if d := cmp.Diff(`materialize broken: skipped
materialize corpus: pending
train big: waits
score flat a: waits
score big a: waits
gap big-small: waits
`, states()); d != "" {
		t.Error(d)
	}
	if got := p.Action("materialize broken").Reason; got != "upstream removed it" {
		t.Errorf("reason %q", got)
	}
	if got := p.Action("train big").Key; got != "" {
		t.Errorf("an action that waits has the key %s", got)
	}
	done.add(p.Action("materialize a"), nil)
	done.add(p.Action("materialize corpus"), nil)
	resolve(t, p, done)
	if d := cmp.Diff(`materialize broken: skipped
materialize corpus: cached
train big: pending
score flat a: pending
score big a: waits
gap big-small: waits
`, states()); d != "" {
		t.Error(d)
	}
	done.fill(t, p)
	if p.Count(plan.Cached) != len(p.Actions)-1 {
		t.Errorf("%d of %d actions are cached", p.Count(plan.Cached), len(p.Actions))
	}
	for _, name := range p.Names() {
		if strings.HasPrefix(name, "score") && strings.HasSuffix(name, "broken") {
			t.Errorf("a skipped dataset is scored by %s", name)
		}
	}
}

// A key depends on every input file. It is an error if an upstream lacks one of them.
func TestMissingOutput(t *testing.T) {
	p := newWorld().plan(t)
	done := cache{}
	resolve(t, p, done)
	a := p.Action("materialize a")
	done.add(a, nil)
	done[a.Key].Outputs = done[a.Key].Outputs[:1]
	const want = "materialize a has 1 of the files counts.json, documents.parquet"
	if err := p.Resolve(t.Context(), done); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}

func TestCost(t *testing.T) {
	w := newWorld()
	w.SecondsPerByte = map[string]map[string]float64{"score": {"flat": 0.5}, "materialize": {"text": 0.25}}
	w.Estimates["big"] = protocol.Estimate{MemoryBytes: 1 << 20, TrainingMemoryPerByte: 2, MemoryPerTrainingByte: 3}
	p := w.plan(t)
	resolve(t, p, cache{})
	bounds := plan.Cost{Documents: 10, Bytes: 1000, Largest: 100, Tokens: 250, FLOPs: 2500, Memory: 1<<20 + artifact.ScoreMemory(100, false), Seconds: 500, AtMost: true}
	if d := cmp.Diff(bounds, p.Action("score flat a").Cost); d != "" {
		t.Errorf("before the documents are counted: %s", d)
	}
	if got := p.Action("score big a").Cost; got.Documents != 10 || got.Bytes != 1000 {
		t.Errorf("a score by a trained model reads its documents alone: %+v", got)
	}
	training, scoring := p.Action("train big").Cost.Memory, p.Action("score big a").Model.Resources.Memory
	if training != 1<<20+2*1000 || scoring != 1<<20+3*1000 {
		t.Errorf("training on at most 1000 bytes takes %d, scoring with the model %d", training, scoring)
	}
	if got := p.Action("materialize a").Cost; got.Seconds != 250 || !got.AtMost {
		t.Errorf("reading at most 1000 bytes costs %+v", got)
	}
	done := cache{}
	done.add(p.Action("materialize a"), map[string]float64{plan.MeasuredDocuments: 3, plan.MeasuredBytes: 40, plan.MeasuredLargest: 30, plan.MeasuredSeconds: 2})
	resolve(t, p, done)
	counted := plan.Cost{Documents: 3, Bytes: 40, Largest: 30, Tokens: 10, FLOPs: 100, Memory: 1<<20 + artifact.ScoreMemory(30, false), Seconds: 20}
	if d := cmp.Diff(counted, p.Action("score flat a").Cost); d != "" {
		t.Errorf("after: %s", d)
	}
	if got := p.Action("materialize a").Seconds; got != 2 {
		t.Errorf("the action took %v s, not 2", got)
	}
}

// Bytes that documents repeat cost nothing with a model that shares them.
func TestSharedCost(t *testing.T) {
	w := newWorld()
	w.SecondsPerByte = map[string]map[string]float64{"score": {"flat": 0.5}}
	estimate := w.Estimates["flat"]
	for _, shares := range []bool{false, true} {
		estimate.SharesPrefixes = shares
		w.Estimates["flat"] = estimate
		p := w.plan(t)
		resolve(t, p, cache{})
		done := cache{}
		done.add(p.Action("materialize a"), map[string]float64{plan.MeasuredDocuments: 3, plan.MeasuredBytes: 40, plan.MeasuredLargest: 30, plan.MeasuredRepeated: 24})
		resolve(t, p, done)
		got, want, cell := p.Action("score flat a").Cost, [...]float64{0, 10, 100, 20}, "40 B"
		if shares {
			want, cell = [...]float64{24, 4, 40, 8}, "40 B, 60% shared"
		}
		if [...]float64{float64(got.SharedBytes), float64(got.Tokens), got.FLOPs, got.Seconds} != want || got.Bytes != 40 || got.RepeatedBytes != 24 {
			t.Errorf("shares prefixes: %v: %+v", shares, got)
		}
		if cells := p.Action("score flat a").AppendCells(nil, plan.Sizes{}); cells[3] != cell {
			t.Errorf("shares prefixes: %v: %q", shares, cells)
		}
	}
}

// The cost of a source is bounded by its size, unless the source is compressed, and by the limits. The product of the
// limits may overflow.
func TestBounds(t *testing.T) {
	for _, test := range []struct {
		limits     spec.Limits
		compressed bool
		want       plan.Cost
	}{
		{spec.Limits{}, false, plan.Cost{Bytes: 5000, Largest: 5000}},
		{spec.Limits{Documents: 10, Bytes: 100}, false, plan.Cost{Documents: 10, Bytes: 1000, Largest: 100}},
		{spec.Limits{Documents: math.MaxInt64, Bytes: math.MaxInt64}, false, plan.Cost{Documents: math.MaxInt64, Bytes: 5000, Largest: 5000}},
		{spec.Limits{Documents: 10, Bytes: 100}, true, plan.Cost{Documents: 10, Bytes: 1000, Largest: 100}},
		{spec.Limits{Documents: 10}, true, plan.Cost{Documents: 10}},
		{spec.Limits{Documents: math.MaxInt64, Bytes: math.MaxInt64}, true, plan.Cost{Documents: math.MaxInt64}},
	} {
		w := newWorld()
		w.named("a").Limits = test.limits
		w.Sources["a"].Files[0].Compressed = test.compressed
		got := w.plan(t).Action("materialize a").Cost
		if got = (plan.Cost{Documents: got.Documents, Bytes: got.Bytes, Largest: got.Largest}); got != test.want {
			t.Errorf("%+v, compressed %v: got %+v, want %+v", test.limits, test.compressed, got, test.want)
		}
	}
}

func TestBuildRefuses(t *testing.T) {
	for _, test := range []struct {
		change func(*world)
		want   string
	}{
		{func(w *world) { delete(w.Sources, "a") }, `dataset "a" has no resolved source`},
		{func(w *world) { w.called("big").Backend.Train = []string{"lost"} }, `model "big": no dataset "lost" to train on`},
		{func(w *world) { w.Gaps[0].Datasets = []string{"corpus"} }, `gap "big-small": model "big" does not score dataset "corpus"`},
		{func(w *world) {
			w.Models = append(w.Models, spec.Model{Name: "elsewhere", Scores: &spec.Scores{Path: "s.parquet"}})
		},
			`model "elsewhere": the table "s.parquet" has no digest`},
		{func(w *world) { w.called("flat").Backend.Config = json.RawMessage(`{"x":1,"x":2}`) }, `model "flat"`},
	} {
		w := newWorld()
		test.change(w)
		if _, err := w.build(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v, want %q", err, test.want)
		}
	}
}

func TestImport(t *testing.T) {
	w := newWorld()
	for _, name := range []string{"x", "y"} {
		w.Models = append(w.Models, spec.Model{Name: name, Scores: &spec.Scores{Path: name + ".parquet", Protocol: "marin"}})
		w.Scores[name] = protocol.File{Name: name + ".parquet", Digest: digest(name), Bytes: 7}
	}
	w.Gaps = append(w.Gaps, gap.Gap{Name: "elsewhere", A: "x", B: "y"}, gap.Gap{Name: "mixed", A: "flat", B: "y", Datasets: []string{"a"}})
	p := w.plan(t)
	inputs := func(name string) (roles []string) {
		for _, in := range p.Action(name).Inputs {
			roles = append(roles, in.Role+" < "+in.Upstream.Name)
		}
		return roles
	}
	if d := cmp.Diff([]string{"a < import x", "b < import y"}, inputs("gap elsewhere")); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"a/a < score flat a", "b < import y"}, inputs("gap mixed")); d != "" {
		t.Error(d)
	}
	before := w.keys(t)
	w.Scores["x"] = protocol.File{Name: "moved.parquet", Digest: digest("x"), Bytes: 7}
	if w.keys(t)["import x"] != before["import x"] {
		t.Error("the name of a table's file moved the key")
	}
	w.Scores["x"] = protocol.File{Digest: digest("other")}
	if w.keys(t)["import x"] == before["import x"] {
		t.Error("another table has the same key")
	}
}

func TestAgainst(t *testing.T) {
	w := newWorld()
	w.named("a").Limits.Documents = 20
	w.named("b").Skip = "too slow"
	w.Gaps = nil
	w.called("small").Scoring.Stride = 8
	w.model("new", "flat", `{"scale":2}`)
	changes, err := w.plan(t).Against(t.Context(), newWorld().plan(t))
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, c := range changes {
		fmt.Fprintf(&got, "%s %s\n", c.What, c.Name)
		for _, f := range c.Fields {
			fmt.Fprintf(&got, "    %s\n", f)
		}
	}
	if d := cmp.Diff(`changed materialize b
    skip: now too slow
changed materialize a
    parameters.limits.documents: 10 -> 20
changed score big a
    inputs.documents: base value -> changed materialize a
changed score flat a
    inputs.documents: base value -> changed materialize a
changed score small a
    inputs.documents: base value -> changed materialize a
    parameters.settings.stride: 0 -> 8
added score new a
dropped score big b
dropped score flat b
dropped score small b
dropped gap big-small
`, got.String()); d != "" {
		t.Error(d)
	}
	if changes, err := newWorld().plan(t).Against(t.Context(), newWorld().plan(t)); err != nil || len(changes) > 0 {
		t.Errorf("equal plans differ: %v %v", changes, err)
	}
	// An action that was skipped and no longer is.
	changes, err = newWorld().plan(t).Against(t.Context(), w.plan(t))
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(changes, func(c plan.Change) bool { return c.Name == "materialize b" })
	if i < 0 || changes[i].Fields[0].String() != "skip: no longer too slow" {
		t.Errorf("%+v", changes)
	}
}

// A gap over many datasets that all changed names the upstream of each.
func TestAgainstNamesUpstreams(t *testing.T) {
	w := newWorld()
	w.called("big").Scoring.Stride = 8
	changes, err := w.plan(t).Against(t.Context(), newWorld().plan(t))
	if err != nil {
		t.Fatal(err)
	}
	last := changes[len(changes)-1]
	want := []plan.Field{
		{Path: "inputs.a/a", Before: "base value", After: "changed score big a"},
		{Path: "inputs.a/b", Before: "base value", After: "changed score big b"},
	}
	if d := cmp.Diff(want, last.Fields); d != "" || last.Name != "gap big-small" {
		t.Errorf("%s: %s", last.Name, d)
	}
	// An input that comes from another action has the names of both, and does not follow from a change.
	other := newWorld()
	other.Gaps[0].B = "flat"
	if changes, err = other.plan(t).Against(t.Context(), newWorld().plan(t)); err != nil || len(changes) != 1 {
		t.Fatalf("%v, %v", changes, err)
	}
	if want := (plan.Field{Path: "inputs.b/a", Before: "score small a", After: "score flat a"}); !slices.Contains(changes[0].Fields, want) {
		t.Errorf("%v", changes[0].Fields)
	}
	// A new input has not changed.
	base := newWorld()
	base.Gaps[0].Datasets = []string{"a"}
	if changes, err = newWorld().plan(t).Against(t.Context(), base.plan(t)); err != nil || len(changes) != 1 {
		t.Fatalf("%v, %v", changes, err)
	}
	for _, f := range changes[0].Fields {
		if strings.HasPrefix(f.Path, "inputs.") && (f.Before != "" || strings.Contains(f.After, "changed")) {
			t.Errorf("an input that was added: %s", f)
		}
	}
}

func TestDiff(t *testing.T) {
	for _, test := range []struct{ before, after, want string }{
		{`{"a":1,"b":{"c":"x"}}`, `{"b":{"c":"x"},"a":1}`, ""},
		{`{"a":1}`, `{"a":2}`, "a: 1 -> 2"},
		{`{"a":"1"}`, `{"a":1}`, `a: "1" -> 1`},
		{`{"a":9007199254740993}`, `{"a":9007199254740992}`, "a: 9007199254740993 -> 9007199254740992"},
		{`{}`, `{"a":""}`, `: no longer {}; a: now ""`},
		{`{"a":[1,2]}`, `{"a":[1]}`, "a.1: no longer 2"},
		{`{"a":[]}`, `{"a":null}`, "a: [] -> null"},
		{`{"a":true}`, `{"a":false}`, "a: true -> false"},
		{`{"a":[{"b":1},{"b":2}]}`, `{"a":[{"b":1},{"b":3}]}`, "a.1.b: 2 -> 3"},
		{`{"b":{"c":1},"a":1}`, `{"b":{"c":2},"a":2}`, "a: 1 -> 2; b.c: 1 -> 2"},
		{`{"a":{}}`, `{"a":{"b":1}}`, "a: no longer {}; a.b: now 1"},
		{`{"a":null}`, `{}`, ": now {}; a: no longer null"},
	} {
		fields, err := plan.Diff([]byte(test.before), []byte(test.after))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range fields {
			got = append(got, f.String())
		}
		if strings.Join(got, "; ") != test.want {
			t.Errorf("%s to %s: %q, want %q", test.before, test.after, got, test.want)
		}
	}
	for _, half := range [][2]string{{`{`, `{}`}, {`{}`, `{`}} {
		if _, err := plan.Diff([]byte(half[0]), []byte(half[1])); err == nil || !strings.HasPrefix(err.Error(), "not JSON: ") {
			t.Errorf("half a document: got error %v", err)
		}
	}
}

func TestGraph(t *testing.T) {
	odd := "m@path=<a & \"b\">\\n\x01é"
	small := newWorld()
	small.Name = "1 < 2 & 3"
	small.model(odd, "flat", `{"odd":true}`)
	large := newWorld()
	for i := range 100 {
		large.dataset(fmt.Sprintf("many/%d", i))
	}
	large.model(odd, "flat", `{"odd":true}`)
	for name, test := range map[string]struct {
		w     *world
		boxes int
	}{
		"each action":      {small, 14},
		"actions by model": {large, 2 + 2 + 4}, // materialize, gap; trainings of two models, scores of four
		"an empty picture": {&world{}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := test.w.plan(t)
			resolve(t, p, cache{})
			var svg, dot bytes.Buffer
			if err := errors.Join(p.WriteSVG(&svg), p.WriteDOT(&dot)); err != nil {
				t.Fatal(err)
			}
			boxes, text := -1, "" // the background is a rect, too
			for d := xml.NewDecoder(&svg); ; {
				token, err := d.Token()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				switch token := token.(type) {
				case xml.StartElement:
					if token.Name.Local == "rect" {
						boxes++
					}
				case xml.CharData:
					text += string(token) + "\n"
				}
			}
			if boxes != test.boxes {
				t.Errorf("%d boxes, want %d", boxes, test.boxes)
			}
			if got := strings.Count(dot.String(), "[label="); got != test.boxes {
				t.Errorf("%d nodes in DOT, want %d", got, test.boxes)
			}
			if strings.Count(dot.String(), "{") != 1 || !strings.HasSuffix(dot.String(), "}\n") {
				t.Errorf("not one graph:\n%s", &dot)
			}
			if test.boxes > 0 {
				// XML has no U+0001.
				if want := "score " + strings.ReplaceAll(odd, "\x01", "\uFFFD"); !strings.Contains(text, want) {
					t.Errorf("no %q in %s", want, text)
				}
				if want := `m@path=<a & \"b\">\\n`; !strings.Contains(dot.String(), want) {
					t.Errorf("no %s in %s", want, &dot)
				}
			}
		})
	}
}

// A picture has a column for each kind that has actions, a box for each action and a line for each input.
func TestPicture(t *testing.T) {
	var up []plan.Input
	p, err := plan.Build(t.Context(), &spec.Experiment{Name: "e"}, plan.Catalog{}, []plan.Kind{
		step{"none", func(*plan.Builder) error { return nil }},
		step{"k1", func(b *plan.Builder) error {
			for _, name := range []string{"a", "bé"} {
				a, err := b.Add("k1", plan.Parts{Name: name})
				if err != nil {
					return err
				}
				up = append(up, plan.Input{Role: name, Upstream: a}, plan.Input{Role: name + " again", Upstream: a})
			}
			return nil
		}},
		step{"k2", func(b *plan.Builder) error {
			_, err := b.Add("k2", plan.Parts{Name: "c & co.", Inputs: up})
			return err
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	p.Action("a").State, p.Action("bé").State = plan.Cached, plan.Pending
	var svg, dot bytes.Buffer
	if err := errors.Join(p.WriteSVG(&svg), p.WriteDOT(&dot)); err != nil {
		t.Fatal(err)
	}
	want := `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 268 134" width="268" height="134" font-family="sans-serif" font-size="12">
<title>e</title>
<rect width="100%" height="100%" fill="white"/>
<path d="M89 40 C134 40 134 40 179 40" fill="none" stroke="#99a" stroke-width="1"/>
<path d="M89 94 C134 94 134 40 179 40" fill="none" stroke="#99a" stroke-width="1"/>
<rect x="20" y="20" width="69" height="40" rx="4" fill="#d9ead3" stroke="#667"/>
<text x="30" y="37">a</text><text x="30" y="52" fill="#556">cached</text>
<rect x="20" y="74" width="69" height="40" rx="4" fill="#cfe2f3" stroke="#667"/>
<text x="30" y="91">bé</text><text x="30" y="106" fill="#556">pending</text>
<rect x="179" y="20" width="69" height="40" rx="4" fill="#fff2cc" stroke="#667"/>
<text x="189" y="37">c &amp; co.</text><text x="189" y="52" fill="#556">waits</text>
</svg>
`
	if d := cmp.Diff(want, svg.String()); d != "" {
		t.Error(d)
	}
	want = `digraph "e" {
  rankdir=LR
  node [shape=box style=filled fontname="sans-serif"]
  n0 [label="a\ncached" fillcolor="#d9ead3"]
  n1 [label="bé\npending" fillcolor="#cfe2f3"]
  n2 [label="c & co.\nwaits" fillcolor="#fff2cc"]
  n0 -> n2
  n1 -> n2
}
`
	if d := cmp.Diff(want, dot.String()); d != "" {
		t.Error(d)
	}
}

// Up to 150 actions are shown individually. A box of several actions shows the number in each state.
func TestPictureOfMany(t *testing.T) {
	for n, want := range map[int]string{150: "a0\\nskipped\" fillcolor=\"#eeeeee\"", 151: "k m\\n149 pending, 1 cached, 1 skipped\" fillcolor=\"#cfe2f3\""} {
		parts := make([]plan.Parts, n)
		for i := range parts {
			parts[i] = plan.Parts{Name: fmt.Sprintf("a%d", i), Labels: plan.Labels{Model: "m"}}
		}
		p, err := plan.Build(t.Context(), &spec.Experiment{}, plan.Catalog{}, []plan.Kind{added("k", parts...)})
		if err != nil {
			t.Fatal(err)
		}
		for i, a := range p.Actions {
			a.State = map[int]plan.State{0: plan.Skipped, 1: plan.Cached}[i]
			if i > 1 {
				a.State = plan.Pending
			}
		}
		var dot strings.Builder
		if err := p.WriteDOT(&dot); err != nil {
			t.Fatal(err)
		}
		if boxes := strings.Count(dot.String(), "[label="); !strings.Contains(dot.String(), `[label="`+want) || boxes != map[int]int{150: 150, 151: 1}[n] {
			t.Errorf("%d actions: got %d boxes, want %s in\n%.300s", n, boxes, want, dot.String())
		}
	}
}

func TestDescribe(t *testing.T) {
	w := newWorld()
	p := w.plan(t)
	resolve(t, p, cache{})
	d := p.Describe([]plan.Change{{Name: "x", What: "added"}})
	data, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var back plan.Description
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(d, back); d != "" {
		t.Error(d)
	}
	if d.Counts["score"][plan.Waits] != 6 || len(d.Actions) != len(p.Actions) || d.Actions[5].Inputs[0] != "materialize a" {
		t.Errorf("%+v", d)
	}
}

// large is an experiment of models x datasets scores; a tenth of the models is trained.
func large(models, datasets int) *world {
	w := newWorld()
	w.Models, w.Gaps = nil, nil
	w.Datasets = w.Datasets[2:]
	for i := range datasets {
		w.dataset(fmt.Sprintf("area-%d/set-%d", i%10, i))
	}
	for i := range models {
		w.model(fmt.Sprintf("model-%d", i), "ngram", fmt.Sprintf(`{"order":%d,"tokens":"words"}`, i%10+1), "corpus")
	}
	return w
}

func TestNamesAreUnique(t *testing.T) {
	names := large(20, 50).plan(t).Names()
	slices.Sort(names)
	if n := len(slices.Compact(slices.Clone(names))); n != len(names) {
		t.Errorf("%d names for %d actions", n, len(names))
	}
}

// BenchmarkResolve looks up the whole of a large plan that has run.
func BenchmarkResolve(b *testing.B) {
	w := large(100, 1000)
	p := w.plan(b)
	done := cache{}
	done.fill(b, p)
	b.ReportMetric(float64(len(p.Actions)), "actions")
	for b.Loop() {
		if err := p.Resolve(b.Context(), done); err != nil {
			b.Fatal(err)
		}
	}
	if p.Count(plan.Cached) != len(p.Actions) {
		b.Fatalf("%d of %d actions are cached", p.Count(plan.Cached), len(p.Actions))
	}
}
