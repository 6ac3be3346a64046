package score

import (
	"context"
	"path"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
)

// Verify implements action.Verifier: it replays the ledger.
func (Kind) Verify(ctx context.Context, files action.Files) (ledgers int, err error) {
	return VerifyTables(ctx, files, "")
}

// VerifyTables replays the ledger of the scores in a directory of the artifact, "" for the top.
func VerifyTables(ctx context.Context, files action.Files, dir string) (ledgers int, err error) {
	scored, err := files.Path(ctx, path.Join(dir, artifact.ScoredFile))
	if err != nil {
		return 0, err
	}
	ledger, err := files.Path(ctx, path.Join(dir, artifact.LedgerFile))
	if err != nil {
		return 0, err
	}
	_, err = Replay(scored, ledger)
	return 1, err
}
