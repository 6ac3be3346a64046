package graph_test

import (
	"testing"

	"surprisal.dev/plugins/torch/graph"
)

func TestShardable(t *testing.T) {
	a := graph.Architecture{Layers: []graph.Layer{{Mixer: graph.Attention{Heads: 14, KVHeads: 2}, FFN: graph.Dense{Width: 12}}}}
	for ranks, want := range map[int]bool{1: true, 2: true, 3: false, 4: false, 7: false, 14: false} {
		if err := a.Shardable(ranks); (err == nil) != want {
			t.Errorf("%d ranks: %v", ranks, err)
		}
	}
	a.Layers[0].FFN = graph.Dense{Width: 14}
	if err := a.Shardable(14); err != nil {
		t.Error(err)
	}
}
