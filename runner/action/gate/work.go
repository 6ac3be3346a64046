package gate

import (
	"context"
	"errors"
	"fmt"
	"os"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/gap"
	"surprisal.dev/runner/artifact"
)

const (
	reportFile  = "report.md"
	verdictFile = "verdict.json"
)

// Work implements action.Kind.
func (Kind) Work(_ context.Context, t *action.Task) (action.Result, error) {
	var p parameters
	var of gap.Summary
	path, err := t.Input(gapRole + "/" + artifact.SummaryFile)
	if err != nil {
		return action.Result{}, err
	}
	if err := errors.Join(t.Parameters(&p), artifact.ReadJSON(path, &of)); err != nil {
		return action.Result{}, err
	}
	v, err := p.decide(&of)
	if err != nil {
		return action.Result{}, fmt.Errorf("gate %q: %w", p.Name, err)
	}
	v.Gate, v.Candidate, v.Against = p.Name, p.Candidate, p.Against
	err = errors.Join(
		artifact.WriteJSON(t.Path(verdictFile), v),
		os.WriteFile(t.Path(reportFile), []byte(protocol.TextWithoutCommands(v.markdown())), 0o644),
	)
	return action.Result{Files: []string{reportFile, verdictFile}}, err
}
