package score

import (
	"encoding/json"
	"fmt"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action/materialize"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
)

// name is the kind's name, and documentsRole the role of the documents among the inputs.
const (
	name          = "score"
	documentsRole = "documents"
)

// Kind scores the documents of a dataset with a model.
type Kind struct{}

// Name implements plan.Kind.
func (Kind) Name() string { return name }

// Schema implements plan.Kind.
func (Kind) Schema() int { return 9 }

// MainFile implements action.MainFiler.
func (Kind) MainFile() string { return artifact.SummaryFile }

// parameters are everything that losses depend on except documents and a trained model.
type parameters struct {
	ModelParameters
	ParseSpecial bool              `json:"parseSpecial"`
	Settings     protocol.Settings `json:"settings"`
	// Truncation is the byte limit with which the documents were read. A score records it in its scoring protocol.
	Truncation int64 `json:"truncation"`
}

// scored identifies the scores of a model on a dataset. imported identifies the imported scores of a model on all its
// datasets.
type (
	scored   struct{ model, dataset string }
	imported struct{ model string }
)

// ShareImported registers the action that imports the scores of a model, for Inputs.
func ShareImported(b *plan.Builder, model string, a *plan.Action) { b.Share(imported{model}, a) }

// Inputs returns the files of the scores of a model or a pinned baseline as inputs of another action: ROLE/DATASET/FILE for each dataset. For
// imported scores they are the files of all datasets.
func Inputs(b *plan.Builder, role, model string, datasets, files []string) ([]plan.Input, error) {
	if a := b.Shared(imported{model}); a != nil {
		return []plan.Input{{Role: role, Upstream: a}}, nil
	}
	of := b.Experiment.Baseline(model)
	if of != nil && of.Imported() {
		a, err := pinned(b, of, "")
		return []plan.Input{{Role: role, Upstream: a}}, err
	}
	inputs := make([]plan.Input, len(datasets))
	for i, dataset := range datasets {
		a := b.Shared(scored{model, dataset})
		if a == nil && of != nil {
			var err error
			if a, err = pinned(b, of, dataset); err != nil {
				return nil, err
			}
		}
		if a == nil {
			return nil, fmt.Errorf("model %q does not score dataset %q", model, dataset)
		}
		inputs[i] = plan.Input{Role: role + "/" + dataset, Upstream: a, Files: files}
	}
	return inputs, nil
}

// Plan implements plan.Kind. Every model with a backend scores every dataset that is not only for training.
func (Kind) Plan(b *plan.Builder) error {
	for i := range b.Experiment.Models {
		m := &b.Experiment.Models[i]
		if m.Backend == nil {
			continue
		}
		p, err := newPlanner(b, m)
		if err != nil {
			return fmt.Errorf("model %q: %w", m.Name, err)
		}
		for j := range b.Experiment.Datasets {
			d := &b.Experiment.Datasets[j]
			if d.TrainOnly || d.Skip != "" {
				continue
			}
			if err := p.score(d); err != nil {
				return err
			}
		}
	}
	return nil
}

// planner plans the scores of a model. It encodes their common parts once, because a plan has a score for each pair of
// a model and a dataset.
type planner struct {
	b       *plan.Builder
	spec    *spec.Model
	model   *Model
	base    parameters
	encoded map[variant]json.RawMessage
	rates   plan.Rates
}

// variant holds the parameters that differ between the scores of a model.
type variant struct {
	parseSpecial bool
	truncation   int64
}

func newPlanner(b *plan.Builder, m *spec.Model) (*planner, error) {
	model, err := PlanModel(b, m)
	if err != nil {
		return nil, err
	}
	p := &planner{b: b, spec: m, model: model, encoded: map[variant]json.RawMessage{}}
	p.base = parameters{ModelParameters: model.Parameters, Settings: b.Catalog.Settings(m)}
	p.rates = plan.Rates{
		SharesPrefixes: model.Estimate.SharesPrefixes,
		Who:            m.Name, BytesPerToken: model.Estimate.BytesPerToken, FLOPsPerToken: model.Estimate.FLOPsPerToken,
		Memory: func(largest, _ int64) int64 { return artifact.ScoreMemory(largest, p.base.Settings.Confidence) },
	}
	return p, nil
}

func (p *planner) score(d *spec.Dataset) error {
	limits := p.spec.LimitsOn(*d)
	documents, err := materialize.Documents(p.b, d, limits)
	if err != nil {
		return err
	}
	v := variant{d.ParseSpecial, limits.Bytes}
	encoded, ok := p.encoded[v]
	if !ok {
		of := p.base
		of.ParseSpecial, of.Truncation = v.parseSpecial, v.truncation
		if encoded, err = plan.Canonical(of); err != nil {
			return fmt.Errorf("model %q: %w", p.spec.Name, err)
		}
		p.encoded[v] = encoded
	}
	inputs := p.model.Inputs(plan.Input{Role: documentsRole, Upstream: documents, Files: documentFiles, Counted: true})
	labels := plan.Labels{Dataset: d.Name, Tags: d.Tags, Model: p.spec.Name}
	if d.Cluster == spec.ClusterShard {
		labels.Cluster = d.Cluster
	}
	rates := p.rates
	if d.Cluster == spec.ClusterField && p.base.Settings.Confidence {
		rates.Memory = func(largest, total int64) int64 {
			return p.rates.Memory(largest, total) + artifact.ClusterMemory(total)
		}
	}
	a, err := p.b.Add(name, plan.Parts{
		Name: name + " " + p.spec.Name + " " + d.Name, Labels: labels,
		Parameters: encoded, Worker: p.model.Worker, Inputs: inputs, Machine: p.model.Machine, Model: p.model.Loaded, Rates: rates,
	})
	if err != nil {
		return err
	}
	p.b.Share(scored{p.spec.Name, d.Name}, a)
	return nil
}

var (
	documentFiles = []string{artifact.CountsFile, artifact.DocumentsFile}
	modelFiles    = []string{artifact.ModelFile}
)
