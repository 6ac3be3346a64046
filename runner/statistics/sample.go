package statistics

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// SampleValues is the number of values up to which a Sample is exact.
const SampleValues = 1 << 18

// sampleBits are the bits of a float64 below those that select a bin: bins are 1/1024 of their values wide.
const sampleBits = 52 - 10

// Sample describes the distribution of values, each of which carries a weight. Up to SampleValues of them it is exact.
// Beyond, it counts bins whose width is 1/1024 of their values, so that its memory does not grow with their number.
type Sample struct {
	values []bin
	bins   map[int64]bin
	n      int64
}

// bin is a number of values with their sum and that of their weights.
type bin struct {
	n           int64
	sum, weight float64
}

func (b bin) mean() float64 { return b.sum / float64(b.n) }

// Add adds a finite value.
func (s *Sample) Add(value, weight float64) {
	s.n++
	if s.bins == nil {
		if s.values = append(s.values, bin{1, value, weight}); len(s.values) <= SampleValues {
			return
		}
		s.bins = map[int64]bin{}
		for _, v := range s.values {
			s.count(v)
		}
		s.values = nil
		return
	}
	s.count(bin{1, value, weight})
}

func (s *Sample) count(v bin) {
	at := binOf(v.sum)
	b := s.bins[at]
	s.bins[at] = bin{b.n + v.n, b.sum + v.sum, b.weight + v.weight}
}

// binOf returns the position of a value's bin; greater values have no smaller position.
func binOf(value float64) int64 {
	at := int64(math.Float64bits(math.Abs(value)) >> sampleBits)
	if value < 0 {
		return -at
	}
	return at
}

// Len returns the number of values.
func (s *Sample) Len() int64 { return s.n }

// Exact reports whether the statistics are those of the values, and not of bins.
func (s *Sample) Exact() bool { return s.bins == nil }

// Sorted returns the distribution of the values, in ascending order.
func (s *Sample) Sorted() Distribution {
	d := Distribution{n: s.n, bins: slices.Clone(s.values), exact: s.Exact()}
	for _, at := range slices.Sorted(maps.Keys(s.bins)) {
		d.bins = append(d.bins, s.bins[at])
	}
	slices.SortFunc(d.bins, func(a, b bin) int { return cmp.Compare(a.mean(), b.mean()) })
	return d
}

// Distribution is a sorted sample.
type Distribution struct {
	n     int64
	bins  []bin
	exact bool
}

// at returns the value of a rank, counted from 0.
func (d Distribution) at(rank int64) float64 {
	for _, b := range d.bins {
		if rank -= b.n; rank < 0 {
			return b.mean()
		}
	}
	return d.bins[len(d.bins)-1].mean()
}

// Median returns the median of at least one value, and its 95% interval by the binomial distribution of the number of
// values below it. It holds for any distribution, if there are at least six values; the interval of fewer is their range.
func (d Distribution) Median() (median, low, high float64) {
	median = (d.at((d.n-1)/2) + d.at(d.n/2)) / 2
	// k is the largest rank with at most 2.5% of probability below it.
	below := distuv.Binomial{N: float64(d.n), P: 0.5}
	k := int64(float64(d.n)/2 - distuv.UnitNormal.Quantile((1+Confidence)/2)*math.Sqrt(float64(d.n))/2)
	k = max(k-2, 0)
	for k < d.n/2 && below.CDF(float64(k)) <= (1-Confidence)/2 {
		k++
	}
	k = max(k-1, 0)
	return median, d.at(k), d.at(d.n - 1 - k)
}

// Trimmed returns the mean of at least two values without a share of them at each end, and its 95% interval by the
// winsorized variance and Student's t. Tukey and McLaughlin, "Less Vulnerable Confidence and Significance Procedures for
// Location Based on a Single Sample", Sankhya A 25 (1963).
func (d Distribution) Trimmed(share float64) (mean, low, high float64) {
	cut := int64(share * float64(d.n))
	kept := d.n - 2*cut
	least, greatest := d.at(cut), d.at(d.n-1-cut)
	sum, all, squares := 0.0, 0.0, 0.0
	rank := int64(0)
	for _, b := range d.bins {
		inside := max(0, min(rank+b.n, d.n-cut)-max(rank, cut))
		sum += float64(inside) * b.mean()
		v := min(max(b.mean(), least), greatest)
		all += float64(b.n) * v
		rank += b.n
	}
	center := all / float64(d.n)
	for _, b := range d.bins {
		v := min(max(b.mean(), least), greatest) - center
		squares += float64(b.n) * v * v
	}
	mean = sum / float64(kept)
	if kept < 2 {
		return mean, mean, mean
	}
	deviation := math.Sqrt(squares / float64(d.n-1))
	half := distuv.StudentsT{Sigma: 1, Nu: float64(kept - 1)}.Quantile((1+Confidence)/2) * deviation /
		(float64(kept) / float64(d.n) * math.Sqrt(float64(d.n)))
	return mean, mean - half, mean + half
}

// Top returns the sum of the n greatest values and that of their weights, or those of the n smallest.
func (d Distribution) Top(n int64, greatest bool) (sum, weight float64) {
	bins := slices.Values(d.bins)
	if greatest {
		bins = func(yield func(bin) bool) {
			for _, b := range slices.Backward(d.bins) {
				if !yield(b) {
					return
				}
			}
		}
	}
	for b := range bins {
		if n <= 0 {
			break
		}
		share := float64(min(n, b.n)) / float64(b.n)
		sum, weight = sum+share*b.sum, weight+share*b.weight
		n -= b.n
	}
	return sum, weight
}

// FalseDiscovery returns the q-value of a p-value of the sample, as the function of that name.
func (d Distribution) FalseDiscovery(p float64) float64 {
	q, rank := 1.0, d.n
	for _, b := range slices.Backward(d.bins) {
		v := b.mean()
		if v < p && (d.exact || binOf(v) < binOf(p)) {
			break
		}
		q = min(q, v*float64(d.n)/float64(rank))
		rank -= b.n
	}
	return q
}
