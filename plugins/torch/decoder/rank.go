//go:build torch

package decoder

import (
	"context"
	"math"

	"surprisal.dev/plugins/torch/checkpoint"
	"surprisal.dev/plugins/torch/tensor"
)

// LogitRows is how many rows of logits exist at a time.
const LogitRows = 2048

// LogitColumns returns how many columns of logits exist at a time: with LogitRows as many logits as the caches of a processor hold,
// and enough to keep a GPU busy.
func LogitColumns(d tensor.Device) int64 {
	if d == tensor.CPU {
		return 2048
	}
	return 1 << 16
}

// rank is one rank's share of a decoder's weights.
type rank struct {
	architecture checkpoint.Architecture
	options      Options
	index        int
	heap         *tensor.Heap
	thread       thread
	owned        []tensor.Tensor

	embedding, scale, positions tensor.Tensor
	norm                        affine
	layers                      []layer
	head                        tensor.Head
}

// affine is a weight and a bias, which may be none.
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

// hidden returns the last hidden states, normalised, of the rows whose next token is scored.
func (r *rank) hidden(ctx context.Context, s *tensor.Scope, b *batch, c Collective) tensor.Tensor {
	place := func(values []int64) tensor.Tensor {
		t := tensor.New(s, values, tensor.Int64, int64(len(values)))
		if r.options.Device != tensor.CPU {
			t = s.To(t, tensor.Int64, r.options.Device)
		}
		return t
	}
	x := s.Rows(r.embedding, place(b.tokens))
	if !r.scale.IsNone() {
		x = s.Multiply(x, r.scale)
	}
	if !r.positions.IsNone() {
		x = s.Add(x, s.Rows(r.positions, place(b.positions)))
	}
	turns := turns{of: map[*checkpoint.Rope][2]tensor.Tensor{}}
	for i := range r.layers {
		turns.prepare(s, r.layers[i].Attention.Rope, b.positions, r.options.Device)
	}
	mark := s.Mark()
	for i := range r.layers {
		if err := ctx.Err(); err != nil {
			s.Fail(err)
			return tensor.Tensor{}
		}
		x = r.block(s, &r.layers[i], x, b, turns, c)
		s.FreeTo(mark, x)
	}
	if len(b.rows) < len(b.tokens) {
		x = s.Rows(x, place(b.rows))
	}
	return r.normalise(s, x, r.norm)
}

func (r *rank) block(s *tensor.Scope, l *layer, x tensor.Tensor, b *batch, t turns, c Collective) tensor.Tensor {
	mark := s.Mark()
	in := x
	if l.PreNorm {
		in = r.normalise(s, x, l.attentionNorm)
	}
	attended := r.attention(s, l, in, b, t, c)
	if l.PostNorm {
		attended = r.normalise(s, attended, l.attentionPostNorm)
	}
	sum := s.Add(x, attended)
	s.FreeTo(mark, sum)
	in = sum
	if l.Parallel {
		in = x
	}
	if l.PreNorm {
		in = r.normalise(s, in, l.mlpNorm)
	}
	out := r.mlp(s, l, in, c)
	if l.PostNorm {
		out = r.normalise(s, out, l.mlpPostNorm)
	}
	return s.Add(sum, out)
}

func (r *rank) normalise(s *tensor.Scope, x tensor.Tensor, n affine) tensor.Tensor {
	norm := r.architecture.Norm
	if norm.Kind == checkpoint.LayerNorm {
		return s.LayerNorm(x, n.weight, n.bias, norm.Epsilon)
	}
	return s.RMSNormalise(x, n.weight, tensor.RMSNorm{Epsilon: norm.Epsilon, AddOne: norm.AddOne, Float32Product: norm.Float32Product})
}

func (r *rank) attention(s *tensor.Scope, l *layer, x tensor.Tensor, b *batch, t turns, c Collective) tensor.Tensor {
	a, h := l.Attention, l.heads
	size, tokens := int64(a.HeadSize), int64(len(b.tokens))
	q, k, v := s.Linear(x, l.q.weight, l.q.bias), s.Linear(x, l.k.weight, l.k.bias), s.Linear(x, l.v.weight, l.v.bias)
	if a.QKNorm == checkpoint.FullQKNorm {
		q, k = r.normalise(s, q, l.qNorm), r.normalise(s, k, l.kNorm)
		if r.options.Ranks > 1 {
			q = s.Contiguous(s.Narrow(q, 1, h.from*size, (h.to-h.from)*size))
			k = s.Contiguous(s.Narrow(k, 1, h.keyFrom*size, (h.keyTo-h.keyFrom)*size))
		}
	}
	q, k = s.View(q, tokens, h.to-h.from, size), s.View(k, tokens, h.keyTo-h.keyFrom, size)
	v = s.View(v, tokens, h.keyTo-h.keyFrom, size)
	if a.QKNorm == checkpoint.HeadQKNorm {
		q, k = r.normalise(s, q, l.qNorm), r.normalise(s, k, l.kNorm)
	}
	if a.Rope != nil {
		turn := t.of[a.Rope]
		s.Rotate(q, turn[0], turn[1])
		s.Rotate(k, turn[0], turn[1])
	}
	out := s.Attend(q, k, v, b.ends, tensor.Attention{Scale: a.Scale, Window: int64(a.Window)})
	return r.sum(s, s.View(out, tokens, (h.to-h.from)*size), l.out, c)
}

func (r *rank) mlp(s *tensor.Scope, l *layer, x tensor.Tensor, c Collective) tensor.Tensor {
	up := s.Linear(x, l.up.weight, l.up.bias)
	if !l.MLP.Gated {
		return r.sum(s, activate(s, up, l.MLP.Activation), l.down, c)
	}
	gate := s.Linear(x, l.gate.weight, l.gate.bias)
	if l.MLP.Activation == checkpoint.GELU {
		gate = s.Multiply(s.GELU(gate, false), up)
	} else {
		s.Gate(gate, up, l.MLP.Activation == checkpoint.GELUTanh, false)
	}
	return r.sum(s, gate, l.down, c)
}

// sum is a product with a matrix of which each rank has some columns.
func (r *rank) sum(s *tensor.Scope, x tensor.Tensor, m affine, c Collective) tensor.Tensor {
	if r.options.Ranks == 1 {
		return s.Linear(x, m.weight, m.bias)
	}
	x = c.AllReduce(r.index, s, s.Linear(x, m.weight, tensor.Tensor{}))
	if m.bias.IsNone() {
		return x
	}
	return s.Add(x, m.bias)
}

func activate(s *tensor.Scope, x tensor.Tensor, a checkpoint.Activation) tensor.Tensor {
	switch a {
	case checkpoint.GELU:
		return s.GELU(x, false)
	case checkpoint.GELUTanh:
		return s.GELU(x, true)
	default:
		return s.SiLU(x)
	}
}

// turns are the cosines and sines of a batch's positions for each of the model's rotations.
type turns struct {
	of map[*checkpoint.Rope][2]tensor.Tensor
}

func (t turns) prepare(s *tensor.Scope, rope *checkpoint.Rope, positions []int64, d tensor.Device) {
	if rope == nil {
		return
	}
	if _, done := t.of[rope]; done {
		return
	}
	half := len(rope.InverseFrequencies)
	n := len(positions) * half
	cosines, sines := make([]float32, n), make([]float32, n)
	for i, position := range positions {
		for j, frequency := range rope.InverseFrequencies {
			sine, cosine := math.Sincos(float64(float32(position) * frequency))
			cosines[i*half+j], sines[i*half+j] = float32(cosine*rope.Factor), float32(sine*rope.Factor)
		}
	}
	place := func(values []float32) tensor.Tensor {
		x := tensor.New(s, values, tensor.Float32, int64(len(positions)), int64(half))
		if d != tensor.CPU {
			x = s.To(x, tensor.Float32, d)
		}
		return x
	}
	t.of[rope] = [2]tensor.Tensor{place(cosines), place(sines)}
}
