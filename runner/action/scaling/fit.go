package scaling

import (
	"errors"
	"math"
	"slices"

	"surprisal.dev/runner/fit"
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
	A fit.Interval `json:"a"`
	B fit.Interval `json:"b"`
	// PerTenfold is 10^-b, the factor of the loss for each tenfold x.
	PerTenfold fit.Interval `json:"factorPerTenfold"`
	// Deviation is the standard deviation of ln L around the line.
	Deviation float64 `json:"deviationOfLog"`
	line      fit.Line
}

// OffsetLaw is L(x) = c + a x^-b, as in Hoffmann et al., "Training Compute-Optimal Large Language Models",
// arXiv:2203.15556, where c is the loss that no size removes. It is fitted by least squares of ln L, as there, but
// without the Huber loss. Intervals are those of the linearized model with n-3 degrees of freedom.
type OffsetLaw struct {
	A fit.Interval `json:"a"`
	B fit.Interval `json:"b"`
	C fit.Interval `json:"c"`
}

// errTooClose means that sizes do not determine a law: its interval exceeds the largest number.
var errTooClose = errors.New("the values of x are too close together")

// fitLaw fits a power law to losses of at least fewestSizes distinct sizes. Sizes and losses must be positive.
func fitLaw(sizes, losses []float64) (Law, error) {
	l := fit.NewLine(fit.Logs(sizes), fit.Logs(losses))
	slope := l.Slopes()
	law := Law{
		A: l.At(0).Exp(), B: fit.Interval{Value: -slope.Value, Low: -slope.High, High: -slope.Low},
		PerTenfold: fit.Interval{Value: slope.Value * math.Ln10, Low: slope.Low * math.Ln10, High: slope.High * math.Ln10}.Exp(),
		Deviation:  l.Sigma, line: l,
	}
	if !law.A.Finite() || !law.PerTenfold.Finite() {
		return law, errTooClose
	}
	return law, nil
}

// at returns the loss of the law at a size, and its 95% interval.
func (l Law) at(size float64) fit.Interval { return l.line.At(math.Log(size)).Exp() }

// errNoOffset means that no offset above 0 fits better than none, or that the sizes do not determine one.
var errNoOffset = errors.New("no offset above 0 fits better than none")

// logOffset is ln(c + exp(level - b x)) with the parameters level, b and c, where x is the logarithm of a size, less the
// mean of all.
func logOffset(p []float64, x float64, gradient []float64) float64 {
	power := math.Exp(p[0] - p[1]*x)
	loss := p[2] + power
	gradient[0], gradient[1], gradient[2] = power/loss, -x*power/loss, 1/loss
	return math.Log(loss)
}

// fitOffset fits the law with an offset to losses of at least fewestOffsetSizes distinct sizes.
func fitOffset(sizes, losses []float64) (OffsetLaw, error) {
	x, y := fit.Logs(sizes), fit.Logs(losses)
	mean := 0.0
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for i := range x {
		x[i] -= mean
	}
	problem := fit.Problem{Curve: logOffset, X: x, Y: y}
	positive := func(p []float64) bool { return p[2] > 0 }
	var best []float64
	lowest := math.Inf(1)
	for _, share := range []float64{0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98} {
		c := share * slices.Min(losses)
		above := make([]float64, len(losses))
		for i, l := range losses {
			above[i] = l - c
		}
		l := fit.NewLine(fit.Logs(sizes), fit.Logs(above))
		if p, sum := problem.Descend([]float64{l.Level, -l.Slope, c}, positive); sum < lowest && positive(p) {
			best, lowest = p, sum
		}
	}
	if plain := fit.NewLine(x, y); math.IsInf(lowest, 1) || !(lowest < plain.Sigma*plain.Sigma*float64(len(x)-2)) {
		return OffsetLaw{}, errNoOffset
	}
	covariance, err := problem.Covariance(best)
	if err != nil {
		return OffsetLaw{}, errNoOffset
	}
	t := fit.Quantile(len(x) - 3)
	interval := func(value, variance float64) fit.Interval { return fit.Around(value, t*math.Sqrt(max(variance, 0))) }
	logA := covariance.At(0, 0) + mean*mean*covariance.At(1, 1) + 2*mean*covariance.At(0, 1)
	law := OffsetLaw{
		A: interval(best[0]+best[1]*mean, logA).Exp(), B: interval(best[1], covariance.At(1, 1)), C: interval(best[2], covariance.At(2, 2)),
	}
	if !law.A.Finite() || !law.B.Finite() || !law.C.Finite() {
		return OffsetLaw{}, errNoOffset
	}
	return law, nil
}
