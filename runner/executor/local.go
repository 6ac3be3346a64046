package executor

import (
	"context"
	"fmt"

	"github.com/dustin/go-humanize"
	"golang.org/x/sync/semaphore"

	"surprisal.dev/plugins/protocol"
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

// Slots returns how many actions can run at the same time if each takes one core.
func (l *Local) Slots() int { return int(l.has.Cores) }

// Check returns an error of kind InvalidInput if the machine can never run an action that takes these resources.
func (l *Local) Check(takes Resources) error {
	comma := humanize.Comma
	switch {
	case takes.Cores > l.has.Cores:
		return refuse("cores", comma(takes.Cores)+" cores", comma(l.has.Cores))
	case takes.Memory > l.has.Memory:
		needs, has := humanize.IBytes(uint64(takes.Memory)), humanize.IBytes(uint64(l.has.Memory))
		if needs == has {
			needs, has = comma(takes.Memory)+" bytes", comma(l.has.Memory)+" bytes"
		}
		return refuse("memory", needs+" of memory", has)
	case takes.Devices > l.has.Devices:
		return refuse("devices", comma(takes.Devices)+" devices", comma(l.has.Devices))
	}
	return nil
}

func refuse(what, needs, has string) error {
	return &protocol.Error{Kind: protocol.InvalidInput, Message: fmt.Sprintf(
		"needs %s and runs may take %s; raise the bound on %s, make the work smaller or take a larger machine", needs, has, what)}
}

// Run calls work once the resources are free, and frees them when it returns. It returns work's error, or why the work
// could not start.
func (l *Local) Run(ctx context.Context, takes Resources, work func(context.Context) error) error {
	if err := l.Check(takes); err != nil {
		return err
	}
	// Always taken in this order, so that two actions never wait for each other. Cores come last: nothing keeps a core idle
	// while it waits for memory.
	for _, slot := range []struct {
		of *semaphore.Weighted
		n  int64
	}{{l.devices, takes.Devices}, {l.memory, takes.Memory}, {l.cores, takes.Cores}} {
		if slot.n == 0 {
			// Acquire would queue behind those who wait for more than nothing.
			continue
		}
		if err := slot.of.Acquire(ctx, slot.n); err != nil {
			return err
		}
		defer slot.of.Release(slot.n)
	}
	return work(ctx)
}
