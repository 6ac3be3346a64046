//go:build torch

package tensor

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestLosses compares losses with those computed in float64, over vocabularies small and large, for logits near each other
// and far apart.
func TestLosses(t *testing.T) {
	heap := NewHeap()
	for _, vocabulary := range []int64{1, 2, 15, 17, 513, 5000, 262144} {
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
			got := s.Losses(New(s, hidden, Float32, rows, width), Head{
				Weights: New(s, head, Float32, vocabulary, width), Workspace: s.Empty(Float32, CPU, 2, vocabulary),
			}, targets)
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
				// The logits are float32: theirs is the error of the difference between two of them.
				if d := math.Abs(got[i] - want); d > 5e-7+math.Abs(want)*5e-7 {
					t.Errorf("vocabulary %d, spread %v: loss %v, wanted %v", vocabulary, spread, got[i], want)
				}
			}
		}
	}
	nan := float32(math.NaN())
	s := heap.NewScope()
	got := s.Losses(New(s, []float32{1}, Float32, 1, 1), Head{
		Weights: New(s, []float32{0, 1, nan}, Float32, 3, 1), Workspace: s.Empty(Float32, CPU, 1, 3),
	}, []int64{0})
	if err := s.Close(); err != nil || !math.IsNaN(got[0]) {
		t.Errorf("the loss among NaN is %v, %v", got, err)
	}
	if heap.Live() != 0 {
		t.Errorf("%d tensors are left", heap.Live())
	}
}

// TestErrors checks that an operation that cannot be done fails its scope, and nothing after it does anything.
func TestErrors(t *testing.T) {
	heap := NewHeap()
	s := heap.NewScope()
	a, b := New(s, []float32{1, 2}, Float32, 2), New(s, []float32{1, 2, 3}, Float32, 3)
	if sum := s.Add(a, b); !sum.IsNone() || s.Err() == nil {
		t.Errorf("the sum of 2 and 3 elements: %v", s.Err())
	}
	if x := s.Add(a, a); !x.IsNone() {
		t.Error("an operation after an error made a tensor")
	}
	if err := s.Close(); err == nil || heap.Live() != 0 {
		t.Errorf("%v, %d tensors", err, heap.Live())
	}
}
