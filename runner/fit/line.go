package fit

import "math"

// Line is a line by least squares through points whose mean x is Mean: y = Level + Slope (x - Mean). Its intervals are
// those of Student's t distribution with n-2 degrees of freedom, which assume that the deviations of y are independent,
// normal and of equal size.
type Line struct {
	Level, Slope, Mean float64
	// Sigma is the standard deviation of y around the line.
	Sigma float64
	// n points have a sum of squares of x - Mean of squares; t is the quantile of 97.5%.
	n       int
	squares float64
	t       float64
}

// NewLine fits a line to at least three points with at least two different values of x.
func NewLine(x, y []float64) Line {
	l := Line{n: len(x)}
	for i := range x {
		l.Mean += x[i] / float64(l.n)
		l.Level += y[i] / float64(l.n)
	}
	products := 0.0
	for i := range x {
		l.squares += (x[i] - l.Mean) * (x[i] - l.Mean)
		products += (x[i] - l.Mean) * (y[i] - l.Level)
	}
	l.Slope = products / l.squares
	rest := 0.0
	for i := range x {
		d := y[i] - l.Level - l.Slope*(x[i]-l.Mean)
		rest += d * d
	}
	l.Sigma, l.t = math.Sqrt(rest/float64(l.n-2)), Quantile(l.n-2)
	return l
}

// At returns the value of the line at x, and its interval.
func (l Line) At(x float64) Interval {
	d := x - l.Mean
	return Around(l.Level+l.Slope*d, l.t*l.Sigma*math.Sqrt(1/float64(l.n)+d*d/l.squares))
}

// Slopes returns the slope and its interval.
func (l Line) Slopes() Interval { return Around(l.Slope, l.t*l.Sigma/math.Sqrt(l.squares)) }
