//go:build torch

package decoder

import (
	"runtime"

	"surprisal.dev/plugins/torch/tensor"
)

// thread is a thread of the operating system. libtorch keeps a pool of workers, and OpenMP their number, for each thread
// that calls it, so that a rank always computes on the same thread.
type thread struct{ work chan func() }

// newThread starts a thread whose operations use that many threads, or one per core if it is 0.
func newThread(workers int) thread {
	t := thread{make(chan func())}
	go func() {
		// The thread is not unlocked: it ends with the goroutine.
		runtime.LockOSThread()
		if workers > 0 {
			tensor.SetThreads(workers)
		}
		for f := range t.work {
			f()
		}
	}()
	return t
}

// do starts f and returns a function that waits for its end.
func (t thread) do(f func() error) (wait func() error) {
	done := make(chan error, 1)
	t.work <- func() { done <- f() }
	return func() error { return <-done }
}

func (t thread) close() { close(t.work) }
