package statistics

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Share is a share of independent trials, with its 95% interval.
type Share struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// Wilson returns the share of successes of n > 0 trials. The interval is Wilson's, "Probable Inference, the Law of
// Succession, and Statistical Inference", JASA 22 (1927).
func Wilson(successes, n int64) Share {
	z, trials := distuv.UnitNormal.Quantile((1+Confidence)/2), float64(n)
	p := float64(successes) / trials
	scale := 1 + z*z/trials
	center := (p + z*z/(2*trials)) / scale
	half := z / scale * math.Sqrt(p*(1-p)/trials+z*z/(4*trials*trials))
	return Share{Value: p, Low: max(center-half, 0), High: min(center+half, 1)}
}
