//go:build torch

package decoder

import (
	"math"

	"surprisal.dev/plugins/torch/graph"
	"surprisal.dev/plugins/torch/tensor"
)

// attention is graph.Attention with the weights of a rank.
type attention struct {
	graph.Attention
	// qkv has the rows of q, k and v.
	qkv, out     affine
	qNorm, kNorm affine
	sinks        tensor.Tensor
	// queries and keys are the heads of the rank.
	queries, keys graph.Span
	// rope is nil if nothing is rotated.
	rope *ropeTable
}

func (l *loader) attention(prefix string, described graph.Attention) *attention {
	prefix += "attention."
	a := &attention{Attention: described, qkv: l.product(prefix + "qkv"), out: l.affine(prefix + "out")}
	switch described.QKNorm {
	case graph.NoQKNorm:
	case graph.UnitQKNorm:
		a.qNorm = affine{weight: l.ones(int64(described.HeadSize))}
		a.kNorm = a.qNorm
	default:
		a.qNorm, a.kNorm = l.affine(prefix+"qnorm"), l.affine(prefix+"knorm")
	}
	if described.Sinks {
		a.sinks = l.weight(prefix + "sinks")
	}
	a.queries, a.keys = described.Share(l.to.Rank)
	if described.Rope != nil {
		a.rope = l.rope(described.Rope)
	}
	return a
}

// forward lets each token see those before it in its sequence. The comments give shapes, where queries and keys are the
// numbers of the rank's heads, and size is that of a head.
func (a *attention) forward(r *rank, s *tensor.Scope, x, y tensor.Tensor, in prepared, c Collective) tensor.Tensor {
	size, queries, keys := int64(a.HeadSize), a.queries.Len(), a.keys.Len()
	qkv := s.Linear(x, a.qkv.weight, a.qkv.bias) // [tokens, columns of q, k and v]
	var q, k, v tensor.Tensor
	if a.QKNorm == graph.FullQKNorm {
		allQueries, allKeys := int64(a.Heads)*size, int64(a.KVHeads)*size
		q = r.normalize(s, s.Narrow(qkv, 1, 0, allQueries), a.qNorm)       // [tokens, all ranks' queries*size]
		k = r.normalize(s, s.Narrow(qkv, 1, allQueries, allKeys), a.kNorm) // [tokens, all ranks' keys*size]
		q = s.Narrow(q, 1, a.queries.From*size, queries*size)              // [tokens, queries*size]
		k = s.Narrow(k, 1, a.keys.From*size, keys*size)                    // [tokens, keys*size]
		v = s.Narrow(qkv, 1, allQueries+allKeys, keys*size)                // [tokens, keys*size]
	} else {
		q = s.Narrow(qkv, 1, 0, queries*size)                // [tokens, queries*size]
		k = s.Narrow(qkv, 1, queries*size, keys*size)        // [tokens, keys*size]
		v = s.Narrow(qkv, 1, (queries+keys)*size, keys*size) // [tokens, keys*size]
	}
	q = s.View(q, in.tokens, queries, size) // [tokens, queries, size]
	k = s.View(k, in.tokens, keys, size)    // [tokens, keys, size]
	v = s.View(v, in.tokens, keys, size)    // [tokens, keys, size]
	if a.QKNorm == graph.HeadQKNorm || a.QKNorm == graph.UnitQKNorm {
		q, k = r.normalize(s, q, a.qNorm), r.normalize(s, k, a.kNorm)
	}
	if a.rope != nil {
		angles := in.rotations[a.rope]
		s.ApplyRoPE(q, angles.cosines, angles.sines, false)
		s.ApplyRoPE(k, angles.cosines, angles.sines, false)
	}
	if a.Temperature != nil {
		q = r.temper(s, q, in, *a.Temperature)
	}
	sequences := in.sequences
	if a.Chunk > 0 {
		sequences = tensor.NewSequences(s, chunks(in.ends, int64(a.Chunk)), r.device)
	}
	o := tensor.AttentionOptions{Scale: a.Scale, Window: int64(a.Window), Sinks: a.sinks}
	mixed := s.Attention(q, k, v, sequences, o) // [tokens, queries, size]
	if a.OutputGate {
		gate := s.Narrow(qkv, 1, (queries+2*keys)*size, queries*size)          // [tokens, queries*size]
		mixed = s.ScaleBySigmoid(s.View(mixed, in.tokens, queries*size), gate) // [tokens, queries*size]
	}
	return r.rowParallel(s, s.View(mixed, in.tokens, queries*size), a.out, y, c) // [tokens, hidden]
}

// chunks returns the ends of sequences that are divided at multiples of size.
func chunks(ends []int64, size int64) []int64 {
	var all []int64
	from := int64(0)
	for _, end := range ends {
		for at := from + size; at < end; at += size {
			all = append(all, at)
		}
		all, from = append(all, end), end
	}
	return all
}

// temper returns the queries [tokens, heads, size] times the factors of their positions, computed in float32.
func (r *rank) temper(s *tensor.Scope, q tensor.Tensor, in prepared, t graph.Temperature) tensor.Tensor {
	factors := make([]float32, len(in.positions))
	changed := false
	for i, position := range in.positions {
		steps := math.Floor(float64(float32(position+1) / float32(t.Floor)))
		factors[i] = float32(float32(math.Log1p(steps))*float32(t.Scale)) + 1
		changed = changed || factors[i] != 1
	}
	if !changed {
		return q
	}
	column := r.onDevice(s, tensor.New(s, factors, tensor.Float32, in.tokens, 1, 1), tensor.Float32)
	return s.To(s.Multiply(q, column), r.kind, r.device)
}
