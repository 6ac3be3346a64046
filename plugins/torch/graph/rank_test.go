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
	want := "tensorParallel: 3 ranks cannot share 14 heads with 2 key-value heads; possible are 1, 2"
	if err := a.Shardable(3); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	a.Layers[0].FFN = graph.Dense{Width: 14}
	if err := a.Shardable(14); err != nil {
		t.Error(err)
	}
}
