package score

import (
	"context"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
)

// SizeOf returns the size of the model of a task, as the backend counts it for settings.
func SizeOf(ctx context.Context, t *action.Task, p ModelParameters, s protocol.Settings) (artifact.ModelSize, error) {
	m, err := modelOf(t, p)
	if err != nil {
		return artifact.ModelSize{}, err
	}
	e, err := t.Plugins.Estimate(ctx, m, s)
	return artifact.NewModelSize(e), err
}

// CountScored returns the number of tokens of an answer with a loss on the scored span of the document.
func CountScored(d protocol.Document, answer protocol.ScoredDocument) (tokens int64) {
	on := span{start: d.ScoreStart, end: d.ScoreEnd, unscored: answer.Unscored}
	for i := range answer.TokenIDs {
		if on.scores(answer.TokenStarts[i], answer.TokenEnds[i]) {
			tokens++
		}
	}
	return tokens
}
