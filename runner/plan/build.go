package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/spec"
)

// Plan is a graph of actions in topological order.
type Plan struct {
	Experiment string
	Actions    []*Action

	byName map[string]*Action
}

// Action returns the action called name, or nil.
func (p *Plan) Action(name string) *Action { return p.byName[name] }

// Names returns the names of all actions in plan order.
func (p *Plan) Names() []string {
	names := make([]string, len(p.Actions))
	for i, a := range p.Actions {
		names[i] = a.Name
	}
	return names
}

// Build makes the plan of an experiment. States and keys of its actions are unknown until Plan.Resolve.
func Build(e *spec.Experiment, c Catalog) (*Plan, error) {
	b := builder{
		catalog:   c,
		plan:      &Plan{Experiment: e.Name, byName: map[string]*Action{}},
		datasets:  make(map[string]*spec.Dataset, len(e.Datasets)),
		documents: map[documents]*Action{},
		scores:    make(map[string]map[string]*Action, len(e.Models)),
		imports:   map[string]*Action{},
		trained:   map[string]*Action{},
	}
	for i := range e.Datasets {
		b.datasets[e.Datasets[i].Key] = &e.Datasets[i]
	}
	for _, key := range slices.Sorted(maps.Keys(b.datasets)) {
		if d := b.datasets[key]; d.Skip != "" {
			b.add(&Action{Kind: Materialize, Name: "materialize " + key, State: Skipped, Reason: d.Skip, Dataset: &Dataset{Dataset: d}})
		}
	}
	for i := range e.Models {
		if err := b.model(&e.Models[i], e.Datasets); err != nil {
			return nil, err
		}
	}
	for i := range e.Gaps {
		if err := b.gap(&e.Gaps[i]); err != nil {
			return nil, err
		}
	}
	b.plan.order()
	return b.plan, nil
}

// documents identifies a materialised dataset: the dataset and the limits it is read with.
type documents struct {
	dataset string
	limits  spec.Limits
}

type builder struct {
	catalog   Catalog
	plan      *Plan
	datasets  map[string]*spec.Dataset
	documents map[documents]*Action
	scores    map[string]map[string]*Action // by model, by dataset
	imports   map[string]*Action            // by model
	trained   map[string]*Action            // by backend configuration and training data
}

func (b *builder) add(a *Action) *Action {
	if a.State == "" {
		a.State = Waits
	}
	b.plan.Actions = append(b.plan.Actions, a)
	b.plan.byName[a.Name] = a
	return a
}

// order puts actions in plan order (by kind, then as built, which is topological) and turns their inputs into indices.
func (p *Plan) order() {
	rank := make(map[Kind]int)
	for i, k := range Kinds() {
		rank[k] = i
	}
	slices.SortStableFunc(p.Actions, func(x, y *Action) int { return rank[x.Kind] - rank[y.Kind] })
	for i, a := range p.Actions {
		a.Index = i
	}
}

// materialize returns the action that reads a dataset under limits; a dataset is read once for all models.
func (b *builder) materialize(d *spec.Dataset, limits spec.Limits) (*Action, error) {
	id := documents{d.Key, limits}
	if a := b.documents[id]; a != nil {
		return a, nil
	}
	source, ok := b.catalog.Sources[d.Key]
	if !ok {
		return nil, fmt.Errorf("dataset %q has no resolved source", d.Key)
	}
	name := "materialize " + d.Key
	if limits != d.Limits {
		name += fmt.Sprintf("@documents=%d,bytes=%d", limits.Documents, limits.Bytes)
	}
	label, err := canonical(struct {
		Dataset string   `json:"dataset"`
		Tags    []string `json:"tags"`
	}{d.Key, append([]string{}, d.Tags...)})
	if err != nil {
		return nil, fmt.Errorf("dataset %q: %w", d.Key, err)
	}
	var size int64
	for _, f := range source.Files {
		size += f.Bytes
	}
	a := b.add(&Action{
		Kind: Materialize, Name: name,
		Dataset: &Dataset{
			Dataset: d, Limits: limits, Source: source,
			Plugin: b.catalog.Providers[d.Source.Provider], label: label,
		},
		Cost: Cost{Documents: limits.Documents, Bytes: size, AtMost: true},
	})
	a.Cost.Seconds = b.catalog.SecondsPerByte[Materialize][d.Source.Provider] * float64(size)
	b.documents[id] = a
	return a, nil
}

func (b *builder) model(m *spec.Model, datasets []spec.Dataset) error {
	model := &Model{Model: m}
	if m.Scores != nil {
		file, ok := b.catalog.Scores[m.Name]
		if !ok {
			return fmt.Errorf("model %q: the table %q has no digest", m.Name, m.Scores.Path)
		}
		model.Scores = file
		b.imports[m.Name] = b.add(&Action{
			Kind: Import, Name: "import " + m.Name, Model: model, Cost: Cost{Bytes: file.Bytes},
		})
		return nil
	}
	model.Plugin = b.catalog.Backends[m.Backend.Name]
	model.estimate = b.catalog.Estimates[m.Name]
	model.Weights = b.catalog.Weights[m.Name]
	var weights []shard
	for _, f := range model.Weights {
		weights = append(weights, shard{f.Digest, f.Name})
	}
	config, err := canonical(struct {
		Config   json.RawMessage   `json:"config"`
		Settings protocol.Settings `json:"settings"`
		Weights  []shard           `json:"weights,omitempty"`
	}{m.Backend.Config, model.Settings(), weights})
	if err != nil {
		return fmt.Errorf("model %q: %w", m.Name, err)
	}
	model.score = config
	if model.plugin, err = canonical(model.Plugin); err != nil {
		return fmt.Errorf("backend %q: %w", m.Backend.Name, err)
	}
	var training *Action
	if len(m.Backend.Train) > 0 {
		if training, err = b.train(model); err != nil {
			return err
		}
	}
	scores := make(map[string]*Action, len(datasets))
	b.scores[m.Name] = scores
	for _, d := range datasets {
		if d.TrainOnly || d.Skip != "" {
			continue
		}
		read, err := b.materialize(b.datasets[d.Key], m.LimitsOn(d))
		if err != nil {
			return err
		}
		inputs := make([]Input, 0, 2)
		inputs = append(inputs, Input{Role: "documents", Upstream: read, Files: scoreFiles})
		if training != nil {
			inputs = append(inputs, Input{Role: "model", Upstream: training, Files: modelFiles})
		}
		scores[d.Key] = b.add(&Action{
			Kind: Score, Name: "score " + m.Name + " " + d.Key,
			Dataset: read.Dataset, Model: model, Inputs: inputs, Cost: b.scoreCost(model, read),
			rate: b.catalog.SecondsPerByte[Score][m.Name],
		})
	}
	return nil
}

var (
	scoreFiles = []string{artifact.DocumentsFile, artifact.CountsFile}
	modelFiles = []string{artifact.ModelFile}
	textFiles  = []string{artifact.DocumentsFile}
)

// train returns the action that trains a model; models that differ only in how they score share it.
func (b *builder) train(m *Model) (*Action, error) {
	id := m.Backend.Name + "\x00" + string(m.Backend.Config)
	inputs := make([]Input, 0, len(m.Backend.Train))
	for _, key := range m.Backend.Train {
		d := b.datasets[key]
		if d == nil {
			return nil, fmt.Errorf("model %q: no dataset %q to train on", m.Name, key)
		}
		read, err := b.materialize(d, d.Limits)
		if err != nil {
			return nil, err
		}
		id += "\x00" + key
		inputs = append(inputs, Input{Role: fmt.Sprintf("train/%03d", len(inputs)), Upstream: read, Files: textFiles})
	}
	if a := b.trained[id]; a != nil {
		return a, nil
	}
	a := b.add(&Action{
		Kind: Train, Name: "train " + m.Name, Model: m, Inputs: inputs, rate: b.catalog.SecondsPerByte[Train][m.Name],
	})
	for _, in := range inputs {
		a.Cost.add(in.Upstream.Cost)
	}
	a.Cost.Memory = m.estimate.MemoryBytes
	a.Cost.Seconds = a.rate * float64(a.Cost.Bytes)
	b.trained[id] = a
	return a, nil
}

func (b *builder) scoreCost(m *Model, read *Action) Cost {
	c := Cost{Documents: read.Cost.Documents, Bytes: read.Cost.Bytes, AtMost: true, Memory: m.estimate.MemoryBytes}
	if l := read.Dataset.Limits; l.Documents > 0 && l.Bytes > 0 {
		c.Bytes = min(c.Bytes, l.Documents*l.Bytes)
	}
	c.Seconds = b.catalog.SecondsPerByte[Score][m.Name] * float64(c.Bytes)
	c.count(m)
	return c
}

// count fills the tokens and FLOPs of scoring c.Bytes with a model.
func (c *Cost) count(m *Model) {
	if m.estimate.BytesPerToken > 0 {
		c.Tokens = int64(float64(c.Bytes) / m.estimate.BytesPerToken)
		c.FLOPs = float64(c.Tokens) * m.estimate.FLOPsPerToken
	}
}

func (b *builder) gap(g *spec.Gap) error {
	a := &Action{Kind: Gap, Name: "gap " + g.Name, Gap: g, rate: b.catalog.SecondsPerByte[Gap][""]}
	sides := []struct{ role, model string }{{"a", g.A}, {"b", g.B}}
	for _, side := range sides {
		var bytes int64
		if table := b.imports[side.model]; table != nil {
			a.Inputs = append(a.Inputs, Input{Role: side.role, Upstream: table})
			continue
		}
		for _, key := range g.Datasets {
			score := b.scores[side.model][key]
			if score == nil {
				return fmt.Errorf("gap %q: model %q does not score dataset %q", g.Name, side.model, key)
			}
			a.Inputs = append(a.Inputs, Input{Role: side.role + "/" + key, Upstream: score, Files: gapFiles})
			bytes += score.Cost.Bytes
		}
		a.Cost.Bytes = max(a.Cost.Bytes, bytes)
	}
	a.Cost.AtMost = true
	a.Cost.Seconds = a.rate * float64(a.Cost.Bytes)
	b.add(a)
	return nil
}

var gapFiles = []string{artifact.ScoredFile, artifact.LedgerFile, artifact.SummaryFile}

// Count returns how many actions are in a state.
func (p *Plan) Count(s State) int {
	n := 0
	for _, a := range p.Actions {
		if a.State == s {
			n++
		}
	}
	return n
}
