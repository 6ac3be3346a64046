package graph_test

import (
	"strings"
	"testing"

	"surprisal.dev/plugins/torch/graph"
)

// twoExperts has 8 experts of width 5, of which a token uses 2, and a shared one of width 6 with a gate: a router of 64
// elements, 3*8*5 = 120 elements of each expert, and 3*8*6 + 8 = 152 of the shared one.
func twoExperts() graph.Architecture {
	a := oneLayer(nil)
	a.Layers[0].FFN = graph.Experts{Count: 8, Active: 2, Width: 5, Shared: 6, SharedGate: true}
	return a
}

// TestExperts checks what a mixture of experts costs: a token uses a part of the weights in memory.
func TestExperts(t *testing.T) {
	dense, a := oneLayer(nil), twoExperts()
	const router, expert, shared, mlp = 64, 120, 152, 3 * 96
	w := graph.Workload{Ranks: 1, ElementBytes: 2}
	without, with := cost(t, dense, w), cost(t, a, w)
	equal(t, "operations", with.FLOPsPerToken-without.FLOPsPerToken, 2.0*(router+2*expert+shared-mlp))
	equal(t, "weights, the router's in float32", with.Weights-without.Weights, int64(4*router+2*(8*expert+shared-mlp)))
	equal(t, "active parameters", used(a)-used(dense), int64(router+2*expert+shared-mlp))
	equal(t, "experts", []bool{a.HasExperts(), dense.HasExperts()}, []bool{true, false})

	two := cost(t, a, graph.Workload{Ranks: 2, ElementBytes: 2})
	twoDense := cost(t, dense, graph.Workload{Ranks: 2, ElementBytes: 2})
	equal(t, "weights of two ranks, each with the router and the gate", two.Weights-twoDense.Weights,
		int64(2*4*router+2*(8*expert+shared+8-mlp)))
}

// used is the number of elements of weights that a token uses.
func used(a graph.Architecture) (n int64) {
	for p := range a.Parameters() {
		n += p.Used()
	}
	return n
}

// TestExpertsOfRanks checks which ranks can share experts, and the part of one.
func TestExpertsOfRanks(t *testing.T) {
	a := twoExperts()
	for ranks, want := range map[int]string{1: "", 2: "", 3: "3 ranks cannot share 8 experts evenly", 8: "8 ranks cannot share a shared expert of width 6"} {
		err := a.Layers[0].FFN.Shardable(ranks)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%d ranks: %v does not say %q", ranks, err, want)
		}
	}
	for _, p := range a.Layers[0].FFN.Parameters(8) {
		if p.Key != "experts.down" {
			continue
		}
		equal(t, "part of a rank", p.Sharded(graph.Rank{Index: 1, Count: 2}), []int64{4, 8, 5})
		one := p.One(5)
		rows, _ := one.Rows(graph.Rank{Index: 1, Count: 2})
		equal(t, "one expert", []any{one.Sharded(graph.Rank{}), rows}, []any{[]int64{1, 8, 5}, []graph.Span{{From: 40, To: 48}}})
		bias, _ := p.Bias()
		rows, columns := bias.One(5).Rows(graph.Rank{Index: 1, Count: 2})
		equal(t, "its bias", []any{bias.Shape, rows, columns}, []any{[]int64{8, 8, 1}, []graph.Span{{From: 40, To: 48}}, graph.Span{From: 0, To: 1}})
	}
}
