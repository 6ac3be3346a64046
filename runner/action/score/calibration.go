package score

import (
	"maps"
	"math"
	"slices"

	"surprisal.dev/runner/artifact"
	"surprisal.dev/runner/statistics"
)

// calibration compares predictions with outcomes in bins of the prediction, in memory that depends on the number of named
// clusters only.
//
// With D[u][b] the sum of (outcome - prediction) over the tokens of unit u in bin b, and n[u] the unit's number of tokens,
// the error is E = sum over b of |D[b]| / N, where D[b] and N are sums over units. For its variance, the signs s[b] of D[b]
// are taken as known. E is then a ratio of sums over units, whose linear part (the delta method) is the sum over units of
//
//	r[u] = (sum over b of s[b] D[u][b] - E n[u]) / N
//
// The variance is G/(G-1) times the sum of r[u]^2 for G units. That sum follows from the sums over units of the products
// of all D[u][b] and n[u], which are known before the signs are. A unit is a document, or a cluster of documents.
type calibration struct {
	width               float64
	tokens              []int64
	predicted, observed []float64 // sums by bin
	// document has the current document's sums of differences by bin, and then its number of tokens; clusters and shard have
	// those of the clusters that documents name, and of the current shard.
	document   []float64
	clusters   map[string][]float64
	shard      []float64
	shardName  string
	units      products // of documents, and of clusters in the end
	shardUnits products
}

// products are sums over units of the products of all pairs of a unit's sums, in rows.
type products struct {
	of    []float64
	units int64 // those with tokens
}

func (p *products) add(unit []float64) {
	n := len(unit)
	if unit[n-1] == 0 {
		return
	}
	p.units++
	for i, x := range unit {
		if x == 0 {
			continue
		}
		for j, y := range unit {
			p.of[i*n+j] += x * y
		}
	}
}

func newCalibration(bins int, width float64) *calibration {
	squares := func() products { return products{of: make([]float64, (bins+1)*(bins+1))} }
	return &calibration{
		width: width, tokens: make([]int64, bins), predicted: make([]float64, bins), observed: make([]float64, bins),
		document: make([]float64, bins+1), shard: make([]float64, bins+1), units: squares(), shardUnits: squares(),
		clusters: map[string][]float64{},
	}
}

// add adds a token to the current document. The prediction is at least 0, but for rounding.
func (c *calibration) add(predicted, observed float64) {
	last := len(c.tokens) - 1
	bin := min(int(min(max(predicted, 0)/c.width, float64(last))), last)
	c.tokens[bin]++
	c.predicted[bin] += predicted
	c.observed[bin] += observed
	c.document[bin] += observed - predicted
	c.document[last+1]++
}

// endDocument ends the current document, which is of a shard and may name a cluster. Documents of a shard follow each
// other.
func (c *calibration) endDocument(shard, cluster string) {
	if c.document[len(c.document)-1] == 0 {
		return
	}
	if shard != c.shardName {
		c.endShard()
		c.shardName = shard
	}
	accumulate(c.shard, c.document)
	if cluster == "" {
		c.units.add(c.document)
	} else {
		if c.clusters[cluster] == nil {
			c.clusters[cluster] = make([]float64, len(c.document))
		}
		accumulate(c.clusters[cluster], c.document)
	}
	clear(c.document)
}

func (c *calibration) endShard() {
	c.shardUnits.add(c.shard)
	clear(c.shard)
}

func accumulate(sum, more []float64) {
	for i, x := range more {
		sum[i] += x
	}
}

// summary ends the last shard and all clusters.
func (c *calibration) summary() artifact.Calibration {
	c.endShard()
	for _, name := range slices.Sorted(maps.Keys(c.clusters)) {
		c.units.add(c.clusters[name])
	}
	s := artifact.Calibration{Width: c.width, Bins: []artifact.CalibrationBin{}}
	var tokens int64
	weights := make([]float64, len(c.document)) // of a unit's sums in N r[u]
	for bin, n := range c.tokens {
		if n == 0 {
			continue
		}
		tokens += n
		difference := c.observed[bin] - c.predicted[bin]
		s.Error += math.Abs(difference)
		weights[bin] = math.Copysign(1, difference)
		s.Bins = append(s.Bins, artifact.CalibrationBin{
			From: float64(bin) * c.width, Tokens: n, Predicted: c.predicted[bin] / float64(n), Observed: c.observed[bin] / float64(n),
		})
	}
	if tokens == 0 {
		return s
	}
	s.Error /= float64(tokens)
	weights[len(weights)-1] = -s.Error
	interval := func(p products) artifact.CalibrationUnits {
		of := artifact.CalibrationUnits{Units: p.units}
		if p.units > 1 {
			half := statistics.Normal95 * p.deviation(weights) / float64(tokens)
			of.Interval = &[2]float64{max(0, s.Error-half), s.Error + half}
		}
		return of
	}
	s.CalibrationUnits, s.Shards = interval(c.units), interval(c.shardUnits)
	return s
}

// deviation returns the standard error of N E, for the weights of sums in N r[u].
func (p products) deviation(weights []float64) float64 {
	var squares float64
	for i, x := range weights {
		for j, y := range weights {
			squares += x * y * p.of[i*len(weights)+j]
		}
	}
	n := float64(p.units)
	return math.Sqrt(max(0, squares) * n / (n - 1))
}
