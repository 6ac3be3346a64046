//go:build torch

package backend

import (
	"context"
	"errors"
	"sync"

	"github.com/hashicorp/go-hclog"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/sdk"
	"surprisal.dev/plugins/torch/decoder"
	"surprisal.dev/plugins/torch/tensor"
)

// computation is that of the documents of a call, some batches at a time.
type computation struct {
	model    *model
	settings protocol.Settings
	request  decoder.Request
	queue    queue
	// running are the batches that are being computed. done gets each of them, and has a place for all.
	running sync.WaitGroup
	done    chan computed
}

func (m *model) newComputation(s protocol.Settings, emit func(protocol.ScoredDocument) error) *computation {
	return &computation{
		model: m, settings: s, queue: queue{emit: emit}, done: make(chan computed, m.batches.Load()),
		request: decoder.Request{Confidence: s.Confidence, TopK: int(s.TopK), ActivationThreshold: s.ActivationThreshold},
	}
}

// computed has the predictions of the windows of a batch, in one or more parts.
type computed struct {
	windows []window
	parts   []part
	err     error
}

// part is a computed batch.
type part struct {
	*batch
	decoder.Predictions
}

// all computes the documents of groups and answers them. If it returns an error, batches may be running.
//
// What a batch consists of does not depend on time: it is full, or the documents have ended.
func (c *computation) all(ctx context.Context, groups <-chan documentBatch) error {
	next := c.model.newBatch(c.request)
	running, last := 0, 0
	for more := true; more || len(c.queue.windows) > 0 || running > 0; {
		windows := c.queue.windows
		if last > 0 {
			windows = windows[:last]
		}
		full := next.extend(windows, c.model.limits(c.settings))
		if (full || !more && next.windows > 0) && running < int(c.model.batches.Load()) {
			c.start(ctx, next)
			next = c.model.newBatch(c.request)
			running, last = running+1, 0
			continue
		}
		var read <-chan documentBatch
		if more && !full {
			read = groups
		}
		select {
		case g, ok := <-read:
			if g.err != nil {
				return g.err
			}
			c.queue.add(g.documents)
			if more = ok; !more {
				next, last = c.divide(next)
			}
		case d := <-c.done:
			running--
			if err := c.queue.take(d); err != nil {
				return err
			}
		}
		if err := c.queue.flush(); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// divide makes two batches of similar size of the last, to be computed at the same time, unless its windows share tokens. It
// returns the first of them, empty, and the number of its windows, which is 0 if the batch is not divided.
func (c *computation) divide(b *batch) (*batch, int) {
	if b.windows < 2 || b.read > b.tree.Tokens() || c.model.batches.Load() == 1 {
		return b, 0
	}
	n, difference := 0, b.read // of the reads of the second and the first
	for n < b.windows-1 {
		next := difference - 2*c.queue.windows[n].read()
		if max(next, -next) > difference {
			break
		}
		n, difference = n+1, next
	}
	return c.model.newBatch(c.request), max(n, 1)
}

// start computes a batch of the first windows of the queue.
func (c *computation) start(ctx context.Context, b *batch) {
	windows := c.queue.next(b.windows)
	c.running.Go(func() {
		parts, err := c.compute(ctx, b, windows)
		c.done <- computed{windows, parts, err}
	})
}

// compute computes the windows of a batch, in several parts if there is not enough memory for all at once.
func (c *computation) compute(ctx context.Context, b *batch, windows []window) ([]part, error) {
	m := c.model
	m.halve(b)
	var parts []part
	for {
		if l := m.limits(c.settings); int64(b.tokens) > l.shared {
			b = m.newBatch(c.request)
			b.extend(windows, l)
		}
		alone := m.batches.Load() == 1
		p, err := m.predict(ctx, b, c.request, alone)
		switch {
		case errors.Is(err, tensor.ErrMemory) && !alone:
			hclog.FromContext(ctx).Warn("out of memory; computing one batch at a time", "error", err)
			m.batches.Store(1)
			err = nil
		case errors.Is(err, tensor.ErrMemory):
			err = m.lower(ctx, b, err)
		case err == nil:
			hclog.FromContext(ctx).Debug("computed a batch", "windows", b.windows, "tokens", b.tree.Tokens(), "shared", b.read-b.tree.Tokens())
			parts, windows = append(parts, part{b, p}), windows[b.windows:]
			if len(windows) == 0 {
				return parts, nil
			}
			b = m.newBatch(c.request)
			b.extend(windows, m.limits(c.settings))
		}
		if err != nil {
			return nil, err
		}
	}
}

// predict computes a batch when the processor has a place for it, or nothing else if it is to be alone.
func (m *model) predict(ctx context.Context, b *batch, r decoder.Request, alone bool) (decoder.Predictions, error) {
	leave, err := m.processor.Enter(ctx, alone)
	if err != nil {
		return decoder.Predictions{}, err
	}
	defer leave()
	return m.decoder.Predict(ctx, b.sequences, r)
}

// reduce lets the model compute one batch at a time, and the first batch halve its tokens that often, because an earlier
// process was killed for its memory.
func (m *model) reduce(halvings int) {
	if halvings > 0 {
		m.batches.Store(1)
		m.halvings.Store(int64(halvings))
	}
}

// halve lowers the budget by the halvings that an earlier process asks for. The first batch may be smaller than the
// budget.
func (m *model) halve(first *batch) {
	if n := m.halvings.Swap(0); n > 0 {
		m.budget.Store(max(min(m.budget.Load(), int64(first.tokens))>>n, 1))
	}
}

// lower halves the tokens of batches after one for which there was not enough memory. It returns an error if it had only
// one window.
func (m *model) lower(ctx context.Context, b *batch, err error) error {
	if b.windows == 1 {
		return sdk.OutOfMemory("a window of %d tokens does not fit: %v", len(b.sequences[0].Tokens), err)
	}
	// A budget above this batch's tokens would give the same batch again.
	budget := max(min(m.budget.Load(), int64(b.tokens))/2, 1)
	m.budget.Store(budget)
	hclog.FromContext(ctx).Warn("out of memory; computing fewer tokens at a time", "tokens", budget, "error", err)
	return nil
}
