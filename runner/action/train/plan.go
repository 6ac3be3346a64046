package train

import (
	"encoding/json"
	"fmt"
	"strings"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action/materialize"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
)

// name is the kind's name.
const name = "train"

// Kind trains a model on documents with a backend.
type Kind struct{}

// Name implements plan.Kind.
func (Kind) Name() string { return name }

// Schema implements plan.Kind.
func (Kind) Schema() int { return 2 }

// Plan implements plan.Kind. It adds nothing: Model adds the actions that are needed.
func (Kind) Plan(*plan.Builder) error { return nil }

type parameters struct {
	Config json.RawMessage `json:"config"`
}

// localSettings hold the neutral settings, which do not change results.
type localSettings struct {
	Settings map[string]json.RawMessage `json:"settings,omitempty"`
}

// trainingMemory returns a function from the size of the text to the memory of training, or nil if it is unknown.
func trainingMemory(e protocol.Estimate) func(largest, total int64) int64 {
	if e.TrainingMemory(1) == 0 {
		return nil
	}
	return func(_, total int64) int64 { return e.TrainingMemory(total) }
}

// trained identifies a model: its backend, its configuration and its training datasets.
type trained struct{ backend, config, datasets string }

// Model returns the action that trains a model, or nil if the model is not trained. Models that differ only in their
// scoring settings share it.
func Model(b *plan.Builder, m *spec.Model) (*plan.Action, error) {
	if len(m.Backend.Train) == 0 {
		return nil, nil
	}
	id := trained{backend: m.Backend.Name, config: string(m.Backend.Config), datasets: strings.Join(m.Backend.Train, "\x00")}
	inputs := make([]plan.Input, 0, len(m.Backend.Train))
	for _, dataset := range m.Backend.Train {
		d := b.Dataset(dataset)
		if d == nil {
			return nil, fmt.Errorf("model %q: no dataset %q to train on", m.Name, dataset)
		}
		read, err := materialize.Documents(b, d, d.Limits)
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, plan.Input{
			Role: fmt.Sprintf("%03d", len(inputs)), Upstream: read, Files: []string{artifact.DocumentsFile}, Counted: true,
		})
	}
	if a := b.Shared(id); a != nil {
		return a, nil
	}
	backend := b.Catalog.Backends[m.Backend.Name]
	config, settings, err := plan.SplitSettings(m.Backend.Config, backend.Neutral)
	if err != nil {
		return nil, fmt.Errorf("model %q: %w", m.Name, err)
	}
	a, err := b.Add(name, plan.Parts{
		Name: name + " " + m.Name, Labels: plan.Labels{Model: m.Name}, Worker: &backend.Worker,
		Parameters: parameters{config}, Machine: localSettings{settings}, Inputs: inputs,
		Rates: plan.Rates{Who: m.Name, Memory: trainingMemory(b.Catalog.Estimates[m.Name])},
	})
	if err != nil {
		return nil, err
	}
	b.Share(id, a)
	return a, nil
}
