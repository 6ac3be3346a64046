//go:build torch

package tensor

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// observed computes what an Observation returns for rows of several sites, [sites][rows*width].
func observed(sites [][]float32, ends []int64, o ObservationOptions) []Magnitudes {
	var all []Magnitudes
	begin := 0
	for _, last := range ends {
		end := int(last)
		m := Magnitudes{Largest: make([]float32, o.Width), Rows: make([]int64, o.Width), Sites: make([][]uint32, o.Width)}
		for j := range o.Width {
			m.Sites[j] = make([]uint32, (o.Sites+31)/32)
			for row := begin; row < end; row++ {
				reached := false
				for i, x := range sites {
					v := float32(math.Abs(float64(x[row*o.Width+j])))
					m.Largest[j] = max(m.Largest[j], v)
					if v >= o.Threshold {
						m.Sites[j][i/32] |= 1 << (i % 32)
						reached = true
					}
				}
				if reached {
					m.Rows[j]++
				}
			}
		}
		for _, x := range sites {
			greatest, sampled := float32(0), []float32{}
			for row := begin; row < end; row++ {
				for _, v := range x[row*o.Width : (row+1)*o.Width] {
					v = float32(math.Abs(float64(v)))
					greatest = max(greatest, v)
					if (row-begin)%o.Stride == 0 {
						sampled = append(sampled, v)
					}
				}
			}
			slices.Sort(sampled)
			m.SiteLargest, m.SiteMedians = append(m.SiteLargest, greatest), append(m.SiteMedians, sampled[(len(sampled)-1)/2])
		}
		all, begin = append(all, m), end
	}
	return all
}

// TestObserve compares observations with loops over all elements, on this processor.
func TestObserve(t *testing.T) {
	for _, kind := range []Type{Float32, BFloat16} {
		for _, reference := range []bool{false, true} {
			for _, ends := range [][]int64{{1}, {40, 80, 120}, {1, 18, 19, 100}} {
				for _, width := range []int{1, 5, 64, 150} {
					t.Run(fmt.Sprint(kind, reference, ends, width), func(t *testing.T) {
						testObserve(t, CPU, kind, ends, ObservationOptions{Sites: 35, Width: width, Stride: 16, Threshold: 2.5, Reference: reference})
					})
				}
			}
		}
	}
}

func testObserve(t *testing.T, d Device, kind Type, ends []int64, o ObservationOptions) {
	t.Helper()
	random := rand.New(rand.NewPCG(uint64(o.Width), uint64(len(ends))))
	heap := NewHeap()
	s := heap.NewScope()
	to := s.NewObservation(NewSequences(s, ends, d), d, o)
	rows := ends[len(ends)-1]
	var sites [][]float32
	for i := range o.Sites {
		// bfloat16s are exact in both types. Some are equal to the threshold.
		data := bfloat16s(random, rows*int64(o.Width), 1)
		data[i%len(data)] = o.Threshold * float32(1-2*(i%2))
		sites = append(sites, data)
		s.Observe(to, i, s.To(New(s, data, Float32, rows, int64(o.Width)), kind, d))
	}
	got, want := s.Magnitudes(to), observed(sites, ends, o)
	if err := s.Close(); err != nil || heap.Live() != 0 {
		t.Fatalf("%v, %d tensors are left", err, heap.Live())
	}
	for i := range want {
		if fmt.Sprint(got[i]) != fmt.Sprint(want[i]) {
			t.Errorf("sequence %d: %v, want %v", i, got[i], want[i])
		}
	}
}

// TestObserveOtherRows checks that the output of another batch is refused.
func TestObserveOtherRows(t *testing.T) {
	s := NewHeap().NewScope()
	to := s.NewObservation(NewSequences(s, []int64{2}, CPU), CPU, ObservationOptions{Sites: 1, Width: 2, Stride: 16, Threshold: 1})
	s.Observe(to, 0, New(s, make([]float32, 6), Float32, 3, 2))
	if err := s.Close(); err == nil {
		t.Error("an output of 3 rows was observed for sequences of 2")
	}
}
