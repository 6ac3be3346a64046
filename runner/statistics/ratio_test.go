package statistics

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

type reference struct {
	Ratios []struct {
		Name      string
		D, W      []float64
		Clusters  []int
		Value     float64
		HC1       float64
		Error     float64
		Low, High float64
		P         float64
		Effective float64
	}
	P              []float64
	FalseDiscovery []float64
	FamilyWise     []float64
	Signs          []struct {
		Values []float64
		P      float64
	}
	Locations []struct {
		Values          []float64
		Median, Trimmed [3]float64
	}
	Welch []struct {
		A, B                         []float64
		Value, P, Freedom, Low, High float64
	}
	Quantiles []struct {
		Share                    float64
		A, B                     []float64
		ClustersOfA, ClustersOfB []int
		Quantiles                [2][3]float64
		Value, P, Low, High      float64
	}
	Shares []struct {
		Successes, Trials int64
		Interval          [2]float64
	}
}

func read(t *testing.T) (r reference) {
	t.Helper()
	data, err := os.ReadFile("testdata/reference.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func close(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance*max(math.Abs(want), 1e-12)) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

// units returns the sums of documents, or of their clusters.
func units(d, w []float64, clusters []int) (s Sums) {
	if clusters == nil {
		for i := range d {
			s.Add(d[i], w[i])
		}
		return s
	}
	type cluster struct{ d, w float64 }
	of := map[int]cluster{}
	for i, c := range clusters {
		of[c] = cluster{of[c].d + d[i], of[c].w + w[i]}
	}
	for _, c := range of {
		s.Add(c.d, c.w)
	}
	return s
}

// Differences of independent samples equal those of Welch's test by scipy.
func TestEqualsWelch(t *testing.T) {
	mean := func(x []float64) Estimate {
		var s Sums
		for _, v := range x {
			s.Add(v, 1)
		}
		e, _ := s.Estimate()
		return e
	}
	for _, c := range read(t).Welch {
		e, _ := mean(c.A).Less(mean(c.B))
		close(t, "difference", e.Value, c.Value, 1e-9)
		close(t, "low", e.Low, c.Low, 1e-7)
		close(t, "high", e.High, c.High, 1e-7)
		close(t, "p", e.P, c.P, 1e-6)
		close(t, "degrees of freedom", e.Effective-1, c.Freedom, 1e-9)
	}
}

// Quantiles of clustered values, their differences and the intervals of both equal those of numpy and scipy.
func TestEqualsQuantiles(t *testing.T) {
	for _, c := range read(t).Quantiles {
		var quantiles [2]Quantile
		var shares [2]Estimate
		for i, values := range [][]float64{c.A, c.B} {
			var sample Sample
			for _, v := range values {
				sample.Add(v, 1)
			}
			d, clusters := sample.Sorted(), [][]int{c.ClustersOfA, c.ClustersOfB}[i]
			below, w := make([]float64, len(values)), make([]float64, len(values))
			for j, v := range values {
				if w[j] = 1; v <= d.Quantile(c.Share) {
					below[j] = 1
				}
			}
			shares[i], _ = units(below, w, clusters).Estimate()
			q, ok := d.Interval(c.Share, shares[i])
			if got := [3]float64{q.Value, q.Low, q.High}; !ok || got != c.Quantiles[i] {
				t.Errorf("got %v, want %v", got, c.Quantiles[i])
			}
			quantiles[i] = q
		}
		e, _ := quantiles[0].Less(quantiles[1], shares[0], shares[1])
		close(t, "difference", e.Value, c.Value, 1e-9)
		close(t, "low", e.Low, c.Low, 1e-7)
		close(t, "high", e.High, c.High, 1e-7)
		close(t, "p", e.P, c.P, 1e-6)
	}
}

// A quantile has no interval if that of its share reaches 0 or 1, however many values are beyond it: clusters may differ
// too much.
func TestQuantileOfFewClusters(t *testing.T) {
	var sample Sample
	var below, w []float64
	var clusters []int
	for cluster := range 4 {
		for range 100 {
			v := 0.0
			if cluster == 3 {
				v = 1
			}
			sample.Add(v, 1)
			below, w, clusters = append(below, 1-v), append(w, 1), append(clusters, cluster)
		}
	}
	e, ok := units(below, w, clusters).Estimate()
	if !ok || e.Value != 0.75 {
		t.Fatalf("got the share %+v, %v", e, ok)
	}
	if q, ok := sample.Sorted().Interval(0.75, e); ok {
		t.Errorf("got %+v, want no interval", q)
	}
}

// Uncorrected errors equal those of a weighted regression with robust errors by statsmodels. The correction, intervals
// and tests equal those of numpy and scipy.
func TestEqualsStatsmodels(t *testing.T) {
	r := read(t)
	for _, c := range r.Ratios {
		s := units(c.D, c.W, c.Clusters)
		e, ok := s.Estimate()
		if !ok {
			t.Errorf("%s: no estimate", c.Name)
			continue
		}
		close(t, c.Name+": value", e.Value, c.Value, 1e-12)
		n := float64(s.Units)
		close(t, c.Name+": HC1", math.Sqrt(n/(n-1)*s.squares())/s.W, c.HC1, 1e-7)
		close(t, c.Name+": error", e.Error, c.Error, 1e-7)
		close(t, c.Name+": low", e.Low, c.Low, 1e-7)
		close(t, c.Name+": high", e.High, c.High, 1e-7)
		close(t, c.Name+": p", e.P, c.P, 1e-6)
		close(t, c.Name+": effective units", e.Effective, c.Effective, 1e-12)
	}
	for i, q := range FalseDiscovery(r.P) {
		close(t, "q-value", q, r.FalseDiscovery[i], 1e-12)
	}
	for i, p := range FamilyWise(r.P) {
		close(t, "adjusted p-value", p, r.FamilyWise[i], 1e-12)
	}
	for _, s := range r.Signs {
		tolerance := 1e-12
		if len(s.Values) > allSigns {
			tolerance = 4 * math.Sqrt((1-s.P)/s.P/signFlips)
		}
		close(t, "p-value by signs", SignFlip(s.Values), s.P, tolerance)
	}
	for _, l := range r.Locations {
		var sample Sample
		for _, v := range l.Values {
			sample.Add(v, 0)
		}
		d := sample.Sorted()
		var median, trimmed [3]float64
		median[0], median[1], median[2] = d.Median()
		trimmed[0], trimmed[1], trimmed[2] = d.Trimmed(0.1)
		for i, what := range []string{"value", "low end", "high end"} {
			close(t, "median: "+what, median[i], l.Median[i], 1e-12)
			close(t, "trimmed mean: "+what, trimmed[i], l.Trimmed[i], 1e-9)
		}
	}
	for _, s := range r.Shares {
		low, high := Wilson(s.Successes, s.Trials)
		close(t, "low end of a share", low, max(s.Interval[0], 0), 1e-9)
		close(t, "high end of a share", high, s.Interval[1], 1e-9)
	}
}

// Sums of parts are the sums of the whole.
func TestMerge(t *testing.T) {
	c := read(t).Ratios[3]
	whole, first, second := units(c.D, c.W, nil), units(c.D[:100], c.W[:100], nil), units(c.D[100:], c.W[100:], nil)
	first.Merge(second)
	a, _ := whole.Estimate()
	b, _ := first.Estimate()
	close(t, "value", b.Value, a.Value, 1e-12)
	close(t, "error", b.Error, a.Error, 1e-12)
}

// If one document has nearly all bytes, the others do not tell how documents differ. No estimate has a number that is not
// finite.
func TestOneLargeUnit(t *testing.T) {
	for _, large := range []float64{10, 1e3, 1e5, 1e7, 1e8, 1e9, 1e12} {
		var s Sums
		s.Add(0.3*large, large)
		s.Add(2, 1)
		e, ok := s.Estimate()
		for _, v := range []float64{e.Value, e.Error, e.Low, e.High, e.P, e.Detectable, e.Effective} {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				t.Errorf("%v bytes: %+v", large, e)
				break
			}
		}
		if ok != (large < 1e4) {
			t.Errorf("%v bytes: an estimate is there: %v", large, ok)
		}
	}
}

func TestEdges(t *testing.T) {
	var none, one, equal, zero Sums
	one.Add(3, 4)
	one.Add(0, 0)
	for range 3 {
		equal.Add(0.1, 0.3)
		zero.Add(0, 5)
	}
	for _, s := range []Sums{none, one} {
		if e, ok := s.Estimate(); ok {
			t.Errorf("%d units have the estimate %v", s.Units, e)
		}
	}
	if e, ok := equal.Estimate(); !ok || e.Error != 0 || e.Low != e.High || e.P != 0 {
		t.Errorf("equal units: %+v", e)
	}
	if e, ok := zero.Estimate(); !ok || e.Value != 0 || e.Error != 0 || e.P != 1 {
		t.Errorf("units without a difference: %+v", e)
	}
}

// Sums whose squares are beyond any float64 have no estimate.
func TestBeyondFloat64(t *testing.T) {
	var s Sums
	for range 3 {
		s.Add(1e200, 1)
	}
	if e, ok := s.Estimate(); ok {
		t.Errorf("found %+v, want no estimate", e)
	}
}
