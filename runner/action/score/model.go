package score

import (
	"context"
	"encoding/json"
	"fmt"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/train"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
)

// ModelParameters identify a model in the parameters of an action. A trained model is an input of the action.
type ModelParameters struct {
	// Config is the backend's configuration without its neutral settings.
	Config  json.RawMessage `json:"config"`
	Weights []weightsFile   `json:"weights,omitempty"`
}

type weightsFile struct {
	Digest string `json:"digest"`
	Name   string `json:"name"`
}

// localSettings hold the local paths of weights and the neutral settings, which do not change results.
type localSettings struct {
	Settings map[string]json.RawMessage `json:"settings,omitempty"`
	Weights  []protocol.ModelFile       `json:"weights,omitempty"`
}

// LocalWeights returns the weights in an action's settings of this machine, if it scores with a model.
func LocalWeights(machine json.RawMessage) []protocol.ModelFile {
	var at localSettings
	if json.Unmarshal(machine, &at) != nil {
		return nil // settings of another kind
	}
	return at.Weights
}

// Model is what all actions have in common that score with a model of the experiment. They share the loaded model.
type Model struct {
	Parameters ModelParameters
	Worker     *plan.Worker
	Machine    json.RawMessage
	Loaded     *plan.Model
	Estimate   protocol.Estimate
	// training is the action that trains the model, or nil.
	training *plan.Action
}

// PlanModel returns a model with a backend for actions of a plan.
func PlanModel(b *plan.Builder, m *spec.Model) (*Model, error) {
	backend := b.Catalog.Backends[m.Backend.Name]
	estimate, estimated := b.Catalog.Estimates[m.Name]
	p := &Model{Worker: &backend.Worker, Estimate: estimate}
	config, settings, err := plan.SplitSettings(m.Backend.Config, backend.Neutral)
	if err != nil {
		return nil, err
	}
	p.Parameters.Config = config
	weights := b.Catalog.Weights[m.Name]
	for _, f := range weights {
		p.Parameters.Weights = append(p.Parameters.Weights, weightsFile{f.Digest, f.Name})
	}
	if p.Machine, err = json.Marshal(localSettings{settings, weights}); err != nil {
		return nil, err
	}
	if p.training, err = train.Model(b, m); err != nil {
		return nil, err
	}
	identity := struct {
		Backend  plan.Worker
		Config   json.RawMessage
		Weights  []weightsFile
		Training string
	}{backend.Worker, m.Backend.Config, p.Parameters.Weights, ""}
	if p.training != nil {
		identity.Training = p.training.Name
	}
	id, err := plan.Canonical(identity)
	if err != nil {
		return nil, err
	}
	memory := p.Estimate.MemoryBytes
	if p.training != nil {
		memory = p.Estimate.ScoringMemory(p.training.Cost.Bytes)
	}
	p.Loaded = &plan.Model{ID: protocol.Digest(id), Unknown: m.Weights != nil && !estimated, Resources: plan.Resources{
		Memory: memory, Devices: p.Estimate.Devices, DeviceMemory: p.Estimate.DeviceMemoryBytes,
	}}
	return p, nil
}

// Inputs returns the inputs of an action: those given, and the model if it is trained.
func (m *Model) Inputs(inputs ...plan.Input) []plan.Input {
	if m.training != nil {
		inputs = append(inputs, plan.Input{Role: "model", Upstream: m.training, Files: modelFiles})
	}
	return inputs
}

// Load loads the model of a task whose plan has the Machine and Inputs of a Model. The function that it returns releases
// the model.
func Load(ctx context.Context, t *action.Task, p ModelParameters) (action.Model, func() error, error) {
	m, err := modelOf(t, p)
	if err != nil {
		return nil, nil, err
	}
	return t.Plugins.Model(ctx, m)
}

// modelOf returns the model of a task, with the local paths of its weights.
func modelOf(t *action.Task, p ModelParameters) (m protocol.Model, err error) {
	var at localSettings
	if err := t.LocalSettings(&at); err != nil {
		return m, err
	}
	if m.Config, err = plan.JoinSettings(p.Config, at.Settings); err != nil {
		return m, err
	}
	for i, w := range p.Weights {
		if i >= len(at.Weights) || at.Weights[i].Name != w.Name {
			return m, fmt.Errorf("the task has no local path for the weights %s", w.Name)
		}
		m.Files = append(m.Files, protocol.ModelFile{Name: w.Name, Path: at.Weights[i].Path, Digest: w.Digest})
	}
	if role := "model/" + artifact.ModelFile; t.Inputs[role] != "" {
		m.Files = append(m.Files, protocol.ModelFile{Name: artifact.ModelFile, Path: t.Inputs[role], Digest: t.Descriptor.Inputs[role]})
	}
	return m, nil
}
