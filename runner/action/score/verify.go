package score

import (
	"context"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
)

// Verify implements action.Verifier: it replays the ledger.
func (Kind) Verify(ctx context.Context, files action.Files) (ledgers int, err error) {
	return VerifyTables(ctx, files, "")
}

// VerifyTables replays the ledger of the scores whose files have a prefix to their names.
func VerifyTables(ctx context.Context, files action.Files, prefix string) (ledgers int, err error) {
	scored, err := files.Path(ctx, prefix+artifact.ScoredFile)
	if err != nil {
		return 0, err
	}
	ledger, err := files.Path(ctx, prefix+artifact.LedgerFile)
	if err != nil {
		return 0, err
	}
	_, err = Replay(scored, ledger)
	return 1, err
}
