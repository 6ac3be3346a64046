//go:build torch

package tensor

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestAttend(t *testing.T) { testAttend(t, CPU, 1e-5) }

// testAttend compares both implementations of attention on a device with attention computed in float64, within a
// tolerance for float32.
func testAttend(t *testing.T, device Device, tolerance float64) {
	t.Helper()
	heap := NewHeap()
	for _, test := range []struct {
		lengths           []int
		heads, keys, size int
		window            int64
	}{
		{[]int{1}, 1, 1, 2, 0},
		{[]int{5, 1, 3}, 2, 1, 6, 0},
		{[]int{17, 48, 49}, 3, 3, 16, 0},
		{[]int{300, 64}, 6, 2, 64, 0},
		{[]int{130}, 2, 1, 80, 0},
		{[]int{97}, 2, 2, 35, 0},
		{[]int{600}, 1, 1, 256, 0},
		{[]int{40, 700}, 2, 1, 32, 1},
		{[]int{700, 2}, 2, 1, 32, 7},
		{[]int{700}, 2, 2, 32, 300},
		{[]int{700}, 1, 1, 32, 700},
	} {
		tokens := 0
		var ends []int64
		for _, n := range test.lengths {
			tokens += n
			ends = append(ends, int64(tokens))
		}
		random := rand.New(rand.NewPCG(uint64(tokens), 1))
		values := func(heads int, spread float64) []float32 {
			v := make([]float32, tokens*heads*test.size)
			for i := range v {
				// The values are rounded to bfloat16, so that both types start from the same numbers.
				v[i] = math.Float32frombits(math.Float32bits(float32(random.NormFloat64()*spread)) &^ 0xffff)
			}
			return v
		}
		q, k, v := values(test.heads, 3), values(test.keys, 1), values(test.keys, 1)
		scale := 1 / math.Sqrt(float64(test.size))
		want := attend(q, k, v, ends, test.heads, test.keys, test.size, scale, test.window)
		for _, kind := range []struct {
			Type
			tolerance float64
		}{{Float32, tolerance}, {BFloat16, 0.02}} {
			for _, reference := range []bool{false, true} {
				t.Run(fmt.Sprintf("%v heads %d of %d size %d window %d type %d reference %v", test.lengths, test.heads, test.keys, test.size, test.window, kind.Type, reference), func(t *testing.T) {
					s := heap.NewScope()
					place := func(data []float32, heads int) Tensor {
						return s.To(New(s, data, Float32, int64(tokens), int64(heads), int64(test.size)), kind.Type, device)
					}
					got := s.Float64s(s.Attention(place(q, test.heads), place(k, test.keys), place(v, test.keys), NewSequences(s, ends, device),
						AttentionOptions{Scale: scale, Window: test.window, Reference: reference}))
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
					worst := 0.0
					for i, x := range got {
						worst = max(worst, math.Abs(x-want[i]))
						if math.IsNaN(x) {
							worst = math.Inf(1)
						}
					}
					if worst > kind.tolerance {
						t.Errorf("off by %v, which is more than %v", worst, kind.tolerance)
					}
				})
			}
		}
	}
	if heap.Live() != 0 {
		t.Errorf("%d tensors are left", heap.Live())
	}
}

// TestAttendSegments checks that sequences that share segments have the results of the same sequences without, to the last
// bit where rows are independent.
func TestAttendSegments(t *testing.T) {
	// Segment lengths, and the segment that each continues.
	lengths, parents := []int64{70, 5, 130, 1, 40, 300, 9}, []int64{-1, 0, 0, 2, 2, -1, 4}
	for _, kind := range []Type{Float32, BFloat16} {
		for _, size := range []int64{64, 35} {
			for _, window := range []int64{0, 7, 150} {
				for _, sinks := range []bool{false, true} {
					for _, reference := range []bool{false, true} {
						t.Run(fmt.Sprintf("type %d size %d window %d sinks %v reference %v", kind, size, window, sinks, reference), func(t *testing.T) {
							testAttendSegments(t, kind, lengths, parents, size, AttentionOptions{Scale: 0.1, Window: window, Reference: reference}, sinks)
						})
					}
				}
			}
		}
	}
}

func testAttendSegments(t *testing.T, kind Type, lengths, parents []int64, size int64, o AttentionOptions, sinks bool) {
	t.Helper()
	const heads, keys = 4, 2
	segments, rows := make([]Segment, len(lengths)), make([][]int64, len(lengths))
	end := int64(0)
	for i, n := range lengths {
		if segments[i].Parent = parents[i]; parents[i] >= 0 {
			rows[i] = slices.Clone(rows[parents[i]])
			segments[i].Start = int64(len(rows[i]))
		}
		for range n {
			rows[i] = append(rows[i], end)
			end++
		}
		segments[i].End = end
	}
	random := rand.New(rand.NewPCG(1, 2))
	data := map[int64][]float32{heads: bfloat16s(random, end*heads*size, 1), keys: bfloat16s(random, end*keys*size, 1)}
	heap := NewHeap()
	s := heap.NewScope()
	if sinks {
		o.Sinks = New(s, []float32{1, -1, 0, 2}, Float32, heads)
	}
	place := func(heads int64) Tensor {
		return s.To(New(s, data[heads], Float32, end, heads, size), kind, CPU)
	}
	q, k := place(heads), place(keys)
	got := s.Float64s(s.Attention(q, k, k, NewSegments(s, segments, CPU), o))
	for i, g := range segments {
		whole := New(s, rows[i], Int64, int64(len(rows[i])))
		of := func(x Tensor) Tensor { return s.Rows(x, whole) }
		want := s.Float64s(s.Attention(of(q), of(k), of(k), NewSequences(s, []int64{int64(len(rows[i]))}, CPU), o))
		row := heads * size
		for j, x := range got[(g.End-lengths[i])*row : g.End*row] {
			if y := want[g.Start*row+int64(j)]; x != y && (!o.Reference || math.Abs(x-y) > 0.02) {
				t.Fatalf("element %d of segment %d is %v with segments and %v without", j, i, x, y)
			}
		}
	}
	if err := s.Close(); err != nil || heap.Live() != 0 {
		t.Errorf("%v, %d tensors are left", err, heap.Live())
	}
}

func attend(q, k, v []float32, ends []int64, heads, keys, size int, scale float64, window int64) []float64 {
	out := make([]float64, len(q))
	from := int64(0)
	for _, end := range ends {
		for t := from; t < end; t++ {
			first := from
			if window > 0 {
				first = max(first, t-window+1)
			}
			for h := range heads {
				query := q[(int(t)*heads+h)*size:][:size]
				scores, greatest := make([]float64, t-first+1), math.Inf(-1)
				for i := range scores {
					key := k[((int(first)+i)*keys+h*keys/heads)*size:][:size]
					for d := range size {
						scores[i] += float64(query[d]) * float64(key[d]) * scale
					}
					greatest = max(greatest, scores[i])
				}
				sum := 0.0
				for i := range scores {
					scores[i] = math.Exp(scores[i] - greatest)
					sum += scores[i]
				}
				mixed := out[(int(t)*heads+h)*size:][:size]
				for i, p := range scores {
					value := v[((int(first)+i)*keys+h*keys/heads)*size:][:size]
					for d := range size {
						mixed[d] += p / sum * float64(value[d])
					}
				}
			}
		}
		from = end
	}
	return out
}
