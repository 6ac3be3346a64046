package scaling

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"surprisal.dev/runner/fit"
)

// expected is the output of testdata/fit.py.
type expected struct {
	Name          string
	Sizes, Losses []float64
	LnA, B, Twice [3]float64
	Deviation     float64
	Offset        *struct{ LnA, B, C [3]float64 }
}

// Fits equal those of scipy to a millionth.
func TestFitsEqualScipy(t *testing.T) {
	data, err := os.ReadFile("testdata/fit.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []expected
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		equal := func(what string, got fit.Interval, want [3]float64) {
			for i, v := range []float64{got.Value, got.Low, got.High} {
				if !(math.Abs(v-want[i]) <= 1e-6*max(math.Abs(want[i]), 1e-3)) {
					t.Errorf("%s: %s: got %v, want %v", c.Name, what, got, want)
				}
			}
		}
		logarithm := func(i fit.Interval) fit.Interval {
			return fit.Interval{Value: math.Log(i.Value), Low: math.Log(i.Low), High: math.Log(i.High)}
		}
		l, err := fitLaw(c.Sizes, c.Losses)
		if err != nil {
			t.Fatal(err)
		}
		equal("ln a", logarithm(l.A), c.LnA)
		equal("b", l.B, c.B)
		equal("at twice the size", l.at(2*maximum(c.Sizes)), c.Twice)
		if math.Abs(l.Deviation-c.Deviation) > 1e-6*c.Deviation {
			t.Errorf("%s: got a deviation of %v, want %v", c.Name, l.Deviation, c.Deviation)
		}
		if math.Abs(l.PerTenfold.Value-math.Pow(10, -c.B[0])) > 1e-6 || math.Abs(l.PerTenfold.Low-math.Pow(10, -c.B[2])) > 1e-6 {
			t.Errorf("%s: got %v per tenfold", c.Name, l.PerTenfold)
		}
		if c.Offset == nil {
			continue
		}
		o, err := fitOffset(c.Sizes, c.Losses)
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		equal("ln a of the offset law", logarithm(o.A), c.Offset.LnA)
		equal("b of the offset law", o.B, c.Offset.B)
		equal("c", o.C, c.Offset.C)
	}
}

func maximum(values []float64) float64 {
	m := values[0]
	for _, v := range values {
		m = max(m, v)
	}
	return m
}

// Exact laws are recovered, and an offset that the losses do not have is not claimed.
func TestFitsRecover(t *testing.T) {
	sizes := []float64{1e6, 1e7, 1e8, 1e9, 1e10}
	var plain, offset, concave []float64
	for _, n := range sizes {
		plain = append(plain, 5*math.Pow(n, -0.08))
		offset = append(offset, 1.69+406*math.Pow(n, -0.34))
		concave = append(concave, 5*math.Pow(n, -0.08)-1e-3*math.Log(n))
	}
	l, err := fitLaw(sizes, plain)
	if err != nil || math.Abs(l.A.Value-5) > 1e-9 || math.Abs(l.B.Value-0.08) > 1e-12 || l.B.High-l.B.Low > 1e-9 {
		t.Errorf("got %+v, %v", l, err)
	}
	o, err := fitOffset(sizes, offset)
	if err != nil || math.Abs(o.A.Value-406) > 1e-3 || math.Abs(o.B.Value-0.34) > 1e-7 || math.Abs(o.C.Value-1.69) > 1e-7 {
		t.Errorf("got %+v, %v", o, err)
	}
	if o, err := fitOffset(sizes, concave); !errors.Is(err, errNoOffset) {
		t.Errorf("got %+v, %v of losses that fall faster than a power law", o, err)
	}
}

// Sizes that are close together do not determine a law, and late checkpoints of a training run are.
func TestSizesTooClose(t *testing.T) {
	if l, err := fitLaw([]float64{1.42e13, 1.43e13, 1.44e13}, []float64{2.3, 2.1, 2.2}); !errors.Is(err, errTooClose) {
		t.Errorf("got %+v, %v", l, err)
	}
	// Random losses of five sizes: a law with an offset has finite intervals, or there is none.
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var sizes, losses []float64
		for n := 1e9; n < 2e10; n *= 2 {
			sizes, losses = append(sizes, n), append(losses, (1.7+400*math.Pow(n, -0.3))*math.Exp(0.05*random.NormFloat64()))
		}
		if o, err := fitOffset(sizes, losses); err == nil && (!o.A.Finite() || !o.B.Finite() || !o.C.Finite()) {
			t.Fatalf("got %+v of %v", o, losses)
		}
	}
}
