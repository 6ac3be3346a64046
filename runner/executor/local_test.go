package executor_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/executor"
)

// Whatever the mix of work, its sum stays within what the machine has, and all of it gets done.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		has := executor.Resources{Cores: 4, Memory: 100, Devices: 2}
		l := executor.NewLocal(has)
		random := rand.New(rand.NewPCG(1, 2))
		var cores, memory, devices, done atomic.Int64
		var most atomic.Int64
		var work sync.WaitGroup
		for range 500 {
			takes := executor.Resources{Cores: 1 + random.Int64N(4), Memory: random.Int64N(101), Devices: random.Int64N(3)}
			seconds := time.Duration(random.IntN(10)) * time.Second
			work.Go(func() {
				err := l.Run(t.Context(), takes, func(context.Context) error {
					c, m, d := cores.Add(takes.Cores), memory.Add(takes.Memory), devices.Add(takes.Devices)
					if c > has.Cores || m > has.Memory || d > has.Devices {
						t.Errorf("%d cores, %d bytes and %d devices are taken", c, m, d)
					}
					most.Store(max(most.Load(), c))
					time.Sleep(seconds)
					cores.Add(-takes.Cores)
					memory.Add(-takes.Memory)
					devices.Add(-takes.Devices)
					done.Add(1)
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		work.Wait()
		if done.Load() != 500 || most.Load() != has.Cores {
			t.Errorf("%d of 500 were done, on %d cores at once", done.Load(), most.Load())
		}
	})
}

// Work that waits for memory leaves the cores to work that needs none.
func TestWaitingKeepsNoCore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := executor.NewLocal(executor.Resources{Cores: 2, Memory: 10})
		hold := make(chan struct{})
		var work sync.WaitGroup
		for range 4 {
			work.Go(func() {
				_ = l.Run(t.Context(), executor.Resources{Cores: 1, Memory: 10}, func(context.Context) error {
					<-hold
					return nil
				})
			})
			synctest.Wait()
		}
		ran := false
		work.Go(func() {
			_ = l.Run(t.Context(), executor.Resources{Cores: 1}, func(context.Context) error {
				ran = true
				return nil
			})
		})
		synctest.Wait()
		if !ran {
			t.Error("a free core is not used")
		}
		close(hold)
		work.Wait()
	})
}

func TestTooLarge(t *testing.T) {
	l := executor.NewLocal(executor.Resources{Cores: 2, Memory: 3 << 20, Devices: 1})
	for _, test := range []struct {
		takes executor.Resources
		says  string
	}{
		{executor.Resources{Cores: 3}, "needs 3 cores and runs may take 2"},
		{executor.Resources{Cores: 1, Memory: 3<<20 + 1}, "needs 4 MiB of memory and runs may take 3"},
		{executor.Resources{Cores: 1, Devices: 2}, "needs 2 devices and runs may take 1"},
	} {
		err := l.Run(t.Context(), test.takes, func(context.Context) error {
			t.Errorf("%+v ran", test.takes)
			return nil
		})
		if err == nil || !strings.HasPrefix(err.Error(), test.says) || protocol.KindOf(err) != protocol.InvalidInput {
			t.Errorf("%+v: %v, want %q of kind %s", test.takes, err, test.says, protocol.InvalidInput)
		}
	}
}

func TestCancelledWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := executor.NewLocal(executor.Resources{Cores: 1})
		hold, one := make(chan struct{}), executor.Resources{Cores: 1}
		var work sync.WaitGroup
		work.Go(func() {
			_ = l.Run(t.Context(), one, func(context.Context) error {
				<-hold
				return nil
			})
		})
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		work.Go(func() {
			err := l.Run(ctx, one, func(context.Context) error {
				t.Error("work ran after its context was cancelled")
				return nil
			})
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(hold)
		work.Wait()
		failure := errors.New("failure")
		if err := l.Run(t.Context(), one, func(context.Context) error { return failure }); !errors.Is(err, failure) {
			t.Errorf("after all: %v", err)
		}
	})
}
