package statistics

import "strconv"

// Probability formats a p-value or a q-value for people.
func Probability(p float64) string {
	if p < 0.0001 {
		return "<0.0001"
	}
	return strconv.FormatFloat(p, 'f', 4, 64)
}
