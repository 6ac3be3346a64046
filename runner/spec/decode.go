package spec

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/token"

	"surprisal.dev/internal/address"
)

// decoder turns a package that was unified with #Experiment into an Experiment. It continues after a mistake, to find
// all.
type decoder struct {
	*place
	// language is the package that defines #Experiment, and root the spec.
	language, root cue.Value
	context        *cue.Context
	options        Options
	errors         []Error
	warnings       []Error
	// invalid has the paths that violate the schema. Values that depend on them are not checked.
	invalid map[string]bool
	// misspelled has the paths of fields that are not set because their names are misspelled. Consequences of that are
	// not reported.
	misspelled map[string]bool

	datasets map[string]*Dataset
	models   map[string]*Model
	// nodes are the models in the spec, by name. Sweeps start from them.
	nodes map[string]node
	// training has the field that names the training data of each model, a string or a list, by name of the model.
	training map[string]node
	// baselines has the model of each baseline that the spec defines, or nil if that is unknown. pinned has those of the lock
	// file, as models. used has those of the latter that the spec refers to.
	baselines, pinned map[string]*Model
	used              map[string]*UsedBaseline
	// lockDamaged is true if the lock file in lockDir cannot be read as one.
	lockDamaged bool
	lockDir     string
	// positions are those of named entries; see Experiment.Positions.
	positions map[string]Position
}

func (d *decoder) experiment(lock *Lock) *Experiment {
	d.datasets, d.models = map[string]*Dataset{}, map[string]*Model{}
	d.nodes, d.training = map[string]node{}, map[string]node{}
	d.positions = map[string]Position{}
	d.invalid, d.misspelled = map[string]bool{}, map[string]bool{}
	d.checkSchema()
	root := node{v: d.root}
	// CUE yields no fields of a struct with a mistake, and the root has every mistake.
	for _, name := range fieldNames(d.language.LookupPath(cue.MakePath(cue.Def("#Experiment")))) {
		d.checkNumbers(root.field(name))
	}
	e := &Experiment{Name: root.field("name").text()}

	limits, scoring := root.field("limits"), root.field("scoring")
	for name, n := range root.field("datasets").fields() {
		d.datasets[name] = d.dataset(name, n.opened(), limits)
	}
	for name, n := range root.field("skip").fields() {
		if x, ok := d.datasets[name]; ok {
			x.Skip = n.text()
		} else {
			d.unknown(n, "dataset", name, slices.Collect(maps.Keys(d.datasets)))
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
	d.baselineModels(root, lock)

	e.Sections, e.Positions = d.sections(), d.positions
	for _, name := range slices.Sorted(maps.Keys(d.datasets)) {
		e.Datasets = append(e.Datasets, *d.datasets[name])
	}
	for _, name := range slices.Sorted(maps.Keys(d.models)) {
		e.Models = append(e.Models, *d.models[name])
	}
	e.Following = slices.Sorted(maps.Keys(d.baselines))
	for _, name := range slices.Sorted(maps.Keys(d.used)) {
		e.Baselines = append(e.Baselines, *d.used[name])
	}
	return e
}

// discard clears the sources, weights, tables and settings of an experiment that mistakes concern. What remains can be
// checked further: a mistake in one part does not hide a missing file in another.
func (d *decoder) discard(e *Experiment) {
	wrong := map[string]bool{}
	for _, err := range d.errors {
		wrong[err.Path] = true
	}
	// mistaken reports whether there is a mistake at or below a field.
	mistaken := func(names ...string) bool {
		field := fieldPath(names...)
		for path := range wrong {
			if rest, ok := strings.CutPrefix(path, field); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
				return true
			}
		}
		return false
	}
	for i := range e.Datasets {
		if x := &e.Datasets[i]; mistaken("datasets", x.Name, "source") || mistaken("skip", x.Name) {
			x.Source.Config = nil
		}
	}
	for i := range e.Models {
		m := &e.Models[i]
		name := cmp.Or(m.Base, m.Name)
		if mistaken("models", name, "weights") {
			m.Weights = nil
		}
		if mistaken("models", name, "scores") {
			m.Scores = nil
		}
		if m.Backend != nil && (wrong[fieldPath("models", name)] || mistaken("scoring") || mistaken("models", name, "backend") ||
			mistaken("models", name, "weights") || mistaken("models", name, "scoring")) {
			m.Backend.Config = nil
		}
	}
}

// fail reports a mistake at n, unless n or a value that contains it violates the schema.
func (d *decoder) fail(n node, format string, args ...any) {
	for i := range n.path {
		if path := pathString(n.path[:i+1]); d.invalid[path] || d.misspelled[path] {
			return
		}
	}
	d.errors = append(d.errors, Error{d.nearestPosition(n.path), pathString(n.path), fmt.Sprintf(format, args...)})
}

// checkNumbers reports the numbers at or below n that a float64 cannot hold, which would otherwise read as 0.
func (d *decoder) checkNumbers(n node) {
	for x := range n.numbers() {
		if v, _ := x.v.Default(); outOfRange(v) != "" {
			d.fail(x, "%s %s", found(v), outOfRange(v))
			d.invalid[pathString(x.path)] = true
		}
	}
}

// numbersOutOfRange reports whether checkNumbers has reported a number at or below n.
func (d *decoder) numbersOutOfRange(n node) bool {
	for x := range n.numbers() {
		if d.invalid[pathString(x.path)] {
			return true
		}
	}
	return false
}

// Limits of the size of a number on the axis of a report. Within them, the squares of distances that a line is fitted to do
// not overflow.
const (
	smallestCoordinate = 1e-50
	largestCoordinate  = 1e50
)

// coordinate returns a number for the axis of a report, and reports one that is too large or too small for that.
func (d *decoder) coordinate(n node) float64 {
	x := n.decimal()
	if size := math.Abs(x); size != 0 && (size < smallestCoordinate || size > largestCoordinate) {
		d.fail(n, "%v is not 0 and not between %v and %v in size, as reports need; use another unit", x, smallestCoordinate, largestCoordinate)
	}
	return x
}

// unknown reports a reference to a name that does not exist.
func (d *decoder) unknown(n node, what, name string, known []string) {
	if d.invalid[what+"s"] || d.misspelled[what+"s"] {
		return
	}
	d.fail(n, "no %s %q; %s", what, abbreviate(name, 100), alternatives(what+"s", name, known))
}

func (d *decoder) warn(pos Position, path, format string, args ...any) {
	d.warnings = append(d.warnings, Error{pos, path, fmt.Sprintf(format, args...)})
}

// nearestPosition returns the position of the field at path, or else that of the innermost struct around it.
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

// intact reports whether n and everything below it conforms to the schema.
func (d *decoder) intact(n node) bool {
	return len(d.invalid) == 0 || !n.set() || n.v.Validate(cue.Concrete(true), cue.Final()) == nil
}

func (d *decoder) dataset(name string, n, limits node) *Dataset {
	x := &Dataset{
		Name: name, Pos: d.writtenAt(n), Tags: n.field("tags").texts(),
		Limits: Limits{
			Documents: either(n.field("limits"), limits, "documents").number(),
			Bytes:     either(n.field("limits"), limits, "bytes").number(),
		},
		Rows:         Range{n.field("rows").field("from").number(), n.field("rows").field("to").number()},
		InvalidUTF8:  n.field("invalidUTF8").text(),
		BadRows:      n.field("badRows").text(),
		ParseSpecial: n.field("parseSpecial").truth(), Cluster: ClusterField, ClusterPath: n.field("cluster").field("field").text(),
		TrainOnly: n.field("use").text() == "train",
		Fields:    []string{"text"},
	}
	if x.ClusterPath == "" {
		x.Cluster = n.field("cluster").text()
	}
	if text := n.field("text"); text.set() {
		x.Fields = []string{text.text()}
	}
	if s := n.field("supervised"); s.set() {
		x.Fields = []string{s.field("input").text(), s.field("target").text()}
		if n.field("text").set() {
			d.fail(n.field("text"), "text and supervised are mutually exclusive; keep text for raw text, supervised for pairs")
		}
		if x.Fields[0] == x.Fields[1] {
			d.fail(s.field("target"), "input and target are the same field, %q; the model would see the text that it is scored on", x.Fields[1])
		}
	}
	if about := n.field("about"); about.set() {
		x.About = &About{
			about.field("license").text(), about.field("contamination").text(), about.field("note").text(), about.field("unconfirmed").texts(),
		}
	}
	if least := n.field("minimum"); least.set() {
		x.Minimum = &Limits{least.field("documents").number(), least.field("bytes").number()}
	}
	if s := n.field("sample"); s.set() {
		x.Sample = &Sample{s.field("documents").number(), s.field("seed").number()}
	}
	if rows := n.field("rows"); x.Rows.To > 0 && x.Rows.From >= x.Rows.To {
		d.fail(rows, "the range from %d to %d has no rows; from must be less than to", x.Rows.From, x.Rows.To)
	}
	for i, tag := range n.field("tags").elements() {
		if slices.Index(x.Tags, tag.text()) < i {
			d.fail(tag, "duplicate tag %q", tag.text())
		}
	}

	source := n.field("source")
	provider, config, ok := d.plugin(source, "provider", d.options.Providers)
	x.Source = Source{Provider: provider, Pos: d.writtenAt(source)}
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

// plugin returns the only plugin that n names, and its configuration.
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
		d.fail(n, "no %s is set; %s", kind, alternatives(kind+"s", "", slices.Collect(maps.Keys(known))))
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
		if !d.numbersOutOfRange(n) {
			d.fail(n, "%v", err)
		}
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
	m := &Model{Name: name, Family: n.field("family").text(), Chat: n.field("chat").truth(), SeenData: n.field("trainedOn").texts(), Pos: d.writtenAt(n)}
	if step := n.field("step"); step.set() {
		at := d.coordinate(step)
		m.Step = &at
	}
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
	case m.Weights != nil && !backend.set() && !d.misspelled[pathString(backend.path)]:
		d.fail(n, "weights are set, but no backend to load them; set backend")
	case backend.set() && scores.set():
		d.fail(n, "backend and scores are mutually exclusive; keep backend to score the model, scores to import precomputed scores")
	case backend.set():
		plugin, config, ok := d.plugin(backend, "backend", d.options.Backends)
		m.Backend = &Backend{Name: plugin, Pos: d.writtenAt(backend)}
		if ok {
			d.fillBackend(m.Backend, config, config.v)
			d.training[name] = config.field("train")
			if d.options.Backends[plugin].Trains && m.Weights != nil {
				d.fail(n.field("weights"), "backend %s trains its models and does not read weights; remove weights", plugin)
			}
		}
	case scores.set():
		m.Scores = &Scores{
			Path: scores.field("path").text(), Protocol: scores.field("protocol").text(), Pos: d.writtenAt(scores),
		}
		if own.set() {
			d.fail(own, "scoring does not apply to a model with precomputed scores; describe its scoring in protocol")
		}
	case d.misspelled[pathString(backend.path)] || d.misspelled[pathString(scores.path)]:
	default:
		d.fail(n, "neither backend nor scores is set; set backend to score the model, or scores to import precomputed scores")
	}
	return m
}

// weights decodes the weights of a model. It returns nil if there are none.
func (d *decoder) weights(n node) *Weights {
	if !n.set() {
		return nil
	}
	var found []*Weights
	for _, format := range []string{"gguf", "safetensors"} {
		if files := n.field(format); files.set() {
			found = append(found, &Weights{Format: format, Path: d.location(files.field("path")), Pos: d.writtenAt(files)})
		}
	}
	if hf := n.field("hf"); hf.set() {
		w := &Weights{Format: "safetensors", Pos: d.writtenAt(hf), Hub: &HubModel{
			ID: hf.field("id").text(), Revision: hf.field("revision").text(), File: hf.field("file").text(),
		}}
		if w.Hub.File != "" {
			w.Format = "gguf"
		}
		found = append(found, w)
	}
	if len(found) != 1 {
		d.fail(n, "%d formats of weights are set; set exactly one of gguf, safetensors and hf", len(found))
		return nil
	}
	if size := n.field("size"); size.set() {
		found[0].Parameters = d.coordinate(size.field("parameters"))
		found[0].Active = found[0].Parameters
		if active := size.field("active"); active.set() {
			found[0].Active = d.coordinate(active)
		}
		if found[0].Active > found[0].Parameters {
			d.fail(size, "active %v is greater than parameters %v; a token uses at most all of them", found[0].Active, found[0].Parameters)
		}
	}
	return found[0]
}

// location decodes the location of weights: a path, or a URL of a bucket. A URL of a file becomes its path.
func (d *decoder) location(n node) string {
	path := n.text()
	scheme, rest, isURL := strings.Cut(path, "://")
	switch {
	case !isURL || scheme == "s3" || scheme == "gs":
		return path
	case scheme != "file":
		d.fail(n, "path %q: unknown scheme %q; schemes are file, gs and s3", address.Printable(path), address.Printable(scheme))
		return path
	}
	name, err := url.PathUnescape(rest)
	if err != nil || !strings.HasPrefix(name, "/") {
		d.fail(n, `path %q: expected "file:///" and an absolute path`, address.Printable(path))
		return path
	}
	return name
}

// fillBackend sets the configuration of b from v, which replaces the value at n.
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
		d.fail(n, "stride %d is greater than context %d; tokens between windows would not be scored", s.Stride, s.Context)
	}
}

// checkEmpty reports an experiment with nothing to do.
func (d *decoder) checkEmpty(root node) {
	if len(d.models) == 0 {
		d.fail(root.field("models"), "no models; add one: models: NAME: backend: BACKEND: {...}")
		return
	}
	scored := slices.ContainsFunc(slices.Collect(maps.Values(d.models)), func(m *Model) bool { return m.Scores == nil })
	if scored && len(d.datasets) == 0 {
		d.fail(root.field("datasets"), "no datasets; add one: datasets: NAME: source: PROVIDER: {...}")
	} else if scored && len(d.scored()) == 0 {
		d.fail(root.field("datasets"), "every dataset is skipped or has use \"train\"; there is nothing to score")
	}
}

// scored returns the names of the datasets that models are scored on, sorted.
func (d *decoder) scored() []string {
	var names []string
	for name, x := range d.datasets {
		if x.Skip == "" && !x.TrainOnly {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// checkTraining checks the training datasets of models.
func (d *decoder) checkTraining(root node) {
	used, warned := map[string]bool{}, map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(d.models)) {
		m := d.models[name]
		if m.Backend == nil || len(m.Backend.Train) == 0 {
			continue
		}
		for i, dataset := range m.Backend.Train {
			at := d.training[name]
			if at.v.Kind() == cue.ListKind {
				at = at.child(cue.Index(i))
			}
			used[dataset] = true
			x, ok := d.datasets[dataset]
			switch {
			case !ok:
				d.unknown(at, "dataset", dataset, slices.Collect(maps.Keys(d.datasets)))
			case x.Skip != "":
				d.fail(at, "the dataset %q is skipped (%s); train on another dataset, or remove it from skip", dataset, x.Skip)
			case !x.TrainOnly && !warned[pathString(at.path)]:
				warned[pathString(at.path)] = true
				d.warn(d.nearestPosition(at.path), pathString(at.path),
					"the model is trained and scored on %q; its scores there are not meaningful (set use: \"train\" to only train on the dataset)", dataset)
			}
		}
	}
	for name, x := range d.datasets {
		if x.TrainOnly && !used[name] && x.Skip == "" {
			use := root.field("datasets").field(name).field("use")
			d.warn(d.nearestPosition(use.path), pathString(use.path), "the dataset has use \"train\", but no model is trained on it")
		}
	}
}
