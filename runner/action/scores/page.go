package scores

import (
	"context"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/plan"
)

// Scores implements action.Scorer.
func (Kind) Scores(ctx context.Context, a *plan.Action, read action.ReadFile) ([]action.Score, error) {
	var found artifact.Import
	if err := read.JSON(ctx, a, artifact.ImportFile, &found); err != nil {
		return nil, err
	}
	scores := make([]action.Score, len(found.Datasets))
	for i, d := range found.Datasets {
		s := &scores[i]
		*s = action.Score{
			Model: a.Labels.Model, Dataset: d.Name, Tags: d.Tags,
			Scored: action.ScoredFile{Action: a, Name: d.Name + "/" + artifact.ScoredFile}, Ledger: d.Name + "/" + artifact.LedgerFile,
		}
		if err := read.JSON(ctx, a, d.Name+"/"+artifact.SummaryFile, &s.Summary); err != nil {
			return nil, err
		}
	}
	return scores, nil
}
