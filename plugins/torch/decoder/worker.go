//go:build torch

package decoder

import (
	"runtime"

	"surprisal.dev/plugins/torch/tensor"
)

// concurrentBatches is how many batches a processor computes at a time. Two batches on half of the threads each are faster
// than one after the other on all: the threads of one batch wait for each other after every operation, and only one of them
// works between operations. More batches need more memory.
const concurrentBatches = 2

// Batches returns how many batches a decoder computes at a time. There are several only where the number of threads,
// which changes with what else is computed, does not change results.
func (o Options) Batches() int {
	if len(o.Devices) > 1 || o.Devices[0] != tensor.CPU || !tensor.HasPackedLayout(o.Type) || !tensor.IndependentRows() {
		return 1
	}
	return min(o.threads(), concurrentBatches)
}

func (o Options) threads() int {
	if o.Threads == 0 {
		return runtime.GOMAXPROCS(0)
	}
	return o.Threads
}

// worker computes a batch at a time, with a thread for each rank.
type worker struct {
	threads    []thread
	collective Collective
	processor  *Processor
	// total is the number of threads that all workers of a decoder share; 0: each has its own.
	total int
	// number is that of the worker.
	number int
}

func newWorker(o Options, number int) (*worker, error) {
	collective, err := newCollective(o.Devices)
	if err != nil {
		return nil, err
	}
	w := &worker{collective: collective, number: number, processor: o.Processor}
	if o.Batches() > 1 {
		w.total = o.threads()
	}
	for range o.Devices {
		w.threads = append(w.threads, newThread(o.Threads))
	}
	return w, nil
}

// share sets the number of threads that the next operations of the calling thread use.
func (w *worker) share() {
	if w.total == 0 {
		return
	}
	if n := w.processor.share(w.total, w.number); n != tensor.Threads() {
		tensor.SetThreads(n)
	}
}

// headRows is how many rows of the head a processor computes before the context is checked and the threads are shared
// again: few, because the head may be most of the work, but enough for products of all threads.
func (w *worker) headRows() int {
	const most, perThread = LogitRows / 2, 128
	if w.total == 0 {
		return most
	}
	return min(perThread*w.total, most)
}

func (w *worker) close() {
	for _, t := range w.threads {
		t.close()
	}
	w.collective.Close()
}
