package prefix

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// run returns n tokens that start at first.
func run(first, n int32) []int32 {
	tokens := make([]int32, n)
	for i := range tokens {
		tokens[i] = first + int32(i)
	}
	return tokens
}

// TestTree checks how many tokens sequences share, in the order in which they are added.
func TestTree(t *testing.T) {
	prompt := run(0, 40)
	nested := slices.Concat(prompt, run(100, 20))
	for _, test := range []struct {
		what      string
		separate  bool
		sequences [][]int32
		want      []int // new tokens
	}{
		{"one", false, [][]int32{prompt}, []int{40}},
		{"identical", false, [][]int32{prompt, prompt, prompt}, []int{40, 0, 0}},
		{"longer after shorter", false, [][]int32{prompt, nested}, []int{40, 20}},
		{"shorter after longer", false, [][]int32{nested, prompt, prompt[:20]}, []int{60, 0, 0}},
		{"five shots", false, [][]int32{slices.Concat(prompt, run(50, 5)), slices.Concat(prompt, run(60, 7)), slices.Concat(prompt, run(70, 1))}, []int{45, 7, 1}},
		{"identical with few separate tokens", false, [][]int32{nested[:45], prompt, nested[:45], nested[:44]}, []int{45, 0, 0, 0}},
		{"identical after a prompt", false, [][]int32{slices.Concat(prompt, run(50, 5)), slices.Concat(prompt, run(60, 5)), slices.Concat(prompt, run(60, 5))}, []int{45, 5, 0}},
		{"nested", false, [][]int32{slices.Concat(nested, run(50, 5)), slices.Concat(nested, run(60, 5)), slices.Concat(prompt, run(70, 5))}, []int{65, 5, 5}},
		{"outer first", false, [][]int32{slices.Concat(prompt, run(70, 5)), slices.Concat(nested, run(50, 5)), slices.Concat(nested, run(60, 5))}, []int{45, 25, 5}},
		{"fewer than the least", false, [][]int32{prompt[:Least+4], slices.Concat(prompt[:Least-1], run(90, 30))}, []int{Least + 4, Least + 29}},
		{"the least", false, [][]int32{prompt[:Least+4], slices.Concat(prompt[:Least], run(90, 30))}, []int{Least + 4, 30}},
		{"short", false, [][]int32{prompt[:3], prompt[:3], nil}, []int{3, 0, 0}},
		{"separate", true, [][]int32{prompt, prompt}, []int{40, 40}},
	} {
		tree := Tree{Separate: test.separate}
		total := 0
		for i, q := range test.sequences {
			if got := tree.New(q); got != test.want[i] {
				t.Errorf("%s: sequence %d has %d new tokens, want %d", test.what, i, got, test.want[i])
			}
			if len(q) > 0 {
				tree.Add(q)
			}
			if total += test.want[i]; tree.Tokens() != total {
				t.Errorf("%s: %d tokens after sequence %d, want %d", test.what, tree.Tokens(), i, total)
			}
		}
		check(t, &tree, test.sequences)
	}
}

// check checks the layout of a tree of all sequences that are not empty.
func check(t *testing.T, tree *Tree, sequences [][]int32) {
	t.Helper()
	l := tree.Layout()
	var tokens []int32
	for i, g := range l.Segments {
		end := 0
		if g.Parent >= 0 {
			end = l.Segments[g.Parent].Start + len(l.Segments[g.Parent].Tokens)
		}
		if g.Parent >= i || g.Start != end || g.Row != len(tokens) || len(g.Tokens) == 0 {
			t.Fatalf("segment %d of %d tokens starts at %d in row %d, after segment %d, which ends at %d", i, len(g.Tokens), g.Start, g.Row, g.Parent, end)
		}
		tokens = append(tokens, g.Tokens...)
	}
	if len(tokens) != tree.Tokens() {
		t.Fatalf("%d rows for %d tokens", len(tokens), tree.Tokens())
	}
	i := 0
	for _, q := range sequences {
		if len(q) == 0 {
			continue
		}
		var got []int32
		for _, row := range l.Rows(i) {
			got = append(got, tokens[row])
		}
		if !slices.Equal(got, q) {
			t.Fatalf("sequence %d is %v, want %v", i, got, q)
		}
		i++
	}
}

// FuzzTree checks the layouts of sequences that are cut out of two texts and continue in different ways.
func FuzzTree(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed, 10)
	}
	f.Fuzz(func(t *testing.T, seed uint64, n int) {
		random := rand.New(rand.NewPCG(seed, 1))
		var tree Tree
		var sequences [][]int32
		for range min(max(n, 0), 100) {
			q := slices.Clone(run(int32(random.IntN(2))*1000, int32(random.IntN(100))))
			if len(sequences) > 0 && random.IntN(2) == 0 {
				earlier := sequences[random.IntN(len(sequences))]
				q = slices.Clone(earlier[:random.IntN(len(earlier)+1)])
			}
			for range random.IntN(30) {
				q = append(q, random.Int32N(3))
			}
			if len(q) > 0 {
				tree.Add(q)
			}
			sequences = append(sequences, q)
		}
		check(t, &tree, sequences)
	})
}
