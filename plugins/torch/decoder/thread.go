//go:build torch

package decoder

import "runtime"

// thread is a thread of the operating system. libtorch keeps a pool of workers for each one that calls it, so that a rank
// computes on the same one all its life.
type thread struct{ work chan func() }

func newThread() thread {
	t := thread{make(chan func())}
	go func() {
		// Not unlocked: the thread ends with the goroutine.
		runtime.LockOSThread()
		for f := range t.work {
			f()
		}
	}()
	return t
}

// do starts f and returns what waits for its end.
func (t thread) do(f func() error) (wait func() error) {
	done := make(chan error, 1)
	t.work <- func() { done <- f() }
	return func() error { return <-done }
}

func (t thread) close() { close(t.work) }
