package plan_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
	"surprisal.dev/runner/store"
)

// step is a kind of action that a test defines.
type step struct {
	name string
	plan func(b *plan.Builder) error
}

func (s step) Name() string               { return s.name }
func (s step) Schema() int                { return len(s.name) }
func (s step) Plan(b *plan.Builder) error { return s.plan(b) }

// added returns a kind that adds these actions.
func added(name string, parts ...plan.Parts) step {
	return step{name, func(b *plan.Builder) error {
		for _, p := range parts {
			if _, err := b.Add(name, p); err != nil {
				return err
			}
		}
		return nil
	}}
}

// An action has the parts that its kind sets, and defaults for the others.
func TestAdd(t *testing.T) {
	worker := &plan.Worker{Name: "w"}
	model := &plan.Model{ID: "m", Resources: plan.Resources{Memory: 100, DeviceMemory: 7}}
	labels := plan.Labels{Dataset: "d", Tags: []string{"t"}, Model: "m", Section: "s"}
	sizes := [][2]int64{}
	parts := []plan.Parts{
		{
			Name: "full", Labels: labels, Parameters: map[string]any{"b": 1, "a": 2}, Worker: worker, Machine: map[string]int{"x": 1}, Cores: 3, Model: model,
			Publish: "p/q", Cost: plan.Cost{Documents: 2, Bytes: 80, Largest: 50},
			Rates: plan.Rates{Who: "who", BytesPerToken: 4, FLOPsPerToken: 10, Memory: func(largest, total int64) int64 {
				sizes = append(sizes, [2]int64{largest, total})
				return 1000 + largest
			}},
		},
		{Name: "raw", Parameters: json.RawMessage(`{"as":"it is"}`), Machine: json.RawMessage(`{ "as": "it is" }`), Rates: plan.Rates{Who: "nobody", FLOPsPerToken: 10}},
		{Name: "skipped", Parameters: func() {}, Skip: "why", Cost: plan.Cost{Tokens: 9}, Rates: plan.Rates{Memory: func(int64, int64) int64 { return 1 }}},
	}
	c := plan.Catalog{SecondsPerByte: map[string]map[string]float64{"kind": {"who": 0.5}}}
	p, err := plan.Build(t.Context(), &spec.Experiment{Name: "e"}, c, []plan.Kind{added("kind", parts...)})
	if err != nil {
		t.Fatal(err)
	}
	full, raw, left := p.Action("full"), p.Action("raw"), p.Action("skipped")
	for _, test := range []struct {
		what      string
		got, want any
	}{
		{"experiment", p.Experiment, "e"},
		{"kinds", p.Kinds, []string{"kind"}},
		{"kind", full.Kind, "kind"},
		{"schema", full.Schema, 4},
		{"labels", full.Labels, labels},
		{"parameters", string(full.Parameters), `{"a":2,"b":1}`},
		{"worker", full.Worker, worker},
		{"machine", string(full.Machine), `{"x":1}`},
		{"resources", full.Resources, plan.Resources{Cores: 3, Memory: 1050}},
		{"publish", full.Publish, "p/q"},
		{"cost", full.Cost, plan.Cost{Documents: 2, Bytes: 80, Largest: 50, Tokens: 20, FLOPs: 200, Memory: 1150, DeviceMemory: 7, Seconds: 40}},
		{"what memory follows from", sizes, [][2]int64{{50, 80}}},
		{"state", full.Status, plan.Status{State: plan.Waits}},
		{"parameters as they are", string(raw.Parameters), `{"as":"it is"}`},
		{"machine as it is", string(raw.Machine), `{ "as": "it is" }`},
		{"cores by default", raw.Resources, plan.Resources{Cores: 1}},
		{"no cost", raw.Cost, plan.Cost{}},
		{"skipped", left.Status, plan.Status{State: plan.Skipped, Reason: "why"}},
		{"skipped, without parameters", len(left.Parameters) + len(left.Machine), 0},
		{"tokens that nothing follows from, and no memory without a size", left.Cost, plan.Cost{Tokens: 9}},
	} {
		if d := cmp.Diff(test.want, test.got); d != "" {
			t.Errorf("%s: %s", test.what, d)
		}
	}
	if full.Model != model || p.Action("other") != nil {
		t.Errorf("got the model %v and the action %v", full.Model, p.Action("other"))
	}
}

// Costs of inputs add up. The largest document is the largest of all, and a bound among counts makes a bound.
func TestCostsAddUp(t *testing.T) {
	var reads *plan.Action
	kinds := []plan.Kind{
		step{"source", func(b *plan.Builder) error {
			for name, c := range map[string]plan.Cost{
				"x": {Documents: 1, Bytes: 20, Largest: 9, AtMost: true}, "y": {Documents: 3, Bytes: 40, Largest: 30},
				"z": {Documents: 5, Bytes: 60, Largest: 60, AtMost: true},
			} {
				a, err := b.Add("source", plan.Parts{Name: name, Cost: c})
				if err != nil {
					return err
				}
				b.Share(name, a)
			}
			return nil
		}},
		step{"reader", func(b *plan.Builder) (err error) {
			reads, err = b.Add("reader", plan.Parts{Name: "r", Inputs: []plan.Input{
				{Role: "x", Upstream: b.Shared("x"), Counted: true}, {Role: "y", Upstream: b.Shared("y"), Counted: true}, {Role: "z", Upstream: b.Shared("z")},
			}})
			return err
		}},
	}
	p, err := plan.Build(t.Context(), &spec.Experiment{}, plan.Catalog{}, kinds)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(plan.Cost{Documents: 4, Bytes: 60, Largest: 30, AtMost: true}, reads.Cost); d != "" {
		t.Error(d)
	}
	// Counts replace bounds only if all inputs are counted.
	for name, measured := range map[string]map[string]float64{
		"x": {plan.MeasuredDocuments: 2, plan.MeasuredBytes: 8, plan.MeasuredLargest: 7, plan.MeasuredTokens: 5},
		"y": {plan.MeasuredDocuments: 1, plan.MeasuredBytes: 3},
	} {
		p.Action(name).Found(&store.Record{Measured: measured})
	}
	if d := cmp.Diff([]plan.Cost{{Documents: 2, Bytes: 8, Largest: 7, Tokens: 5}, {Documents: 1, Bytes: 3, Largest: 30}}, []plan.Cost{p.Action("x").Cost, p.Action("y").Cost}); d != "" {
		t.Error(d)
	}
	if _, err := reads.SetKey(); err != nil || reads.State != plan.Waits {
		t.Errorf("it is %s, %v, and an input is not there", reads.State, err)
	}
	if d := cmp.Diff(plan.Cost{Documents: 3, Bytes: 11, Largest: 30}, reads.Cost); d != "" {
		t.Error(d)
	}
	p.Action("x").Cost.AtMost = true
	p.Action("x").Cost.Bytes = 1000
	if _, err := reads.SetKey(); err != nil || reads.Cost.Bytes != 11 {
		t.Errorf("a bound took the place of a count: %+v, %v", reads.Cost, err)
	}
}

// A plan that cannot be made is an error with the reason.
func TestBuildFails(t *testing.T) {
	refuses := errors.New("refuses")
	for _, test := range []struct {
		kinds []plan.Kind
		want  string
	}{
		{[]plan.Kind{added("k", plan.Parts{Name: "a"}, plan.Parts{Name: "a"})}, `duplicate action "a"`},
		{[]plan.Kind{added("k", plan.Parts{Name: "a", Parameters: func() {}})}, "a: json: unsupported type"},
		{[]plan.Kind{added("k", plan.Parts{Name: "a", Machine: func() {}})}, "a: json: unsupported type"},
		{[]plan.Kind{step{"k", func(*plan.Builder) error { return refuses }}}, "refuses"},
		{[]plan.Kind{step{"k", func(b *plan.Builder) error { return b.Section("number", new(string)) }}}, "section of kind number: json: "},
		{[]plan.Kind{step{"late", func(*plan.Builder) error { return nil }}, step{"early", func(b *plan.Builder) error {
			up, err := b.Add("early", plan.Parts{Name: "up"})
			if err != nil {
				return err
			}
			_, err = b.Add("late", plan.Parts{Name: "down", Inputs: []plan.Input{{Role: "r", Upstream: up}}})
			return err
		}}}, "down reads the output of up, which comes later; kinds are listed in the wrong order"},
	} {
		_, err := plan.Build(t.Context(), &spec.Experiment{Sections: map[string]json.RawMessage{"number": json.RawMessage("1")}}, plan.Catalog{}, test.kinds)
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("got error %v, want %q", err, test.want)
		}
	}
}

// A plan that exceeds a limit is refused before it fills the memory.
func TestLimits(t *testing.T) {
	adds := func(n int, parts func(i int) plan.Parts) plan.Kind {
		return step{"k", func(b *plan.Builder) error {
			for i := range n {
				if _, err := b.Add("k", parts(i)); err != nil {
					return err
				}
			}
			return nil
		}}
	}
	const (
		fix = ": split it into several, or use fewer models, datasets, sweep values or pairs of a matrix"
		one = "; the experiment has 1 models and 2 datasets" + fix
	)
	models, datasets := make([]spec.Model, 3000), make([]spec.Dataset, 3003)
	for i := range models {
		models[i].Backend = &spec.Backend{}
	}
	datasets[0].TrainOnly, datasets[1].Skip = true, "why"
	small := &spec.Experiment{Models: models[:1], Datasets: datasets[:2]}
	inputs := make([]plan.Input, 1_000_000)
	name := strings.Repeat("x", 16<<20+100)
	for what, test := range map[string]struct {
		e    *spec.Experiment
		kind plan.Kind
		want string
	}{
		"pairs": {&spec.Experiment{Models: models, Datasets: datasets}, adds(1, func(int) plan.Parts { return plan.Parts{} }),
			"the plan exceeds the limit of 1,000,000 actions with 9,003,000, the scores of 3,000 models on 3,001 datasets; " +
				"the experiment has 3,000 models and 3,003 datasets" + fix},
		"actions": {small, adds(1_000_001, func(i int) plan.Parts { return plan.Parts{Name: fmt.Sprint(i)} }),
			"the plan exceeds the limit of 1,000,000 actions" + one},
		"inputs": {small, adds(5, func(i int) plan.Parts { return plan.Parts{Name: fmt.Sprint(i), Inputs: inputs} }),
			"the plan exceeds the limit of 4,000,000 inputs of actions" + one},
		"names": {small, adds(64, func(i int) plan.Parts { return plan.Parts{Name: name[i:]} }),
			"the plan exceeds the limit of 1.0 GiB for the names and parameters of actions" + one},
	} {
		_, err := plan.Build(t.Context(), test.e, plan.Catalog{}, []plan.Kind{test.kind})
		if err == nil || err.Error() != test.want || protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("%s: got error %v, want %q", what, err, test.want)
		}
	}
}

// A descriptor that no record can contain is refused before the action runs.
func TestLargeDescriptor(t *testing.T) {
	parameters := json.RawMessage(`"` + strings.Repeat("x", store.MaxDescriptor) + `"`)
	p, err := plan.Build(t.Context(), &spec.Experiment{}, plan.Catalog{}, []plan.Kind{added("k", plan.Parts{Name: "a", Parameters: parameters})})
	if err != nil {
		t.Fatal(err)
	}
	const want = "a: its descriptor has 32 MiB, more than the limit of 32 MiB; use fewer inputs, such as fewer datasets or models in a comparison"
	if err := p.Resolve(t.Context(), cache{}); err == nil || err.Error() != want || protocol.KindOf(err) != protocol.InvalidInput {
		t.Errorf("got %v, want %q", err, want)
	}
}

// Building, resolving and comparing a large plan ends soon after its context.
func TestCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, err := plan.Build(ctx, &spec.Experiment{}, plan.Catalog{}, []plan.Kind{step{"k", func(b *plan.Builder) error {
		cancel()
		for i := range 10_000 {
			if _, err := b.Add("k", plan.Parts{Name: fmt.Sprint(i)}); err != nil {
				return err
			}
		}
		return nil
	}}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("building returned %v", err)
	}
	p := newWorld().plan(t)
	if err := p.Resolve(ctx, cache{}); !errors.Is(err, context.Canceled) {
		t.Errorf("resolving returned %v", err)
	}
	if _, err := p.Against(ctx, p); !errors.Is(err, context.Canceled) {
		t.Errorf("comparing returned %v", err)
	}
}

// A section that a spec does not have leaves its value unchanged. Datasets and shared actions are found by name.
func TestBuilder(t *testing.T) {
	e := &spec.Experiment{Datasets: []spec.Dataset{{Name: "a"}, {Name: "b"}}, Sections: map[string]json.RawMessage{"k": json.RawMessage(`[2]`)}}
	_, err := plan.Build(t.Context(), e, plan.Catalog{}, []plan.Kind{step{"k", func(b *plan.Builder) error {
		of, none := []int{1}, []int{1}
		if err := errors.Join(b.Section("k", &of), b.Section("other", &none)); err != nil {
			return err
		}
		if !slices.Equal(of, []int{2}) || !slices.Equal(none, []int{1}) {
			t.Errorf("got the sections %v and %v", of, none)
		}
		if b.Dataset("b") != &e.Datasets[1] || b.Dataset("c") != nil {
			t.Errorf("got the datasets %v and %v", b.Dataset("b"), b.Dataset("c"))
		}
		a, err := b.Add("k", plan.Parts{Name: "a"})
		b.Share(1, a)
		if b.Shared(1) != a || b.Shared("1") != nil {
			t.Errorf("got the shared actions %v and %v", b.Shared(1), b.Shared("1"))
		}
		return err
	}}})
	if err != nil {
		t.Fatal(err)
	}
}

func TestOf(t *testing.T) {
	p := newWorld().plan(t)
	var names []string
	for _, a := range p.Of("train") {
		names = append(names, a.Name)
	}
	if d := cmp.Diff([]string{"train big", "train small"}, names); d != "" {
		t.Error(d)
	}
	if p.Count(plan.Waits) != len(p.Actions) || p.Count(plan.Cached) != 0 {
		t.Errorf("%d wait and %d are cached before it is known", p.Count(plan.Waits), p.Count(plan.Cached))
	}
}

// counting is a cache that records the requested keys.
type counting struct {
	cache
	asked [][]string
	fail  error
}

func (c *counting) LookupMany(ctx context.Context, keys []string) (map[string]*store.Record, error) {
	c.asked = append(c.asked, slices.Clone(keys))
	if c.fail != nil {
		return nil, c.fail
	}
	return c.cache.LookupMany(ctx, keys)
}

// There is one lookup per level of a plan that has run, without duplicate keys.
func TestResolveAsks(t *testing.T) {
	w := newWorld()
	w.dataset("a2")
	w.Sources["a2"] = w.Sources["a"]
	p := w.plan(t)
	done := cache{}
	done.fill(t, p)
	c := &counting{cache: done}
	resolve(t, p, c)
	all := slices.Concat(c.asked...)
	slices.Sort(all)
	if len(c.asked) != 4 || len(slices.Compact(slices.Clone(all))) != len(all) {
		t.Errorf("asked %d times, for %d keys of which %d differ", len(c.asked), len(all), len(slices.Compact(all)))
	}
	if p.Action("materialize a").State != plan.Cached || p.Action("materialize a2").State != plan.Cached || p.Action("score flat a2").State != plan.Cached {
		t.Errorf("of equal actions not all are found: %v", p.Describe(nil).Counts)
	}
	// Actions whose records are gone are pending again, and skipped actions stay skipped.
	delete(done, p.Action("train big").Key)
	p.Action("materialize b").State = plan.Skipped
	resolve(t, p, done)
	for name, want := range map[string]plan.State{"train big": plan.Pending, "score big a": plan.Waits, "train small": plan.Cached, "materialize b": plan.Skipped} {
		if got := p.Action(name).State; got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	c.fail = errors.New("no route to host")
	if err := p.Resolve(t.Context(), c); !errors.Is(err, c.fail) || !strings.HasPrefix(err.Error(), "look up cached actions: ") {
		t.Errorf("got error %v", err)
	}
}

// A job contains everything that a worker needs. There is no job while an input is missing.
func TestJob(t *testing.T) {
	p := newWorld().plan(t)
	a := p.Action("score flat a")
	if _, err := a.Job(); err == nil || err.Error() != "score flat a: an upstream has not run" {
		t.Errorf("got error %v", err)
	}
	done := cache{}
	resolve(t, p, done)
	up := p.Action("materialize a")
	done.add(up, nil)
	up.Finished(done[up.Key])
	if _, err := a.SetKey(); err != nil || a.State != plan.Pending {
		t.Fatalf("it is %s, %v", a.State, err)
	}
	job, err := a.Job()
	if err != nil {
		t.Fatal(err)
	}
	d, known, err := a.Descriptor()
	if !known || err != nil {
		t.Fatal(known, err)
	}
	want := plan.Job{Key: a.Key, Descriptor: d, Name: a.Name, Labels: a.Labels, Machine: a.Machine, Resources: a.Resources, Model: a.Model}
	if diff := cmp.Diff(want, job); diff != "" || len(job.Machine) == 0 || job.Model == nil || job.Resources.Cores != 1 {
		t.Errorf("%s in %+v", diff, job)
	}
	if len(d.Inputs) != 2 || d.Inputs["documents/documents.parquet"] != digest(up.Key+"documents.parquet") || d.Inputs["documents/counts.json"] != digest(up.Key+"counts.json") {
		t.Errorf("got the inputs %v, want those files that are read", d.Inputs)
	}
}

// An input without a list of files depends on all of them.
func TestAllFiles(t *testing.T) {
	up := &plan.Action{Name: "up", Status: plan.Status{State: plan.Done, Outputs: []store.File{{Name: "x", Digest: "1"}, {Name: "y/z", Digest: "2"}}}}
	a := &plan.Action{Name: "a", Kind: "k", Schema: 3, Parameters: json.RawMessage("{}"), Inputs: []plan.Input{{Role: "r", Upstream: up}, {Role: "s", Upstream: up, Files: []string{"x"}}}}
	d, known, err := a.Descriptor()
	if diff := cmp.Diff(map[string]string{"r/x": "1", "r/y/z": "2", "s/x": "1"}, d.Inputs); diff != "" || !known || err != nil {
		t.Errorf("%v, %v: %s", known, err, diff)
	}
	got, err := a.SetKey()
	if want := `{"inputs":{"r/x":"1","r/y/z":"2","s/x":"1"},"kind":"k","parameters":{},"schema":3}`; err != nil || string(got) != want || a.Key != store.KeyOf(got) {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	for _, state := range []plan.State{plan.Pending, plan.Waits, plan.Running, plan.Failed, plan.Blocked, plan.Canceled, plan.Skipped} {
		up.State = state
		if _, known, err := a.Descriptor(); known || err != nil {
			t.Errorf("an action that depends on one that is %s is known (%v)", state, err)
		}
	}
	up.State, up.Outputs = plan.Cached, nil
	if _, err := a.SetKey(); err == nil || err.Error() != "a: input s: up has 0 of the files x" {
		t.Errorf("got error %v", err)
	}
}

// The content of a record is in the action's status.
func TestFound(t *testing.T) {
	r := &store.Record{Outputs: []store.File{{Name: "x"}}, Warnings: []string{"w"}, Measured: map[string]float64{plan.MeasuredSeconds: 3, plan.MeasuredBytes: 9}}
	for want, found := range map[plan.State]func(*plan.Action, *store.Record){plan.Cached: (*plan.Action).Found, plan.Done: (*plan.Action).Finished} {
		a := &plan.Action{Cost: plan.Cost{Documents: 5, Bytes: 50, Tokens: 4, AtMost: true}, Status: plan.Status{Key: "k"}}
		found(a, r)
		if d := cmp.Diff(plan.Status{State: want, Key: "k", Outputs: r.Outputs, Warnings: r.Warnings, Seconds: 3, Measured: r.Measured}, a.Status); d != "" {
			t.Error(d)
		}
		// Without a number of documents nothing was counted.
		if d := cmp.Diff(plan.Cost{Documents: 5, Bytes: 50, Tokens: 4, AtMost: true}, a.Cost); d != "" {
			t.Error(d)
		}
	}
}

// A description has every action with its state, its reason, its inputs and its cost.
func TestDescribeActions(t *testing.T) {
	w := newWorld()
	w.named("b").Skip = "too slow"
	w.Gaps = nil
	p := w.plan(t)
	done := cache{}
	resolve(t, p, done)
	done.add(p.Action("materialize a"), nil)
	resolve(t, p, done)
	d := p.Describe(nil)
	if d.Experiment != "test" || d.Changes != nil || len(d.Actions) != len(p.Actions) {
		t.Errorf("got %+v", d)
	}
	if diff := cmp.Diff(map[string]map[plan.State]int{
		"materialize": {plan.Skipped: 1, plan.Pending: 1, plan.Cached: 1}, "train": {plan.Waits: 2}, "score": {plan.Waits: 2, plan.Pending: 1},
	}, d.Counts); diff != "" {
		t.Error(diff)
	}
	for i, a := range p.Actions {
		var inputs []string
		for _, in := range a.Inputs {
			inputs = append(inputs, in.Upstream.Name)
		}
		want := plan.ActionDescription{Name: a.Name, Kind: a.Kind, State: a.State, Key: a.Key, Reason: a.Reason, Inputs: inputs, Cost: a.Cost}
		if diff := cmp.Diff(want, d.Actions[i]); diff != "" {
			t.Error(diff)
		}
	}
	if got := d.Actions[0]; got.Reason != "too slow" || got.Name != "materialize b" {
		t.Errorf("got %+v first", got)
	}
}

// Changes contain the kind of an action. An action that is skipped before and after has not changed.
func TestAgainstKinds(t *testing.T) {
	base, now := newWorld(), newWorld()
	for _, w := range []*world{base, now} {
		w.dataset("c").Skip = "reason " + fmt.Sprint(w == now)
	}
	now.Gaps = nil
	base.Models = base.Models[:2]
	base.Gaps = nil
	now.called("flat").Scoring.EOS = true
	changes, err := now.plan(t).Against(t.Context(), base.plan(t))
	if err != nil {
		t.Fatal(err)
	}
	eos := []plan.Field{{Path: "parameters.settings.eos", Before: "false", After: "true"}}
	want := []plan.Change{
		{Name: "train small", Kind: "train", What: "added"},
		{Name: "score flat a", Kind: "score", What: "changed", Fields: eos},
		{Name: "score flat b", Kind: "score", What: "changed", Fields: eos},
		{Name: "score small a", Kind: "score", What: "added"},
		{Name: "score small b", Kind: "score", What: "added"},
	}
	if d := cmp.Diff(want, changes); d != "" {
		t.Error(d)
	}
	back, err := base.plan(t).Against(t.Context(), now.plan(t))
	if err != nil || len(back) != 5 || !slices.ContainsFunc(back, func(c plan.Change) bool { return c.Name == "train small" && c.Kind == "train" && c.What == "dropped" }) {
		t.Errorf("got %+v, %v", back, err)
	}
}

// ReadDescriptor returns parameters in canonical form, and rejects unknown fields.
func TestReadDescriptor(t *testing.T) {
	d, err := plan.ReadDescriptor([]byte(`{"kind":"k","schema":2,"parameters":{ "b":1, "a":"<" },"inputs":{"r":"d"},"worker":{"name":"n","version":"v","protocol":3,"digest":"x"}}`))
	want := plan.Descriptor{
		Kind: "k", Schema: 2, Parameters: json.RawMessage(`{"a":"<","b":1}`), Inputs: map[string]string{"r": "d"},
		Worker: &plan.Worker{Name: "n", Version: "v", Protocol: 3, Digest: "x"},
	}
	if diff := cmp.Diff(want, d); diff != "" || err != nil {
		t.Errorf("%v: %s", err, diff)
	}
	canonical := `{"inputs":{"r":"d"},"kind":"k","parameters":{"a":"<","b":1},"schema":2,"worker":{"digest":"x","name":"n","protocol":3,"version":"v"}}`
	if key, got, err := d.Key(); err != nil || string(got) != canonical || key != store.KeyOf([]byte(canonical)) {
		t.Errorf("got %s, %v, want %s", got, err, canonical)
	}
	for _, bad := range []string{`{"kind":"k","parameters":{},"more":1}`, `{"kind":"k","parameters":{"a":1,"a":2}}`, `{"kind":`} {
		if _, err := plan.ReadDescriptor([]byte(bad)); err == nil {
			t.Errorf("%s: got no error", bad)
		}
	}
}

// Text is encoded as JSON, with or without escapes.
func TestCanonicalText(t *testing.T) {
	for _, text := range []string{"", "a b/c-~!", "\x1f", "\x7f", `"`, `\`, "é", "<&>", "\u2028", "a\nb"} {
		data, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		want, err := store.Canonical(data)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := plan.Canonical(text); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%q: got %s, %v, want %s", text, got, err, want)
		}
	}
}

// Neutral settings are removed from a configuration by their dotted names, and can be added again.
func TestSettings(t *testing.T) {
	for _, test := range []struct {
		config string
		names  []string
		rest   string
		taken  map[string]string
	}{
		{`{ "b":1, "a":2 }`, nil, `{"a":2,"b":1}`, nil},
		{`{"a":2,"b":1}`, []string{"c", "a.x", "c.d"}, `{"a":2,"b":1}`, nil},
		{`{"a":2,"b":1}`, []string{"a"}, `{"b":1}`, map[string]string{"a": "2"}},
		{`{"a":{"x":1,"y":[2]},"b":1}`, []string{"b", "a.y"}, `{"a":{"x":1}}`, map[string]string{"a.y": "[2]", "b": "1"}},
		{`{"a":{"x":{"y":null}}}`, []string{"a.x.y", "a.x.z"}, `{"a":{"x":{}}}`, map[string]string{"a.x.y": "null"}},
		{`{"a":"{"}`, []string{"a.b"}, `{"a":"{"}`, nil},
	} {
		rest, taken, err := plan.SplitSettings(json.RawMessage(test.config), test.names)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]string
		for name, value := range taken {
			if got == nil {
				got = map[string]string{}
			}
			got[name] = string(value)
		}
		if d := cmp.Diff(test.taken, got); d != "" || string(rest) != test.rest {
			t.Errorf("%s without %q: got %s: %s", test.config, test.names, rest, d)
		}
		whole, err := plan.JoinSettings(rest, taken)
		if want, canonicalErr := store.Canonical([]byte(test.config)); err != nil || canonicalErr != nil || !bytes.Equal(whole, want) {
			t.Errorf("%s: put back, found %s, %v", test.config, whole, err)
		}
	}
	joined, err := plan.JoinSettings(json.RawMessage(`{"b":{"c":1}}`), map[string]json.RawMessage{"a.x": json.RawMessage("1"), "b.d.e": json.RawMessage("2"), "b.c": json.RawMessage("3")})
	if want := `{"a":{"x":1},"b":{"c":3,"d":{"e":2}}}`; err != nil || string(joined) != want {
		t.Errorf("got %s, %v, want %s", joined, err, want)
	}
	for _, config := range []string{`[]`, `{`, `{"a":1,"a":2}`} {
		if _, _, err := plan.SplitSettings(json.RawMessage(config), nil); err == nil || !strings.HasPrefix(err.Error(), "configuration "+config+": ") {
			t.Errorf("%s: got error %v", config, err)
		}
	}
	for _, config := range []string{`[]`, `{"a":1}`} {
		if _, err := plan.JoinSettings(json.RawMessage(config), map[string]json.RawMessage{"a.b": json.RawMessage("1")}); err == nil || !strings.HasPrefix(err.Error(), "configuration "+config) {
			t.Errorf("%s: got error %v", config, err)
		}
	}
}
