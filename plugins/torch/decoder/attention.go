//go:build torch

package decoder

import (
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
	if described.QKNorm != graph.NoQKNorm {
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
	if a.QKNorm == graph.HeadQKNorm {
		q, k = r.normalize(s, q, a.qNorm), r.normalize(s, k, a.kNorm)
	}
	if a.rope != nil {
		angles := in.rotations[a.rope]
		s.ApplyRoPE(q, angles.cosines, angles.sines, false)
		s.ApplyRoPE(k, angles.cosines, angles.sines, false)
	}
	o := tensor.AttentionOptions{Scale: a.Scale, Window: int64(a.Window), Sinks: a.sinks}
	mixed := s.Attention(q, k, v, in.sequences, o) // [tokens, queries, size]
	if a.OutputGate {
		gate := s.Narrow(qkv, 1, (queries+2*keys)*size, queries*size)          // [tokens, queries*size]
		mixed = s.ScaleBySigmoid(s.View(mixed, in.tokens, queries*size), gate) // [tokens, queries*size]
	}
	return r.rowParallel(s, s.View(mixed, in.tokens, queries*size), a.out, y, c) // [tokens, hidden]
}
