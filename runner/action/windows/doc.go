// Package windows scores sliding windows of texts: the probability that a model continues a prompt from a text with the
// text itself. An action scores the windows of a part of a dataset, so that an interrupted run continues after the last
// complete part. Package sliding plans the actions and reports on them.
//
// It imports runner/action/score, runner/artifact, runner/plan and plugins/protocol.
package windows
