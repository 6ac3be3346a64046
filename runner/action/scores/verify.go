package scores

import (
	"context"
	"fmt"
	"strings"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/score"
	"surprisal.dev/runner/artifact"
)

// Verify implements action.Verifier: it replays the ledger of each dataset.
func (Kind) Verify(ctx context.Context, files action.Files) (ledgers int, err error) {
	for _, file := range files.Names() {
		dataset, ok := strings.CutSuffix(file, "/"+artifact.ScoredFile)
		if !ok {
			continue
		}
		n, err := score.VerifyTables(ctx, files, dataset)
		ledgers += n
		if err != nil {
			return ledgers, fmt.Errorf("dataset %s: %w", dataset, err)
		}
	}
	return ledgers, nil
}
