package plan_test

import (
	"strings"
	"testing"

	"surprisal.dev/runner/plan"
)

// A row of a plan shows the known cost of an action, and bounds as bounds.
func TestPlanRows(t *testing.T) {
	key := strings.Repeat("a", 12) + strings.Repeat("b", 52)
	done := func(name string) plan.Input {
		return plan.Input{Upstream: &plan.Action{Name: name, Status: plan.Status{State: plan.Cached}}}
	}
	waits := func(name string) plan.Input {
		return plan.Input{Upstream: &plan.Action{Name: name, Status: plan.Status{State: plan.Pending}}}
	}
	for _, test := range []struct {
		a    plan.Action
		want string
	}{
		{plan.Action{Name: "n", Status: plan.Status{State: plan.Pending, Key: key}}, "pending|n|-|-|-|-|-|aaaaaaaaaaaa"},
		{plan.Action{Name: "n", Status: plan.Status{State: plan.Pending, Key: "ab"}, Cost: plan.Cost{Documents: 1, Bytes: 2, Tokens: 3, Memory: 4, Seconds: 5}}, "pending|n|1|2 B|3|4 B|5s|ab"},
		{plan.Action{Name: "n", Status: plan.Status{State: plan.Pending}, Cost: plan.Cost{Documents: 1, Bytes: 2, Tokens: 3, Memory: 4, Seconds: 5, AtMost: true}}, "pending|n|≤1|≤2 B|≤3|4 B|≤5s|"},
		{plan.Action{Name: "n", Status: plan.Status{State: plan.Pending}, Cost: plan.Cost{Bytes: 2, Seconds: 0.049, AtMost: true}}, "pending|n|-|≤2 B|-|-|-|"},
		{plan.Action{Name: "n", Status: plan.Status{State: plan.Pending}, Cost: plan.Cost{Bytes: 2, Seconds: 0.05, AtMost: true}}, "pending|n|-|≤2 B|-|-|≤100ms|"},
		{plan.Action{Name: "n", Status: plan.Status{State: plan.Cached, Key: key}, Cost: plan.Cost{Documents: -1, Seconds: 5}}, "cached|n|-|-|-|-|-|aaaaaaaaaaaa"},
		{plan.Action{Name: "n", Status: plan.Status{State: plan.Skipped, Key: key, Reason: "gone"}}, "skipped|n|-|-|-|-|-|gone"},
		{plan.Action{Name: "n", Status: plan.Status{State: plan.Waits}, Inputs: []plan.Input{done("a"), waits("b"), done("c"), waits("d")}}, "waits|n|-|-|-|-|-|waits for b, d"},
		{plan.Action{Name: "n", Status: plan.Status{State: plan.Waits}, Inputs: []plan.Input{waits("a"), waits("b"), waits("c"), waits("d")}}, "waits|n|-|-|-|-|-|waits for a, b, ..."},
	} {
		if got := strings.Join(test.a.AppendCells(nil, plan.Sizes{}), "|"); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}
