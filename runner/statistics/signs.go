package statistics

import (
	"math"
	"math/bits"
	"math/rand/v2"
)

const (
	// signFlips is the number of random assignments of signs.
	signFlips = 9999
	// allSigns is the number of values up to which all assignments are counted.
	allSigns = 13
	// tie is the relative difference within which two sums are equal, because they are added in another order.
	tie = 1e-12
)

// SignFlip returns the two-sided p-value of the hypothesis that values are symmetric about 0: the share of assignments of
// signs whose sum is at least as far from 0. It counts all assignments of up to 13 values, and else 9,999 that a fixed
// seed determines, with the given signs as one more.
func SignFlip(values []float64) float64 {
	sum, size := 0.0, 0.0
	for _, v := range values {
		sum += v
		size += math.Abs(v)
	}
	least := math.Abs(sum) - tie*size
	if len(values) <= allSigns {
		return float64(countAll(values, least)) / float64(int(1)<<len(values))
	}
	r := rand.NewPCG(1, uint64(len(values)))
	as := 1
	for range signFlips {
		flipped := 0.0
		for rest := values; len(rest) > 0; {
			n := min(len(rest), 64)
			signs := r.Uint64()
			for _, v := range rest[:n] {
				// The lowest bit of signs becomes the sign.
				flipped += math.Float64frombits(math.Float64bits(v) ^ signs<<63)
				signs >>= 1
			}
			rest = rest[n:]
		}
		if math.Abs(flipped) >= least {
			as++
		}
	}
	return float64(as) / (signFlips + 1)
}

// countAll counts the assignments of signs with a sum of at least a distance from 0.
func countAll(values []float64, least float64) (n int) {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	signs := 0
	for i := range 1 << len(values) {
		if math.Abs(sum) >= least {
			n++
		}
		// The next assignment differs in one sign (Gray code).
		at := bits.TrailingZeros(uint(i + 1))
		if at >= len(values) {
			break
		}
		if signs ^= 1 << at; signs>>at&1 == 1 {
			sum -= 2 * values[at]
		} else {
			sum += 2 * values[at]
		}
	}
	return n
}
