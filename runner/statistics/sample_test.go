package statistics

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// Up to SampleValues the statistics are exact; beyond, they differ by less than the width of a bin.
func TestSample(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 7, 1000, SampleValues, SampleValues + 1, 3 * SampleValues} {
		var s Sample
		values := make([]float64, n)
		for i := range values {
			values[i] = 0.01 + r.NormFloat64()*math.Exp(r.NormFloat64())
			s.Add(values[i], 2)
		}
		slices.Sort(values)
		if s.Exact() != (n <= SampleValues) || s.Len() != int64(n) {
			t.Errorf("%d values: exact %v, %d values", n, s.Exact(), s.Len())
		}
		tolerance := 1e-12
		if !s.Exact() {
			tolerance = 1. / 1024
		}
		d := s.Sorted()
		median, low, high := d.Median()
		near := func(what string, got, want float64) {
			if math.Abs(got-want) > tolerance*max(math.Abs(want), 0.1) {
				t.Errorf("%d values: %s is %v, want %v", n, what, got, want)
			}
		}
		near("the median", median, (values[(n-1)/2]+values[n/2])/2)
		if !(low <= median && median <= high) {
			t.Errorf("%d values: median %v in [%v, %v]", n, median, low, high)
		}
		cut, want := n/10, 0.0
		for _, v := range values[cut : n-cut] {
			want += v / float64(n-2*cut)
		}
		mean, _, _ := d.Trimmed(0.1)
		near("the trimmed mean", mean, want)
		most, least := 0.0, 0.0
		for _, v := range values[n-(n+99)/100:] {
			most += v
		}
		for _, v := range values[:(n+99)/100] {
			least += v
		}
		sum, weight := d.Top(int64(n+99)/100, true)
		near("the sum of the greatest", sum, most)
		near("their weight", weight, 2*float64((n+99)/100))
		sum, _ = d.Top(int64(n+99)/100, false)
		near("the sum of the smallest", sum, least)
	}
}

// The q-value of a sample is that of FalseDiscovery, also from bins.
func TestFalseDiscoveryOfASample(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{1, 50, SampleValues + 1000} {
		var s Sample
		p := make([]float64, n)
		for i := range p {
			p[i] = r.Float64()
			if i%10 == 0 {
				p[i] = math.Pow(p[i], 6)
			}
			s.Add(p[i], 0)
		}
		tolerance := 1e-12
		if !s.Exact() {
			tolerance = 2. / 1024
		}
		d := s.Sorted()
		for i, want := range FalseDiscovery(p)[:min(n, 1000)] {
			if got := d.FalseDiscovery(p[i]); math.Abs(got-want) > tolerance*want {
				t.Fatalf("%d p-values: q of %v is %v, want %v", n, p[i], got, want)
			}
		}
	}
}

// The probability of signs is that of counting all assignments, and random ones come close to it.
func TestSignFlip(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{nil, 1}, {[]float64{0}, 1}, {[]float64{3}, 1}, {[]float64{1, 1}, 0.5}, {[]float64{0.1, 0.2, 0.3}, 0.25}, {[]float64{0.1, 0.2, -0.3}, 1},
		{[]float64{1, 2, 3, 4, -0.5}, 0.125},
	} {
		if got := SignFlip(c.values); got != c.want {
			t.Errorf("%v: %v, want %v", c.values, got, c.want)
		}
	}
	r := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		values := make([]float64, 13)
		for i := range values {
			values[i] = 0.4 + r.NormFloat64()
		}
		exact := SignFlip(values)
		// A value of 0 changes nothing, but there are too many values to count all assignments.
		drawn := SignFlip(append(values, 0))
		if math.Abs(drawn-exact) > 4*math.Sqrt(exact*(1-exact)/signFlips)+1e-4 {
			t.Errorf("exact %v, drawn %v", exact, drawn)
		}
		if again := SignFlip(append(values, 0)); again != drawn {
			t.Errorf("%v and then %v", drawn, again)
		}
	}
}
