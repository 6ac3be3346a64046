// Package sliding reports which parts of texts a model has memorized. It scores sliding windows of each text (package
// windows) and shows how probable their suffixes are after their prompts: statistics, the brightest passages, and a strip
// of the largest probability at each character.
//
// It imports runner/action/windows, runner/artifact, runner/figure, runner/plan and runner/spec.
package sliding
