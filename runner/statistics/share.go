package statistics

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Wilson returns the 95% interval of the share of successes among n > 0 trials. Wilson, "Probable Inference, the Law of
// Succession, and Statistical Inference", JASA 22 (1927).
func Wilson(successes, n int64) (low, high float64) {
	z, trials := distuv.UnitNormal.Quantile((1+Confidence)/2), float64(n)
	p := float64(successes) / trials
	scale := 1 + z*z/trials
	center := (p + z*z/(2*trials)) / scale
	half := z / scale * math.Sqrt(p*(1-p)/trials+z*z/(4*trials*trials))
	return max(center-half, 0), min(center+half, 1)
}
