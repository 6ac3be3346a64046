package graph_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"surprisal.dev/plugins/torch/graph"
)

func equal(t testing.TB, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func TestSizes(t *testing.T) {
	for _, test := range []struct {
		shape       []int64
		elements    int64
		rows, width int64
	}{
		{[]int64{7}, 7, 7, 1},
		{[]int64{3, 7}, 21, 3, 7},
		{[]int64{2, 3, 7}, 42, 6, 7},
		{[]int64{5, 2, 3, 7}, 210, 30, 7},
	} {
		n, ok := graph.Elements(test.shape)
		rows, width := graph.Rows(test.shape)
		equal(t, fmt.Sprint(test.shape), []any{n, ok, rows, width}, []any{test.elements, true, test.rows, test.width})
	}
	for _, shape := range [][]int64{{0}, {3, -1}, {1 << 31, 1 << 31}, {1 << 40, 1 << 40, 1 << 40}} {
		if n, ok := graph.Elements(shape); ok {
			t.Errorf("%v has %d elements", shape, n)
		}
	}
}

// TestShards checks the parts of matrices, of biases, and of several matrices in one parameter.
func TestShards(t *testing.T) {
	second := graph.Rank{Index: 1, Count: 2}
	half := func(n int64) func(graph.Rank) graph.Span {
		return func(r graph.Rank) graph.Span { return r.Share(n) }
	}
	for _, test := range []struct {
		name    string
		p       graph.Parameter
		shape   []int64
		rows    []graph.Span
		columns graph.Span
	}{
		{"replicated", graph.Parameter{Shape: []int64{4, 6}}, []int64{4, 6}, []graph.Span{{From: 0, To: 4}}, graph.Span{From: 0, To: 6}},
		{"outputs", graph.Parameter{Shape: []int64{4, 6}, Share: half(4)}, []int64{2, 6}, []graph.Span{{From: 2, To: 4}}, graph.Span{From: 0, To: 6}},
		{"inputs", graph.Parameter{Shape: []int64{4, 6}, Share: half(6), Axis: 1}, []int64{4, 3}, []graph.Span{{From: 0, To: 4}}, graph.Span{From: 3, To: 6}},
		{"vector", graph.Parameter{Shape: []int64{5}, Share: half(5), Role: graph.Vector}, []int64{3}, []graph.Span{{From: 2, To: 5}}, graph.Span{From: 0, To: 1}},
		{"matrices", graph.Parameter{Shape: []int64{2, 4, 6}, Share: half(2)}, []int64{1, 4, 6}, []graph.Span{{From: 4, To: 8}}, graph.Span{From: 0, To: 6}},
		{"outputs of matrices", graph.Parameter{Shape: []int64{3, 4, 6}, Share: half(4), Axis: 1}, []int64{3, 2, 6},
			[]graph.Span{{From: 2, To: 4}, {From: 6, To: 8}, {From: 10, To: 12}}, graph.Span{From: 0, To: 6}},
		{"inputs of matrices", graph.Parameter{Shape: []int64{2, 4, 6}, Share: half(6), Axis: 2}, []int64{2, 4, 3},
			[]graph.Span{{From: 0, To: 8}}, graph.Span{From: 3, To: 6}},
	} {
		rows, columns := test.p.Rows(second)
		equal(t, test.name, []any{test.p.Sharded(second), rows, columns}, []any{test.shape, test.rows, test.columns})
	}
	outputs, _ := graph.Parameter{Shape: []int64{4, 6}, Share: half(4)}.Bias()
	inputs, _ := graph.Parameter{Shape: []int64{4, 6}, Share: half(6), Axis: 1}.Bias()
	equal(t, "biases", [][]int64{outputs.Sharded(second), inputs.Sharded(second)}, [][]int64{{2}, {4}})
	if _, ok := (graph.Parameter{Shape: []int64{4, 6}, Role: graph.Table}).Bias(); ok {
		t.Error("a table has a bias")
	}
}

// TestDeclarations checks that the ranks together hold each weight, and the names of all weights of a layer.
func TestDeclarations(t *testing.T) {
	a := graph.Architecture{
		Vocabulary: 11, Hidden: 8, Positions: 5,
		Layers: []graph.Layer{{
			Mixer: graph.Attention{Heads: 6, KVHeads: 3, HeadSize: 2, QKNorm: graph.HeadQKNorm}, FFN: graph.Dense{Width: 7, Gated: true},
			PreNorm: true, PostNorm: true,
		}},
	}
	var names []string
	products := map[string]int{}
	for p := range a.Parameters() {
		names = append(names, p.Name())
		products[p.Product]++
		if p.Share == nil {
			continue
		}
		for _, ranks := range []int{1, 2, 3} {
			next := int64(0)
			for i := range ranks {
				part := p.Share(graph.Rank{Index: i, Count: ranks})
				if part.From != next {
					t.Errorf("%s: rank %d of %d begins at %d, want %d", p.Name(), i, ranks, part.From, next)
				}
				next = part.To
			}
			if next != p.Shape[p.Axis] {
				t.Errorf("%s: %d ranks end at %d of %d", p.Name(), ranks, next, p.Shape[p.Axis])
			}
		}
	}
	equal(t, "names", names, []string{
		"embedding", "norm", "positions", "head",
		"layers.0.attention.q", "layers.0.attention.k", "layers.0.attention.v", "layers.0.attention.out",
		"layers.0.attention.qnorm", "layers.0.attention.knorm", "layers.0.mlp.gate", "layers.0.mlp.up", "layers.0.mlp.down",
		"layers.0.mixer.norm", "layers.0.ffn.norm", "layers.0.mixer.postnorm", "layers.0.ffn.postnorm",
	})
	equal(t, "products", products, map[string]int{"": 12, "layers.0.attention.qkv": 3, "layers.0.mlp.in": 2})
	// More ranks than key-value heads: two ranks have queries of the same one.
	at := graph.Attention{Heads: 6, KVHeads: 3, HeadSize: 2}
	queries, keys := at.Share(graph.Rank{Index: 3, Count: 6})
	equal(t, "heads", []graph.Span{queries, keys}, []graph.Span{{From: 3, To: 4}, {From: 1, To: 2}})
}
