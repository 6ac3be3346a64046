//go:build torch

package tensor

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// bfloat16s returns random numbers that bfloat16 represents exactly.
func bfloat16s(random *rand.Rand, n int64, spread float64) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = math.Float32frombits(math.Float32bits(float32(random.NormFloat64()*spread)) &^ 0xffff)
	}
	return x
}

// dots returns x w^T in float64 for rows of width elements.
func dots(x, w []float32, width int64) []float64 {
	var products []float64
	for row := range slices.Chunk(x, int(width)) {
		for column := range slices.Chunk(w, int(width)) {
			sum := 0.0
			for i := range row {
				sum += float64(row[i]) * float64(column[i])
			}
			products = append(products, sum)
		}
	}
	return products
}

// TestLogitsInFloat32 checks that a head in a type with few bits has logits in float32: the greatest and the target's
// equal those of the same numbers in float64, and no two are tied.
func TestLogitsInFloat32(t *testing.T) {
	testLogitsInFloat32(t, CPU)
}

func testLogitsInFloat32(t *testing.T, d Device) {
	t.Helper()
	const rows, width, vocabulary = 20, 96, 3000
	heap := NewHeap()
	random := rand.New(rand.NewPCG(7, 8))
	hidden, head := bfloat16s(random, rows*width, 1), bfloat16s(random, vocabulary*width, 0.5)
	want := dots(hidden, head, width)
	targets := make([]int64, rows)
	for i := range targets {
		targets[i] = random.Int64N(vocabulary)
	}
	for _, kind := range []Type{Float32, BFloat16} {
		for _, reference := range []bool{false, true} {
			t.Run(fmt.Sprintf("type %d reference %v", kind, reference), func(t *testing.T) {
				s := heap.NewScope()
				var pieces []Tensor
				for _, piece := range s.Pieces(s.To(New(s, head, Float32, vocabulary, width), kind, d), 700) {
					pieces = append(pieces, s.PackFloat32(piece))
				}
				p := s.Logits(s.To(New(s, hidden, Float32, rows, width), kind, d), Head{Weights: pieces, Rows: 8, Reference: reference}, targets)
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				for i, target := range targets {
					logits := want[i*vocabulary:][:vocabulary]
					near(t, "greatest", p.Maxima[i], slices.Max(logits), 1e-5)
					near(t, "target", p.Logits[i], logits[target], 1e-5)
				}
			})
		}
	}
	if heap.Live() != 0 {
		t.Errorf("%d tensors are left", heap.Live())
	}
}

func near(t *testing.T, what string, got, want, relative float64) {
	t.Helper()
	if d := math.Abs(got - want); !(d <= relative*max(math.Abs(want), 1)) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// halfUnit returns the greatest error of rounding x to the type: half a unit in the last place.
func (t Type) halfUnit(x float64) float64 {
	_, exponent := math.Frexp(x)
	return math.Ldexp(0.5, exponent-map[Type]int{Float32: 24, BFloat16: 8, Float16: 11}[t])
}

// TestLinear compares products, with a bias and a matrix that is added, with float64. All are rounded at most once.
func TestLinear(t *testing.T) {
	const in = 70
	heap := NewHeap()
	random := rand.New(rand.NewPCG(9, 10))
	for _, out := range []int64{1, 64, 100} {
		for _, rows := range []int64{1, 11, 33, 1100} {
			x, w, b, y := bfloat16s(random, rows*in, 1), bfloat16s(random, out*in, 1), bfloat16s(random, out, 1), bfloat16s(random, rows*out, 100)
			products := dots(x, w, in)
			for _, kind := range []Type{Float32, BFloat16, Float16} {
				s := heap.NewScope()
				place := func(data []float32, shape ...int64) Tensor { return s.To(New(s, data, Float32, shape...), kind, CPU) }
				xs, ws, bs, ys := place(x, rows, in), place(w, out, in), place(b, out), place(y, rows, out)
				wide := s.Float64s(s.LinearFloat32(xs, s.PackFloat32(ws)))
				added := s.Float64s(s.LinearAdd(xs, s.Pack(ws), bs, ys))
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				for i, product := range products {
					near(t, fmt.Sprintf("type %d, %d rows of %d, float32", kind, rows, out), wide[i], product, 1e-5)
					sum := product + float64(b[int64(i)%out]) + float64(y[i])
					if d := math.Abs(added[i] - sum); !(d <= kind.halfUnit(sum)+1e-5+0x1p-23*math.Abs(sum)) {
						t.Errorf("type %d, %d rows of %d, sum: %v, want %v", kind, rows, out, added[i], sum)
					}
				}
			}
		}
	}
	if heap.Live() != 0 {
		t.Errorf("%d tensors are left", heap.Live())
	}
}

// TestMixedProduct checks the blocks of products of bfloat16 with float32 results, and that a wrong kernel is found.
func TestMixedProduct(t *testing.T) {
	heap := NewHeap()
	random := rand.New(rand.NewPCG(11, 12))
	for _, in := range []int64{2, 64, 576, 1100} {
		for _, out := range []int64{1, 64, 150} {
			for _, rows := range []int64{1, 32, 33, 600} {
				x, w := bfloat16s(random, rows*in, 1), bfloat16s(random, out*in, 1)
				s := heap.NewScope()
				product := s.mixedProduct(s.To(New(s, x, Float32, rows, in), BFloat16, CPU), s.To(New(s, w, Float32, out, in), BFloat16, CPU), noFault)
				got := s.Float64s(product)
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				for i, want := range dots(x, w, in) {
					near(t, fmt.Sprintf("%d rows of %d, %d columns", rows, in, out), got[i], want, 1e-5*math.Sqrt(float64(in)))
				}
			}
		}
	}
	for fault, want := range map[kernelFault]string{roundsSums: "more than rounding", dependsOnRows: "other bits for 1 rows"} {
		s := heap.NewScope()
		x := s.To(New(s, bfloat16s(random, 4*64, 1), Float32, 4, 64), BFloat16, CPU)
		s.mixedProduct(x, s.To(New(s, bfloat16s(random, 80*64, 1), Float32, 80, 64), BFloat16, CPU), fault)
		if err := s.Close(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("fault %d: %v", fault, err)
		}
	}
	if heap.Live() != 0 {
		t.Errorf("%d tensors are left", heap.Live())
	}
}

// TestOneDNNMultiplies checks that bfloat16 is multiplied in float32 on processors that have 512-bit vectors and no
// bfloat16 instructions, such as Ice Lake.
func TestOneDNNMultiplies(t *testing.T) {
	for _, test := range []struct {
		kind               Type
		avx512, avx512BF16 bool
		want               bool
	}{
		{Float32, false, false, false},
		{Float32, true, false, true},
		{BFloat16, false, false, false},
		{BFloat16, true, false, false},
		{BFloat16, true, true, true},
		{Float16, true, true, false},
	} {
		if got := oneDNNMultiplies(test.kind, test.avx512, test.avx512BF16); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
	}
}

// TestMemoryErrors checks which errors mean that there is too little memory.
func TestMemoryErrors(t *testing.T) {
	for message, want := range map[string]bool{
		"CUDA out of memory. Tried to allocate 2.00 GiB":                             true,
		"CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`": true,
		"DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes":  true,
		"std::bad_alloc": true,
		"CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(handle)`": false,
	} {
		s := NewHeap().NewScope()
		s.fail("test", message)
		if err := s.Close(); strings.Contains(err.Error(), ErrMemory.Error()+": ") != want {
			t.Errorf("%s: %v", message, err)
		}
	}
}

// TestNormWeights checks that norms of rows in bfloat16 have weights in float32 and are rounded once.
func TestNormWeights(t *testing.T) {
	const rows, width = 9, 70
	heap := NewHeap()
	random := rand.New(rand.NewPCG(13, 14))
	x, w := bfloat16s(random, rows*width, 3), make([]float32, width)
	for i := range w {
		w[i] = 1 + float32(random.NormFloat64())/300 // few of these numbers differ in bfloat16
	}
	for _, norm := range []string{"rms", "rms plus one", "layer"} {
		s := heap.NewScope()
		xs, ws := s.To(New(s, x, Float32, rows, width), BFloat16, CPU), New(s, w, Float32, width)
		var y Tensor
		switch norm {
		case "layer":
			y = s.LayerNorm(xs, ws, ws, 1e-5)
		default:
			y = s.RMSNorm(xs, ws, RMSNormOptions{Epsilon: 1e-5, AddOne: norm == "rms plus one"})
		}
		got := s.Float64s(y)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for r := range rows {
			row := x[r*width:][:width]
			mean, square := 0.0, 0.0
			for _, v := range row {
				mean, square = mean+float64(v)/width, square+float64(v)*float64(v)/width
			}
			for i, v := range row {
				want := float64(v) / math.Sqrt(square+1e-5)
				switch norm {
				case "layer":
					want = (float64(v)-mean)/math.Sqrt(square-mean*mean+1e-5)*float64(w[i]) + float64(w[i])
				case "rms plus one":
					want *= 1 + float64(w[i])
				default:
					want *= float64(w[i])
				}
				if d := math.Abs(got[r*width+i] - want); !(d <= BFloat16.halfUnit(want)+2e-6) {
					t.Errorf("%s: row %d, element %d: %v, want %v", norm, r, i, got[r*width+i], want)
				}
			}
		}
	}
	if heap.Live() != 0 {
		t.Errorf("%d tensors are left", heap.Live())
	}
}
