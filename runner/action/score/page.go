package score

import (
	"context"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
	"surprisal.dev/runner/spec"
)

// Scores implements action.Scorer.
func (Kind) Scores(ctx context.Context, a *plan.Action, read action.ReadFile) ([]action.Score, error) {
	s := action.Score{
		Model: a.Labels.Model, Dataset: a.Labels.Dataset, Tags: a.Labels.Tags, ByShard: a.Labels.Cluster == spec.ClusterShard,
		Scored: action.ScoredFile{Action: a, Name: artifact.ScoredFile}, Ledger: artifact.LedgerFile,
	}
	err := read.JSON(ctx, a, artifact.SummaryFile, &s.Summary)
	return []action.Score{s}, err
}
