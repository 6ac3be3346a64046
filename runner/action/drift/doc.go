// Package drift compares the loss of texts with that of reference texts. If the model changed as well, it attributes the
// change: how much of it is that of the text, and how much that of the model.
//
// It imports runner/action, runner/action/gap, runner/action/score, runner/artifact, runner/markdown, runner/plan,
// runner/spec, runner/statistics and runner/terminal.
package drift
