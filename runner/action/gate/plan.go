package gate

import (
	"fmt"
	"slices"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action/gap"
	"surprisal.dev/runner/action/score"
	"surprisal.dev/runner/action/series"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
)

// name is the kind's name.
const name = "gate"

// Kind tests gaps against margins.
type Kind struct{}

// Name implements plan.Kind.
func (Kind) Name() string { return name }

// Schema implements plan.Kind.
func (Kind) Schema() int { return 4 }

// MainFile implements action.MainFiler.
func (Kind) MainFile() string { return reportFile }

// parameters are everything that a verdict depends on except its inputs.
type parameters struct {
	Name      string `json:"name"`
	Candidate string `json:"candidate"`
	Against   string `json:"against"`
	// Datasets are those of the checks that read scores.
	Datasets []string `json:"datasets,omitempty"`
	// Clustered lists those of them whose shards are clusters.
	Clustered []string `json:"clustered,omitempty"`
	// Second names what confirms failures, and Samples has the dataset that confirms each dataset.
	Second  string            `json:"second,omitempty"`
	Samples map[string]string `json:"samples,omitempty"`
	Test
}

// Roles of inputs.
const (
	gapRole       = "gap"
	confirmRole   = "confirm"
	bestRole      = "best"
	candidateRole = "candidate"
	againstRole   = "against"
)

// Plan implements plan.Kind.
func (Kind) Plan(b *plan.Builder) error {
	var gates []Gate
	if err := b.Section(name, &gates); err != nil {
		return err
	}
	for _, g := range gates {
		if err := g.add(b); err != nil {
			return fmt.Errorf("gate %q: %w", g.Name, err)
		}
	}
	return nil
}

func (g Gate) add(b *plan.Builder) error {
	of := g.Gap
	of.Name = name + "/" + g.Name
	at := b.Experiment.Positions[name+" "+g.Name]
	if err := of.CheckContexts(b, at); err != nil {
		return err
	}
	compared, err := gap.Compared(b, of)
	if err != nil {
		return err
	}
	summary := []string{artifact.SummaryFile}
	p := parameters{Name: g.Name, Candidate: g.Gap.A, Against: g.Gap.B, Test: g.Test}
	inputs := []plan.Input{{Role: gapRole, Upstream: compared, Files: summary}}
	if c := g.Confirm; c != nil {
		again := c.Gap
		again.Name = name + "-confirm/" + g.Name
		if err := again.CheckContexts(b, at); err != nil {
			return err
		}
		second, err := gap.Compared(b, again)
		if err != nil {
			return err
		}
		if err := c.check(g.Gap, compared, second); err != nil {
			return err
		}
		inputs = append(inputs, plan.Input{Role: confirmRole, Upstream: second, Files: summary})
		p.Second, p.Samples = again.A, c.Samples
		if c.Samples != nil {
			p.Second = OtherDocuments
		}
	}
	if g.Also.Best != "" {
		followed := series.Planned(b, g.Also.Best)
		if err := g.checkBest(b); err != nil {
			return err
		}
		inputs = append(inputs, plan.Input{Role: bestRole, Upstream: followed, Files: summary})
	}
	if g.Also.readsScores() {
		p.Datasets = g.Gap.Datasets
		for _, dataset := range p.Datasets {
			if b.Dataset(dataset).Cluster == spec.ClusterShard {
				p.Clustered = append(p.Clustered, dataset)
			}
		}
		scores, err := g.scores(b)
		if err != nil {
			return err
		}
		inputs = append(inputs, scores...)
	}
	parts := plan.Parts{
		Name: name + " " + g.Name, Labels: plan.Labels{Section: g.Name}, Parameters: p, Inputs: inputs, Publish: name + "/" + g.Name,
	}
	if len(g.Also.Tails) > 0 {
		parts.Rates.Memory = func(largest, _ int64) int64 { return artifact.GapMemory(largest) }
	}
	_, err = b.Add(name, parts)
	return err
}

// check checks that the second test has other scores of the candidate than the first: those of another model, or of other
// documents. Equal ones would confirm any failure.
func (c *Confirm) check(first gap.Gap, compared, second *plan.Action) error {
	for _, of := range candidateScores(compared) {
		for _, again := range candidateScores(second) {
			switch {
			case c.Samples != nil && len(of.Inputs) > 0 && len(again.Inputs) > 0 && plan.Same(of.Inputs[0].Upstream, again.Inputs[0].Upstream):
				return protocol.Invalid("confirm.samples: the datasets %q and %q have the same documents, which cannot confirm themselves; name other documents",
					of.Labels.Dataset, again.Labels.Dataset)
			case c.Samples == nil && plan.Same(of, again):
				return protocol.Invalid("confirm.candidate: the models %q and %q are the same under two names, which confirms nothing; name another model",
					first.A, c.Gap.A)
			}
		}
	}
	return nil
}

// candidateScores returns the scores of the first side of a gap.
func candidateScores(compared *plan.Action) (scores []*plan.Action) {
	for _, in := range compared.Inputs {
		if in.Counted {
			scores = append(scores, in.Upstream)
		}
	}
	return scores
}

// checkBest checks that the series has the candidate, and the datasets of the gate.
func (g Gate) checkBest(b *plan.Builder) error {
	var all []series.Series
	if err := b.Section("series", &all); err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(s series.Series) bool { return s.Name == g.Also.Best })
	switch of := all[i]; {
	case !slices.Contains(of.Models, g.Gap.A):
		return protocol.Invalid("also.best: the series %q does not have the candidate %q; add it to its models with its step", of.Name, g.Gap.A)
	case !slices.Equal(of.Datasets, g.Gap.Datasets):
		return protocol.Invalid("also.best: the series %q is on other datasets than the gate (%d and %d); set the same datasets in both",
			of.Name, len(of.Datasets), len(g.Gap.Datasets))
	}
	return nil
}

// scores returns the files of scores that the checks read.
func (g Gate) scores(b *plan.Builder) ([]plan.Input, error) {
	files := []string{artifact.SummaryFile}
	if g.Also.readsTokens() {
		files = append(files, artifact.TokenCountsFile, artifact.TokenCountsSummaryFile)
	}
	of := files
	if len(g.Also.Tails) > 0 {
		of = append(slices.Clone(files), artifact.ScoredFile)
	}
	candidate, err := score.Inputs(b, candidateRole, g.Gap.A, g.Gap.Datasets, of)
	if err != nil {
		return nil, err
	}
	for i := range candidate {
		candidate[i].Counted = true
	}
	against, err := score.Inputs(b, againstRole, g.Gap.B, g.Gap.Datasets, files)
	return append(candidate, against...), err
}
