package checkpoint

import (
	"iter"
	"strconv"
	"strings"
)

// part is a weight of the graph.
type part struct {
	// key is the canonical name without ".weight", with N in place of the layer's number, which is layer.
	key   string
	layer int
	shape []int64
}

// name replaces N in a name by the layer's number.
func (p part) name(pattern string) string {
	return strings.Replace(pattern, "N", strconv.Itoa(p.layer), 1)
}

// parts yields all weights of the graph, without biases.
func (a Architecture) parts() iter.Seq[part] {
	return func(yield func(part) bool) {
		hidden := int64(a.Hidden)
		outer := []part{{key: "embedding", shape: []int64{int64(a.Vocabulary), hidden}}, {key: "norm", shape: []int64{hidden}}}
		if a.Positions > 0 {
			outer = append(outer, part{key: "positions", shape: []int64{int64(a.Positions), hidden}})
		}
		if !a.TiedHead {
			outer = append(outer, part{key: "head", shape: []int64{int64(a.Vocabulary), hidden}})
		}
		for _, p := range outer {
			if !yield(p) {
				return
			}
		}
		for n, l := range a.Layers {
			at := l.Attention
			headSize, width := int64(at.HeadSize), int64(l.MLP.Width)
			queries, keys := int64(at.Heads)*headSize, int64(at.KVHeads)*headSize
			inner := []part{
				{key: "layers.N.attention.q", shape: []int64{queries, hidden}},
				{key: "layers.N.attention.k", shape: []int64{keys, hidden}},
				{key: "layers.N.attention.v", shape: []int64{keys, hidden}},
				{key: "layers.N.attention.out", shape: []int64{hidden, queries}},
				{key: "layers.N.mlp.up", shape: []int64{width, hidden}},
				{key: "layers.N.mlp.down", shape: []int64{hidden, width}},
			}
			add := func(condition bool, key string, shape ...int64) {
				if condition {
					inner = append(inner, part{key: "layers.N." + key, shape: shape})
				}
			}
			add(l.MLP.Gated, "mlp.gate", width, hidden)
			add(l.PreNorm, "attention.norm", hidden)
			add(l.PreNorm, "mlp.norm", hidden)
			add(l.PostNorm, "attention.postnorm", hidden)
			add(l.PostNorm, "mlp.postnorm", hidden)
			switch at.QKNorm {
			case HeadQKNorm:
				add(true, "attention.qnorm", headSize)
				add(true, "attention.knorm", headSize)
			case FullQKNorm:
				add(true, "attention.qnorm", queries)
				add(true, "attention.knorm", keys)
			}
			for _, p := range inner {
				p.layer = n
				if !yield(p) {
					return
				}
			}
		}
	}
}
