package statistics

import (
	"cmp"
	"math"
	"slices"
)

// FalseDiscovery returns the q-values of p-values: the smallest rate of false discoveries at which each is a discovery.
// Benjamini and Hochberg, "Controlling the False Discovery Rate", JRSS B 57 (1995).
func FalseDiscovery(p []float64) []float64 {
	n, q, least := len(p), make([]float64, len(p)), 1.0
	order := ascending(p)
	for i := n - 1; i >= 0; i-- {
		least = min(least, p[order[i]]*float64(n)/float64(i+1))
		q[order[i]] = least
	}
	return q
}

// FamilyWise returns adjusted p-values: with those below a level rejected, the probability of any false rejection is at
// most that level. Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scand. J. Statist. 6 (1979).
func FamilyWise(p []float64) []float64 {
	n, adjusted, greatest := len(p), make([]float64, len(p)), 0.0
	for i, at := range ascending(p) {
		greatest = max(greatest, min(p[at]*float64(n-i), 1))
		adjusted[at] = greatest
	}
	return adjusted
}

// Normal95 is the 97.5% quantile of the standard normal distribution, for two-sided intervals of 95%.
const Normal95 = 1.959963984540054

// NormalQuantile returns a quantile of the standard normal distribution.
func NormalQuantile(p float64) float64 { return math.Sqrt2 * math.Erfinv(2*p-1) }

// ascending returns the positions of values in ascending order.
func ascending(values []float64) []int {
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(values[a], values[b]) })
	return order
}
