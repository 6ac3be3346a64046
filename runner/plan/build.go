package plan

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/dustin/go-humanize"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/spec"
)

// Limits of a plan. A few lines of a spec can describe more actions than fit in memory. An action takes about 1.3 kB and
// an input about 100 bytes, so that a plan at all limits fits in 4 GB. 100 models and 1,000 datasets need 100,000 actions.
const (
	maxActions = 1_000_000
	maxInputs  = 4_000_000
	// maxText bounds the names and the JSON of actions, in bytes.
	maxText = 1 << 30
)

// Kind is the part of a kind of action that planning needs.
type Kind interface {
	Name() string
	// Schema is the version of the results of the kind's actions. Raising it invalidates every cached result of the
	// kind. Raise it whenever the same descriptor would give other bytes.
	Schema() int
	// Plan adds the kind's actions to the plan. It is called in the order of dependencies between kinds.
	Plan(b *Builder) error
}

// User is a kind whose actions use models with settings other than Catalog.Settings. The memory of a model is that of the
// settings that need most, because all actions share the loaded model.
type User interface {
	// Uses returns these settings for a model. The builder has the experiment and the catalog, without estimates.
	Uses(b *Builder, m *spec.Model) ([]Use, error)
}

// Use is one of the settings with which a kind uses a model. A problem that the backend has with them is reported at a
// place of the spec.
type Use struct {
	Settings protocol.Settings
	At       spec.Position
	Path     string
}

// Catalog holds the facts outside the spec that planning needs.
type Catalog struct {
	Providers, Backends map[string]Plugin
	// Sources holds the resolution of each dataset's source, by dataset name.
	Sources map[string]protocol.Resolution
	// Scores holds the digest and size of each imported table, by model name.
	Scores map[string]protocol.File
	// Weights holds the weight files of models, by model name.
	Weights map[string][]protocol.ModelFile
	// Estimates holds the backend's estimate for each model, by model name.
	Estimates map[string]protocol.Estimate
	// SecondsPerByte holds the measurements of earlier runs, by kind and by the name of a model or provider.
	SecondsPerByte map[string]map[string]float64
}

// Plugin is a plugin of the catalog.
type Plugin struct {
	Worker
	// Neutral lists the settings that do not change results, as dotted paths. Descriptors do not contain them.
	Neutral []string
	// Capabilities are the plugin's optional capabilities.
	Capabilities []string
}

// Settings returns the settings with which a model with a backend is scored. They request everything that the backend
// can give.
func (c Catalog) Settings(m *spec.Model) protocol.Settings {
	settings := m.Scoring.Settings()
	settings.Confidence = slices.Contains(c.Backends[m.Backend.Name].Capabilities, protocol.CapabilityConfidence)
	return settings
}

// Plan is a graph of actions in topological order.
type Plan struct {
	Experiment string
	// Kinds are the names of the kinds, in plan order.
	Kinds   []string
	Actions []*Action
	// Values is the spec as JSON if it was read with spec.Options.Values.
	Values json.RawMessage

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

// Of returns the actions of a kind, in plan order.
func (p *Plan) Of(kind string) []*Action {
	var of []*Action
	for _, a := range p.Actions {
		if a.Kind == kind {
			of = append(of, a)
		}
	}
	return of
}

// Count returns the number of actions in a state.
func (p *Plan) Count(s State) int {
	n := 0
	for _, a := range p.Actions {
		if a.State == s {
			n++
		}
	}
	return n
}

// Builder builds a plan.
type Builder struct {
	Experiment *spec.Experiment
	Catalog    Catalog

	plan     *Plan
	kinds    map[string]Kind
	datasets map[string]*spec.Dataset
	shared   map[any]*Action
	// ctx ends the building of a large plan.
	ctx context.Context
	// inputs and text count those of all actions.
	inputs, text int
}

// Build makes the plan of an experiment. States and keys of its actions are unknown until Plan.Resolve.
func Build(ctx context.Context, e *spec.Experiment, c Catalog, kinds []Kind) (*Plan, error) {
	// Most plans have an action for each dataset, and one for each pair of a model with a backend and a dataset that is
	// not skipped or only for training.
	models, scored := 0, 0
	for i := range e.Models {
		if e.Models[i].Backend != nil {
			models++
		}
	}
	for i := range e.Datasets {
		if d := &e.Datasets[i]; !d.TrainOnly && d.Skip == "" {
			scored++
		}
	}
	if pairs := models * scored; pairs > maxActions {
		return nil, tooLarge(e, fmt.Sprintf("%s actions with %s, the scores of %s models on %s datasets",
			comma(maxActions), comma(pairs), comma(models), comma(scored)))
	}
	likely := len(e.Datasets) + models*scored
	b := &Builder{
		Experiment: e, Catalog: c, ctx: ctx,
		plan:     &Plan{Experiment: e.Name, Values: e.Values, Actions: make([]*Action, 0, likely), byName: make(map[string]*Action, likely)},
		kinds:    make(map[string]Kind, len(kinds)),
		datasets: make(map[string]*spec.Dataset, len(e.Datasets)),
		shared:   make(map[any]*Action, likely),
	}
	for i := range e.Datasets {
		b.datasets[e.Datasets[i].Name] = &e.Datasets[i]
	}
	for _, k := range kinds {
		b.plan.Kinds = append(b.plan.Kinds, k.Name())
		b.kinds[k.Name()] = k
	}
	for _, k := range kinds {
		if err := k.Plan(b); err != nil {
			return nil, err
		}
	}
	return b.plan, b.plan.order()
}

// Dataset returns the dataset called name, or nil.
func (b *Builder) Dataset(name string) *spec.Dataset { return b.datasets[name] }

// Section decodes the spec's section of a kind into v. If the spec does not have the section, v is unchanged.
func (b *Builder) Section(kind string, v any) error {
	text, ok := b.Experiment.Sections[kind]
	if !ok {
		return nil
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("section of kind %s: %w", kind, err)
	}
	return nil
}

// Shared returns the action that was added under an id, or nil.
func (b *Builder) Shared(id any) *Action { return b.shared[id] }

// Share lets other actions find a by an id, a comparable value of a type of its kind's package.
func (b *Builder) Share(id any, a *Action) { b.shared[id] = a }

// Parts describes an action to be added; see the fields of Action.
type Parts struct {
	Name   string
	Labels Labels
	// Parameters is any value that encodes as JSON; json.RawMessage is taken as canonical.
	Parameters any
	Worker     *Worker
	Inputs     []Input
	// Machine is any value that encodes as JSON; json.RawMessage is taken as it is.
	Machine any
	Cores   int64
	Model   *Model
	Publish string
	// Cost holds known documents and bytes that do not follow from an input.
	Cost  Cost
	Rates Rates
	// Skip is the reason why the action is skipped, or "".
	Skip string
	// Pinned is the result of an action that is not executed; see Pin.
	Pinned *Pinned
}

// Add adds an action of a kind.
func (b *Builder) Add(kind string, p Parts) (*Action, error) {
	if b.plan.byName[p.Name] != nil {
		return nil, fmt.Errorf("duplicate action %q", p.Name)
	}
	if err := b.bound(p); err != nil {
		return nil, err
	}
	a := &Action{
		Kind: kind, Schema: b.kinds[kind].Schema(), Name: p.Name, Labels: p.Labels, Worker: p.Worker, Inputs: p.Inputs,
		Model: p.Model, Publish: p.Publish, Pinned: p.Pinned, Cost: p.Cost, Rates: p.Rates, Resources: Resources{Cores: cmp.Or(p.Cores, 1)},
		Status: Status{State: Waits},
	}
	a.Rates.SecondsPerByte = b.Catalog.SecondsPerByte[kind][p.Rates.Who]
	var err error
	switch text, canonical := p.Parameters.(json.RawMessage); {
	case p.Skip != "":
		a.State, a.Reason = Skipped, p.Skip
	case canonical:
		a.Parameters = text
	default:
		a.Parameters, err = Canonical(p.Parameters)
	}
	if text, encoded := p.Machine.(json.RawMessage); encoded {
		a.Machine = text
	} else if err == nil && p.Machine != nil {
		a.Machine, err = json.Marshal(p.Machine)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	if _, shared := p.Parameters.(json.RawMessage); !shared {
		b.text += len(a.Parameters)
	}
	if _, shared := p.Machine.(json.RawMessage); !shared {
		b.text += len(a.Machine)
	}
	for _, in := range a.Inputs {
		if in.Counted {
			a.Cost.read(in.Upstream.Cost)
		}
	}
	a.estimate()
	b.plan.Actions = append(b.plan.Actions, a)
	b.plan.byName[a.Name] = a
	return a, nil
}

// bound returns an error if the plan with another action exceeds a limit, or if its context is done.
func (b *Builder) bound(p Parts) error {
	b.inputs += len(p.Inputs)
	b.text += len(p.Name)
	switch n := len(b.plan.Actions); {
	case n%checkEvery == 0 && b.ctx.Err() != nil:
		return b.ctx.Err()
	case n == maxActions:
		return tooLarge(b.Experiment, comma(maxActions)+" actions")
	case b.inputs > maxInputs:
		return tooLarge(b.Experiment, comma(maxInputs)+" inputs of actions")
	case b.text > maxText:
		return tooLarge(b.Experiment, humanize.IBytes(maxText)+" for the names and parameters of actions")
	}
	return nil
}

// checkEvery is the number of actions after which a loop checks its context.
const checkEvery = 1024

// tooLarge is the error of a plan that exceeds a limit.
func tooLarge(e *spec.Experiment, limit string) error {
	return protocol.Invalid("the plan exceeds the limit of %s; the experiment has %s models and %s datasets: "+
		"split it into several, or use fewer models, datasets, sweep values or pairs of a matrix",
		limit, comma(len(e.Models)), comma(len(e.Datasets)))
}

func comma(n int) string { return humanize.Comma(int64(n)) }

// order puts actions in plan order: by kind, then in the order in which they were added.
func (p *Plan) order() error {
	rank := make(map[string]int)
	for i, k := range p.Kinds {
		rank[k] = i
	}
	slices.SortStableFunc(p.Actions, func(x, y *Action) int { return rank[x.Kind] - rank[y.Kind] })
	for i, a := range p.Actions {
		a.Index = i
	}
	for _, a := range p.Actions {
		for _, in := range a.Inputs {
			if in.Upstream.Index >= a.Index {
				return fmt.Errorf("%s reads the output of %s, which comes later; kinds are listed in the wrong order", a.Name, in.Upstream.Name)
			}
		}
	}
	return nil
}
