package executor

import (
	"testing"

	"surprisal.dev/runner/plan"
)

// The resources of a process are the maximum over the jobs of its group, in any order, plus those of the model.
func TestGroupTakes(t *testing.T) {
	model := &plan.Model{ID: "m", Resources: plan.Resources{Memory: 100, Devices: 1, DeviceMemory: 1000}}
	large := plan.Job{Model: model, Resources: plan.Resources{Cores: 3, Memory: 50, Devices: 2, DeviceMemory: 20}}
	small := plan.Job{Model: model, Resources: plan.Resources{Cores: 1, Memory: 5, DeviceMemory: 10}}
	want := plan.Resources{Cores: 3, Memory: 150, Devices: 3, DeviceMemory: 1020}
	for _, group := range [][]plan.Job{{large, small}, {small, large}} {
		if got := groupResources(group); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}
