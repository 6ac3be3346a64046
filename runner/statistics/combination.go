package statistics

import "math"

// Term is an estimate and a factor.
type Term struct {
	Factor float64
	Estimate
}

// Combination returns the sum of independent estimates times their factors, such as the difference of two samples. Its
// degrees of freedom are those of Welch and Satterthwaite, (sum v)^2 / sum v^2/f with the variances v and the degrees of
// freedom f of the terms, and Effective is one more. Welch, "The Generalization of 'Student's' Problem when Several
// Different Population Variances are Involved", Biometrika 34 (1947). It is
// false if the sum is beyond any float64.
func Combination(terms ...Term) (Estimate, bool) {
	var e Estimate
	variance, ratios, freedom := 0.0, 0.0, 0.0
	for _, t := range terms {
		v := t.Factor * t.Factor * t.Error * t.Error
		f := t.distribution().Nu
		e.Value += t.Factor * t.Value
		variance += v
		ratios += v * v / f
		freedom += f
	}
	e.Error = math.Sqrt(variance)
	// The sum of squares underflows for variances that are tiny, but not 0.
	if ratios > 0 {
		freedom = variance * variance / ratios
	}
	e.Effective = freedom + 1
	return e.concluded()
}

// Less returns the difference of two independent estimates.
func (e Estimate) Less(other Estimate) (Estimate, bool) {
	return Combination(Term{1, e}, Term{-1, other})
}
