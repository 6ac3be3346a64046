package graph_test

import (
	"testing"

	"surprisal.dev/plugins/torch/graph"
)

func TestEstimate(t *testing.T) {
	// One layer, 4 query and 2 key heads of 2: matrices q 64, k and v 32 each, out 64, gate, up and down 96 each; norms 8 each.
	a := graph.Architecture{
		Vocabulary: 10, Hidden: 8, TiedHead: true,
		Layers: []graph.Layer{{
			Mixer: graph.Attention{Heads: 4, KVHeads: 2, HeadSize: 2}, PreNorm: true,
			FFN: graph.Dense{Width: 12, Gated: true},
		}},
	}
	const matrices, embedding, norms = 64 + 32 + 32 + 64 + 3*96, 80, 3 * 8
	got, err := a.Estimate(graph.Workload{Context: 4, Tokens: 16, Logits: 50, Ranks: 1, ElementBytes: 2})
	if err != nil {
		t.Fatal(err)
	}
	weights, activations, logits := int64(2*(matrices+embedding+norms)), int64(16*(4*8+2*12)*2), int64(50*2)
	equal(t, "cost", got, graph.Cost{
		Weights: weights, Activations: activations, Logits: logits, Peak: weights + logits + activations,
		// Queries of a context of 4 see 2.5 keys on average.
		FLOPsPerToken: 2*(matrices+embedding) + 4*8*2.5,
	})

	packed, err := a.Estimate(graph.Workload{Context: 4, Tokens: 16, Logits: 50, Ranks: 1, ElementBytes: 2, PackedHead: true})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "a packed head", packed.Copies, int64(2*embedding))
	equal(t, "peak with a packed head", packed.Peak, got.Peak+2*embedding)

	widened, err := a.Estimate(graph.Workload{Context: 4, Tokens: 16, Logits: 50, Ranks: 1, ElementBytes: 2, WidenedRows: 3})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "peak with gate, up or down in float32", widened.Peak, got.Peak+4*(96+3*(8+12)))

	// With a window of 2, the four queries see 1, 2, 2 and 2 keys.
	a.Layers[0].Mixer = graph.Attention{Heads: 4, KVHeads: 2, HeadSize: 2, Window: 2}
	windowed, err := a.Estimate(graph.Workload{Context: 4, Tokens: 16, Logits: 50, Ranks: 1, ElementBytes: 4})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "operations within a window", windowed.FLOPsPerToken, 2*(matrices+embedding)+4*8*7.0/4)
	equal(t, "weights in float32", windowed.Weights, 2*weights)

	sharded, err := a.Estimate(graph.Workload{Context: 4, Tokens: 16, Logits: 50, Ranks: 2, ElementBytes: 2})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "weights of two ranks", sharded.Weights, int64(2*(matrices+2*embedding+2*norms)))
	equal(t, "activations of two ranks", sharded.Activations, int64(16*(2*4*8+2*12)*2))
	a.Layers[0].Mixer = graph.Attention{Heads: 4, KVHeads: 2, HeadSize: 2, Window: 2, QKNorm: graph.FullQKNorm}
	full, err := a.Estimate(graph.Workload{Context: 4, Tokens: 16, Logits: 50, Ranks: 2, ElementBytes: 2})
	if err != nil {
		t.Fatal(err)
	}
	const queriesAndKeys, theirNorms = 64 + 32, 8 + 4
	equal(t, "weights of two ranks that norm all heads", full.Weights, sharded.Weights+2*(queriesAndKeys+2*theirNorms))

	if _, err := a.Estimate(graph.Workload{Context: 4, Tokens: 16, Logits: 50, Ranks: 1, ElementBytes: 0}); err == nil {
		t.Error("a workload computes without elements")
	}
}
