//go:build torch

package decoder

import (
	"context"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// Processor divides the processor among the batches that decoders compute at the same time.
type Processor struct {
	places  *semaphore.Weighted
	batches atomic.Int64
}

// NewProcessor returns a processor on which nothing is computed.
func NewProcessor() *Processor {
	return &Processor{places: semaphore.NewWeighted(concurrentBatches)}
}

// Enter waits until a batch may be computed, alone or with others, and returns a function that ends this. It returns the
// error of the context if that ends first.
func (p *Processor) Enter(ctx context.Context, alone bool) (leave func(), err error) {
	places := int64(1)
	if alone {
		places = concurrentBatches
	}
	if err := p.places.Acquire(ctx, places); err != nil {
		return nil, err
	}
	p.batches.Add(1)
	return func() {
		p.batches.Add(-1)
		p.places.Release(places)
	}, nil
}

// share returns how many of the threads the batch of the worker with a number may use now.
func (p *Processor) share(threads, worker int) int {
	batches := max(int(p.batches.Load()), 1)
	return max((threads+batches-1-worker%batches)/batches, 1)
}
