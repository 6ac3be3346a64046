// Package activations observes the outputs of a model's norms while it reads the first documents of a dataset, in the same
// pass that gives their losses. It keeps what reaches a threshold: for each document, the dimensions, their sites and how
// many positions. Reports on outliers read it.
//
// It holds one answer of the backend at a time.
//
// It imports runner/action, runner/action/materialize, runner/action/score, runner/artifact, runner/plan and runner/spec.
package activations
