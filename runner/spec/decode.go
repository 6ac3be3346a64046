package spec

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/token"
)

// decoder turns a package that was unified with #Experiment into an Experiment. It goes on after a mistake, to find all.
type decoder struct {
	*place
	// language is the package that defines #Experiment, and root the spec.
	language, root cue.Value
	context        *cue.Context
	options        Options
	errors         []Error
	warnings       []Error
	// refused holds the paths that the schema refused; what depends on them is not looked at.
	refused map[string]bool

	datasets map[string]*Dataset
	models   map[string]*Model
	// nodes are the written models, by name: what sweeps start from.
	nodes map[string]node
	// training is where each model's training data is named, a string or a list, by name of the model.
	training map[string]node
}

func (d *decoder) experiment() *Experiment {
	d.datasets, d.models = map[string]*Dataset{}, map[string]*Model{}
	d.nodes, d.training = map[string]node{}, map[string]node{}
	d.refused = map[string]bool{}
	d.checkSchema()
	root := node{v: d.root}
	e := &Experiment{Name: root.field("name").text()}

	limits, scoring := root.field("limits"), root.field("scoring")
	for key, n := range root.field("datasets").fields() {
		d.datasets[key] = d.dataset(key, n.opened(), limits)
	}
	for key, n := range root.field("skip").fields() {
		if x, ok := d.datasets[key]; ok {
			x.Skip = n.text()
		} else {
			d.unknown(n, "dataset", key, slices.Collect(maps.Keys(d.datasets)))
		}
	}
	for name, n := range root.field("models").fields() {
		d.nodes[name] = n
		d.models[name] = d.model(name, n.opened(), scoring)
	}
	for _, n := range root.field("sweeps").fields() {
		d.sweep(n)
	}
	d.checkEmpty(root)
	d.checkTraining(root)

	e.Sections = d.sections()
	for _, key := range slices.Sorted(maps.Keys(d.datasets)) {
		e.Datasets = append(e.Datasets, *d.datasets[key])
	}
	for _, name := range slices.Sorted(maps.Keys(d.models)) {
		e.Models = append(e.Models, *d.models[name])
	}
	return e
}

// fail reports a mistake at n, unless the schema refused n or something above it already.
func (d *decoder) fail(n node, format string, args ...any) {
	for i := range n.path {
		if d.refused[pathString(n.path[:i+1])] {
			return
		}
	}
	d.errors = append(d.errors, Error{d.nearestPosition(n.path), pathString(n.path), fmt.Sprintf(format, args...)})
}

// unknown reports a reference to something that is not there.
func (d *decoder) unknown(n node, what, name string, known []string) {
	if d.refused[what+"s"] {
		return
	}
	d.fail(n, "no %s %q; %s", what, abbreviate(name, 100), alternatives(what+"s", name, known))
}

func (d *decoder) warn(pos Position, path, format string, args ...any) {
	d.warnings = append(d.warnings, Error{pos, path, fmt.Sprintf(format, args...)})
}

// nearestPosition returns where the field at path, or else the nearest struct around it, was written.
func (d *decoder) nearestPosition(path []cue.Selector) Position {
	for i := len(path); i > 0; i-- {
		if pos, ok := d.of(d.root.LookupPath(cue.MakePath(path[:i]...))); ok {
			return d.position(pos)
		}
	}
	return d.position(d.start)
}

func (d *decoder) writtenAt(n node) Position {
	pos, ok := d.of(n.v)
	if !ok {
		pos = token.NoPos
	}
	return d.position(pos)
}

// intact reports whether the schema refused nothing at n or below it.
func (d *decoder) intact(n node) bool {
	return len(d.refused) == 0 || !n.set() || n.v.Validate(cue.Concrete(true), cue.Final()) == nil
}

func (d *decoder) dataset(key string, n, limits node) *Dataset {
	x := &Dataset{
		Name: key, Pos: d.writtenAt(n), Tags: n.field("tags").texts(),
		Limits: Limits{
			Documents: either(n.field("limits"), limits, "documents").number(),
			Bytes:     either(n.field("limits"), limits, "bytes").number(),
		},
		Rows:         Range{n.field("rows").field("from").number(), n.field("rows").field("to").number()},
		InvalidUTF8:  n.field("invalidUTF8").text(),
		BadRows:      n.field("badRows").text(),
		ParseSpecial: n.field("parseSpecial").truth(),
		TrainOnly:    n.field("use").text() == "train",
		Fields:       []string{"text"},
	}
	if text := n.field("text"); text.set() {
		x.Fields = []string{text.text()}
	}
	if s := n.field("supervised"); s.set() {
		x.Fields = []string{s.field("input").text(), s.field("target").text()}
		if n.field("text").set() {
			d.fail(n.field("text"), "text and supervised are both set; keep text for raw text, supervised for pairs")
		}
		if x.Fields[0] == x.Fields[1] {
			d.fail(s.field("target"), "the target is the input, %q; the model would see what it is scored on", x.Fields[1])
		}
	}
	if s := n.field("sample"); s.set() {
		x.Sample = &Sample{s.field("documents").number(), s.field("seed").number()}
	}
	if rows := n.field("rows"); x.Rows.To > 0 && x.Rows.From >= x.Rows.To {
		d.fail(rows, "from %d to %d takes no row; from must be less than to", x.Rows.From, x.Rows.To)
	}
	for i, tag := range n.field("tags").elements() {
		if slices.Index(x.Tags, tag.text()) < i {
			d.fail(tag, "the tag %q is there twice", tag.text())
		}
	}

	source := n.field("source")
	name, config, ok := d.plugin(source, "provider", d.options.Providers)
	x.Source = Source{Provider: name, Pos: d.writtenAt(source)}
	if ok {
		x.Source.Config = d.config(config, config.v)
	}
	return x
}

// either returns the field of a, or else that of b.
func either(a, b node, name string) node {
	if f := a.field(name); f.set() {
		return f
	}
	return b.field(name)
}

// plugin returns the one plugin that n names and its configuration.
func (d *decoder) plugin(n node, kind string, known map[string]Schema) (name string, config node, ok bool) {
	var names []string
	for f, c := range n.fields() {
		names, config = append(names, f), c
	}
	switch {
	case !n.set():
		d.fail(n, "required and not set; %s", alternatives(kind+"s", "", slices.Collect(maps.Keys(known))))
		return "", node{}, false
	case len(names) == 0:
		d.fail(n, "no %s is named; %s", kind, alternatives(kind+"s", "", slices.Collect(maps.Keys(known))))
		return "", node{}, false
	case len(names) > 1:
		slices.Sort(names)
		d.fail(n, "%d %ss are set, %s; keep one", len(names), kind, strings.Join(names, " and "))
		return "", node{}, false
	}
	schema, ok := known[names[0]]
	switch {
	case !ok:
		d.unknown(config, kind, names[0], slices.Collect(maps.Keys(known)))
	case schema.Problem != "":
		d.fail(config, "%s", schema.Problem)
	}
	if !ok || schema.Problem != "" {
		return names[0], config, false
	}
	return names[0], config, true
}

// config returns a plugin's configuration v, found at n, as canonical JSON.
func (d *decoder) config(n node, v cue.Value, without ...string) json.RawMessage {
	if !d.intact(n) {
		return nil
	}
	x, err := plain(v)
	if err != nil {
		d.fail(n, "%v", err)
		return nil
	}
	if m, ok := x.(map[string]any); ok {
		for _, name := range without {
			delete(m, name)
		}
	}
	text, err := canonical(x)
	if err != nil {
		d.fail(n, "%v", err)
	}
	return text
}

func (d *decoder) model(name string, n, scoring node) *Model {
	m := &Model{Name: name, Family: n.field("family").text(), Pos: d.writtenAt(n)}
	own := n.field("scoring")
	m.Scoring = Scoring{
		Prefix:  cmp.Or(either(own, scoring, "prefix").text(), "bos"),
		Context: either(own, scoring, "context").number(),
		Stride:  either(own, scoring, "stride").number(),
		Anchor:  cmp.Or(either(own, scoring, "anchor").text(), "tokens"),
		EOS:     either(own, scoring, "eos").truth(),
	}
	d.checkScoring(own, m.Scoring)

	backend, scores := n.field("backend"), n.field("scores")
	m.Weights = d.weights(n.field("weights"))
	switch {
	case m.Weights != nil && !backend.set():
		d.fail(n, "weights are set without a backend to load them; set backend")
	case backend.set() && scores.set():
		d.fail(n, "backend and scores are both set; keep backend to score the model, scores to read a table made elsewhere")
	case backend.set():
		plugin, config, ok := d.plugin(backend, "backend", d.options.Backends)
		m.Backend = &Backend{Name: plugin, Pos: d.writtenAt(backend)}
		if ok {
			d.fillBackend(m.Backend, config, config.v)
			d.training[name] = config.field("train")
			if d.options.Backends[plugin].Trains && m.Weights != nil {
				d.fail(n.field("weights"), "backend %s trains its models and reads no weights; remove weights", plugin)
			}
		}
	case scores.set():
		m.Scores = &Scores{
			Path: scores.field("path").text(), Protocol: scores.field("protocol").text(), Pos: d.writtenAt(scores),
		}
		if own.set() {
			d.fail(own, "a model with scores is not scored here; its protocol says how it was")
		}
	default:
		d.fail(n, "neither backend nor scores is set; set backend to score the model, or scores to read a table made elsewhere")
	}
	return m
}

// weights decodes the files of a model, nil if it has none.
func (d *decoder) weights(n node) *Weights {
	if !n.set() {
		return nil
	}
	var found []*Weights
	for _, format := range []string{"gguf", "safetensors"} {
		if files := n.field(format); files.set() {
			found = append(found, &Weights{Format: format, Path: files.field("path").text(), Pos: d.writtenAt(files)})
		}
	}
	if len(found) != 1 {
		d.fail(n, "%d formats of weights are set; set one of gguf and safetensors", len(found))
		return nil
	}
	return found[0]
}

// fillBackend sets the configuration of b from v, which stands for the value at n.
func (d *decoder) fillBackend(b *Backend, n node, v cue.Value) {
	if !d.options.Backends[b.Name].Trains {
		b.Config = d.config(n, v)
		return
	}
	b.Config = d.config(n, v, "train")
	train := node{v: v}.field("train")
	switch train.v.Kind() {
	case cue.StringKind:
		b.Train = []string{train.text()}
	case cue.ListKind:
		b.Train = train.texts()
	}
}

func (d *decoder) checkScoring(n node, s Scoring) {
	if s.Context > 0 && s.Stride > s.Context {
		d.fail(n, "stride %d is more than context %d; what lies between windows would not be scored", s.Stride, s.Context)
	}
}

// checkEmpty refuses an experiment that has nothing to do.
func (d *decoder) checkEmpty(root node) {
	if len(d.models) == 0 {
		d.fail(root.field("models"), "there are no models; add one: models: NAME: backend: BACKEND: {...}")
		return
	}
	scored := slices.ContainsFunc(slices.Collect(maps.Values(d.models)), func(m *Model) bool { return m.Scores == nil })
	if scored && len(d.datasets) == 0 {
		d.fail(root.field("datasets"), "there are no datasets; add one: datasets: KEY: source: PROVIDER: {...}")
	} else if scored && len(d.scored()) == 0 {
		d.fail(root.field("datasets"), "every dataset is skipped or has use \"train\"; there is nothing to score")
	}
}

// scored returns the keys of the datasets that models are scored on, sorted.
func (d *decoder) scored() []string {
	var keys []string
	for key, x := range d.datasets {
		if x.Skip == "" && !x.TrainOnly {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// checkTraining checks what models are trained on.
func (d *decoder) checkTraining(root node) {
	used, warned := map[string]bool{}, map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(d.models)) {
		m := d.models[name]
		if m.Backend == nil || len(m.Backend.Train) == 0 {
			continue
		}
		for i, key := range m.Backend.Train {
			at := d.training[name]
			if at.v.Kind() == cue.ListKind {
				at = at.child(cue.Index(i))
			}
			used[key] = true
			x, ok := d.datasets[key]
			switch {
			case !ok:
				d.unknown(at, "dataset", key, slices.Collect(maps.Keys(d.datasets)))
			case x.Skip != "":
				d.fail(at, "the dataset %q is skipped (%s); train on another one or remove it from skip", key, x.Skip)
			case !x.TrainOnly && !warned[pathString(at.path)]:
				warned[pathString(at.path)] = true
				d.warn(d.nearestPosition(at.path), pathString(at.path),
					"the model is trained on %q and scored on it; its scores there say little (set use: \"train\" on the dataset to only train on it)", key)
			}
		}
	}
	for key, x := range d.datasets {
		if x.TrainOnly && !used[key] && x.Skip == "" {
			use := root.field("datasets").field(key).field("use")
			d.warn(d.nearestPosition(use.path), pathString(use.path), "the dataset has use \"train\" and no model is trained on it")
		}
	}
}
