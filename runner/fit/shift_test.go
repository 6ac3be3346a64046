package fit

import (
	"math"
	"math/rand/v2"
	"testing"
)

// points returns n points on a line with normal deviations, which are higher by shift from a point on.
func points(r *rand.Rand, n, at int, shift float64) (x, y []float64) {
	for i := range n {
		v := 2 - 0.1*float64(i) + r.NormFloat64()
		if i >= at {
			v += shift
		}
		x, y = append(x, float64(i)), append(y, v)
	}
	return x, y
}

// Without a change, at most 5% of series seem to have one. A large change is found at its place, with an interval that
// has its size.
func TestShift(t *testing.T) {
	const series = 2000
	for _, n := range []int{6, 10, 30} {
		r := rand.New(rand.NewPCG(1, uint64(n)))
		wrong, found, covered := 0, 0, 0
		for range series {
			if s, ok := NewShift(points(r, n, n, 0)); !ok || s.P < 0.05 {
				wrong++
			}
			s, ok := NewShift(points(r, n, n/2, 20))
			if ok && s.P < 0.05 && s.Index == n/2 {
				found++
			}
			if s.By.Low <= 20 && 20 <= s.By.High {
				covered++
			}
		}
		t.Logf("%d points: %d of %d wrong, %d found, %d covered", n, wrong, series, found, covered)
		if wrong > series*55/1000 || found < series*8/10 || covered < series*93/100 {
			t.Errorf("%d points: %d of %d series without a change seem to have one; %d changes were found, %d intervals have their size", n, wrong, series, found, covered)
		}
	}
}

// Points on a line have no change, nor have too few. A change without deviations is certain.
func TestShiftEdges(t *testing.T) {
	x := []float64{1, 2, 3, 4, 5, 6, 7}
	for _, y := range [][]float64{{1, 1, 1, 1, 1, 1, 1}, {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7}, {0, 0, 0, 0, 0, 0, 0}} {
		if s, ok := NewShift(x, y); ok {
			t.Errorf("%v: got %+v", y, s)
		}
	}
	if _, ok := NewShift(x[:5], []float64{0, 0, 9, 9, 9}); ok {
		t.Error("5 points have a change")
	}
	s, ok := NewShift(x, []float64{3, 2, 1, 5, 4, 3, 2})
	if !ok || s.Index != 3 || math.Abs(s.By.Value-5) > 1e-9 || s.P > 1e-6 || math.IsNaN(s.By.Low) {
		t.Errorf("got %+v", s)
	}
}
