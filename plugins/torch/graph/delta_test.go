package graph_test

import (
	"slices"
	"strings"
	"testing"

	"surprisal.dev/plugins/torch/graph"
)

// twoKeyHeads has 2 key heads of 3 elements with 2 value heads of 5 each: 2*3+10 = 16 channels a key head.
var twoKeyHeads = graph.GatedDelta{KeyHeads: 2, ValueHeads: 4, KeySize: 3, ValueSize: 5, Kernel: 4}

// TestGatedDelta checks the shapes of the delta rule, how ranks divide them, and what it costs.
func TestGatedDelta(t *testing.T) {
	shapes := map[string][2][]int64{
		"delta.in": {{52, 8}, {26, 8}}, "delta.rates": {{8, 8}, {4, 8}}, "delta.convolution": {{2, 16, 4}, {1, 16, 4}},
		"delta.decay": {{4}, {2}}, "delta.step": {{4}, {2}}, "delta.norm": {{5}, {5}}, "delta.out": {{8, 20}, {8, 10}},
	}
	for _, p := range twoKeyHeads.Parameters(8) {
		equal(t, p.Key, [2][]int64{p.Shape, p.Sharded(graph.Rank{Index: 1, Count: 2})}, shapes[p.Key])
		delete(shapes, p.Key)
	}
	equal(t, "parameters left", len(shapes), 0)
	// A state of 4*3*5 elements, and 32 channels of 4 weights.
	equal(t, "operations", twoKeyHeads.FLOPs(8, 100), 2.0*(52*8+8*8+8*20)+7*60+2*32*4)
	for ranks, want := range map[int]string{1: "", 2: "", 3: "3 ranks cannot share 2 key heads of the delta rule"} {
		if err := twoKeyHeads.Shardable(ranks); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%d ranks: %v", ranks, err)
		}
	}
}

// TestStoredChannel checks that each stored channel is that of one head: all queries, all keys, then all values.
func TestStoredChannel(t *testing.T) {
	var got []int64
	for c := range int64(32) {
		got = append(got, twoKeyHeads.StoredChannel(c))
	}
	equal(t, "channels of the second head", got[16:], []int64{3, 4, 5, 9, 10, 11, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31})
	slices.Sort(got)
	for i, c := range got {
		if c != int64(i) {
			t.Fatalf("channels %v", got)
		}
	}
}
