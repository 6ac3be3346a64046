package activations

import (
	"fmt"
	"slices"
	"strconv"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action/materialize"
	"surprisal.dev/runner/action/score"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
)

// name is the kind's name.
const name = "activations"

// Kind observes the activations of a model on the documents of a dataset.
type Kind struct{}

// Name implements plan.Kind.
func (Kind) Name() string { return name }

// Schema implements plan.Kind.
func (Kind) Schema() int { return 1 }

// MainFile implements action.MainFiler.
func (Kind) MainFile() string { return artifact.SummaryFile }

// Plan implements plan.Kind. Observe adds the actions that reports need.
func (Kind) Plan(*plan.Builder) error { return nil }

// parameters are everything that activations depend on except the documents and a trained model.
type parameters struct {
	score.ModelParameters
	ParseSpecial bool              `json:"parseSpecial"`
	Settings     protocol.Settings `json:"settings"`
	// Truncation is the byte limit with which the documents were read.
	Truncation int64 `json:"truncation"`
}

// Settings are what a report observes.
type Settings struct {
	// Sequences is the largest number of documents, and SequenceLength that of tokens of each.
	Sequences, SequenceLength int64
	// Threshold is the magnitude from which an activation counts.
	Threshold float64
}

// Scoring returns the settings with which a backend scores the sequences of a model.
func (s Settings) Scoring(m *spec.Model) protocol.Settings {
	return protocol.Settings{
		Prefix: m.Scoring.Prefix, Anchor: protocol.AnchorTokens, Range: protocol.TokenRange{To: s.SequenceLength},
		ActivationThreshold: s.Threshold,
	}
}

// Files are the files of an action that a report reads.
func Files() []string {
	return []string{artifact.DimensionsFile, artifact.SequencesFile, artifact.SummaryFile}
}

// Unable returns what a backend lacks to observe activations, or "".
func Unable(capabilities []string) string {
	for _, c := range []string{protocol.CapabilityActivations, protocol.CapabilityTokenRange} {
		if !slices.Contains(capabilities, c) {
			return c
		}
	}
	return ""
}

// observed identifies the activations of a model on a dataset.
type observed struct {
	model, dataset string
	settings       Settings
}

// Observe returns the action that observes a model with a capable backend on the first documents of a dataset. The first
// call adds it, so that reports share it.
func Observe(b *plan.Builder, m *spec.Model, d *spec.Dataset, s Settings) (*plan.Action, error) {
	id := observed{m.Name, d.Name, s}
	if a := b.Shared(id); a != nil {
		return a, nil
	}
	limits := m.LimitsOn(*d)
	if limits.Documents == 0 || limits.Documents > s.Sequences {
		limits.Documents = s.Sequences
	}
	documents, err := materialize.Documents(b, d, limits)
	if err != nil {
		return nil, err
	}
	model, err := score.PlanModel(b, m)
	if err != nil {
		return nil, fmt.Errorf("model %q: %w", m.Name, err)
	}
	called := fmt.Sprintf("%s %s %s@sequences=%d,tokens=%d,threshold=%s", name, m.Name, d.Name, s.Sequences, s.SequenceLength,
		strconv.FormatFloat(s.Threshold, 'g', -1, 64))
	a, err := b.Add(name, plan.Parts{
		Name: called, Labels: plan.Labels{Dataset: d.Name, Tags: d.Tags, Model: m.Name}, Worker: model.Worker,
		Parameters: parameters{ModelParameters: model.Parameters, ParseSpecial: d.ParseSpecial, Settings: s.Scoring(m), Truncation: limits.Bytes},
		Inputs: model.Inputs(plan.Input{
			Role: "documents", Upstream: documents, Files: []string{artifact.CountsFile, artifact.DocumentsFile}, Counted: true,
		}),
		Machine: model.Machine, Model: model.Loaded,
		Rates: plan.Rates{
			Who: m.Name, BytesPerToken: model.Estimate.BytesPerToken, FLOPsPerToken: model.Estimate.FLOPsPerToken,
			TokensPerDocument: s.SequenceLength, Memory: func(largest, _ int64) int64 { return artifact.ActivationsMemory(largest) },
		},
	})
	if err != nil {
		return nil, err
	}
	b.Share(id, a)
	return a, nil
}
