//go:build torch

package decoder

import (
	"context"
	"errors"
	"fmt"
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
	// Threads is the number of threads per operator; 0: one per core.
	Threads int
}

// Decoder computes losses. Only one goroutine may call its methods at a time.
type Decoder struct {
	architecture graph.Architecture
	heap         *tensor.Heap
	ranks        []*rank
	collective   Collective
}

// Sequence is a sequence of tokens that do not see those of other sequences.
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
	collective, err := newCollective(o.Devices)
	if err != nil {
		return nil, err
	}
	d := &Decoder{architecture: c.Architecture(), heap: heap, collective: collective}
	for i := range o.Devices {
		t := newThread(o.Threads)
		var r *rank
		err := t.do(func() (err error) {
			r, err = loadRank(ctx, c, heap, o, i)
			return err
		})()
		if err != nil {
			t.close()
			return nil, errors.Join(err, d.Close())
		}
		r.thread = t
		d.ranks = append(d.ranks, r)
	}
	return d, nil
}

// Close frees the weights.
func (d *Decoder) Close() error {
	for _, r := range d.ranks {
		r.thread.close()
		r.free()
	}
	d.ranks = nil
	d.collective.Close()
	return nil
}

// Predictions describes the tokens of sequences from From onward, one sequence after the other.
type Predictions struct {
	// Losses are in nats. They have the same bits whatever else is wanted.
	Losses []float64
	// Confidence is empty unless it was requested.
	tensor.Confidence
	// Activations has an element for each sequence, or is empty unless it was requested.
	Activations []protocol.Activations
}

// Wanted is what is computed in addition to losses.
type Wanted struct {
	Confidence bool
	// TopK is the number of tokens of Confidence.TopKMass; 0: none. It requires Confidence.
	TopK int
	// ActivationThreshold is the magnitude from which on activations count; 0: none are computed.
	ActivationThreshold float64
}

// Predict computes predictions. The error tensor.ErrMemory means that fewer sequences at once may fit.
func (d *Decoder) Predict(ctx context.Context, sequences []Sequence, w Wanted) (p Predictions, err error) {
	b, err := d.batch(sequences)
	if err != nil {
		return p, err
	}
	b.wanted = w
	if w.ActivationThreshold > 0 {
		p.Activations = d.unobserved(sequences)
	}
	if len(b.targets) == 0 {
		return p, nil
	}
	shards, err := d.logits(ctx, b)
	if err != nil {
		return p, err
	}
	p.Losses = tensor.Losses(shards...)
	if w.Confidence {
		p.Confidence = tensor.Confidences(b.targets, shards...)
	}
	for i, m := range b.magnitudes {
		activationsOf(m, b.threshold(), &p.Activations[b.sequences[i]])
	}
	return p, nil
}

// logits returns the reduced logits of all ranks.
func (d *Decoder) logits(ctx context.Context, b *batch) ([]tensor.Partial, error) {
	d.collective.Reset()
	shards := make([]tensor.Partial, len(d.ranks))
	var once sync.Once
	var first error
	var waits []func() error
	for i, r := range d.ranks {
		waits = append(waits, r.thread.do(func() error {
			s := d.heap.NewScope()
			shards[i] = r.logits(ctx, s, b, d.collective)
			err := s.Close()
			if err != nil && !errors.Is(err, errAborted) {
				once.Do(func() { first = err })
				d.collective.Abort()
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

// batch is the input of all ranks: sequences concatenated.
type batch struct {
	tokens    []int64
	positions []int64
	// ends has the index after the last row of each sequence that is read, and sequences its number.
	ends      []int64
	sequences []int
	// rows are the rows whose next token, in targets, is scored.
	rows, targets []int64
	wanted        Wanted
	// magnitudes are those of each sequence that is read, set by the first rank; nil if there are none.
	magnitudes []tensor.Magnitudes
}

func (d *Decoder) batch(sequences []Sequence) (*batch, error) {
	b := &batch{}
	vocabulary := d.architecture.Vocabulary
	for n, q := range sequences {
		if len(q.Tokens) < 2 {
			continue
		}
		if d.architecture.Positions > 0 && q.Read() > d.architecture.Positions {
			return nil, fmt.Errorf("a window of %d tokens exceeds the model's %d positions", q.Read(), d.architecture.Positions)
		}
		first := int64(len(b.tokens))
		for i, id := range q.Tokens {
			if id < 0 || int(id) >= vocabulary {
				return nil, fmt.Errorf("token id %d is outside the vocabulary of %d; the tokenizer may not be this model's", id, vocabulary)
			}
			if i < q.Read() {
				b.tokens = append(b.tokens, int64(id))
				b.positions = append(b.positions, int64(i))
			}
			if i >= max(q.From, 1) {
				b.rows = append(b.rows, first+int64(i)-1)
				b.targets = append(b.targets, int64(id))
			}
		}
		b.ends, b.sequences = append(b.ends, int64(len(b.tokens))), append(b.sequences, n)
	}
	return b, nil
}
