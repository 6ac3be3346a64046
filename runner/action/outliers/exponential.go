package outliers

import (
	"errors"
	"math"

	"surprisal.dev/runner/fit"
)

// fewestPerplexities is the number of different perplexities from which a curve is fitted. It has two parameters, and one
// more gives an interval.
const fewestPerplexities = 3

// Exponential is the curve y(x) = a exp(b x), fitted by least squares of y, so that a model with y = 0 counts. Intervals
// are 95% intervals of the linearized curve, of Student's t distribution with n-2 degrees of freedom. They assume that the
// deviations of y are independent, normal and of equal size.
type Exponential struct {
	A fit.Interval `json:"a"`
	B fit.Interval `json:"b"`
	// Deviation is the standard deviation of y around the curve.
	Deviation float64 `json:"deviation"`

	// level is the value at mean, the mean of all x. covariance is that of level and b, and t the quantile of 97.5%.
	level, mean float64
	covariance  [2][2]float64
	t           float64
}

// steepest bounds the logarithm of the ratio of two values of a curve, those at the smallest and the largest x. A
// steeper curve is one that falls to 0 between points, at a rate that these do not determine.
const steepest = 40.0

// errUndetermined means that no curve, or no single one, has the least squares.
var errUndetermined = errors.New("the values do not determine a curve")

// errTooClose means that a curve through all x says nothing of its value at 0.
var errTooClose = errors.New("the perplexities are too close together")

// fitExponential fits a curve to at least fewestPerplexities different values of x.
func fitExponential(x, y []float64) (Exponential, error) {
	e := Exponential{t: fit.Quantile(len(x) - 2)}
	low, high, highest := math.Inf(1), math.Inf(-1), 0.0
	for i, v := range x {
		e.mean += v / float64(len(x))
		low, high, highest = min(low, v), max(high, v), max(highest, y[i])
	}
	if !(highest > 0) {
		return e, errUndetermined
	}
	// Both are scaled, so that steps of the descent have one size.
	u, v := make([]float64, len(x)), make([]float64, len(y))
	for i := range x {
		u[i], v[i] = (x[i]-e.mean)/(high-low), y[i]/highest
	}
	problem := fit.Problem{Curve: curveOf, X: u, Y: v}
	within := func(p []float64) bool { return math.Abs(p[1]) < steepest }
	p, _ := problem.Descend(start(u, v), within)
	if !within(p) || !(p[0] > 0) {
		return e, errUndetermined
	}
	covariance, err := problem.Covariance(p)
	if err != nil {
		return e, errUndetermined
	}
	e.level = p[0] * highest
	b := p[1] / (high - low)
	e.covariance = [2][2]float64{
		{covariance.At(0, 0) * highest * highest, covariance.At(0, 1) * highest / (high - low)},
		{covariance.At(1, 0) * highest / (high - low), covariance.At(1, 1) / ((high - low) * (high - low))},
	}
	e.B = fit.Around(b, e.t*math.Sqrt(max(e.covariance[1][1], 0)))
	e.A = e.at(0)
	if !e.A.Finite() || !e.B.Finite() {
		return e, errTooClose
	}
	rest := 0.0
	for i := range x {
		d := y[i] - e.level*math.Exp(b*(x[i]-e.mean))
		rest += d * d
	}
	e.Deviation = math.Sqrt(rest / float64(len(x)-2))
	return e, nil
}

// curveOf is the curve p[0] exp(p[1] u).
func curveOf(p []float64, u float64, gradient []float64) float64 {
	power := math.Exp(p[1] * u)
	gradient[0], gradient[1] = power, p[0]*u*power
	return p[0] * power
}

// start returns the best of many rates, each with its best level, which is the least-squares solution of a linear problem.
func start(u, v []float64) []float64 {
	best, lowest := []float64{0, 0}, math.Inf(1)
	const steps = 800
	for k := range steps + 1 {
		rate := steepest * (2*float64(k)/steps - 1)
		products, squares, sum := 0.0, 0.0, 0.0
		for i := range u {
			power := math.Exp(rate * u[i])
			products += power * v[i]
			squares += power * power
		}
		level := products / squares
		for i := range u {
			d := v[i] - level*math.Exp(rate*u[i])
			sum += d * d
		}
		if sum < lowest {
			best, lowest = []float64{level, rate}, sum
		}
	}
	return best
}

// at returns the value of the curve at x, and its interval.
func (e Exponential) at(x float64) fit.Interval {
	d := x - e.mean
	power := math.Exp(e.B.Value * d)
	byLevel, byRate := power, e.level*d*power
	c := e.covariance
	variance := byLevel*byLevel*c[0][0] + 2*byLevel*byRate*c[0][1] + byRate*byRate*c[1][1]
	return fit.Around(e.level*power, e.t*math.Sqrt(max(variance, 0)))
}
