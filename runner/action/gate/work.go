package gate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/gap"
	"surprisal.dev/runner/action/series"
	"surprisal.dev/runner/artifact"
)

const (
	reportFile  = "report.md"
	verdictFile = "verdict.json"
)

// Work implements action.Kind.
func (Kind) Work(_ context.Context, t *action.Task) (action.Result, error) {
	var p parameters
	if err := t.Parameters(&p); err != nil {
		return action.Result{}, err
	}
	v, err := p.verdict(t)
	if err != nil {
		return action.Result{}, fmt.Errorf("gate %q: %w", p.Name, err)
	}
	err = errors.Join(
		artifact.WriteJSON(t.Path(verdictFile), v),
		os.WriteFile(t.Path(reportFile), []byte(protocol.TextWithoutCommands(v.markdown())), 0o644),
	)
	return action.Result{Files: []string{reportFile, verdictFile}}, err
}

// read reads a JSON file of an input.
func read[T any](t *action.Task, role string) (*T, error) {
	path, err := t.Input(role)
	if err != nil {
		return nil, err
	}
	v := new(T)
	return v, artifact.ReadJSON(path, v)
}

// verdict tests the gap and does the checks.
func (p parameters) verdict(t *action.Task) (v Verdict, err error) {
	of, err := read[gap.Summary](t, gapRole+"/"+artifact.SummaryFile)
	if err != nil {
		return v, err
	}
	var again *Second
	if p.Second != "" {
		again = &Second{Name: p.Second, Samples: p.Samples}
		if again.Of, err = read[gap.Summary](t, confirmRole+"/"+artifact.SummaryFile); err != nil {
			return v, err
		}
	}
	if v, err = p.Decide(of, again); err != nil {
		return v, err
	}
	v.Gate, v.Candidate, v.Against = p.Name, p.Candidate, p.Against
	if p.Also.Best != "" {
		followed, err := read[series.Summary](t, bestRole+"/"+artifact.SummaryFile)
		if err != nil {
			return v, err
		}
		v.Checks = append(v.Checks, p.best(p.Candidate, followed))
	}
	scores, err := p.scores(t)
	if err != nil {
		return v, err
	}
	checks, err := p.ofScores(scores)
	if err != nil {
		return v, err
	}
	v.Checks = append(v.Checks, checks...)
	v.conclude()
	return v, nil
}

// scores reads the scores that the checks need.
func (p parameters) scores(t *action.Task) ([]scored, error) {
	var all []scored
	for _, dataset := range p.Datasets {
		s := scored{dataset: dataset, shards: slices.Contains(p.Clustered, dataset)}
		for i, side := range []struct {
			role string
			to   *artifact.ScoreSummary
		}{{candidateRole, &s.candidate}, {againstRole, &s.against}} {
			dir := side.role + "/" + dataset + "/"
			summary, err := read[artifact.ScoreSummary](t, dir+artifact.SummaryFile)
			if err != nil {
				return nil, err
			}
			*side.to = *summary
			if !p.Also.readsTokens() {
				continue
			}
			s.tokens[i] = t.Descriptor.Inputs[dir+artifact.TokenCountsFile]
			counts, err := read[artifact.TokenCountsSummary](t, dir+artifact.TokenCountsSummaryFile)
			if err != nil {
				return nil, err
			}
			s.vocabulary[i] = counts.VocabularySize
		}
		s.losses = t.Inputs[candidateRole+"/"+dataset+"/"+artifact.ScoredFile]
		all = append(all, s)
	}
	return all, nil
}

// ofScores returns the checks that read scores, in a fixed order.
func (t Test) ofScores(all []scored) (checks []Check, err error) {
	if t.Also.Tokenizer != "" {
		checks = append(checks, t.tokenizer(all))
	}
	if t.Also.BatchInvariance != nil {
		checks = append(checks, t.invariance(all))
	}
	if t.Also.Top != nil || t.Also.Truth != nil {
		checks = append(checks, t.calibration(all))
	}
	if t.Also.Coverage != nil {
		checks = append(checks, t.coverage(all))
	}
	if len(t.Also.Tails) > 0 {
		tails, err := t.tails(all)
		if err != nil {
			return nil, err
		}
		checks = append(checks, tails)
	}
	return checks, nil
}
