package artifact

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"

	"surprisal.dev/plugins/protocol"
	"surprisal.dev/runner/statistics"
)

// ScoringProtocol holds the rules under which losses were measured. Two scores are comparable if their scoring
// protocols are equal.
type ScoringProtocol struct {
	Prefix  string `json:"prefix"`
	Context int64  `json:"context"`
	Stride  int64  `json:"stride"`
	// Anchor is the unit of Context and Stride: tokens or bytes.
	Anchor string `json:"anchor"`
	EOS    bool   `json:"eos"`
	Dtype  string `json:"dtype"`
	// Arithmetic is what losses of this dtype depend on by more than the rounding of their last bits, in the words of the
	// backend, such as the kind of device and the number of ranks. It is empty if there is nothing.
	Arithmetic string `json:"arithmetic,omitempty"`
	// Truncation is the maximum number of bytes of a document that were scored; 0 means all.
	Truncation int64 `json:"truncation"`
	// Span is the rule that distributes a token's loss over its bytes.
	Span string `json:"span"`
	// Imported is the name that a spec gave to the scoring protocol of an imported table. The other fields are then
	// unknown.
	Imported string `json:"imported,omitempty"`
}

// SpanEven distributes a token's loss uniformly over its bytes.
const SpanEven = "even"

// ScoreSummary is summary.json of a score.
type ScoreSummary struct {
	Documents   int64 `json:"documents"`
	Bytes       int64 `json:"bytes"`
	ScoredBytes int64 `json:"scoredBytes"`
	Words       int64 `json:"words"`
	Tokens      int64 `json:"tokens"`
	// ScoredTokens counts the tokens with a loss on the scored span.
	ScoredTokens int64 `json:"scoredTokens"`
	// Nats is the loss on the scored span.
	Nats float64 `json:"nats"`
	BPB  float64 `json:"bpb"`
	// Interval tells how well the units determine BPB: the clusters that a field of the rows names, or else the documents.
	// It is nil for fewer than two with scored bytes. Units are their sums of bits and scored bytes, and Shards those of the
	// shards.
	Interval   *Interval       `json:"bpbInterval,omitempty"`
	Units      statistics.Sums `json:"unitSums,omitzero"`
	Shards     statistics.Sums `json:"shardSums,omitzero"`
	Perplexity Perplexity      `json:"perplexity"`
	Ledger     LedgerTotals    `json:"ledger"`
	// Protocol is the scoring protocol.
	Protocol ScoringProtocol `json:"scoringProtocol"`
	// Model is the size of the model.
	Model ModelSize `json:"model"`
	// Parameters are those of the action: everything that the losses depend on except the documents and a trained
	// model.
	Parameters json.RawMessage `json:"parameters,omitempty"`
	// Computed describes the hardware and software that computed the losses: device, processor class, library versions.
	Computed  map[string]string   `json:"computed,omitempty"`
	Rescoring RescoringDifference `json:"rescoringDifference"`
	// TokenLosses and Confidence describe the tokens that ScoredTokens counts. They are nil if the tokens are unknown, as
	// those of an imported table, or if the backend does not tell its confidence.
	TokenLosses *TokenLosses       `json:"tokenLosses,omitempty"`
	Confidence  *ConfidenceSummary `json:"confidence,omitempty"`
}

// ModelSize is the size of a model, counted by its backend from the weights. A number is 0 if the backend does not
// report it.
type ModelSize struct {
	Parameters int64 `json:"parameters"`
	// ActiveParameters are those that a token uses, if they are fewer, as in a mixture of experts.
	ActiveParameters int64 `json:"activeParameters,omitempty"`
	// FLOPsPerToken is the number of floating-point operations per scored token, for the context of the scoring protocol.
	FLOPsPerToken float64 `json:"flopsPerToken"`
}

// NewModelSize returns the size in an estimate.
func NewModelSize(e protocol.Estimate) ModelSize {
	return ModelSize{Parameters: e.Parameters, ActiveParameters: e.ActiveParameters, FLOPsPerToken: e.FLOPsPerToken}
}

// Active is the number of parameters that a token uses.
func (s ModelSize) Active() int64 { return cmp.Or(s.ActiveParameters, s.Parameters) }

// Perplexity is exp(nats / n), where n is the number of tokens, words or bytes. A perplexity too large for a float64 is
// null.
type Perplexity struct {
	PerToken *float64 `json:"perToken"`
	PerWord  *float64 `json:"perWord"`
	PerByte  *float64 `json:"perByte"`
}

// LedgerTotals holds the dataset's totals of all ledger categories in nats, and the bytes of the scored spans without a
// loss, by reason.
type LedgerTotals struct {
	Tokens        float64          `json:"tokens"`
	Span          float64          `json:"span"`
	Outside       float64          `json:"outside"`
	EOS           float64          `json:"eos"`
	NoBytes       float64          `json:"noBytes"`
	UnscoredBytes map[string]int64 `json:"unscoredBytes,omitempty"`
}

// Add adds a document's ledger.
func (l *LedgerTotals) Add(d protocol.Ledger) {
	l.Tokens += d.Tokens
	l.Span += d.Span
	l.Outside += d.Outside
	l.EOS += d.EOS
	l.NoBytes += d.NoBytes
	for reason, n := range d.UnscoredBytes {
		if l.UnscoredBytes == nil {
			l.UnscoredBytes = map[string]int64{}
		}
		l.UnscoredBytes[reason] += n
	}
}

// Interval is a 95% interval.
type Interval struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
	// Error is the standard error, Effective the effective number of units.
	Error     float64 `json:"standardError"`
	Effective float64 `json:"effectiveUnits"`
	// Units counts the units: documents, or their clusters.
	Units int64 `json:"units"`
}

// Around formats the value that the interval, which may be nil, is of: "2.0407 ±0.0797", with half of its width.
func (i *Interval) Around(value float64) string {
	if i == nil {
		return fmt.Sprintf("%.4f", value)
	}
	return fmt.Sprintf("%.4f ±%.4f", value, (i.High-i.Low)/2)
}

// Ends returns pointers to the ends, nil for a nil interval.
func (i *Interval) Ends() (low, high *float64) {
	if i == nil {
		return nil, nil
	}
	return &i.Low, &i.High
}

// IntervalOf returns the interval of a ratio of sums, or nil for fewer than two units.
func IntervalOf(s statistics.Sums) *Interval {
	e, ok := s.Estimate()
	if !ok {
		return nil
	}
	return &Interval{Low: e.Low, High: e.High, Error: e.Error, Effective: e.Effective, Units: s.Units}
}

// RescoringDifference is by how much losses changed when some documents were scored again in a different batch. It is
// numerical noise, not sampling error.
type RescoringDifference struct {
	Documents int64 `json:"documents"`
	// MaxNatsPerToken is the largest difference of one token's loss.
	MaxNatsPerToken float64 `json:"maxNatsPerToken"`
	// MaxBitsPerByte is the largest difference of one document's bits per byte.
	MaxBitsPerByte float64 `json:"maxBitsPerByte"`
}

// Finish computes Nats, BPB, its interval and Perplexity from the counts, the ledger and the documents' sums.
func (s *ScoreSummary) Finish() {
	s.Nats = s.Ledger.Span
	s.BPB = BitsPerByte(s.Nats, s.ScoredBytes)
	s.Interval = IntervalOf(s.Units)
	s.Perplexity = Perplexity{
		PerToken: perplexity(s.Nats, s.ScoredTokens), PerWord: perplexity(s.Nats, s.Words), PerByte: perplexity(s.Nats, s.ScoredBytes),
	}
}

// BitsPerByte returns nats / ln 2 / bytes, 0 for no bytes.
func BitsPerByte(nats float64, bytes int64) float64 {
	if bytes == 0 {
		return 0
	}
	return nats / math.Ln2 / float64(bytes)
}

func perplexity(nats float64, n int64) *float64 {
	p := math.Exp(nats / float64(n))
	if n == 0 || math.IsInf(p, 0) {
		return nil
	}
	return &p
}

// TokenCountsSummary is token_counts_summary.json.
type TokenCountsSummary struct {
	Tokens int64 `json:"tokens"`
	// Distinct counts the token IDs that occur, out of VocabularySize.
	Distinct       int64       `json:"distinct"`
	VocabularySize int64       `json:"vocabularySize"`
	Once           int64       `json:"once"`
	Top            []TokenRank `json:"top"`
}

// TokenRank is one of the most frequent tokens.
type TokenRank struct {
	ID    int32  `json:"id"`
	Count int64  `json:"count"`
	Text  string `json:"text"`
}

// Import is import.json: the content of an imported table. The files of each dataset are in the directory of its name.
type Import struct {
	// Datasets are sorted by name.
	Datasets []ImportedDataset `json:"datasets"`
}

// ImportedDataset is a dataset of an imported table.
type ImportedDataset struct {
	Name string `json:"name"`
	// Tags are the tags of all its documents, sorted.
	Tags      []string `json:"tags"`
	Documents int64    `json:"documents"`
	// Bytes counts the bytes of the texts, ScoredBytes those of the scored spans, and Tokens the tokens of the texts.
	Bytes       int64 `json:"bytes"`
	ScoredBytes int64 `json:"scoredBytes"`
	Tokens      int64 `json:"tokens"`
	// ZeroLossBytes counts scored bytes with a loss of exactly zero. Bytes that a scorer skipped but still counted look
	// like this.
	ZeroLossBytes int64 `json:"zeroLossBytes"`
	// Nats is the loss on the scored bytes.
	Nats float64 `json:"nats"`
	// Units are the documents' sums of bits and scored bytes, and Shards those of the shards.
	Units  statistics.Sums `json:"unitSums,omitzero"`
	Shards statistics.Sums `json:"shardSums,omitzero"`
}
