// Package gate tests whether a model is worse than another by more than a margin, on every slice of a gap. Its answer is
// pass, fail or inconclusive, and the exit code of a run.
//
// It imports runner/action, runner/action/gap, runner/artifact, runner/markdown, runner/plan, runner/spec,
// runner/statistics and runner/terminal.
package gate
