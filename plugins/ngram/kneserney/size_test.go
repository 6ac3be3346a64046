package kneserney

import (
	"testing"

	"pgregory.net/rapid"
)

// The number of n-grams is that of a naive count, what follows the counts remains, and no truncation passes.
func TestSize(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		order := rapid.IntRange(1, MaxOrder).Draw(t, "order")
		vocabulary := rapid.Uint32Range(1, 6).Draw(t, "vocabulary")
		symbol := rapid.Uint32Range(0, vocabulary-1)
		sequences := rapid.SliceOfN(rapid.SliceOfN(symbol, 0, 40), 0, 6).Draw(t, "sequences")
		data := written(t, count(order, sequences), vocabulary, same)
		m, _, err := Read(data, vocabulary)
		if err != nil {
			t.Fatal(err)
		}
		n, rest, err := Size(append(data[:len(data):len(data)], "rest"...), vocabulary)
		if err != nil || string(rest) != "rest" || n != int64(len(m.symbols))-1 {
			t.Fatalf("got %d n-grams, %q, %v; the model has %d", n, rest, err, len(m.symbols)-1)
		}
		cut := rapid.IntRange(0, len(data)-1).Draw(t, "cut")
		if _, _, err := Size(data[:cut], vocabulary); err == nil {
			t.Fatalf("no error for %d of %d bytes", cut, len(data))
		}
	})
}

func FuzzSize(f *testing.F) {
	f.Add(written(f, count(3, [][]uint32{{0, 1, 0}, {2}}), 3, same), uint32(3))
	f.Fuzz(func(t *testing.T, data []byte, vocabulary uint32) {
		n, rest, err := Size(data, vocabulary%(1<<20))
		if err == nil && (n < 0 || len(rest) > len(data)) {
			t.Errorf("got %d n-grams and %d of %d bytes", n, len(rest), len(data))
		}
	})
}
