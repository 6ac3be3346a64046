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
	values := append(normal(9000, 1), normal(9000, 30)...)
	values = append(values, 0, float32(math.Inf(1)), float32(math.NaN()), 1e37, -1e37, 1e-30)
	ups := normal(len(values), 2)
	for _, kind := range []Type{Float32, BFloat16} {
		for _, activation := range []Activation{SiLU, GELUTanh, GELU} {
			for _, gated := range []bool{false, true} {
				activated := func(reference bool) []float64 {
					x, up := s.To(New(s, values, Float32, int64(len(values))), kind, CPU), s.To(New(s, ups, Float32, int64(len(values))), kind, CPU)
					x = s.Add(x, New(s, []float32{0}, Float32, 1)) // a copy
					if kind == BFloat16 {
						x = s.To(x, BFloat16, CPU)
					}
					if !gated {
						up = Tensor{}
					}
					s.Activate(x, up, activation, reference)
					return s.Float64s(x)
				}
				tolerance := map[Type]float64{Float32: 2e-6, BFloat16: 0.017}[kind]
				for reference, got := range map[bool][]float64{false: activated(false), true: activated(true)} {
					for i, x := range got {
						if reference && activation == GELU && math.IsInf(float64(values[i]), 1) {
							continue // libtorch returns NaN
						}
						want := activationOf(activation, kind.nearest(values[i]))
						if gated {
							want *= kind.nearest(ups[i])
						}
						same := x == want || math.IsNaN(x) && math.IsNaN(want)
						remainder := 2e-6
						if reference {
							remainder = 1e-5 // in GELU's tail, libtorch keeps only the rounded 1 + tanh or 1 + erf
						}
						if d := math.Abs(x - want); !same && !(d <= tolerance*math.Abs(want)+remainder) {
							t.Errorf("type %d, activation %d, gated %v, reference %v: %v with up %v is %v, want %v",
								kind, activation, gated, reference, values[i], ups[i], x, want)
						}
					}
				}
			}
		}
	}
	if err := s.Close(); err != nil || heap.Live() != 0 {
		t.Errorf("%v, %d tensors are left", err, heap.Live())
	}
}

func activationOf(a Activation, x float64) float64 {
	switch a {
	case GELUTanh:
		return x / (1 + math.Exp(-2*math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
	case GELU:
		return x * math.Erfc(-x/math.Sqrt2) / 2
	default:
		return x / (1 + math.Exp(-x))
	}
}

// nearest returns x rounded to the type.
func (t Type) nearest(x float32) float64 {
	if t != BFloat16 || x != x {
		return float64(x)
	}
	bits := math.Float32bits(x)
	return float64(math.Float32frombits((bits + 0x7fff + bits>>16&1) &^ 0xffff))
}

// TestErrors checks that a failing operation makes its scope fail, and that later operations do nothing.
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
