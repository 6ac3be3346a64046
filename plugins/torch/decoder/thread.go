//go:build torch

package decoder

import "runtime"

// thread is a thread of the operating system. libtorch keeps a pool of workers for each thread that calls it, so that a
// rank always computes on the same thread.
type thread struct{ work chan func() }

func newThread() thread {
	t := thread{make(chan func())}
	go func() {
		// The thread is not unlocked: it ends with the goroutine.
		runtime.LockOSThread()
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
