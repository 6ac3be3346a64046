//go:build torch

package decoder

import (
	"surprisal.dev/plugins/torch/graph"
	"surprisal.dev/plugins/torch/tensor"
)

// attention is graph.Attention with the weights of a rank.
type attention struct {
	graph.Attention
	q, k, v, out affine
	qNorm, kNorm affine
	// queries and keys are the heads of the rank.
	queries, keys graph.Span
	// rope is nil if nothing is rotated.
	rope *ropeTable
}

func (l *loader) attention(prefix string, described graph.Attention) *attention {
	prefix += "attention."
	a := &attention{Attention: described, q: l.affine(prefix + "q"), k: l.affine(prefix + "k"), v: l.affine(prefix + "v"), out: l.affine(prefix + "out")}
	if described.QKNorm != graph.NoQKNorm {
		a.qNorm, a.kNorm = l.affine(prefix+"qnorm"), l.affine(prefix+"knorm")
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
	q := s.Linear(x, a.q.weight, a.q.bias) // [tokens, queries*size]; with FullQKNorm, of all ranks' queries
	k := s.Linear(x, a.k.weight, a.k.bias) // [tokens, keys*size]; with FullQKNorm, of all ranks' keys
	v := s.Linear(x, a.v.weight, a.v.bias) // [tokens, keys*size]
	if a.QKNorm == graph.FullQKNorm {
		q, k = r.normalize(s, q, a.qNorm), r.normalize(s, k, a.kNorm)
		if r.Count > 1 {
			q = s.Contiguous(s.Narrow(q, 1, a.queries.From*size, queries*size)) // [tokens, queries*size]
			k = s.Contiguous(s.Narrow(k, 1, a.keys.From*size, keys*size))       // [tokens, keys*size]
		}
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
	mixed := s.Attention(q, k, v, in.sequences, tensor.AttentionOptions{Scale: a.Scale, Window: int64(a.Window)}) // [tokens, queries, size]
	return r.rowParallel(s, s.View(mixed, in.tokens, queries*size), a.out, y, c)                                  // [tokens, hidden]
}
