package statistics

import "math"

// Quantile is a quantile of the values of clustered units with its 95% interval.
type Quantile struct {
	Value, Low, High float64
}

// Len returns the number of values.
func (d Distribution) Len() int64 { return d.n }

// Quantile returns the smallest value that at least a share of the values do not exceed.
func (d Distribution) Quantile(share float64) float64 {
	// The product of a share such as 0.9 may be above the number that it stands for.
	rank := int64(math.Ceil(share*float64(d.n)*(1-1e-12))) - 1
	return d.at(max(0, min(rank, d.n-1)))
}

// Interval returns the quantile at a share. below is the estimate of the share of values up to it: a ratio of sums over the
// units, which may be clusters of values. The ends are the quantiles at the ends of the interval of that share. Woodruff,
// "Confidence Intervals for Medians and Other Position Measures", JASA 47 (1952). It is false if an end of the share is
// not between 0 and 1, because an end of the interval is then unknown.
func (d Distribution) Interval(share float64, below Estimate) (Quantile, bool) {
	half := below.Half((1 + Confidence) / 2)
	if d.n == 0 || !(share-half > 0 && share+half < 1) {
		return Quantile{}, false
	}
	return Quantile{d.Quantile(share), d.Quantile(share - half), d.Quantile(share + half)}, true
}

// Less returns the difference of the quantiles of two independent samples, whose shares below were estimated as a and b.
// Each end of its interval is as far from the value as the hypotenuse of the distances of the ends that it depends on.
// Zou and Donner, "Construction of Confidence Limits about Effect Measures", Statistics in Medicine 27 (2008). The
// p-value follows from the end nearer to 0, with the degrees of freedom of the difference of a and b.
func (q Quantile) Less(other Quantile, a, b Estimate) (Estimate, bool) {
	shares, ok := a.Less(b)
	if !ok {
		return Estimate{}, false
	}
	e := Estimate{Value: q.Value - other.Value, Effective: shares.Effective}
	down := math.Hypot(q.Value-q.Low, other.High-other.Value)
	up := math.Hypot(q.High-q.Value, other.Value-other.Low)
	t := e.distribution().Quantile((1 + Confidence) / 2)
	toZero := down
	if e.Value < 0 {
		toZero = up
	}
	e.Error = toZero / t
	e, ok = e.concluded()
	e.Low, e.High, e.Detectable = e.Value-down, e.Value+up, detectable*(down+up)/2/t
	return e, ok
}
