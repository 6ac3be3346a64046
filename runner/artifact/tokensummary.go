package artifact

// TokenLosses describes the losses of tokens in nats. All tokens weigh the same.
type TokenLosses struct {
	Mean float64 `json:"mean"`
	Max  float64 `json:"max"`
	// Quantiles are exact to half of Resolution, or the maximum for losses of 64 nats and more. The quantile of a share is
	// the smallest loss that at least that share of the tokens do not exceed.
	Quantiles  []Quantile `json:"quantiles"`
	Resolution float64    `json:"resolution"`
	Histogram  Histogram  `json:"histogram"`
	Positions  []Position `json:"positions"`
}

// Quantile is the loss in nats that a share of the tokens do not exceed.
type Quantile struct {
	Share float64 `json:"share"`
	Nats  float64 `json:"nats"`
}

// Histogram counts losses: Counts[i] of them are in [i*Width, (i+1)*Width). The last count is not 0. A histogram with the
// maximum number of counts, 128, also counts all greater losses there.
type Histogram struct {
	Width  float64 `json:"width"`
	Counts []int64 `json:"counts"`
}

// Position describes the tokens that have from From to To-1 tokens of their document before them in their window. A
// prefix token does not count.
type Position struct {
	From   int64   `json:"from"`
	To     int64   `json:"to"`
	Tokens int64   `json:"tokens"`
	Mean   float64 `json:"mean"`
	// MeanEntropy is in nats. It is null if the backend does not tell its confidence.
	MeanEntropy *float64 `json:"meanEntropy"`
}

// ConfidenceSummary compares what a model expected with what occurred.
type ConfidenceSummary struct {
	Tokens int64 `json:"tokens"`
	// Top compares the probability of the top token with how often it is the token. Its Error is known as the expected
	// calibration error: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
	Top Calibration `json:"top"`
	// Entropy compares the entropy of the distribution with the loss, both in nats: a calibrated model expects to lose
	// the entropy.
	Entropy Calibration `json:"entropy"`
	Ranks   Ranks       `json:"ranks"`
}

// Calibration compares predictions with outcomes in bins of the prediction.
type Calibration struct {
	// Error is the mean over the tokens of the absolute difference between a bin's mean prediction and mean outcome.
	Error float64 `json:"error"`
	// CalibrationUnits are of documents, and of the clusters that they name; Shards are of shards.
	CalibrationUnits
	Shards CalibrationUnits `json:"shards"`
	// Width is that of the bins. The last bin has no upper limit.
	Width float64 `json:"width"`
	// Bins are those with tokens.
	Bins []CalibrationBin `json:"bins"`
}

// CalibrationUnits is what units tell of an error.
type CalibrationUnits struct {
	// Interval is the 95% interval of the error, whose spread is that of units. It is null for fewer than two.
	Interval *[2]float64 `json:"interval"`
	// Units counts the units with tokens.
	Units int64 `json:"units"`
}

// Of returns the units of a dataset, which are its shards if these are clusters.
func (c Calibration) Of(shards bool) CalibrationUnits {
	if shards {
		return c.Shards
	}
	return c.CalibrationUnits
}

// CalibrationBin is a bin of predictions from From on.
type CalibrationBin struct {
	From      float64 `json:"from"`
	Tokens    int64   `json:"tokens"`
	Predicted float64 `json:"predicted"`
	Observed  float64 `json:"observed"`
}

// Ranks holds the shares of the tokens that are among the first 1, 5, 10 and 100 of the distribution, and the mean of
// 1 / rank.
type Ranks struct {
	First          float64 `json:"first"`
	First5         float64 `json:"first5"`
	First10        float64 `json:"first10"`
	First100       float64 `json:"first100"`
	MeanReciprocal float64 `json:"meanReciprocal"`
}
