//go:build torch

package decoder

import (
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"surprisal.dev/plugins/torch/tensor"
)

// branches returns sequences of which most begin like others: at several depths, beyond a block of queries of attention,
// whole sequences that others continue, and the same sequence twice. Some score their last tokens only.
func branches(t *testing.T, directory string) []Sequence {
	t.Helper()
	sequences, _ := readGolden(t, directory)
	base := sequences[3].Tokens
	other := slices.Clone(base)
	slices.Reverse(other)
	join := func(n int, rest []int32) []int32 { return slices.Concat(base[:n], rest) }
	return []Sequence{
		{Tokens: join(50, other[:10]), From: 51},
		{Tokens: join(50, other[1:8]), From: 51},
		{Tokens: join(50, other[2:3]), From: 1},
		{Tokens: base, From: 1},
		{Tokens: other, From: 1},
		{Tokens: join(33, other[:20]), From: 20},
		{Tokens: join(33, other[1:21]), From: 1},
		{Tokens: base[:20], From: 1},
		{Tokens: base[:51], From: 1},
		{Tokens: base, From: 1},
		{Tokens: base[:2], From: 1},
		{Tokens: base[:1], From: 1},
	}
}

// sharedBranches is how many of the tokens that branches read share their computation with an earlier one.
const sharedBranches = 50 + 50 + 50 + 33 + 33 + 19 + 50 + 63

// TestSharedPrefixes checks that losses and their confidence do not depend on whether sequences share tokens, nor on their
// order, for each family, type and number of ranks.
func TestSharedPrefixes(t *testing.T) {
	for _, directory := range families(t) {
		for _, of := range []struct {
			kind  tensor.Type
			ranks int
		}{{tensor.Float32, 1}, {tensor.Float32, 2}, {tensor.Float32, 4}, {tensor.BFloat16, 1}, {tensor.BFloat16, 2}} {
			t.Run(fmt.Sprintf("%s/%d/%d", filepath.Base(directory), of.kind, of.ranks), func(t *testing.T) {
				d, _ := load(t, directory, Options{Type: of.kind, Devices: slices.Repeat([]tensor.Device{tensor.CPU}, of.ranks)})
				testSharedPrefixes(t, d, branches(t, directory))
			})
		}
	}
}

func testSharedPrefixes(t *testing.T, d *Decoder, sequences []Sequence) {
	t.Helper()
	request := Request{Confidence: true, TopK: 3}
	b, err := d.batch(sequences, request)
	if err != nil {
		t.Fatal(err)
	}
	read, want := 0, 0
	for _, q := range sequences {
		read += q.Read()
	}
	if d.architecture.Divides() {
		want = sharedBranches
	}
	if got := read - len(b.tokens); got != want {
		t.Errorf("%d of %d tokens are shared, want %d", got, read, want)
	}
	order := make([]int, len(sequences))
	for i := range order {
		order[i] = i
	}
	reversed := slices.Clone(order)
	slices.Reverse(reversed)
	alone := make([]Predictions, len(sequences))
	for i := range sequences {
		if alone[i], err = d.Predict(t.Context(), sequences[i:i+1], request); err != nil {
			t.Fatal(err)
		}
	}
	for _, order := range [][]int{order, reversed} {
		var some []Sequence
		var expected Predictions
		for _, i := range order {
			some = append(some, sequences[i])
			appendPredictions(&expected, alone[i])
		}
		got, err := d.Predict(t.Context(), some, request)
		if err != nil {
			t.Fatal(err)
		}
		comparePredictions(t, got, expected)
	}
}

func appendPredictions(to *Predictions, p Predictions) {
	to.Losses = append(to.Losses, p.Losses...)
	to.Top, to.TopNLL, to.Ranks = append(to.Top, p.Top...), append(to.TopNLL, p.TopNLL...), append(to.Ranks, p.Ranks...)
	to.Entropies, to.TopKMass = append(to.Entropies, p.Entropies...), append(to.TopKMass, p.TopKMass...)
}

// comparePredictions compares to the last bit where rows are independent.
func comparePredictions(t *testing.T, got, want Predictions) {
	t.Helper()
	if tensor.IndependentRows() {
		if !reflect.DeepEqual(got, want) {
			t.Errorf("shared %v, alone %v", got, want)
		}
		return
	}
	for i := range want.Losses {
		if math.Abs(got.Losses[i]-want.Losses[i]) > float32Near.most {
			t.Errorf("loss %d is %v shared and %v alone", i, got.Losses[i], want.Losses[i])
		}
	}
}

// TestSharedActivations checks that the activations of each sequence are those of the sequence alone: nothing is shared.
func TestSharedActivations(t *testing.T) {
	directory := filepath.Join(goldenDirectory, "llama")
	d, _ := load(t, directory, Options{Devices: []tensor.Device{tensor.CPU}})
	sequences := branches(t, directory)
	request := Request{ActivationThreshold: readAnalyses(t, directory).Threshold}
	together, err := d.Predict(t.Context(), sequences, request)
	if err != nil {
		t.Fatal(err)
	}
	for i := range sequences {
		alone, err := d.Predict(t.Context(), sequences[i:i+1], request)
		if err != nil {
			t.Fatal(err)
		}
		if tensor.IndependentRows() && !reflect.DeepEqual(together.Activations[i], alone.Activations[0]) {
			t.Errorf("sequence %d has the activations %+v with others, %+v alone", i, together.Activations[i], alone.Activations[0])
		}
		if together.Activations[i].Positions != int64(sequences[i].Read()) {
			t.Errorf("sequence %d has %d positions, and reads %d", i, together.Activations[i].Positions, sequences[i].Read())
		}
	}
}
