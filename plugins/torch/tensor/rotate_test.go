//go:build torch

package tensor

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestRotate(t *testing.T) { testRotate(t, CPU) }

// testRotate compares both implementations of the rotation on a device with float64, for heads that are rotated
// completely and partly.
func testRotate(t *testing.T, device Device) {
	t.Helper()
	const tokens, heads, size = 5, 3, 14
	heap := NewHeap()
	random := rand.New(rand.NewPCG(5, 6))
	x := make([]float32, tokens*heads*size)
	for i := range x {
		x[i] = math.Float32frombits(math.Float32bits(float32(random.NormFloat64())) &^ 0xffff)
	}
	for _, half := range []int{size / 2, 4} {
		cosines, sines := make([]float32, tokens*half), make([]float32, tokens*half)
		for i := range cosines {
			sine, cosine := math.Sincos(random.Float64() * 2 * math.Pi)
			cosines[i], sines[i] = float32(cosine), float32(sine)
		}
		for _, kind := range []struct {
			Type
			tolerance float64
		}{{Float32, 1e-6}, {BFloat16, 0.01}} {
			for _, reference := range []bool{false, true} {
				s := heap.NewScope()
				place := func(data []float32, kind Type, shape ...int64) Tensor {
					return s.To(New(s, data, Float32, shape...), kind, device)
				}
				turned := place(x, kind.Type, tokens, heads, size)
				s.ApplyRoPE(turned, place(cosines, Float32, tokens, int64(half)), place(sines, Float32, tokens, int64(half)), reference)
				got := s.Float64s(turned)
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				for i := range got {
					token, within := i/(heads*size), i%size
					want := float64(x[i])
					if within < 2*half {
						angle := token*half + within%half
						cosine, sine := float64(cosines[angle]), float64(sines[angle])
						if within < half {
							want = want*cosine - float64(x[i+half])*sine
						} else {
							want = want*cosine + float64(x[i-half])*sine
						}
					}
					if d := math.Abs(got[i] - want); !(d <= kind.tolerance*(1+math.Abs(want))) {
						t.Fatalf("type %d, reference %v, element %d: %v, want %v", kind.Type, reference, i, got[i], want)
					}
				}
			}
		}
	}
	if heap.Live() != 0 {
		t.Errorf("%d tensors are left", heap.Live())
	}
}
