//go:build torch && cuda

package tensor

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestCUDA compares a GPU's results with this processor's.
func TestCUDA(t *testing.T) {
	if err := LoadCUDA(filepath.Join(os.Getenv("LIBTORCH_LIBRARY_PATH"), "libtorch_cuda.so")); err != nil {
		t.Fatal(err)
	}
	if CUDADevices() == 0 {
		t.Fatal("there is no CUDA device")
	}
	if failure := KernelFailure(0); failure != "" {
		t.Error(failure)
	}
	t.Run("attention", func(t *testing.T) { testAttend(t, 0, 5e-5) })
	t.Run("rotate", func(t *testing.T) { testRotate(t, 0) })
	t.Run("logits", func(t *testing.T) { testLogitsInFloat32(t, 0) })

	const rows, width, vocabulary = 70, 96, 3000
	random := rand.New(rand.NewPCG(3, 4))
	normal := func(n int, spread float64) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = math.Float32frombits(math.Float32bits(float32(random.NormFloat64()*spread)) &^ 0xffff)
		}
		return x
	}
	x, y, w, table := normal(rows*width, 2), normal(rows*width, 2), normal(width, 1), normal(vocabulary*width, 0.3)
	targets := make([]int64, rows)
	for i := range targets {
		targets[i] = random.Int64N(vocabulary)
	}
	// place puts data on the device and into the type of the test.
	type place func(data []float32, shape ...int64) Tensor
	type operation struct {
		name string
		// compute gets a function that keeps the data in float32 too.
		compute func(s *Scope, place, float32s place) []float64
	}
	operations := []operation{
		{"linear", func(s *Scope, place, _ place) []float64 {
			return s.Float64s(s.Linear(place(x, rows, width), place(y, rows, width), Tensor{}))
		}},
		{"layer norm", func(s *Scope, place, _ place) []float64 {
			return s.Float64s(s.LayerNorm(place(x, rows, width), place(w, width), Tensor{}, 1e-5))
		}},
		{"losses", func(s *Scope, place, _ place) []float64 {
			return Losses(s.Logits(place(x, rows, width), Head{Weights: s.Pieces(place(table, vocabulary, width), 700), Rows: 32, Softcap: 20}, targets))
		}},
	}
	operations = append(operations, operation{"confidence", func(s *Scope, place, _ place) []float64 {
		hidden, head := place(x, rows, width), Head{Weights: s.Pieces(place(table, vocabulary, width), 700), Rows: 32, Softcap: 20}
		c := Confidences(targets, s.ConfidentLogits(hidden, head, targets, ConfidenceOptions{TargetLogits: s.TargetLogits(hidden, head, targets), TopK: testTopK}))
		return slices.Concat(c.TopNLL, c.Entropies, c.TopKMass)
	}})
	operations = append(operations, operation{"layer norm, float32 weights", func(s *Scope, place, float32s place) []float64 {
		return s.Float64s(s.LayerNorm(place(x, rows, width), float32s(w, width), float32s(y[:width], width), 1e-5))
	}}, operation{"rotate in wider rows", func(s *Scope, place, float32s place) []float64 {
		all := place(x, rows, width)
		s.ApplyRoPE(s.View(s.Narrow(all, 1, 32, 48), rows, 3, 16), float32s(y[:rows*8], rows, 8), float32s(y[rows*8:rows*16], rows, 8), false)
		return s.Float64s(all)
	}})
	for _, n := range []RMSNormOptions{{Epsilon: 1e-5}, {Epsilon: 1e-6, AddOne: true}} {
		operations = append(operations, operation{fmt.Sprintf("rms norm %+v", n), func(s *Scope, place, _ place) []float64 {
			return s.Float64s(s.RMSNorm(place(x, rows, width), place(w, width), n))
		}}, operation{fmt.Sprintf("rms norm of heads in wider rows %+v", n), func(s *Scope, place, float32s place) []float64 {
			heads := s.View(s.Narrow(place(x, rows, width), 1, 16, 64), rows, 4, 16)
			return s.Float64s(s.RMSNorm(heads, float32s(w[:16], 16), n))
		}})
	}
	for _, a := range []Activation{SiLU, GELUTanh, GELU} {
		operations = append(operations, operation{fmt.Sprintf("activation %d", a), func(s *Scope, place, _ place) []float64 {
			activated := place(x, rows, width)
			s.Activate(activated, a, false)
			return s.Float64s(activated)
		}}, operation{fmt.Sprintf("gate %d", a), func(s *Scope, place, _ place) []float64 {
			return s.Float64s(s.Gate(place(x, rows, width), a, false))
		}})
	}
	heap := NewHeap()
	for _, kind := range []struct {
		Type
		tolerance float64
	}{{Float32, 2e-5}, {BFloat16, 0.02}, {Float16, 0.004}} {
		for _, o := range operations {
			t.Run(fmt.Sprintf("%s, type %d", o.name, kind.Type), func(t *testing.T) {
				on := func(d Device) []float64 {
					s := heap.NewScope()
					as := func(t Type) place {
						return func(data []float32, shape ...int64) Tensor { return s.To(New(s, data, Float32, shape...), t, d) }
					}
					values := o.compute(s, as(kind.Type), as(Float32))
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
					return values
				}
				got, want := on(0), on(CPU)
				for i := range want {
					if d := math.Abs(got[i] - want[i]); !(d <= kind.tolerance*(1+math.Abs(want[i]))) {
						t.Fatalf("element %d is %v on the GPU and %v on the processor", i, got[i], want[i])
					}
				}
			})
		}
	}
	if heap.Live() != 0 {
		t.Errorf("%d tensors are left", heap.Live())
	}
}
