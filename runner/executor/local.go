package executor

import (
	"context"
	"fmt"

	"golang.org/x/sync/semaphore"
)

// Resources are what a machine has, or what an action takes of it.
type Resources struct {
	Cores int64
	// Memory is in bytes.
	Memory int64
	// Devices counts accelerators.
	Devices int64
}

// Local runs actions on this machine, as many at a time as its resources allow.
type Local struct {
	has                    Resources
	cores, memory, devices *semaphore.Weighted
}

// NewLocal returns an executor for a machine with the given resources.
func NewLocal(has Resources) *Local {
	return &Local{
		has:     has,
		cores:   semaphore.NewWeighted(has.Cores),
		memory:  semaphore.NewWeighted(has.Memory),
		devices: semaphore.NewWeighted(has.Devices),
	}
}

// Check returns an error if the machine can never run an action that takes these resources.
func (l *Local) Check(takes Resources) error {
	switch {
	case takes.Cores > l.has.Cores:
		return fmt.Errorf("needs %d cores and there are %d", takes.Cores, l.has.Cores)
	case takes.Memory > l.has.Memory:
		return fmt.Errorf("needs %d MiB of memory and there are %d", takes.Memory>>20, l.has.Memory>>20)
	case takes.Devices > l.has.Devices:
		return fmt.Errorf("needs %d devices and there are %d", takes.Devices, l.has.Devices)
	}
	return nil
}

// Run calls work once the resources are free, and frees them when it returns. It returns work's error, or why the work
// could not start.
func (l *Local) Run(ctx context.Context, takes Resources, work func(context.Context) error) error {
	if err := l.Check(takes); err != nil {
		return err
	}
	// Always taken in this order, so that two actions never wait for each other.
	for _, slot := range []struct {
		of *semaphore.Weighted
		n  int64
	}{{l.cores, takes.Cores}, {l.memory, takes.Memory}, {l.devices, takes.Devices}} {
		if err := slot.of.Acquire(ctx, slot.n); err != nil {
			return err
		}
		defer slot.of.Release(slot.n)
	}
	return work(ctx)
}
