package fit

import (
	"errors"
	"math"

	"gonum.org/v1/gonum/mat"
)

// Curve is a curve with parameters p. It returns the value at x, and sets gradient to the derivatives of the value by
// each parameter.
type Curve func(p []float64, x float64, gradient []float64) float64

// Problem is to find the parameters with which a curve has the least sum of squares of deviations from points. There are
// more points than parameters.
type Problem struct {
	Curve Curve
	X, Y  []float64
}

// ErrUndetermined means that the points do not determine the parameters.
var ErrUndetermined = errors.New("the points do not determine the parameters")

// residuals returns what the curve leaves of y at each x, the derivatives of the curve, and the sum of squares.
func (f Problem) residuals(p []float64) (r *mat.VecDense, j *mat.Dense, sum float64) {
	r, j = mat.NewVecDense(len(f.X), nil), mat.NewDense(len(f.X), len(p), nil)
	for i, x := range f.X {
		d := f.Y[i] - f.Curve(p, x, j.RawRowView(i))
		r.SetVec(i, d)
		sum += d * d
	}
	return r, j, sum
}

// Descend improves parameters by the method of Levenberg and Marquardt until its steps are negligible, and returns them
// with their sum of squares. It stops at the first parameters that are not within.
func (f Problem) Descend(start []float64, within func(p []float64) bool) ([]float64, float64) {
	p := start
	damping := 1e-3
	_, _, sum := f.residuals(p)
	for range 500 {
		r, j, _ := f.residuals(p)
		var square mat.Dense
		var gradient, step mat.VecDense
		square.Mul(j.T(), j)
		gradient.MulVec(j.T(), r)
		for i := range p {
			square.Set(i, i, square.At(i, i)*(1+damping))
		}
		if err := step.SolveVec(&square, &gradient); err != nil {
			return p, sum
		}
		next, done := make([]float64, len(p)), true
		for i := range p {
			next[i] = p[i] + step.AtVec(i)
			done = done && math.Abs(step.AtVec(i)) < 1e-13*max(math.Abs(next[i]), 1e-9)
		}
		_, _, lower := f.residuals(next)
		if !(lower <= sum) {
			if damping *= 4; damping > 1e12 {
				return p, sum
			}
			continue
		}
		p, sum, damping = next, lower, max(damping/4, 1e-12)
		if done || !within(p) {
			return p, sum
		}
	}
	return p, sum
}

// Covariance returns the covariance of parameters at a minimum, of the curve as if it were linear in them.
func (f Problem) Covariance(p []float64) (*mat.Dense, error) {
	_, j, sum := f.residuals(p)
	var square, covariance mat.Dense
	square.Mul(j.T(), j)
	if err := covariance.Inverse(&square); err != nil {
		return nil, errors.Join(ErrUndetermined, err)
	}
	covariance.Scale(sum/float64(len(f.X)-len(p)), &covariance)
	return &covariance, nil
}
