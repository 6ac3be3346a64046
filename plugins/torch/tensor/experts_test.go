//go:build torch

package tensor_test

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"surprisal.dev/plugins/torch/tensor"
)

// expertsCase are random numbers, which bfloat16 represents exactly, for experts of which each token uses two.
type expertsCase struct {
	tokens, hidden, width, count int64
	x, logits                    []float32
	in, inBias, down, downBias   [][]float32
}

const activeExperts = 2

func newExpertsCase(tokens, hidden int64) expertsCase {
	c := expertsCase{tokens: tokens, hidden: hidden, width: 48, count: 5}
	random := rand.New(rand.NewPCG(3, 4))
	numbers := func(n int64, spread float64) []float32 {
		all := make([]float32, n)
		for i := range all {
			all[i] = math.Float32frombits(math.Float32bits(float32(random.NormFloat64()*spread)) &^ 0xffff)
		}
		return all
	}
	c.x, c.logits = numbers(tokens*c.hidden, 1), numbers(tokens*c.count, 1)
	for range c.count {
		c.in, c.inBias = append(c.in, numbers(2*c.width*c.hidden, 0.2)), append(c.inBias, numbers(2*c.width, 0.5))
		c.down, c.downBias = append(c.down, numbers(c.hidden*c.width, 0.2)), append(c.downBias, numbers(c.hidden, 0.5))
	}
	return c
}

// compute returns the sums of the first n tokens, each product alone.
func (c expertsCase) compute(t *testing.T, kind tensor.Type, biased bool, n int64) []float64 {
	t.Helper()
	return c.sums(t, kind, biased, n, tensor.ExpertsOptions{}, func(s *tensor.Scope, place placing) (in, down []tensor.Tensor) {
		for i := range c.count {
			in = append(in, s.Pack(place(c.in[i], 2*c.width, c.hidden)))
			down = append(down, s.PackFloat32(place(c.down[i], c.hidden, c.width)))
		}
		return in, down
	})
}

// computeGrouped is compute of all tokens with the products of all experts at once. The experts from first on are in the
// list.
func (c expertsCase) computeGrouped(t *testing.T, kind tensor.Type, biased bool, first int64) []float64 {
	t.Helper()
	options := tensor.ExpertsOptions{First: first, Grouped: true}
	return c.sums(t, kind, biased, c.tokens, options, func(s *tensor.Scope, place placing) (in, down []tensor.Tensor) {
		allIn := place(slices.Concat(c.in[first:]...), c.count-first, 2*c.width, c.hidden)
		allDown := place(slices.Concat(c.down[first:]...), c.count-first, c.hidden, c.width)
		for i := range c.count - first {
			in = append(in, s.View(s.Narrow(allIn, 0, i, 1), 2*c.width, c.hidden))
			down = append(down, s.View(s.Narrow(allDown, 0, i, 1), c.hidden, c.width))
		}
		return in, down
	})
}

// placing makes a tensor of a kind.
type placing func(data []float32, shape ...int64) tensor.Tensor

// sums returns the sums of the first n tokens. The function weights makes the matrices of the experts from o.First on.
func (c expertsCase) sums(t *testing.T, kind tensor.Type, biased bool, n int64, o tensor.ExpertsOptions,
	weights func(*tensor.Scope, placing) (in, down []tensor.Tensor),
) []float64 {
	t.Helper()
	heap := tensor.NewHeap()
	s := heap.NewScope()
	place := func(data []float32, shape ...int64) tensor.Tensor {
		return s.To(tensor.New(s, data, tensor.Float32, shape...), kind, tensor.CPU)
	}
	in, down := weights(s, place)
	var experts []tensor.Expert
	for i := range in {
		e := tensor.Expert{In: in[i], Down: down[i]}
		if biased {
			of := o.First + int64(i)
			e.InBias, e.DownBias = place(c.inBias[of], 2*c.width), place(c.downBias[of], c.hidden)
		}
		experts = append(experts, e)
	}
	o.Active, o.Scale = activeExperts, 1
	logits := tensor.New(s, c.logits[:n*c.count], tensor.Float32, n, c.count)
	got := s.Float64s(s.Experts(place(c.x[:n*c.hidden], n, c.hidden), logits, tensor.Tensor{}, experts, o))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if heap.Live() != 0 {
		t.Errorf("%d tensors are left", heap.Live())
	}
	return got
}

// want returns the sum of one token in float64, without experts before first, and the sum of magnitudes of what is added.
func (c expertsCase) want(token int64, biased bool, first int64) (sum, magnitude []float64) {
	logits := c.logits[token*c.count:][:c.count]
	order, total := make([]int, c.count), 0.0
	for i, z := range logits {
		order[i] = i
		total += math.Exp(float64(z))
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(logits[b], logits[a]) })
	sum, magnitude = make([]float64, c.hidden), make([]float64, c.hidden)
	x := c.x[token*c.hidden:][:c.hidden]
	for _, e := range order[:activeExperts] {
		if int64(e) < first {
			continue
		}
		in := product(c.in[e], x, c.inBias[e], biased)
		inner := make([]float32, c.width)
		for i := range inner {
			inner[i] = float32(in[i] / (1 + math.Exp(-in[i])) * in[int(c.width)+i])
		}
		weight := math.Exp(float64(logits[e])) / total
		for i, y := range product(c.down[e], inner, c.downBias[e], biased) {
			sum[i], magnitude[i] = sum[i]+weight*y, magnitude[i]+weight*length(c.down[e][i*int(c.width):][:c.width])*length(inner)
		}
	}
	return sum, magnitude
}

// product returns the products of the rows of w with x, plus a bias, in float64.
func product(w, x, bias []float32, biased bool) []float64 {
	var out []float64
	for row := range slices.Chunk(w, len(x)) {
		sum := 0.0
		for i := range row {
			sum += float64(row[i]) * float64(x[i])
		}
		if biased {
			sum += float64(bias[len(out)])
		}
		out = append(out, sum)
	}
	return out
}

func length(x []float32) float64 {
	sum := 0.0
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	return math.Sqrt(sum)
}

// tolerances are relative to the magnitudes of what is added. In bfloat16, the inner elements are rounded a few times.
var tolerances = map[tensor.Type]float64{tensor.Float32: 1e-6, tensor.BFloat16: 0x1p-8}

// TestExperts compares sums with the same in float64.
func TestExperts(t *testing.T) {
	c := newExpertsCase(150, 70)
	for kind, relative := range tolerances {
		for _, biased := range []bool{false, true} {
			c.compare(t, c.compute(t, kind, biased, c.tokens), biased, 0, relative)
		}
	}
}

// TestGroupedExperts compares the sums of grouped products, in one part and in several, with the same in float64. They
// are rounded twice more: after the first bias, and before the second.
func TestGroupedExperts(t *testing.T) {
	for _, tokens := range []int64{0, 1, 150, tensor.GroupedRows/activeExperts + 1} {
		c := newExpertsCase(tokens, 72)
		for kind, relative := range tolerances {
			for _, biased := range []bool{false, true} {
				for _, first := range []int64{0, 3} {
					c.compare(t, c.computeGrouped(t, kind, biased, first), biased, first, 2*relative)
				}
			}
		}
	}
}

// Matrices that do not follow each other in memory are refused.
func TestGroupedExpertsApart(t *testing.T) {
	heap := tensor.NewHeap()
	s := heap.NewScope()
	place := func(shape ...int64) tensor.Tensor {
		n := int64(1)
		for _, size := range shape {
			n *= size
		}
		return tensor.New(s, make([]float32, n), tensor.Float32, shape...)
	}
	var experts []tensor.Expert
	for range 2 {
		experts = append(experts, tensor.Expert{In: place(16, 8), Down: place(8, 8)})
	}
	s.Experts(place(3, 8), place(3, 2), tensor.Tensor{}, experts, tensor.ExpertsOptions{Active: 1, Scale: 1, Grouped: true})
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), "the matrix of expert 1 does not follow") {
		t.Errorf("got %v", err)
	}
}

// compare compares sums of the experts from first on. relative is relative to the magnitudes of what is added.
func (c expertsCase) compare(t *testing.T, got []float64, biased bool, first int64, relative float64) {
	t.Helper()
	if len(got) != int(c.tokens*c.hidden) {
		t.Fatalf("got %d elements", len(got))
	}
	// Later tokens of many are like the first.
	for token := range c.tokens {
		if token >= 150 && token < c.tokens-10 {
			continue
		}
		want, magnitude := c.want(token, biased, first)
		for i := range want {
			at, most := got[token*c.hidden+int64(i)], relative*magnitude[i]
			if d := math.Abs(at - want[i]); !(d <= most) {
				t.Fatalf("biased %v, %d tokens, token %d, element %d: %v, want %v, at most %v away", biased, c.tokens, token, i, at, want[i], most)
			}
		}
	}
}

// TestExpertsIndependentRows checks that the sums of a token have the same bits whatever other tokens there are: an
// expert has 0 to 60 of them here.
func TestExpertsIndependentRows(t *testing.T) {
	if !tensor.IndependentRows() {
		t.Log("rows of products depend on each other on this processor")
		return
	}
	c := newExpertsCase(150, 70)
	for _, kind := range []tensor.Type{tensor.Float32, tensor.BFloat16} {
		all := c.compute(t, kind, true, c.tokens)
		for _, n := range []int64{1, 2, 3, 7, 8, 9, 20, 33, 64, 81, 149} {
			t.Run(fmt.Sprintf("type %d, %d tokens", kind, n), func(t *testing.T) {
				if got := c.compute(t, kind, true, n); !slices.Equal(got, all[:len(got)]) {
					t.Error("other bits than with all tokens")
				}
			})
		}
	}
}
