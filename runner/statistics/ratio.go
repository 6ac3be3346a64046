package statistics

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Sums are sums over units that are independent of each other: documents, or clusters of documents. Of each unit they
// have a numerator d, for example the bits of a minus the bits of b, and a weight w, for example scored bytes. They
// suffice for the ratio of the sums, its standard error and what follows from these.
type Sums struct {
	// Units counts the units with a weight above 0.
	Units int64 `json:"units"`
	// D, W, DD, DW, WW and WWW are the sums of d, w, d*d, d*w, w*w and w*w*w.
	D   float64 `json:"d"`
	W   float64 `json:"w"`
	DD  float64 `json:"dd"`
	DW  float64 `json:"dw"`
	WW  float64 `json:"ww"`
	WWW float64 `json:"www"`
}

// Add adds a unit. A unit without weight is ignored.
func (s *Sums) Add(d, w float64) {
	if w == 0 {
		return
	}
	s.Units++
	s.D += d
	s.W += w
	s.DD += d * d
	s.DW += d * w
	s.WW += w * w
	s.WWW += w * w * w
}

// Merge adds the units of other.
func (s *Sums) Merge(other Sums) {
	s.Units += other.Units
	s.D += other.D
	s.W += other.W
	s.DD += other.DD
	s.DW += other.DW
	s.WW += other.WW
	s.WWW += other.WWW
}

// Estimate is the ratio of the sums, theta = sum d / sum w, and how well the units determine it.
type Estimate struct {
	Value float64 `json:"value"`
	// Error is the standard error of Value: sqrt(c sum r^2) / sum w with r = d - theta w. The factor
	// c = 1 / (1 - 2 sum w^3 / (sum w sum w^2) + sum w^2 / (sum w)^2) makes the variance unbiased if all d/w have the same
	// variance (Bell and McCaffrey, "Bias Reduction in Standard Errors for Linear Regression with Multi-Stage Samples",
	// Survey Methodology 28, 2002). For equal weights it is n/(n-1), and the error that of a regression of d/w on a
	// constant, HC1.
	Error float64 `json:"standardError"`
	// Low and High are the ends of the 95% interval, by Student's t distribution with Effective - 1 degrees of freedom. With
	// n - 1, an interval is too short where few units have most of the weight: of 50 units with log-normal weights of
	// sigma 1.5, it covers the truth in 87% of samples.
	Low  float64 `json:"low"`
	High float64 `json:"high"`
	// P is the two-sided p-value of the hypothesis that the ratio is 0, by the same distribution.
	P float64 `json:"p"`
	// Detectable is the smallest ratio that such units show in four of five samples, at 5% one-sided:
	// (z(0.95) + z(0.80)) Error.
	Detectable float64 `json:"detectable"`
	// Effective is the effective number of units, (sum w)^2 / sum w^2 (Kish).
	Effective float64 `json:"effectiveUnits"`
}

// Confidence is the coverage of intervals.
const Confidence = 0.95

// detectable is z(0.95) + z(0.80), with the quantiles z of the normal distribution.
const detectable = 1.6448536269514722 + 0.8416212335729143

// leastUnbiased bounds the divisor of c. Below it, one unit has 99.9% of the weight or more, and the difference of the
// others to it is lost in rounding.
const leastUnbiased = 1e-6

// Estimate returns the estimate of the ratio. It is false if there are fewer than two units, if one unit has nearly all of
// the weight, or if the squares of the units are beyond any float64.
func (s Sums) Estimate() (Estimate, bool) {
	if s.Units < 2 || !(s.W > 0) {
		return Estimate{}, false
	}
	e := Estimate{Value: s.D / s.W, Effective: s.W * s.W / s.WW}
	unbiased := 1 - 2*s.WWW/(s.W*s.WW) + 1/e.Effective
	if !(unbiased > leastUnbiased) {
		return Estimate{}, false
	}
	e.Error = math.Sqrt(s.squares()/unbiased) / s.W
	return e.concluded()
}

// concluded returns an estimate with what follows from its value, its error and the effective number of units. It is false
// if an end of the interval is beyond any float64.
func (e Estimate) concluded() (Estimate, bool) {
	half := e.Half((1 + Confidence) / 2)
	e.Low, e.High, e.Detectable = e.Value-half, e.Value+half, detectable*e.Error
	if width := e.High - e.Low; math.IsNaN(width) || math.IsInf(width, 0) {
		return Estimate{}, false
	}
	e.P = 1
	if e.Value != 0 {
		e.P = 2 * Estimate{Value: math.Abs(e.Value), Error: e.Error, Effective: e.Effective}.Above(0)
	}
	return e, true
}

// squares returns the sum of squares of r = d - theta w: DD - 2 theta DW + theta^2 WW.
func (s Sums) squares() float64 {
	theta := s.D / s.W
	squares := s.DD - 2*theta*s.DW + theta*theta*s.WW
	// What remains of a difference of equal sums is rounding, also below 0.
	if squares < 1e-13*s.DD {
		return 0
	}
	return squares
}

// Half returns the distance from Value to the end of a one-sided interval of a confidence.
func (e Estimate) Half(confidence float64) float64 {
	return e.Error * e.distribution().Quantile(confidence)
}

// Above returns the one-sided p-value of the hypothesis that the ratio is at most margin.
func (e Estimate) Above(margin float64) float64 {
	switch beyond := e.Value - margin; {
	case e.Error > 0:
		return e.distribution().Survival(beyond / e.Error)
	case beyond > 0:
		return 0
	}
	return 1
}

// distribution is Student's t distribution with Effective - 1 degrees of freedom, at least 1.
func (e Estimate) distribution() distuv.StudentsT {
	return distuv.StudentsT{Sigma: 1, Nu: max(e.Effective-1, 1)}
}
