package series

import (
	"fmt"
	"slices"

	"surprisal.dev/runner/action/scaling"
	"surprisal.dev/runner/action/score"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
)

// name is the kind's name.
const name = "series"

// Kind reports the scores of models over their steps.
type Kind struct{}

// Name implements plan.Kind.
func (Kind) Name() string { return name }

// Schema implements plan.Kind.
func (Kind) Schema() int { return 2 }

// MainFile implements action.MainFiler.
func (Kind) MainFile() string { return reportFile }

// parameters are everything that a report depends on except the scores.
type parameters struct {
	// Models are in the order of their values of X.
	Models   []string     `json:"models"`
	Datasets []string     `json:"datasets"`
	X        scaling.Axis `json:"x"`
	// Clustered lists the datasets whose shards are clusters, sorted.
	Clustered []string `json:"clustered,omitempty"`
	// Named lists the datasets whose clusters a field of the rows names, sorted.
	Named []string `json:"named,omitempty"`
	// Tags holds the tags of each dataset that has some.
	Tags map[string][]string `json:"tags,omitempty"`
}

func (p parameters) together() score.Together {
	return score.Together{Models: p.Models, Datasets: p.Datasets}
}

// planned identifies a series of the spec.
type planned struct{ name string }

// Planned returns the action of a series, or nil if the spec has no such series.
func Planned(b *plan.Builder, name string) *plan.Action { return b.Shared(planned{name}) }

// Plan implements plan.Kind.
func (Kind) Plan(b *plan.Builder) error {
	var all []Series
	if err := b.Section(name, &all); err != nil {
		return err
	}
	for _, s := range all {
		if err := add(b, s); err != nil {
			return fmt.Errorf("series %q: %w", s.Name, err)
		}
	}
	return nil
}

func add(b *plan.Builder, s Series) error {
	p := parameters{Models: s.Models, Datasets: s.Datasets, X: s.X, Tags: map[string][]string{}}
	inputs, err := p.together().Inputs(b, []string{artifact.LedgerFile, artifact.SummaryFile})
	if err != nil {
		return err
	}
	for i, dataset := range s.Datasets {
		of := b.Dataset(dataset)
		if len(of.Tags) > 0 {
			p.Tags[dataset] = of.Tags
		}
		switch of.Cluster {
		case spec.ClusterShard:
			p.Clustered = append(p.Clustered, dataset)
		case spec.ClusterField:
			p.Named = append(p.Named, dataset)
			// The tables of the first model have the names of the clusters.
			inputs[i].Files = append(slices.Clone(inputs[i].Files), artifact.ScoredFile)
		}
	}
	models := int64(len(s.Models))
	a, err := b.Add(name, plan.Parts{
		Name: name + " " + s.Name, Labels: plan.Labels{Section: s.Name}, Parameters: p, Inputs: inputs, Publish: name + "/" + s.Name,
		Rates: plan.Rates{Memory: func(int64, int64) int64 { return artifact.SeriesMemory(models) }},
	})
	if err != nil {
		return err
	}
	b.Share(planned{s.Name}, a)
	return nil
}
