package fit

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/gonum/stat/distuv"
)

// Interval is a value and its 95% interval.
type Interval struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// Around returns the interval of a value that extends by half to each side.
func Around(value, half float64) Interval { return Interval{value, value - half, value + half} }

// Exp returns the interval of exp(v), where i is that of v.
func (i Interval) Exp() Interval {
	return Interval{math.Exp(i.Value), math.Exp(i.Low), math.Exp(i.High)}
}

// Finite reports whether the value and both bounds are numbers that are not infinite.
func (i Interval) Finite() bool {
	return !slices.ContainsFunc([]float64{i.Value, i.Low, i.High}, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
}

// String formats an interval with the digits that it supports.
func (i Interval) String() string {
	half := (i.High - i.Low) / 2
	digits := 6
	if half > 0 && i.Value != 0 && !math.IsInf(half, 0) {
		digits = min(max(int(math.Ceil(math.Log10(math.Abs(i.Value)/half)))+2, 3), 8)
	}
	format := func(v float64) string { return strconv.FormatFloat(v, 'g', digits, 64) }
	return fmt.Sprintf("%s (%s to %s)", format(i.Value), format(i.Low), format(i.High))
}

// Quantile returns the quantile of 97.5% of Student's t distribution, which is half of a 95% interval in standard
// deviations.
func Quantile(degrees int) float64 {
	return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(degrees)}.Quantile(0.975)
}

// Distinct returns the number of different values.
func Distinct(values []float64) int {
	sorted := slices.Sorted(slices.Values(values))
	return len(slices.Compact(sorted))
}

// Logs returns the logarithms of positive numbers.
func Logs(values []float64) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = math.Log(v)
	}
	return out
}
