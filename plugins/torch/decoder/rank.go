//go:build torch

package decoder

import (
	"context"
	"math"
	"slices"

	"surprisal.dev/plugins/torch/checkpoint"
	"surprisal.dev/plugins/torch/tensor"
)

// LogitRows is how many rows of logits exist at a time.
const LogitRows = 2048

// LogitColumns returns how many columns of logits exist at a time. With LogitRows, the number of logits fits a
// processor's caches, and keeps a GPU busy.
func LogitColumns(d tensor.Device) int64 {
	if d == tensor.CPU {
		return 2048
	}
	return 1 << 16
}

// rank is one rank's share of a decoder's weights.
type rank struct {
	architecture checkpoint.Architecture
	kind         tensor.Type
	device       tensor.Device
	index, ranks int
	heap         *tensor.Heap
	thread       thread
	owned        []tensor.Tensor

	embedding, scale, positions tensor.Tensor
	norm                        affine
	layers                      []layer
	head                        tensor.Head
	ropeTables                  map[*checkpoint.Rope]ropeTable
}

// affine is a weight and an optional bias.
type affine struct{ weight, bias tensor.Tensor }

type layer struct {
	checkpoint.Layer
	attentionNorm, attentionPostNorm, mlpNorm, mlpPostNorm affine
	q, k, v, out                                           affine
	qNorm, kNorm                                           affine
	gate, up, down                                         affine
	heads                                                  heads
}

// heads are the attention heads of a rank: query heads from..to of all, and key heads keyFrom..keyTo.
type heads struct {
	from, to, keyFrom, keyTo int64
}

func (r *rank) free() {
	for _, t := range r.owned {
		r.heap.Free(t)
	}
	r.owned = nil
}

func (r *rank) logits(ctx context.Context, s *tensor.Scope, b *batch, c Collective) tensor.Partial {
	return s.Logits(r.hidden(ctx, s, b, c), r.head, b.targets)
}

// hidden returns the last hidden states, normalized, of the rows whose next token is scored.
func (r *rank) hidden(ctx context.Context, s *tensor.Scope, b *batch, c Collective) tensor.Tensor {
	x := s.Rows(r.embedding, r.indices(s, b.tokens))
	if !r.scale.IsNone() {
		x = s.Multiply(x, r.scale)
	}
	if !r.positions.IsNone() {
		x = s.Add(x, s.Rows(r.positions, r.indices(s, b.positions)))
	}
	in := r.place(s, b)
	mark := s.Mark()
	for i := range r.layers {
		if err := ctx.Err(); err != nil {
			s.Fail(err)
			return tensor.Tensor{}
		}
		x = r.block(s, &r.layers[i], x, in, c)
		s.FreeTo(mark, x)
	}
	if len(b.rows) < len(b.tokens) {
		x = s.Rows(x, r.indices(s, b.rows))
	}
	return r.normalize(s, x, r.norm)
}

func (r *rank) block(s *tensor.Scope, l *layer, x tensor.Tensor, p batchContext, c Collective) tensor.Tensor {
	mark := s.Mark()
	in := x
	if l.PreNorm {
		in = r.normalize(s, x, l.attentionNorm)
	}
	attended := r.attention(s, l, in, p, c)
	if l.PostNorm {
		attended = r.normalize(s, attended, l.attentionPostNorm)
	}
	sum := s.Add(x, attended)
	s.FreeTo(mark, sum)
	in = sum
	if l.Parallel {
		in = x
	}
	if l.PreNorm {
		in = r.normalize(s, in, l.mlpNorm)
	}
	out := r.mlp(s, l, in, c)
	if l.PostNorm {
		out = r.normalize(s, out, l.mlpPostNorm)
	}
	return s.Add(sum, out)
}

func (r *rank) normalize(s *tensor.Scope, x tensor.Tensor, n affine) tensor.Tensor {
	norm := r.architecture.Norm
	if norm.Kind == checkpoint.LayerNorm {
		return s.LayerNorm(x, n.weight, n.bias, norm.Epsilon)
	}
	return s.RMSNorm(x, n.weight, tensor.RMSNormOptions{Epsilon: norm.Epsilon, AddOne: norm.AddOne, Float32Product: norm.Float32Product})
}

func (r *rank) attention(s *tensor.Scope, l *layer, x tensor.Tensor, p batchContext, c Collective) tensor.Tensor {
	a, h := l.Attention, l.heads
	size, tokens := int64(a.HeadSize), p.tokens
	q, k, v := s.Linear(x, l.q.weight, l.q.bias), s.Linear(x, l.k.weight, l.k.bias), s.Linear(x, l.v.weight, l.v.bias)
	if a.QKNorm == checkpoint.FullQKNorm {
		q, k = r.normalize(s, q, l.qNorm), r.normalize(s, k, l.kNorm)
		if r.ranks > 1 {
			q = s.Contiguous(s.Narrow(q, 1, h.from*size, (h.to-h.from)*size))
			k = s.Contiguous(s.Narrow(k, 1, h.keyFrom*size, (h.keyTo-h.keyFrom)*size))
		}
	}
	q, k = s.View(q, tokens, h.to-h.from, size), s.View(k, tokens, h.keyTo-h.keyFrom, size)
	v = s.View(v, tokens, h.keyTo-h.keyFrom, size)
	if a.QKNorm == checkpoint.HeadQKNorm {
		q, k = r.normalize(s, q, l.qNorm), r.normalize(s, k, l.kNorm)
	}
	if a.Rope != nil {
		t := p.rotary[a.Rope]
		s.ApplyRoPE(q, t.cosines, t.sines, false)
		s.ApplyRoPE(k, t.cosines, t.sines, false)
	}
	out := s.Attention(q, k, v, p.sequences, tensor.AttentionOptions{Scale: a.Scale, Window: int64(a.Window)})
	return r.sum(s, s.View(out, tokens, (h.to-h.from)*size), l.out, c)
}

func (r *rank) mlp(s *tensor.Scope, l *layer, x tensor.Tensor, c Collective) tensor.Tensor {
	up := s.Linear(x, l.up.weight, l.up.bias)
	if !l.MLP.Gated {
		s.Activate(up, tensor.Tensor{}, activations[l.MLP.Activation], false)
		return r.sum(s, up, l.down, c)
	}
	gate := s.Linear(x, l.gate.weight, l.gate.bias)
	s.Activate(gate, up, activations[l.MLP.Activation], false)
	return r.sum(s, gate, l.down, c)
}

var activations = map[checkpoint.Activation]tensor.Activation{
	checkpoint.SiLU: tensor.SiLU, checkpoint.GELUTanh: tensor.GELUTanh, checkpoint.GELU: tensor.GELU,
}

// sum is a product with a matrix whose columns are divided among the ranks.
func (r *rank) sum(s *tensor.Scope, x tensor.Tensor, m affine, c Collective) tensor.Tensor {
	if r.ranks == 1 {
		return s.Linear(x, m.weight, m.bias)
	}
	x = c.AllReduce(r.index, s, s.Linear(x, m.weight, tensor.Tensor{}))
	if m.bias.IsNone() {
		return x
	}
	return s.Add(x, m.bias)
}

// batchContext is the data of a batch that layers need, on the rank's device.
type batchContext struct {
	tokens    int64
	sequences tensor.Sequences
	rotary    map[*checkpoint.Rope]rotary
}

// rotary holds the cosines and sines of a batch's positions, float32 [tokens, half the rotated size].
type rotary struct{ cosines, sines tensor.Tensor }

func (r *rank) place(s *tensor.Scope, b *batch) batchContext {
	p := batchContext{int64(len(b.tokens)), tensor.NewSequences(s, b.ends, r.device), map[*checkpoint.Rope]rotary{}}
	positions := tensor.Tensor{}
	for i := range r.layers {
		rope := r.layers[i].Attention.Rope
		if rope == nil {
			continue
		}
		if _, done := p.rotary[rope]; done {
			continue
		}
		if positions.IsNone() {
			positions = r.indices(s, b.positions)
		}
		n, half := int(slices.Max(b.positions)+1), len(rope.InverseFrequencies)
		table := r.ropeTables[rope].grown(rope, n)
		r.ropeTables[rope] = table
		rows := func(all []float32) tensor.Tensor {
			t := tensor.New(s, all[:n*half], tensor.Float32, int64(n), int64(half))
			return s.Rows(r.onDevice(s, t, tensor.Float32), positions)
		}
		p.rotary[rope] = rotary{rows(table.cosines), rows(table.sines)}
	}
	return p
}

// ropeTable holds the cosines and sines of the first positions, one after the other.
type ropeTable struct{ cosines, sines []float32 }

// grown returns the table extended to at least n positions.
func (t ropeTable) grown(rope *checkpoint.Rope, n int) ropeTable {
	half := len(rope.InverseFrequencies)
	for position := len(t.cosines) / max(half, 1); position < n; position++ {
		for _, frequency := range rope.InverseFrequencies {
			sine, cosine := math.Sincos(float64(float32(position) * frequency))
			t.cosines, t.sines = append(t.cosines, float32(cosine*rope.Factor)), append(t.sines, float32(sine*rope.Factor))
		}
	}
	return t
}

func (r *rank) indices(s *tensor.Scope, values []int64) tensor.Tensor {
	return r.onDevice(s, tensor.New(s, values, tensor.Int64, int64(len(values))), tensor.Int64)
}

func (r *rank) onDevice(s *tensor.Scope, t tensor.Tensor, kind tensor.Type) tensor.Tensor {
	if r.device == tensor.CPU {
		return t
	}
	return s.To(t, kind, r.device)
}
