package gate

import (
	"fmt"

	"surprisal.dev/runner/action/gap"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
)

// name is the kind's name.
const name = "gate"

// Kind tests gaps against margins.
type Kind struct{}

// Name implements plan.Kind.
func (Kind) Name() string { return name }

// Schema implements plan.Kind.
func (Kind) Schema() int { return 1 }

// MainFile implements action.MainFiler.
func (Kind) MainFile() string { return reportFile }

// parameters are everything that a verdict depends on except the gap.
type parameters struct {
	Name      string `json:"name"`
	Candidate string `json:"candidate"`
	Against   string `json:"against"`
	Test
}

// gapRole is the role of the gap's summary.
const gapRole = "gap"

// Plan implements plan.Kind.
func (Kind) Plan(b *plan.Builder) error {
	var gates []Gate
	if err := b.Section(name, &gates); err != nil {
		return err
	}
	for _, g := range gates {
		of := g.Gap
		of.Name = name + "/" + g.Name
		compared, err := gap.Compared(b, of)
		if err != nil {
			return fmt.Errorf("gate %q: %w", g.Name, err)
		}
		_, err = b.Add(name, plan.Parts{
			Name: name + " " + g.Name, Labels: plan.Labels{Section: g.Name},
			Parameters: parameters{g.Name, g.Gap.A, g.Gap.B, g.Test},
			Inputs:     []plan.Input{{Role: gapRole, Upstream: compared, Files: []string{artifact.SummaryFile}}},
			Publish:    name + "/" + g.Name,
		})
		if err != nil {
			return err
		}
	}
	return nil
}
