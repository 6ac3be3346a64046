//go:build torch

package decoder

import (
	"context"

	"surprisal.dev/plugins/torch/graph"
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
	graph.Rank
	architecture graph.Architecture
	kind         tensor.Type
	device       tensor.Device
	heap         *tensor.Heap
	owned        []tensor.Tensor

	embedding, scale, positions tensor.Tensor
	norm                        affine
	layers                      []layer
	head                        tensor.Head
	// ropes are the distinct rotations of all layers.
	ropes []*ropeTable
}

// affine is a weight and an optional bias.
type affine struct{ weight, bias tensor.Tensor }

type layer struct {
	graph.Layer
	mixer, ffn                 sublayer
	mixerNorm, ffnNorm         preNorm
	mixerPostNorm, ffnPostNorm affine
}

func (r *rank) free() {
	for _, t := range r.owned {
		r.heap.Free(t)
	}
	r.owned = nil
}

// logits returns the reduced logits of the rows whose next token is scored.
func (r *rank) logits(ctx context.Context, s *tensor.Scope, b *batch, w *worker) (all tensor.Partial) {
	x := r.hidden(ctx, s, b, w) // [scored rows, hidden]
	var targetLogits []float64
	if b.request.Confidence {
		targetLogits = w.collective.Max(r.Index, s, s.TargetLogits(x, r.head, b.targets))
	}
	rows := len(b.targets)
	if r.device == tensor.CPU {
		rows = w.headRows()
	}
	for from := 0; from < len(b.targets); from += rows {
		if err := ctx.Err(); err != nil {
			s.Fail(err)
		}
		if s.Err() != nil {
			return all
		}
		w.share()
		to := min(from+rows, len(b.targets))
		part, targets := s.Narrow(x, 0, int64(from), int64(to-from)), b.targets[from:to]
		if b.request.Confidence {
			o := tensor.ConfidenceOptions{TargetLogits: targetLogits[from:to], TopK: b.request.TopK}
			all.Append(s.ConfidentLogits(part, r.head, targets, o))
		} else {
			all.Append(s.Logits(part, r.head, targets))
		}
	}
	return all
}

// hidden returns the last hidden states [scored rows, hidden], normalized, of the rows whose next token is scored.
func (r *rank) hidden(ctx context.Context, s *tensor.Scope, b *batch, w *worker) tensor.Tensor {
	w.share()
	x := s.Rows(r.embedding, r.indices(s, b.tokens)) // [tokens, hidden]
	if !r.scale.IsNone() {
		x = s.Multiply(x, r.scale)
	}
	if !r.positions.IsNone() {
		x = s.Add(x, s.Rows(r.positions, r.indices(s, b.positions)))
	}
	in := r.prepare(s, b)
	mark := s.Mark()
	for i := range r.layers {
		if err := ctx.Err(); err != nil {
			s.Fail(err)
			return tensor.Tensor{}
		}
		w.share()
		x = r.block(s, &r.layers[i], x, in, w.collective)
		s.FreeTo(mark, x)
	}
	if in.observed != nil {
		b.magnitudes = s.Magnitudes(in.observed)
	}
	if !b.readsAll() {
		x = s.Rows(x, r.indices(s, b.rows)) // [scored rows, hidden]
	}
	return r.normalize(s, x, r.norm)
}

// block returns the residual stream after a layer. All tensors are [tokens, hidden].
func (r *rank) block(s *tensor.Scope, l *layer, x tensor.Tensor, in prepared, c Collective) tensor.Tensor {
	mark := s.Mark()
	input := x
	if l.PreNorm {
		input = r.normalizeInput(s, x, l.mixerNorm, in)
	}
	sum := r.residual(s, l, l.mixer, input, x, l.mixerPostNorm, in, c)
	s.FreeTo(mark, sum)
	input = sum
	if l.Parallel {
		input = x
	}
	if l.PreNorm {
		input = r.normalizeInput(s, input, l.ffnNorm, in)
	}
	return r.residual(s, l, l.ffn, input, sum, l.ffnPostNorm, in, c)
}

// residual returns stream plus the output of a sublayer for x. If a norm follows the sublayer, the norm's result is
// rounded before the sum is.
func (r *rank) residual(s *tensor.Scope, l *layer, f sublayer, x, stream tensor.Tensor, post affine, in prepared, c Collective) tensor.Tensor {
	if l.PostNorm {
		return s.Add(stream, r.normalize(s, f.forward(r, s, x, tensor.Tensor{}, in, c), post))
	}
	return f.forward(r, s, x, stream, in, c)
}

// normalize returns x with its last dimension normalized.
func (r *rank) normalize(s *tensor.Scope, x tensor.Tensor, n affine) tensor.Tensor {
	norm := r.architecture.Norm
	if norm.Kind == graph.LayerNorm {
		return s.LayerNorm(x, n.weight, n.bias, norm.Epsilon)
	}
	return s.RMSNorm(x, n.weight, tensor.RMSNormOptions{Epsilon: norm.Epsilon, AddOne: norm.AddOne})
}

// rowParallel returns x m^T plus the bias plus y, unless that is none, [tokens, outputs], for x [tokens, inputs of this
// rank] and m [outputs, inputs of this rank]: the ranks divide the inputs, and their products are summed (Shoeybi et al.,
// arXiv:1909.08053). Sums are float32 until the end, for one rank and for several.
func (r *rank) rowParallel(s *tensor.Scope, x tensor.Tensor, m affine, y tensor.Tensor, c Collective) tensor.Tensor {
	if r.Count == 1 {
		return s.LinearAdd(x, m.weight, m.bias, y)
	}
	sum := c.AllReduce(r.Index, s, s.LinearFloat32(x, m.weight))
	for _, more := range []tensor.Tensor{m.bias, y} {
		if !more.IsNone() {
			sum = s.Add(sum, more)
		}
	}
	return s.To(sum, r.kind, r.device)
}

// indices returns int64 values on the rank's device.
func (r *rank) indices(s *tensor.Scope, values []int64) tensor.Tensor {
	return r.onDevice(s, tensor.New(s, values, tensor.Int64, int64(len(values))), tensor.Int64)
}

func (r *rank) onDevice(s *tensor.Scope, t tensor.Tensor, kind tensor.Type) tensor.Tensor {
	if r.device == tensor.CPU {
		return t
	}
	return s.To(t, kind, r.device)
}
