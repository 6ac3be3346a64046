//go:build torch

package tensor_test

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
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

func newExpertsCase(tokens int64) expertsCase {
	c := expertsCase{tokens: tokens, hidden: 70, width: 48, count: 5}
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

// compute returns the sums of the first n tokens.
func (c expertsCase) compute(t *testing.T, kind tensor.Type, biased bool, n int64) []float64 {
	t.Helper()
	heap := tensor.NewHeap()
	s := heap.NewScope()
	place := func(data []float32, shape ...int64) tensor.Tensor {
		return s.To(tensor.New(s, data, tensor.Float32, shape...), kind, tensor.CPU)
	}
	var experts []tensor.Expert
	for i := range c.count {
		e := tensor.Expert{In: s.Pack(place(c.in[i], 2*c.width, c.hidden)), Down: s.PackFloat32(place(c.down[i], c.hidden, c.width))}
		if biased {
			e.InBias, e.DownBias = place(c.inBias[i], 2*c.width), place(c.downBias[i], c.hidden)
		}
		experts = append(experts, e)
	}
	logits := tensor.New(s, c.logits[:n*c.count], tensor.Float32, n, c.count)
	options := tensor.ExpertsOptions{Active: activeExperts, Scale: 1}
	got := s.Float64s(s.Experts(place(c.x[:n*c.hidden], n, c.hidden), logits, tensor.Tensor{}, experts, options))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if heap.Live() != 0 {
		t.Errorf("%d tensors are left", heap.Live())
	}
	return got
}

// want returns the sum of one token in float64, and the sum of magnitudes of what is added.
func (c expertsCase) want(token int64, biased bool) (sum, magnitude []float64) {
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

// TestExperts compares sums with the same in float64. In bfloat16, the inner elements are rounded a few times.
func TestExperts(t *testing.T) {
	c := newExpertsCase(150)
	for kind, relative := range map[tensor.Type]float64{tensor.Float32: 1e-6, tensor.BFloat16: 0x1p-8} {
		for _, biased := range []bool{false, true} {
			got := c.compute(t, kind, biased, c.tokens)
			for token := range c.tokens {
				want, magnitude := c.want(token, biased)
				for i := range want {
					if d := math.Abs(got[token*c.hidden+int64(i)] - want[i]); !(d <= relative*magnitude[i]) {
						t.Fatalf("type %d, biased %v, token %d, element %d: %v, want %v, at most %v away", kind, biased, token, i,
							got[token*c.hidden+int64(i)], want[i], relative*magnitude[i])
					}
				}
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
	c := newExpertsCase(150)
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
