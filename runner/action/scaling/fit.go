package scaling

import (
	"errors"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Fewest sizes for a fit. A power law has two parameters, and one more size gives an interval. The law with an offset
// has three; with five sizes, its interval has two degrees of freedom.
const (
	fewestSizes       = 3
	fewestOffsetSizes = 5
)

// Law is the power law L(x) = a x^-b of Kaplan et al., "Scaling Laws for Neural Language Models", arXiv:2001.08361. It
// is a line in logarithms, fitted by least squares of ln L. Intervals are 95% intervals of Student's t distribution with
// n-2 degrees of freedom, which assume that the deviations of ln L are independent, normal and of equal size.
type Law struct {
	A Interval `json:"a"`
	B Interval `json:"b"`
	// PerTenfold is 10^-b, the factor of the loss for each tenfold x.
	PerTenfold Interval `json:"factorPerTenfold"`
	// Deviation is the standard deviation of ln L around the line.
	Deviation float64 `json:"deviationOfLog"`
	line      line
}

// OffsetLaw is L(x) = c + a x^-b, as in Hoffmann et al., "Training Compute-Optimal Large Language Models",
// arXiv:2203.15556, where c is the loss that no size removes. It is fitted by least squares of ln L, as there, but
// without the Huber loss. Intervals are those of the linearized model with n-3 degrees of freedom.
type OffsetLaw struct {
	A Interval `json:"a"`
	B Interval `json:"b"`
	C Interval `json:"c"`
}

// Interval is a value and its 95% interval.
type Interval struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

func exponential(i Interval) Interval {
	return Interval{math.Exp(i.Value), math.Exp(i.Low), math.Exp(i.High)}
}

// line is a line by least squares through points whose mean x is mean: y = level + slope (x - mean).
type line struct {
	level, slope, mean float64
	// n points have a sum of squares of x - mean of squares; sigma is the deviation of y; t is the quantile of 97.5%.
	n              int
	squares, sigma float64
	t              float64
}

// at returns the value of the line at x and half of its 95% interval.
func (l line) at(x float64) (y, half float64) {
	d := x - l.mean
	return l.level + l.slope*d, l.t * l.sigma * math.Sqrt(1/float64(l.n)+d*d/l.squares)
}

func quantile(degrees int) float64 {
	return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(degrees)}.Quantile(0.975)
}

// distinct returns the number of different values.
func distinct(values []float64) int {
	sorted := slices.Sorted(slices.Values(values))
	return len(slices.Compact(sorted))
}

// logs returns the logarithms of positive numbers.
func logs(values []float64) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = math.Log(v)
	}
	return out
}

// fitLaw fits a power law to losses of at least fewestSizes distinct sizes. Sizes and losses must be positive.
func fitLaw(sizes, losses []float64) Law {
	x, y := logs(sizes), logs(losses)
	l := line{n: len(x)}
	for i := range x {
		l.mean += x[i] / float64(l.n)
		l.level += y[i] / float64(l.n)
	}
	products := 0.0
	for i := range x {
		l.squares += (x[i] - l.mean) * (x[i] - l.mean)
		products += (x[i] - l.mean) * (y[i] - l.level)
	}
	l.slope = products / l.squares
	rest := 0.0
	for i := range x {
		d := y[i] - l.level - l.slope*(x[i]-l.mean)
		rest += d * d
	}
	l.sigma, l.t = math.Sqrt(rest/float64(l.n-2)), quantile(l.n-2)
	half := l.t * l.sigma / math.Sqrt(l.squares)
	at, halfAt := l.at(0)
	return Law{
		A:          exponential(Interval{at, at - halfAt, at + halfAt}),
		B:          Interval{-l.slope, -l.slope - half, -l.slope + half},
		PerTenfold: exponential(Interval{l.slope * math.Ln10, (l.slope - half) * math.Ln10, (l.slope + half) * math.Ln10}),
		Deviation:  l.sigma, line: l,
	}
}

// at returns the loss of the law at a size, and its 95% interval.
func (l Law) at(size float64) Interval {
	y, half := l.line.at(math.Log(size))
	return exponential(Interval{y, y - half, y + half})
}

// errNoOffset means that no offset above 0 fits better than none.
var errNoOffset = errors.New("no offset above 0 fits better than none")

// offsetModel is ln(c + exp(level - b (x - mean))), where x is the logarithm of a size.
type offsetModel struct{ level, b, c float64 }

// residuals returns what the model leaves of y at each x - mean, the derivatives of the model, and the sum of squares.
func (m offsetModel) residuals(x, y []float64) (r *mat.VecDense, j *mat.Dense, sum float64) {
	r, j = mat.NewVecDense(len(x), nil), mat.NewDense(len(x), 3, nil)
	for i := range x {
		power := math.Exp(m.level - m.b*x[i])
		loss := m.c + power
		d := y[i] - math.Log(loss)
		r.SetVec(i, d)
		j.SetRow(i, []float64{power / loss, -x[i] * power / loss, 1 / loss})
		sum += d * d
	}
	return r, j, sum
}

// fitOffset fits the law with an offset to losses of at least fewestOffsetSizes distinct sizes.
func fitOffset(sizes, losses []float64) (OffsetLaw, error) {
	x, y := logs(sizes), logs(losses)
	mean := 0.0
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for i := range x {
		x[i] -= mean
	}
	best, lowest := offsetModel{}, math.Inf(1)
	for _, share := range []float64{0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98} {
		c := share * slices.Min(losses)
		above := make([]float64, len(losses))
		for i, l := range losses {
			above[i] = l - c
		}
		l := fitLaw(sizes, above).line
		m, sum := descend(offsetModel{l.level, -l.slope, c}, x, y)
		if sum < lowest && m.c > 0 {
			best, lowest = m, sum
		}
	}
	if plain := fitLaw(sizes, losses); math.IsInf(lowest, 1) || !(lowest < plain.Deviation*plain.Deviation*float64(len(x)-2)) {
		return OffsetLaw{}, errNoOffset
	}
	_, j, sum := best.residuals(x, y)
	var square, covariance mat.Dense
	square.Mul(j.T(), j)
	if err := covariance.Inverse(&square); err != nil {
		return OffsetLaw{}, errNoOffset
	}
	degrees := len(x) - 3
	covariance.Scale(sum/float64(degrees), &covariance)
	t := quantile(degrees)
	interval := func(value, variance float64) Interval {
		half := t * math.Sqrt(max(variance, 0))
		return Interval{value, value - half, value + half}
	}
	logA := covariance.At(0, 0) + mean*mean*covariance.At(1, 1) + 2*mean*covariance.At(0, 1)
	return OffsetLaw{
		A: exponential(interval(best.level+best.b*mean, logA)), B: interval(best.b, covariance.At(1, 1)), C: interval(best.c, covariance.At(2, 2)),
	}, nil
}

// descend improves a model by the method of Levenberg and Marquardt until its steps are negligible, and returns its sum
// of squares. It returns the last model with an offset that leaves it defined.
func descend(m offsetModel, x, y []float64) (offsetModel, float64) {
	damping := 1e-3
	_, _, sum := m.residuals(x, y)
	for range 500 {
		r, j, _ := m.residuals(x, y)
		var square mat.Dense
		var gradient, step mat.VecDense
		square.Mul(j.T(), j)
		gradient.MulVec(j.T(), r)
		for i := range 3 {
			square.Set(i, i, square.At(i, i)*(1+damping))
		}
		if err := step.SolveVec(&square, &gradient); err != nil {
			return m, sum
		}
		next := offsetModel{m.level + step.AtVec(0), m.b + step.AtVec(1), m.c + step.AtVec(2)}
		_, _, lower := next.residuals(x, y)
		if !(lower <= sum) {
			if damping *= 4; damping > 1e12 {
				return m, sum
			}
			continue
		}
		done := math.Abs(step.AtVec(0)) < 1e-13 && math.Abs(step.AtVec(1)) < 1e-13 && math.Abs(step.AtVec(2)) < 1e-13*max(next.c, 1e-9)
		m, sum, damping = next, lower, max(damping/4, 1e-12)
		if done || m.c <= 0 {
			return m, sum
		}
	}
	return m, sum
}
