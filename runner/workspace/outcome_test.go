package workspace

import (
	"errors"
	"testing"

	"surprisal.dev/runner/plan"
)

// Failures are in the order of the plan, in whatever order the actions failed.
func TestFailuresInOrder(t *testing.T) {
	p := &plan.Plan{Actions: []*plan.Action{{Name: "a"}, {Name: "b"}, {Name: "c"}}}
	for i := range p.Actions {
		p.Actions[i].State = plan.Failed
	}
	o := Outcome{Counts: map[plan.State]int{}}
	o.conclude(p, []Failure{{"c", errors.New("3")}, {"a", errors.New("1")}})
	if len(o.Failures) != 2 || o.Failures[0].Action != "a" || o.Failures[1].Action != "c" || o.State != StateFailed {
		t.Errorf("found %+v, want the failures of a and c", o)
	}
}
