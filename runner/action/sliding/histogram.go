package sliding

import (
	"maps"
	"math"
	"slices"
)

// Bin counts windows with a decimal logarithm of their probability in [Low, High). The last bin includes 0, and rounding
// above it.
type Bin struct {
	Low  float64 `json:"low" parquet:"low"`
	High float64 `json:"high" parquet:"high"`
	// Windows counts by the probability of the suffix after the prompt, WithoutPrompt by that without it.
	Windows       int64 `json:"windows" parquet:"windows"`
	WithoutPrompt int64 `json:"without_prompt" parquet:"without_prompt"`
}

// histogram counts values by tenths of a decade, rounded down.
type histogram map[int64]int64

// perDecade is the number of steps of a decade.
const perDecade = 10

// add adds a natural logarithm.
func (h histogram) add(logP float64) {
	h[min(int64(math.Floor(logP/math.Ln10*perDecade)), -1)]++
}

// mostBins is the largest number of bins.
const mostBins = 40

// joinHistograms returns equal bins of both histograms up to 0.
func joinHistograms(windows, without histogram) []Bin {
	least := int64(-1)
	for _, h := range []histogram{windows, without} {
		if len(h) > 0 {
			least = min(least, slices.Min(slices.Collect(maps.Keys(h))))
		}
	}
	width := int64(1)
	for i := 0; -least > mostBins*width; i++ {
		width = []int64{2, 5, 10}[i%3] * int64(math.Pow10(i/3))
	}
	n := (-least + width - 1) / width
	bins := make([]Bin, n)
	for i := range bins {
		low := (int64(i) - n) * width
		bins[i].Low, bins[i].High = float64(low)/perDecade, float64(low+width)/perDecade
	}
	index := func(step int64) int64 { return n - (-step+width-1)/width }
	for step, count := range windows {
		bins[index(step)].Windows += count
	}
	for step, count := range without {
		bins[index(step)].WithoutPrompt += count
	}
	return bins
}
