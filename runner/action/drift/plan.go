package drift

import (
	"errors"
	"fmt"
	"slices"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action/score"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
)

// name is the kind's name.
const name = "drift"

// Kind compares texts with reference texts.
type Kind struct{}

// Name implements plan.Kind.
func (Kind) Name() string { return name }

// Schema implements plan.Kind.
func (Kind) Schema() int { return 2 }

// MainFile implements action.MainFiler.
func (Kind) MainFile() string { return reportFile }

// parameters are everything that a report depends on except the scores.
type parameters struct {
	Comparison
	// Clustered lists the datasets whose shards are clusters, sorted.
	Clustered []string `json:"clustered,omitempty"`
}

// files are those of a score that a report reads.
var files = []string{
	artifact.LedgerFile, artifact.ScoredFile, artifact.SummaryFile, artifact.TokenCountsFile, artifact.TokenCountsSummaryFile,
}

// Roles of the scores of the two models.
const (
	beforeRole = "before"
	nowRole    = "now"
)

// role is that of the scores of a model.
func (c *Comparison) role(model string) string {
	if model == c.Current.Model {
		return nowRole
	}
	return beforeRole
}

// Plan implements plan.Kind.
func (Kind) Plan(b *plan.Builder) error {
	var all []Drift
	if err := b.Section(name, &all); err != nil {
		return err
	}
	for _, d := range all {
		err := d.add(b)
		if _, located := errors.AsType[spec.Errors](err); located {
			return err
		}
		if err != nil {
			return fmt.Errorf("drift %q: %w", d.Name, err)
		}
	}
	return nil
}

func (d Drift) add(b *plan.Builder) error {
	p := parameters{Comparison: d.Comparison}
	for _, side := range d.sides() {
		for _, dataset := range side.Datasets {
			if b.Dataset(dataset).Cluster == spec.ClusterShard {
				p.Clustered = append(p.Clustered, dataset)
			}
		}
	}
	slices.Sort(p.Clustered)
	inputs, err := d.inputs(b)
	if err != nil {
		return err
	}
	_, err = b.Add(name, plan.Parts{
		Name: name + " " + d.Name, Labels: plan.Labels{Section: d.Name}, Parameters: p, Inputs: inputs, Publish: name + "/" + d.Name,
		Rates: plan.Rates{Memory: func(largest, _ int64) int64 { return artifact.DriftMemory(largest) }},
	})
	return err
}

// inputs returns the scores, and checks that both models read the same documents, and both sides different ones.
func (d Drift) inputs(b *plan.Builder) ([]plan.Input, error) {
	var inputs []plan.Input
	of := map[scored]*plan.Action{}
	for _, s := range d.scores() {
		in, err := score.Inputs(b, d.role(s.model), s.model, []string{s.dataset}, files)
		if err != nil {
			return nil, err
		}
		now := scored{d.Current.Model, s.dataset}
		in[0].Counted = s == now
		of[s] = in[0].Upstream
		inputs = append(inputs, in...)
	}
	for _, s := range d.scores() {
		now := scored{d.Current.Model, s.dataset}
		score.Expect(b, now.model, d.Reference.Model, []string{s.dataset})
		if !score.SameDocuments(of[s], of[now]) {
			return nil, protocol.Invalid("models %q and %q read the dataset %q with different limits; remove the limits from the sweep", s.model, now.model, s.dataset)
		}
	}
	for _, before := range d.Reference.Datasets {
		for _, after := range d.Current.Datasets {
			x, y := of[scored{d.Current.Model, before}], of[scored{d.Current.Model, after}]
			if plan.Same(x.Inputs[0].Upstream, y.Inputs[0].Upstream) {
				err := sameDocuments(before, after)
				return nil, spec.Errors{{
					Pos: b.Experiment.Positions[name+" "+d.Name], Path: spec.FieldPath(name, d.Name, "current", "datasets"), Message: err.Error(),
				}}
			}
		}
	}
	return inputs, nil
}

// sameDocuments is the error for datasets of both sides with the same documents.
func sameDocuments(before, after string) error {
	return protocol.Invalid("the datasets %q of the reference and %q of current have the same documents; name other documents on one side, "+
		"or compare two models on the same ones with gaps", before, after)
}
