// Package kinds lists the kinds of actions. It imports the packages of the kinds, and nobody but whoever puts the runner
// together imports it.
package kinds

import (
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/gap"
	"surprisal.dev/runner/action/materialize"
	"surprisal.dev/runner/action/scaling"
	"surprisal.dev/runner/action/score"
	"surprisal.dev/runner/action/scores"
	"surprisal.dev/runner/action/train"
)

// All returns the kinds in plan order: a kind comes after those whose artifacts it reads.
func All() []action.Kind {
	return []action.Kind{
		materialize.Kind{},
		train.Kind{},
		scores.Kind{},
		score.Kind{},
		gap.Kind{},
		scaling.Kind{},
	}
}
