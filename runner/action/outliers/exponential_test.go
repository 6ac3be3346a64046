package outliers

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"testing"

	"surprisal.dev/runner/fit"
)

// Fits equal those of scipy to a millionth.
func TestFitsEqualScipy(t *testing.T) {
	data, err := os.ReadFile("testdata/fit.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name          string
		X, Y          []float64
		A, B, Between [3]float64
		Deviation     float64
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		e, err := fitExponential(c.X, c.Y)
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		equal := func(what string, got fit.Interval, want [3]float64) {
			for i, v := range []float64{got.Value, got.Low, got.High} {
				if !(math.Abs(v-want[i]) <= 1e-6*max(math.Abs(want[i]), math.Abs(want[0]))) {
					t.Errorf("%s: %s: got %v, want %v", c.Name, what, got, want)
				}
			}
		}
		equal("a", e.A, c.A)
		equal("b", e.B, c.B)
		equal("between two models", e.at((c.X[0]+c.X[1])/2), c.Between)
		if !(math.Abs(e.Deviation-c.Deviation) <= 1e-6*c.Deviation) {
			t.Errorf("%s: got a deviation of %v, want %v", c.Name, e.Deviation, c.Deviation)
		}
	}
}

// Exact curves are recovered, and values that determine none have none.
func TestFitsRecover(t *testing.T) {
	x := []float64{30, 20, 15, 10}
	var falling, flat []float64
	for _, v := range x {
		falling, flat = append(falling, 80*math.Exp(-0.2*v)), append(flat, 25)
	}
	if e, err := fitExponential(x, falling); err != nil || math.Abs(e.A.Value-80) > 1e-6 || math.Abs(e.B.Value+0.2) > 1e-9 || e.B.High-e.B.Low > 1e-6 {
		t.Errorf("got %+v, %v", e, err)
	}
	if e, err := fitExponential(x, flat); err != nil || math.Abs(e.A.Value-25) > 1e-6 || math.Abs(e.B.Value) > 1e-9 {
		t.Errorf("got %+v, %v of equal values", e, err)
	}
	for name, y := range map[string][]float64{"zeros": {0, 0, 0, 0}, "only the last": {0, 0, 0, 7}, "only the first": {7, 0, 0, 0}} {
		if e, err := fitExponential(x, y); !errors.Is(err, errUndetermined) {
			t.Errorf("%s: got %+v, %v", name, e, err)
		}
	}
	if e, err := fitExponential([]float64{30, 30.02, 30.05}, []float64{10, 5, 2}); !errors.Is(err, errTooClose) {
		t.Errorf("perplexities that are close together: got %+v, %v", e, err)
	}
}
