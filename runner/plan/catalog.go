package plan

import (
	"encoding/json"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/spec"
)

// Plugin identifies the binary that does an action's work.
type Plugin struct {
	Name     string `json:"name"`
	Version  string `json:"version"`
	Protocol int    `json:"protocol"`
	// Digest is the sha256 of the plugin's binary.
	Digest string `json:"digest"`
}

// Catalog is what a plan must know of the world outside the spec.
type Catalog struct {
	Providers, Backends map[string]Plugin
	// Sources holds the resolution of each dataset's source, by dataset key.
	Sources map[string]protocol.Resolution
	// Scores holds the digest and size of each imported table, by model name.
	Scores map[string]protocol.File
	// Weights holds the files of each model that has some, by model name.
	Weights map[string][]protocol.ModelFile
	// Estimates holds what the backend expects of each model, by model name.
	Estimates map[string]protocol.Estimate
	// SecondsPerByte holds what earlier runs measured, by kind and model or provider name.
	SecondsPerByte map[Kind]map[string]float64
}

// Dataset is a dataset of the plan with everything that its documents depend on.
type Dataset struct {
	*spec.Dataset
	// Limits are those in force, which a sweep may have set.
	Limits spec.Limits
	Source protocol.Resolution
	Plugin Plugin

	// label is canonical JSON of what a table of scores says of its dataset.
	label json.RawMessage
}

// Model is a model of the plan.
type Model struct {
	*spec.Model
	Plugin Plugin
	// Weights are the files of a model that its backend did not train, on this machine.
	Weights []protocol.ModelFile
	// Scores is the imported table of a model scored elsewhere.
	Scores protocol.File

	estimate protocol.Estimate
	// score is canonical JSON of the configuration and the scoring settings, plugin of Plugin.
	score, plugin json.RawMessage
}

// Settings returns the model's scoring settings as backends take them.
func (m *Model) Settings() protocol.Settings {
	s := m.Scoring
	return protocol.Settings{Prefix: s.Prefix, Context: s.Context, Stride: s.Stride, Anchor: s.Anchor, EOS: s.EOS}
}
