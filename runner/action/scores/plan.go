package scores

import (
	"context"
	"encoding/json"
	"fmt"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/score"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
)

// name is the kind's name.
const name = "import"

// Kind imports the precomputed scores of a model.
type Kind struct{}

// Name implements plan.Kind.
func (Kind) Name() string { return name }

// Schema implements plan.Kind.
func (Kind) Schema() int { return 4 }

type parameters struct {
	// Protocol is the name that the spec gives to the scoring protocol of the table, and Table is the digest of the
	// table.
	Protocol string `json:"scoringProtocol"`
	Table    string `json:"table"`
}

// localSettings locate a table: Path is a URL or a path, which starts at Dir if it is relative.
type localSettings struct {
	Path string `json:"path"`
	Dir  string `json:"dir"`
}

// Plan implements plan.Kind.
func (Kind) Plan(b *plan.Builder) error {
	for _, m := range b.Experiment.Models {
		if m.Scores == nil {
			continue
		}
		file, ok := b.Catalog.Scores[m.Name]
		if !ok {
			return fmt.Errorf("model %q: the table %q has no digest", m.Name, m.Scores.Path)
		}
		a, err := b.Add(name, plan.Parts{
			Name: name + " " + m.Name, Labels: plan.Labels{Model: m.Name},
			Parameters: parameters{m.Scores.Protocol, file.Digest}, Machine: localSettings{m.Scores.Path, b.Experiment.Dir},
			Cost: plan.Cost{Bytes: file.Bytes, AtMost: true}, Rates: plan.Rates{Who: m.Name},
		})
		if err != nil {
			return err
		}
		score.ShareImported(b, m.Name, a)
	}
	return nil
}

// Pin implements action.Pinner.
func (Kind) Pin(_ context.Context, a *plan.Action, _ action.ReadFile) (spec.BaselineScore, error) {
	pin := score.Pin(a)
	var p parameters
	if err := json.Unmarshal(a.Parameters, &p); err != nil {
		return pin, fmt.Errorf("%s: parameters: %w", a.Name, err)
	}
	protocol, err := json.Marshal(map[string]string{"imported": p.Protocol})
	pin.Protocol = protocol
	return pin, err
}
