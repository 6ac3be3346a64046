package fit

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Shift is a change of level: from the point at Index on, the values are higher by By than the line through the others.
type Shift struct {
	Index int      `json:"index"`
	By    Interval `json:"by"`
	// P is the p-value of no change anywhere. It is the smallest of those of all places, times the number of places.
	P float64 `json:"p"`
}

// FewestForShift is the number of points from which NewShift tells anything.
const FewestForShift = 6

// eachSide is the least number of points before and after a change.
const eachSide = 2

// NewShift returns the most likely change of level among points in the order of x, whose values have a common linear
// trend: the two-phase regression with a common trend of Wang, "Comments on Detection of Undocumented Changepoints", J.
// Climate 16 (2003). It assumes that deviations are independent, normal and of equal size. Wang simulates the
// distribution of the greatest of the statistics; Bonferroni's bound is simpler and more cautious. It returns false for
// too few points, or for points on a line.
func NewShift(x, y []float64) (best Shift, ok bool) {
	n := len(x)
	if n < FewestForShift {
		return best, false
	}
	line := NewLine(x, y)
	without := line.Sigma * line.Sigma * float64(n-2)
	size := 0.0
	for _, v := range y {
		size += v * v
	}
	// What remains of values on a line is rounding.
	if without <= 1e-24*size {
		return best, false
	}
	degrees := float64(n - 3)
	best.P = math.Inf(1)
	for at := eachSide; at <= n-eachSide; at++ {
		step := make([]float64, n)
		for i := at; i < n; i++ {
			step[i] = 1
		}
		// What the trend does not explain of the step explains the change, by the theorem of Frisch and Waugh.
		of := NewLine(x, step)
		var products, squares float64
		for i := range x {
			rest := step[i] - of.Level - of.Slope*(x[i]-of.Mean)
			products += rest * y[i]
			squares += rest * rest
		}
		by := products / squares
		sigma := math.Sqrt(max(without-by*by*squares, 1e-12*without) / degrees)
		deviation := sigma / math.Sqrt(squares)
		t := distuv.StudentsT{Sigma: 1, Nu: degrees}
		if p := 2 * t.Survival(math.Abs(by)/deviation); p < best.P {
			best = Shift{Index: at, By: Around(by, t.Quantile(0.975)*deviation), P: p}
		}
	}
	best.P = min(best.P*float64(n-2*eachSide+1), 1)
	return best, true
}
