package scaling

import (
	"fmt"
	"slices"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action/score"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
)

// name is the kind's name.
const name = "scaling"

// Kind reports the scores of several models against their size.
type Kind struct{}

// Name implements plan.Kind.
func (Kind) Name() string { return name }

// Schema implements plan.Kind.
func (Kind) Schema() int { return 9 }

// MainFile implements action.MainFiler.
func (Kind) MainFile() string { return reportFile }

// parameters are everything that a table depends on except the scores.
type parameters struct {
	Datasets []string `json:"datasets"`
	Models   []model  `json:"models"`
	X        Axis     `json:"x"`
	// Clustered lists the datasets whose shards are clusters.
	Clustered []string `json:"clustered,omitempty"`
}

type model struct {
	Name   string `json:"name"`
	Family string `json:"family,omitempty"`
}

// together are the scores of the table.
func (p parameters) together() score.Together {
	g := score.Together{Datasets: p.Datasets}
	for _, m := range p.Models {
		g.Models = append(g.Models, m.Name)
	}
	return g
}

// Plan implements plan.Kind.
func (Kind) Plan(b *plan.Builder) error {
	var tables []Table
	if err := b.Section(name, &tables); err != nil {
		return err
	}
	for _, t := range tables {
		if err := add(b, t); err != nil {
			return fmt.Errorf("scaling %q: %w", t.Name, err)
		}
	}
	return nil
}

var scoreFiles = []string{artifact.ScoredFile, artifact.SummaryFile}

func add(b *plan.Builder, t Table) error {
	inputs, err := score.Together{Models: t.Models, Datasets: t.Datasets}.Inputs(b, scoreFiles)
	if err != nil {
		return err
	}
	p := parameters{Datasets: t.Datasets, X: t.X}
	for _, dataset := range t.Datasets {
		if b.Dataset(dataset).Cluster == spec.ClusterShard {
			p.Clustered = append(p.Clustered, dataset)
		}
	}
	for _, of := range t.Models {
		m := model{Name: of}
		if k := slices.IndexFunc(b.Experiment.Models, func(m spec.Model) bool { return m.Name == of }); k >= 0 {
			m.Family = b.Experiment.Models[k].Family
		}
		p.Models = append(p.Models, m)
	}
	if err := checkContexts(b, t); err != nil {
		return err
	}
	if err := checkCounted(b, t, p.Models); err != nil {
		return err
	}
	models := int64(len(t.Models))
	_, err = b.Add(name, plan.Parts{
		Name: name + " " + t.Name, Labels: plan.Labels{Section: t.Name}, Parameters: p, Inputs: inputs,
		Publish: name + "/" + t.Name,
		Rates:   plan.Rates{Memory: func(largest, _ int64) int64 { return artifact.ScalingMemory(models, largest) }},
	})
	return err
}

// refuse returns an error at the list of models.
func (t Table) refuse(format string, args ...any) error {
	return spec.Errors{{Pos: t.At, Path: spec.FieldPath(name, t.Name, "models"), Message: fmt.Sprintf(format, args...)}}
}

// checkContexts checks that the models have the same context, as far as it is known. The spec may leave it to them.
func checkContexts(b *plan.Builder, t Table) error {
	c := score.ContextsOf(b, t.Models)
	if c.Other == "" {
		return nil
	}
	return t.refuse("%s; set scoring: context: %d for all models", score.Differ([]plan.Field{c.Field}, t.Models[0], c.Other), c.Smallest)
}

// checkCounted checks that an axis of what backends count has a different number for each model of a family, as far as
// that is known: the size of a model that is yet to be trained is not.
func checkCounted(b *plan.Builder, t Table, models []model) error {
	if t.X.Of == "" || t.X.Of == ofValues {
		return nil
	}
	counts := make([]float64, len(models))
	for i, m := range models {
		e := b.Catalog.Estimates[m.Name]
		// Weights that are not pinned, which only a plan that cannot be run may have, have no path.
		unknown := !slices.ContainsFunc(b.Catalog.Weights[m.Name], func(f protocol.ModelFile) bool { return f.Path != "" })
		counts[i] = t.X.counted(artifact.NewModelSize(e))
		if counts[i] == 0 && !unknown {
			return t.refuse("the backend of model %q does not report %s; remove the model, or set x.values", m.Name, t.X.Title())
		}
		for j, other := range models[:i] {
			if counts[i] > 0 && counts[j] == counts[i] && other.Family == m.Family {
				return t.refuse("models %q and %q have the same number of %s, %s; set x.values, remove one, or set different families",
					other.Name, m.Name, t.X.Title(), t.X.Format(counts[i]))
			}
		}
	}
	return nil
}

// counted returns what the axis shows of a model's size, or 0 if it is unknown.
func (a Axis) counted(size artifact.ModelSize) float64 {
	switch a.Of {
	case ofFLOPs:
		return size.FLOPsPerToken
	case ofActive:
		return float64(size.Active())
	}
	return float64(size.Parameters)
}
