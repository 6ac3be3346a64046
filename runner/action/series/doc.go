// Package series follows models that have an order, such as the checkpoints of a training: their loss over steps on
// every dataset and group, with intervals, what changed at each step, the best step so far and where the level changed.
//
// It imports runner/action, runner/action/gap, runner/action/scaling, runner/action/score, runner/artifact,
// runner/figure, runner/fit, runner/markdown, runner/plan, runner/spec, runner/statistics and runner/terminal.
package series
