//go:build torch

package tensor

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// cudaStandIn builds testdata/cuda.cpp, which runs the kernels for GPUs on this processor. The file log gets the names
// of kernels that run. fault is a function or kernel that fails.
func cudaStandIn(t *testing.T, fault string) (library, log string) {
	t.Helper()
	directory := t.TempDir()
	library, log = filepath.Join(directory, "libcuda.so"), filepath.Join(directory, "log")
	out, err := exec.CommandContext(t.Context(), "c++", "-std=c++17", "-O2", "-ffp-contract=off", "-shared", "-fPIC",
		"-DFAULT="+fault, fmt.Sprintf("-DLOG=%q", log), "-o", library, "testdata/cuda.cpp").CombinedOutput()
	if err != nil {
		t.Fatalf("c++: %v\n%s", err, out)
	}
	t.Cleanup(func() { kernelsOnProcessor("") })
	return library, log
}

// useKernels lets the test's operations on the processor use the kernels for GPUs. The result checks that those of some
// names have run since the last check, and no others.
func useKernels(t *testing.T) func(names ...string) {
	t.Helper()
	library, log := cudaStandIn(t, "none")
	if failure := kernelsOnProcessor(library); failure != "" {
		t.Fatal(failure)
	}
	ran := func() map[string]bool {
		names, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(log, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, name := range strings.Fields(string(names)) {
			seen[name] = true
		}
		return seen
	}
	if n := len(ran()); n != 10 {
		t.Errorf("%d kernels were checked, not 10", n)
	}
	return func(names ...string) {
		t.Helper()
		seen := ran()
		for _, name := range names {
			if !seen[name] {
				t.Errorf("%s did not run", name)
			}
			delete(seen, name)
		}
		if len(seen) > 0 {
			t.Errorf("these also ran: %v", seen)
		}
	}
}

// TestKernelsAsOperations runs the tests of operations with the kernels for GPUs.
func TestKernelsAsOperations(t *testing.T) {
	ran := useKernels(t)
	testRotate(t, CPU)
	ran("rotate_float", "rotate_bfloat16")
	t.Run("activations", TestActivations)
	ran("gate_float", "gate_bfloat16")
	t.Run("losses", TestLosses)
	ran("reduce_float")
}

// TestKernelFaults checks that a kernel is not used if the check finds that it is wrong, and that no kernel is used if
// they cannot be compiled or loaded.
func TestKernelFaults(t *testing.T) {
	for _, test := range []struct{ fault, says string }{
		{"cuInit", "cuInit: unspecified launch failure"},
		{"nvrtcCompileProgram", "NVRTC_ERROR_COMPILATION: kernels.cu(1): error: no such thing"},
		{"cuModuleLoadData", "cuModuleLoadData: unspecified launch failure"},
		{"rotate_float", "rotary embeddings on cpu: differs from libtorch"},
		{"gate_bfloat16", "gates on cpu: differs from libtorch"},
		{"norm_float16", "norms on cpu: differs from libtorch"},
		{"reduce_float", "sums over logits on cpu: differs from libtorch"},
	} {
		t.Run(test.fault, func(t *testing.T) {
			library, log := cudaStandIn(t, test.fault)
			if failure := kernelsOnProcessor(library); !strings.Contains(failure, test.says) {
				t.Errorf("the failure is %q, without %q", failure, test.says)
			}
			if err := os.WriteFile(log, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			everyKind(t)
			if names, err := os.ReadFile(log); err != nil || strings.Contains(string(names), test.fault) {
				t.Errorf("%v, the wrong kernel ran", err)
			}
		})
	}
	missing := filepath.Join(t.TempDir(), "libcuda.so")
	if failure := kernelsOnProcessor(missing); !strings.Contains(failure, missing) {
		t.Errorf("without the library, the failure is %q", failure)
	}
}

// everyKind computes an operation that each kind of kernel replaces, in all types.
func everyKind(t *testing.T) {
	t.Helper()
	s := NewHeap().NewScope()
	for _, kind := range kernelTypes {
		x := s.To(New(s, normals(1, 16), Float32, 2, 8), kind.Type, CPU)
		ones := New(s, []float32{1, 1, 1, 1}, Float32, 2, 2)
		s.ApplyRoPE(s.View(x, 2, 2, 4), ones, ones, false)
		s.Gate(x, SiLU, false)
		s.RMSNorm(x, New(s, normals(2, 8), Float32, 8), RMSNormOptions{AddOne: true})
		s.Logits(x, Head{Weights: []Tensor{x}, Rows: 2, Reference: true}, []int64{0, 1})
	}
	closeScope(t, s)
}

// TestKernelGates compares gates in all types with float64: numbers that are not finite, and widths with a remainder.
func TestKernelGates(t *testing.T) {
	ran := useKernels(t)
	infinity, nan := float32(math.Inf(1)), float32(math.NaN())
	special := []float32{0, infinity, -infinity, nan, 1e37, -1e37, 1e-30, -100, 100}
	heap := NewHeap()
	for _, width := range []int{1, 3, 4, 77, 1032, 2051} {
		for _, kind := range kernelTypes {
			for _, a := range []Activation{SiLU, GELUTanh, GELU} {
				s := heap.NewScope()
				x := s.To(New(s, normals(uint64(width), 6*width), Float32, 3, int64(2*width)), kind.Type, CPU)
				first := s.To(New(s, append(special, normals(1, 2*width)...)[:2*width], Float32, 1, int64(2*width)), kind.Type, CPU)
				for _, in := range []Tensor{x, first} {
					values, got := s.Float64s(in), s.Float64s(s.Gate(in, a, false))
					for i := range got {
						row, column := i/width, i%width
						want := kind.round(activationOf(a, values[row*2*width+column])) * values[row*2*width+width+column]
						kind.compare(t, fmt.Sprintf("width %d, activation %d, element %d", width, a, i), got[i], want)
					}
				}
				closeScope(t, s)
			}
		}
	}
	ran("gate_float", "gate_bfloat16", "gate_float16")
}

// TestKernelNorms compares norms in all types with float64, of rows and of heads in wider rows.
func TestKernelNorms(t *testing.T) {
	ran := useKernels(t)
	const tokens = 3
	heap := NewHeap()
	for _, shape := range []struct{ parts, width, before, after int64 }{{1, 1, 0, 0}, {1, 77, 3, 2}, {2, 64, 64, 32}, {3, 13, 1, 1}, {1, 4099, 0, 0}} {
		wide := shape.before + shape.parts*shape.width + shape.after
		data, weights := normals(uint64(wide), int(tokens*wide)), normals(2, int(shape.width))
		for _, kind := range kernelTypes {
			for _, o := range []RMSNormOptions{{Epsilon: 1e-5}, {Epsilon: 1e-2, AddOne: true}} {
				s := heap.NewScope()
				all := s.To(New(s, data, Float32, tokens, wide), kind.Type, CPU)
				x := s.View(s.Narrow(all, 1, shape.before, shape.parts*shape.width), tokens, shape.parts, shape.width)
				w := New(s, weights, Float32, shape.width)
				values, got := s.Float64s(x), s.Float64s(s.RMSNorm(x, w, o))
				var centered []float64
				if kind.Type != Float32 {
					centered = s.Float64s(s.LayerNorm(x, w, w, o.Epsilon))
				}
				for row := 0; row < len(values); row += int(shape.width) {
					in := values[row:][:shape.width]
					for i, want := range normOf(in, weights, o, 0) {
						kind.compare(t, fmt.Sprintf("%+v %+v, element %d", shape, o, row+i), got[row+i], want)
					}
					mean := 0.0
					for _, v := range in {
						mean += v / float64(len(in))
					}
					for i, want := range normOf(in, weights, RMSNormOptions{Epsilon: o.Epsilon}, mean) {
						if centered != nil {
							kind.compare(t, fmt.Sprintf("layer norm, %+v, element %d", shape, row+i), centered[row+i], want+float64(weights[i]))
						}
					}
				}
				closeScope(t, s)
			}
		}
	}
	ran("norm_float", "norm_bfloat16", "norm_float16")
}

func normOf(x []float64, weights []float32, o RMSNormOptions, mean float64) []float64 {
	squares := 0.0
	for _, v := range x {
		squares += (v - mean) * (v - mean)
	}
	y := make([]float64, len(x))
	for i, v := range x {
		w := float64(weights[i])
		if o.AddOne {
			w++
		}
		y[i] = (v - mean) / math.Sqrt(squares/float64(len(x))+o.Epsilon) * w
	}
	return y
}

// TestKernelRows checks that a row of a norm has the same bits whatever the other rows, and that NaN and infinity stay
// in their row.
func TestKernelRows(t *testing.T) {
	useKernels(t)
	const rows, width = 5, 515
	s := NewHeap().NewScope()
	w := New(s, normals(1, width), Float32, width)
	data := normals(2, rows*width)
	data[2*width+7], data[3*width+8] = float32(math.NaN()), float32(math.Inf(1))
	all := s.Float64s(s.RMSNorm(New(s, data, Float32, rows, width), w, RMSNormOptions{Epsilon: 1e-5}))
	for row := range rows {
		alone := s.Float64s(s.RMSNorm(New(s, data[row*width:][:width], Float32, 1, width), w, RMSNormOptions{Epsilon: 1e-5}))
		for i, x := range alone {
			if got := all[row*width+i]; math.Float64bits(got) != math.Float64bits(x) {
				t.Fatalf("row %d, element %d is %v, and %v alone", row, i, got, x)
			}
			if finite := !math.IsNaN(x); finite != (row < 2 || row == 4 || row == 3 && i != 8) {
				t.Fatalf("row %d, element %d is %v", row, i, x)
			}
		}
	}
	closeScope(t, s)
}

// kernelType is a type and the greatest relative error of a number that is rounded to it.
type kernelType struct {
	Type
	unit float64
}

var kernelTypes = []kernelType{{Float32, 1e-6}, {BFloat16, 0x1p-8}, {Float16, 0x1p-11}}

// compare fails the test unless got is want within rounding. A rounding to another neighbor is allowed.
func (k kernelType) compare(t *testing.T, what string, got, want float64) {
	t.Helper()
	if got == want || math.IsNaN(got) && math.IsNaN(want) || math.Abs(got-want) <= 2*k.unit*math.Abs(want)+1e-6 {
		return
	}
	if k.Type == Float16 && math.Abs(want) > 65504 && math.IsInf(got, 0) {
		return
	}
	t.Fatalf("type %d, %s: %v, want %v", k.Type, what, got, want)
}

func (k kernelType) round(x float64) float64 {
	if k.Type == BFloat16 {
		return k.nearest(float32(x))
	}
	return float64(float32(x))
}

func normals(seed uint64, n int) []float32 {
	random := rand.New(rand.NewPCG(seed, 9))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(2 * random.NormFloat64())
	}
	return x
}

func closeScope(t *testing.T, s *Scope) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
