//go:build torch

package decoder

import (
	"context"
	"errors"
	"sync"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/torch/checkpoint"
	"surprisal.dev/plugins/torch/graph"
	"surprisal.dev/plugins/torch/tensor"
)

// Options configure a decoder.
type Options struct {
	// Type is the type of weights and activations.
	Type tensor.Type
	// Devices has one entry per rank over which the weights are sharded: the same for all, or a different one for each.
	Devices []tensor.Device
	// Threads is the number of threads of each rank; 0: one per core.
	Threads int
	// Processor is what all decoders of a process that compute on its processor have in common; nil: there are no others.
	Processor *Processor
	// groupExperts also groups the products of experts on a processor and in float32, for tests.
	groupExperts bool
}

// Decoder computes losses. Predict may be called by several goroutines; at most [Options.Batches] compute at a time.
type Decoder struct {
	architecture graph.Architecture
	heap         *tensor.Heap
	ranks        []*rank
	workers      []*worker
	// free are the workers that compute nothing.
	free chan *worker
}

// Sequence is a sequence of tokens that do not see those of other sequences. Sequences of a batch that begin with the same
// tokens share their computation.
type Sequence struct {
	// Tokens are the tokens of the sequence, prefix included. The last is predicted and never read.
	Tokens []int32
	// From is the first token whose loss is computed. It is at least 1: nothing precedes the first token.
	From int
}

// Read returns the number of tokens that are read.
func (s Sequence) Read() int { return len(s.Tokens) - 1 }

// New reads the weights of a checkpoint.
func New(ctx context.Context, c *checkpoint.Checkpoint, heap *tensor.Heap, o Options) (*Decoder, error) {
	if o.Processor == nil {
		o.Processor = NewProcessor()
	}
	d := &Decoder{architecture: c.Architecture(), heap: heap, free: make(chan *worker, o.Batches())}
	for range cap(d.free) {
		w, err := newWorker(o, len(d.workers))
		if err != nil {
			return nil, errors.Join(err, d.Close())
		}
		d.workers = append(d.workers, w)
		d.free <- w
	}
	for i, t := range d.workers[0].threads {
		err := t.do(func() error {
			r, err := loadRank(ctx, c, heap, o, i)
			if err == nil {
				d.ranks = append(d.ranks, r)
			}
			return err
		})()
		if err != nil {
			return nil, errors.Join(err, d.Close())
		}
	}
	return d, nil
}

// Close waits for what is computed, and frees the weights.
func (d *Decoder) Close() error {
	for range d.workers {
		(<-d.free).close()
	}
	d.workers = nil
	for _, r := range d.ranks {
		r.free()
	}
	d.ranks = nil
	return nil
}

// Predictions describes the tokens of sequences from From onward, one sequence after the other.
type Predictions struct {
	// Losses are in nats. They have the same bits whatever else is requested.
	Losses []float64
	// Confidence is empty unless it was requested.
	tensor.Confidence
	// Activations has an element for each sequence, or is empty unless it was requested.
	Activations []protocol.Activations
}

// Request is what is computed in addition to losses.
type Request struct {
	Confidence bool
	// TopK is the number of tokens of Confidence.TopKMass; 0: none. It requires Confidence.
	TopK int
	// ActivationThreshold is the magnitude from which on activations count; 0: none are computed.
	ActivationThreshold float64
}

// Predict computes predictions. The error tensor.ErrMemory means that fewer sequences at once may fit.
func (d *Decoder) Predict(ctx context.Context, sequences []Sequence, r Request) (p Predictions, err error) {
	b, err := d.batch(sequences, r)
	if err != nil {
		return p, err
	}
	if r.ActivationThreshold > 0 {
		p.Activations = d.unobserved(sequences)
	}
	if len(b.targets) == 0 {
		return p, nil
	}
	shards, err := d.logits(ctx, b)
	if err != nil {
		return p, err
	}
	p.Losses = pick(tensor.Losses(shards...), b.predictions)
	if r.Confidence {
		c := tensor.Confidences(b.targets, shards...)
		p.Confidence = tensor.Confidence{
			Top: pick(c.Top, b.predictions), TopNLL: pick(c.TopNLL, b.predictions), Ranks: pick(c.Ranks, b.predictions),
			Entropies: pick(c.Entropies, b.predictions), TopKMass: pick(c.TopKMass, b.predictions),
		}
	}
	for i, m := range b.magnitudes {
		activationsOf(m, b.threshold(), &p.Activations[b.sequences[i]])
	}
	return p, nil
}

// pick returns the elements with the given indices. Nothing has no elements.
func pick[E any](all []E, indices []int) []E {
	if len(all) == 0 {
		return all
	}
	picked := make([]E, len(indices))
	for i, index := range indices {
		picked[i] = all[index]
	}
	return picked
}

// logits returns the reduced logits of all ranks.
func (d *Decoder) logits(ctx context.Context, b *batch) ([]tensor.Partial, error) {
	w := <-d.free
	defer func() { d.free <- w }()
	w.collective.Reset()
	shards := make([]tensor.Partial, len(d.ranks))
	var once sync.Once
	var first error
	var waits []func() error
	for i, r := range d.ranks {
		waits = append(waits, w.threads[i].do(func() error {
			s := d.heap.NewScope()
			shards[i] = r.logits(ctx, s, b, w)
			err := s.Close()
			if err != nil && !errors.Is(err, errAborted) {
				once.Do(func() { first = err })
				w.collective.Abort()
			}
			return err
		}))
	}
	failed := false
	for _, wait := range waits {
		failed = wait() != nil || failed
	}
	if failed {
		return nil, errors.Join(first, ctx.Err())
	}
	return shards, nil
}
