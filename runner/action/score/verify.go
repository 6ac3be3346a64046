package score

import (
	"context"
	"path"
	"slices"

	"surprisal.dev/runner/action"
	"surprisal.dev/runner/artifact"
)

// Verify implements action.Verifier: it replays the ledger, and the confidence and the most probable tokens if there are
// some.
func (Kind) Verify(ctx context.Context, files action.Files) (ledgers int, err error) {
	return VerifyTables(ctx, files, "")
}

// VerifyTables replays the ledger, and the confidence if there is one, of the scores in a directory of the artifact, "" for the top.
func VerifyTables(ctx context.Context, files action.Files, dir string) (ledgers int, err error) {
	scored, err := files.Path(ctx, path.Join(dir, artifact.ScoredFile))
	if err != nil {
		return 0, err
	}
	ledger, err := files.Path(ctx, path.Join(dir, artifact.LedgerFile))
	if err != nil {
		return 0, err
	}
	if _, err = Replay(scored, ledger); err != nil {
		return 1, err
	}
	name := path.Join(dir, artifact.ConfidenceFile)
	if !slices.Contains(files.Names(), name) {
		return 1, nil
	}
	confidence, err := files.Path(ctx, name)
	if err != nil {
		return 1, err
	}
	if err := ReplayConfidence(scored, confidence); err != nil {
		return 1, err
	}
	if name = path.Join(dir, artifact.TopTokensFile); !slices.Contains(files.Names(), name) {
		return 1, nil
	}
	top, err := files.Path(ctx, name)
	if err != nil {
		return 1, err
	}
	return 1, ReplayTopTokens(confidence, top)
}
