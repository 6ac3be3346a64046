package graph_test

import (
	"testing"

	"surprisal.dev/plugins/torch/graph"
)

// oneLayer has 4 query and 2 key heads of 2: matrices q 64, k and v 32 each, out 64, gate, up and down 96 each; norms 8
// each.
func oneLayer(change func(*graph.Attention)) graph.Architecture {
	at := graph.Attention{Heads: 4, KVHeads: 2, HeadSize: 2}
	if change != nil {
		change(&at)
	}
	return graph.Architecture{
		Vocabulary: 10, Hidden: 8, TiedHead: true,
		Layers: []graph.Layer{{Mixer: at, FFN: graph.Dense{Width: 12, Gated: true}, PreNorm: true}},
	}
}

// cost estimates 16 tokens in sequences of 4.
func cost(t *testing.T, a graph.Architecture, w graph.Workload) graph.Cost {
	t.Helper()
	w.Context, w.Tokens, w.Logits = 4, 16, 50
	c, err := a.Estimate(w)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const matrices, keys, values, embedding, norms = 64 + 32 + 32 + 64 + 3*96, 32, 32, 80, 3 * 8

func TestEstimate(t *testing.T) {
	a := oneLayer(nil)
	got := cost(t, a, graph.Workload{Ranks: 1, ElementBytes: 2})
	weights, activations, logits := int64(2*(matrices+embedding)+4*norms), int64(16*(4*8+3*12)*2), int64(50*4)
	equal(t, "cost", got, graph.Cost{
		Weights: weights, Activations: activations, Logits: logits, Peak: weights + logits + activations,
		// Queries of a context of 4 see 2.5 keys on average.
		FLOPsPerToken: 2*(matrices+embedding) + 4*8*2.5,
	})

	packed := cost(t, a, graph.Workload{Ranks: 1, ElementBytes: 2, PackedHead: true})
	equal(t, "a packed head", packed.Copies, int64(2*embedding))
	equal(t, "peak with a packed head", packed.Peak, got.Peak+2*embedding)
	widened := cost(t, a, graph.Workload{Ranks: 1, ElementBytes: 2, WidenedRows: 3})
	equal(t, "peak with gate and up in float32", widened.Peak, got.Peak+4*(2*96+3*(8+2*12)))

	sparse := oneLayer(nil)
	sparse.Layers[0].FFN = graph.Experts{Count: 4, Active: 2, Width: 16}
	single, together := graph.Workload{Ranks: 1, ElementBytes: 2}, graph.Workload{Ranks: 1, ElementBytes: 2, GroupedRows: 20}
	equal(t, "peak with 20 rows of experts at a time", cost(t, sparse, together).Peak, cost(t, sparse, single).Peak+20*(6*8+3*16)*2)
	together.GroupedRows = 100 // 16 tokens have 32 rows
	equal(t, "peak with all rows of experts at a time", cost(t, sparse, together).Peak, cost(t, sparse, single).Peak+32*(6*8+3*16)*2)

	// With a window of 2, the four queries see 1, 2, 2 and 2 keys.
	windowed := cost(t, oneLayer(func(at *graph.Attention) { at.Window = 2 }), graph.Workload{Ranks: 1, ElementBytes: 4})
	equal(t, "operations within a window", windowed.FLOPsPerToken, 2*(matrices+embedding)+4*8*7.0/4)
	equal(t, "weights in float32", windowed.Weights, int64(4*(matrices+embedding+norms)))

	observed := cost(t, a, graph.Workload{Ranks: 1, ElementBytes: 2, Observed: true})
	// A float32 and two bytes for each token, and a float32 and a word of 32 sites for each sequence of two.
	equal(t, "peak with observed sites", observed.Peak, got.Peak+16*8*(4+2)+8*8*(4+4))

	if _, err := a.Estimate(graph.Workload{Context: 4, Tokens: 16, Logits: 50, Ranks: 1, ElementBytes: 0}); err == nil {
		t.Error("a workload computes without elements")
	}
}

func TestEstimateOfRanks(t *testing.T) {
	a := oneLayer(nil)
	two := cost(t, a, graph.Workload{Ranks: 2, ElementBytes: 2})
	equal(t, "weights of two ranks", two.Weights, int64(2*(matrices+2*embedding)+4*2*norms))
	equal(t, "activations of two ranks", two.Activations, int64(16*(2*4*8+3*12)*2+16*8*2*2*4))

	full := cost(t, oneLayer(func(at *graph.Attention) { at.QKNorm = graph.FullQKNorm }), graph.Workload{Ranks: 2, ElementBytes: 2})
	const queriesAndKeys, theirNorms = 64 + keys, 8 + 4
	equal(t, "weights of two ranks that norm all heads", full.Weights, two.Weights+2*queriesAndKeys+4*2*theirNorms)

	// Of four ranks, two each hold the same key-value head.
	four := cost(t, a, graph.Workload{Ranks: 4, ElementBytes: 2})
	equal(t, "weights of four ranks", four.Weights, int64(2*(matrices+keys+values+4*embedding)+4*4*norms))
}
