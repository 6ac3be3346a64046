//go:build torch

package tensor

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestActivations compares both implementations of Activate and Gate with float64.
func TestActivations(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	values := []float32{0, float32(math.Inf(1)), float32(math.NaN()), 1e37, -1e37, 1e-30}
	for range 9000 {
		values = append(values, float32(random.NormFloat64()), float32(30*random.NormFloat64()))
	}
	ups := make([]float32, len(values))
	for i := range ups {
		ups[i] = float32(2 * random.NormFloat64())
	}
	heap := NewHeap()
	s := heap.NewScope()
	for _, kind := range []Type{Float32, BFloat16} {
		for _, a := range []Activation{SiLU, GELUTanh, GELU} {
			for _, reference := range []bool{false, true} {
				got, gated := activations(s, values, ups, kind, a, reference)
				for i, x := range values {
					if reference && a == GELU && math.IsInf(float64(x), 1) {
						continue // libtorch returns NaN
					}
					want, up := activationOf(a, kind.nearest(x)), kind.nearest(ups[i])
					if !agreesWith(got[i], want, kind, reference) || !agreesWith(gated[i], want*up, kind, reference) {
						t.Errorf("type %d, activation %d, reference %v: %v and with up %v %v, want %v and %v",
							kind, a, reference, got[i], up, gated[i], want, want*up)
					}
				}
			}
		}
	}
	if err := s.Close(); err != nil || heap.Live() != 0 {
		t.Errorf("%v, %d tensors are left", err, heap.Live())
	}
}

// activations returns the activations of values by Activate, and times ups by Gate. Rows have a remainder of vectors.
func activations(s *Scope, values, ups []float32, kind Type, a Activation, reference bool) (activated, gated []float64) {
	const width = 131
	rows := (len(values) + width - 1) / width
	x, both := make([]float32, rows*width), make([]float32, 0, 2*rows*width)
	copy(x, values)
	up := make([]float32, rows*width)
	copy(up, ups)
	for i := range rows {
		both = append(append(both, x[i*width:(i+1)*width]...), up[i*width:(i+1)*width]...)
	}
	of := func(data []float32, width int64) Tensor {
		return s.To(New(s, data, Float32, int64(rows), width), kind, CPU)
	}
	in := of(x, width)
	s.Activate(in, a, reference)
	return s.Float64s(in), s.Float64s(s.Gate(of(both, 2*width), a, reference))
}

func agreesWith(got, want float64, kind Type, reference bool) bool {
	relative, absolute := 2e-6, 2e-6
	if kind == BFloat16 {
		relative = 0.017
	}
	if reference {
		absolute = 1e-5 // in GELU's tail, libtorch keeps only the rounded 1 + tanh or 1 + erf
	}
	return got == want || math.IsNaN(got) && math.IsNaN(want) || math.Abs(got-want) <= relative*math.Abs(want)+absolute
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
