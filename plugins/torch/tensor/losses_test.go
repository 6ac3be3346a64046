//go:build torch

package tensor

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestLosses compares losses with those computed in float64, over small and large vocabularies, for logits close
// together and far apart.
func TestLosses(t *testing.T) {
	heap := NewHeap()
	for _, vocabulary := range []int64{1, 2, 15, 17, 513, 5000, 262144} {
		// In one piece, and in several.
		for _, columns := range []int64{vocabulary, vocabulary/3 + 1} {
			for _, reference := range []bool{false, true} {
				testLosses(t, heap, vocabulary, columns, reference)
			}
		}
	}
	nan := float32(math.NaN())
	s := heap.NewScope()
	got := Losses(s.Logits(New(s, []float32{1}, Float32, 1, 1), Head{
		Weights: s.Pieces(New(s, []float32{0, 1, nan}, Float32, 3, 1), 2), Rows: 1,
	}, []int64{0}))
	if err := s.Close(); err != nil || !math.IsNaN(got[0]) {
		t.Errorf("the loss among NaN is %v, %v", got, err)
	}
	if heap.Live() != 0 {
		t.Errorf("%d tensors are left", heap.Live())
	}
}

func testLosses(t *testing.T, heap *Heap, vocabulary, columns int64, reference bool) {
	for _, spread := range []float32{0, 1e-3, 1, 30, 200} {
		random := rand.New(rand.NewPCG(uint64(vocabulary), 1))
		const rows, width = 3, 2
		hidden := []float32{1, 0, 0.5, -0.25, -1, 0.125}
		head := make([]float32, vocabulary*width)
		for i := range head {
			head[i] = float32(random.NormFloat64()) * spread
		}
		targets := []int64{0, vocabulary / 2, vocabulary - 1}
		s := heap.NewScope()
		got := Losses(s.Logits(New(s, hidden, Float32, rows, width), Head{
			Weights: s.Pieces(New(s, head, Float32, vocabulary, width), columns), Rows: 2, Reference: reference,
		}, targets))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for i, target := range targets {
			logit := func(v int64) float64 {
				return float64(hidden[2*i]*head[2*v] + hidden[2*i+1]*head[2*v+1])
			}
			greatest, sum := math.Inf(-1), 0.0
			for v := range vocabulary {
				greatest = max(greatest, logit(v))
			}
			for v := range vocabulary {
				sum += math.Exp(logit(v) - greatest)
			}
			want := greatest + math.Log(sum) - logit(target)
			// The logits are float32: the tolerance is the error of the difference of two logits.
			if d := math.Abs(got[i] - want); d > 5e-7+math.Abs(want)*5e-7 {
				t.Errorf("vocabulary %d, spread %v: loss %v, want %v", vocabulary, spread, got[i], want)
			}
		}
	}
}

// TestBFloat16 compares the CPU kernels with libtorch's own operations, in the type with few bits.
func TestBFloat16(t *testing.T) {
	heap := NewHeap()
	random := rand.New(rand.NewPCG(1, 2))
	normal := func(n int, spread float64) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(random.NormFloat64() * spread)
		}
		return x
	}
	const rows, width, vocabulary = 40, 64, 3000
	s := heap.NewScope()
	hidden := s.To(New(s, normal(rows*width, 1), Float32, rows, width), BFloat16, CPU)
	weights := s.To(New(s, normal(vocabulary*width, 1), Float32, vocabulary, width), BFloat16, CPU)
	targets := make([]int64, rows)
	for i := range targets {
		targets[i] = random.Int64N(vocabulary)
	}
	losses := func(reference bool) []float64 {
		return Losses(s.Logits(hidden, Head{Weights: s.Pieces(weights, 700), Softcap: 30, Rows: 32, Reference: reference}, targets))
	}
	for i, loss := range losses(false) {
		if want := losses(true)[i]; math.Abs(loss-want) > 2e-6*want {
			t.Errorf("row %d: loss %v, want %v", i, loss, want)
		}
	}
	if err := s.Close(); err != nil || heap.Live() != 0 {
		t.Errorf("%v, %d tensors are left", err, heap.Live())
	}
}
