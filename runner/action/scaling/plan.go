package scaling

import (
	"fmt"

	"surprisal.dev/runner/action/score"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
)

// name is the kind's name.
const name = "scaling"

// Kind makes a table of the scores of several models.
type Kind struct{}

// Name implements plan.Kind.
func (Kind) Name() string { return name }

// Schema implements plan.Kind.
func (Kind) Schema() int { return 3 }

// MainFile implements action.MainFiler.
func (Kind) MainFile() string { return reportFile }

// parameters are everything that a table depends on except the scores.
type parameters struct {
	Datasets []string `json:"datasets"`
	Models   []model  `json:"models"`
}

type model struct {
	Name string `json:"name"`
	// Parameters is the number of the model's parameters, or 0 if its backend does not report it.
	Parameters int64 `json:"parameters"`
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

func add(b *plan.Builder, t Table) error {
	p := parameters{Datasets: t.Datasets}
	var inputs []plan.Input
	for i, of := range t.Models {
		scores, err := score.Inputs(b, side(i), of, t.Datasets, []string{artifact.SummaryFile})
		if err != nil {
			return err
		}
		for j := range scores {
			scores[j].Counted = i == 0
			if first := inputs[:min(len(inputs), len(t.Datasets))]; i > 0 && documents(first[j]) != documents(scores[j]) {
				return fmt.Errorf("models %q and %q read the dataset %q with different limits; remove the limits from the sweep",
					t.Models[0], of, t.Datasets[j])
			}
		}
		inputs = append(inputs, scores...)
		p.Models = append(p.Models, model{of, b.Catalog.Estimates[of].Parameters})
	}
	_, err := b.Add(name, plan.Parts{
		Name: name + " " + t.Name, Labels: plan.Labels{Section: t.Name}, Parameters: p, Inputs: inputs,
		Publish: name + "/" + t.Name,
	})
	return err
}

// side is the role of the scores of the table's model i.
func side(i int) string { return fmt.Sprintf("%03d", i) }

// documents returns the action that provides the documents of a score.
func documents(score plan.Input) *plan.Action { return score.Upstream.Inputs[0].Upstream }
