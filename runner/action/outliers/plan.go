package outliers

import (
	"fmt"
	"slices"

	"surprisal.dev/runner/action/activations"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
)

// name is the kind's name.
const name = "outliers"

// Kind reports outlier features of models against their perplexity.
type Kind struct{}

// Name implements plan.Kind.
func (Kind) Name() string { return name }

// Schema implements plan.Kind.
func (Kind) Schema() int { return 3 }

// MainFile implements action.MainFiler.
func (Kind) MainFile() string { return reportFile }

// parameters are everything that a report depends on except activations.
type parameters struct {
	Datasets   []string   `json:"datasets"`
	Models     []model    `json:"models"`
	Definition Definition `json:"definition"`
	Figure     Size       `json:"figure"`
}

type model struct {
	Name   string `json:"name"`
	Family string `json:"family,omitempty"`
}

// Plan implements plan.Kind.
func (Kind) Plan(b *plan.Builder) error {
	var tables []Table
	if err := b.Section(name, &tables); err != nil {
		return err
	}
	for _, t := range tables {
		if err := add(b, t); err != nil {
			return fmt.Errorf("outliers %q: %w", t.Name, err)
		}
	}
	return nil
}

// Uses implements plan.User.
func (Kind) Uses(b *plan.Builder, m *spec.Model) (uses []plan.Use, err error) {
	var tables []Table
	if err := b.Section(name, &tables); err != nil {
		return nil, err
	}
	for _, t := range tables {
		if slices.Contains(t.Models, m.Name) && activations.Unable(b.Catalog.Backends[m.Backend.Name].Capabilities) == "" {
			uses = append(uses, plan.Use{
				Settings: t.observed().Scoring(m), At: t.At, Path: spec.FieldPath(name, t.Name, "sequenceLength"),
			})
		}
	}
	return uses, nil
}

func add(b *plan.Builder, t Table) error {
	p := parameters{Datasets: t.Datasets, Definition: t.Definition, Figure: t.Figure}
	var inputs []plan.Input
	for i, of := range t.Models {
		k := slices.IndexFunc(b.Experiment.Models, func(m spec.Model) bool { return m.Name == of })
		if k < 0 || b.Experiment.Models[k].Backend == nil {
			return fmt.Errorf("no model %q with a backend", of)
		}
		m := &b.Experiment.Models[k]
		if err := checkCapable(b, t, m); err != nil {
			return err
		}
		p.Models = append(p.Models, model{m.Name, m.Family})
		for j, dataset := range t.Datasets {
			a, err := activations.Observe(b, m, b.Dataset(dataset), t.observed())
			if err != nil {
				return err
			}
			if i > 0 && documents(a) != documents(inputs[j].Upstream) {
				return fmt.Errorf("models %q and %q read the dataset %q with different limits; remove the limits from the sweep",
					t.Models[0], of, dataset)
			}
			inputs = append(inputs, plan.Input{Role: side(i) + "/" + dataset, Upstream: a, Files: activations.Files(), Counted: i == 0})
		}
	}
	pixels := t.Figure.pixels()
	_, err := b.Add(name, plan.Parts{
		Name: name + " " + t.Name, Labels: plan.Labels{Section: t.Name}, Parameters: p, Inputs: inputs, Publish: name + "/" + t.Name,
		Rates: plan.Rates{Memory: func(_, _ int64) int64 { return artifact.OutliersMemory(pixels) }},
	})
	return err
}

// checkCapable checks that the backend of a model can observe activations.
func checkCapable(b *plan.Builder, t Table, m *spec.Model) error {
	if lacks := activations.Unable(b.Catalog.Backends[m.Backend.Name].Capabilities); lacks != "" {
		return spec.Errors{{Pos: t.At, Path: spec.FieldPath(name, t.Name, "models"), Message: fmt.Sprintf(
			"the backend %q of model %q lacks the capability %q, which outliers need; remove the model, or use the torch backend", m.Backend.Name, m.Name, lacks)}}
	}
	return nil
}

// side is the role of the activations of the report's model i.
func side(i int) string { return fmt.Sprintf("%03d", i) }

// documents returns the action that provides the documents of a pass.
func documents(a *plan.Action) *plan.Action { return a.Inputs[0].Upstream }
