package score

import (
	"math"

	"surprisal.dev/runner/artifact"
)

// calibration compares predictions with outcomes in bins of the prediction, in constant memory.
//
// With D[d][b] the sum of (outcome - prediction) over the tokens of document d in bin b, and n[d] the document's number
// of tokens, the error is E = sum over b of |D[b]| / N, where D[b] and N are sums over documents. For its variance, the
// signs s[b] of D[b] are taken as known. E is then a ratio of sums over documents, whose linear part (the delta method) is
// the sum over documents of
//
//	r[d] = (sum over b of s[b] D[d][b] - E n[d]) / N
//
// The variance is G/(G-1) times the sum of r[d]^2 for G documents. That sum follows from the sums over documents of the
// products of all D[d][b] and n[d], which are known before the signs are.
type calibration struct {
	width               float64
	tokens              []int64
	predicted, observed []float64 // sums by bin
	// document has the document's sums of differences by bin, and then its number of tokens.
	document []float64
	// products has the sums of the products of all pairs of these, in rows.
	products  []float64
	documents int64 // those with tokens
}

func newCalibration(bins int, width float64) *calibration {
	return &calibration{
		width: width, tokens: make([]int64, bins), predicted: make([]float64, bins), observed: make([]float64, bins),
		document: make([]float64, bins+1), products: make([]float64, (bins+1)*(bins+1)),
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

// endDocument ends the current document.
func (c *calibration) endDocument() {
	n := len(c.document)
	if c.document[n-1] == 0 {
		return
	}
	c.documents++
	for i, x := range c.document {
		if x == 0 {
			continue
		}
		for j, y := range c.document {
			c.products[i*n+j] += x * y
		}
	}
	clear(c.document)
}

// normal95 is the 97.5% quantile of the normal distribution.
const normal95 = 1.959963984540054

func (c *calibration) summary() artifact.Calibration {
	s := artifact.Calibration{Width: c.width, Bins: []artifact.CalibrationBin{}}
	var tokens int64
	weights := make([]float64, len(c.document)) // of a document's sums in N r[d]
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
	if c.documents < 2 {
		return s
	}
	weights[len(weights)-1] = -s.Error
	var squares float64
	for i, x := range weights {
		for j, y := range weights {
			squares += x * y * c.products[i*len(weights)+j]
		}
	}
	clusters := float64(c.documents)
	deviation := math.Sqrt(max(0, squares)*clusters/(clusters-1)) / float64(tokens)
	s.Interval = &[2]float64{max(0, s.Error-normal95*deviation), s.Error + normal95*deviation}
	return s
}
