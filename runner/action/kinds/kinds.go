// Package kinds lists the kinds of actions. It imports the packages of the kinds. Only the packages that assemble the
// runner import it.
package kinds

import (
	"surprisal.dev/runner/action"
	"surprisal.dev/runner/action/activations"
	"surprisal.dev/runner/action/drift"
	"surprisal.dev/runner/action/gap"
	"surprisal.dev/runner/action/gate"
	"surprisal.dev/runner/action/materialize"
	"surprisal.dev/runner/action/outliers"
	"surprisal.dev/runner/action/scaling"
	"surprisal.dev/runner/action/score"
	"surprisal.dev/runner/action/scores"
	"surprisal.dev/runner/action/series"
	"surprisal.dev/runner/action/sliding"
	"surprisal.dev/runner/action/train"
	"surprisal.dev/runner/action/windows"
)

// All returns the kinds in plan order: a kind comes after the kinds whose artifacts it reads.
func All() []action.Kind {
	return []action.Kind{
		materialize.Kind{},
		train.Kind{},
		scores.Kind{},
		score.Kind{},
		gap.Kind{},
		series.Kind{},
		gate.Kind{},
		drift.Kind{},
		scaling.Kind{},
		windows.Kind{},
		sliding.Kind{},
		activations.Kind{},
		outliers.Kind{},
	}
}
