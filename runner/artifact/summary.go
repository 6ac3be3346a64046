package artifact

import (
	"encoding/json"
	"math"

	"surprisal.dev/plugins/protocol"
)

// Protocol says under which rules losses were measured. Two scores are comparable where their protocols are equal.
type Protocol struct {
	Prefix  string `json:"prefix"`
	Context int64  `json:"context"`
	Stride  int64  `json:"stride"`
	// Anchor is what Context and Stride count: tokens or bytes.
	Anchor string `json:"anchor"`
	EOS    bool   `json:"eos"`
	Dtype  string `json:"dtype"`
	// Truncation is the most bytes of a document that were scored, 0 for all.
	Truncation int64 `json:"truncation"`
	// Span is the rule by which a token's loss falls on bytes.
	Span string `json:"span"`
	// Imported is the name a spec gave to the protocol of a table scored elsewhere, whose other fields are unknown.
	Imported string `json:"imported,omitempty"`
}

// SpanEven spreads a token's loss evenly over its bytes.
const SpanEven = "even"

// ScoreSummary is summary.json of a score.
type ScoreSummary struct {
	Documents   int64 `json:"documents"`
	Bytes       int64 `json:"bytes"`
	ScoredBytes int64 `json:"scoredBytes"`
	Words       int64 `json:"words"`
	Tokens      int64 `json:"tokens"`
	// ScoredTokens counts the tokens that put loss on the scored span.
	ScoredTokens int64 `json:"scoredTokens"`
	// Nats is the loss on the scored span.
	Nats       float64      `json:"nats"`
	BPB        float64      `json:"bpb"`
	Perplexity Perplexity   `json:"perplexity"`
	Ledger     LedgerTotals `json:"ledger"`
	Protocol   Protocol     `json:"protocol"`
	// Parameters are those of the action: all that the losses depend on besides the documents and a trained model.
	Parameters json.RawMessage `json:"parameters,omitempty"`
	// Computed says what computed the losses: the device, the class of processor, versions of libraries.
	Computed map[string]string `json:"computed,omitempty"`
	Noise    Noise             `json:"noise"`
}

// Perplexity is exp(nats / n) for the number n of tokens, words or bytes. A perplexity too large for a float64 is null.
type Perplexity struct {
	PerToken *float64 `json:"perToken"`
	PerWord  *float64 `json:"perWord"`
	PerByte  *float64 `json:"perByte"`
}

// LedgerTotals holds the dataset's totals of all accounts in nats, and the bytes of the scored spans that have no loss, by
// reason.
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

// Noise says by how much losses moved when some documents were scored a second time in other company.
type Noise struct {
	Documents int64 `json:"documents"`
	// MaxNatsPerToken is the largest difference of one token's loss, BitsPerByte the largest of a document's bpb.
	MaxNatsPerToken float64 `json:"maxNatsPerToken"`
	BitsPerByte     float64 `json:"bitsPerByte"`
}

// Finish fills what follows from the counts and the ledger: Nats, BPB and Perplexity.
func (s *ScoreSummary) Finish() {
	s.Nats = s.Ledger.Span
	s.BPB = BitsPerByte(s.Nats, s.ScoredBytes)
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
	// Distinct counts the token ids that occur, of VocabularySize there are.
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

// Import is import.json: what a table scored elsewhere holds. The files of each dataset are in the directory of its key.
type Import struct {
	// Datasets are in the order of their keys.
	Datasets []ImportedDataset `json:"datasets"`
}

// ImportedDataset is a dataset of a table scored elsewhere.
type ImportedDataset struct {
	Key string `json:"key"`
	// Tags are those of all its documents, sorted.
	Tags      []string `json:"tags"`
	Documents int64    `json:"documents"`
	// Bytes counts the texts' bytes, ScoredBytes those of the scored spans, Tokens what the tokenizer made of the texts.
	Bytes       int64 `json:"bytes"`
	ScoredBytes int64 `json:"scoredBytes"`
	Tokens      int64 `json:"tokens"`
	// ZeroLossBytes counts scored bytes with a loss of exactly zero: those that a scorer skipped and still counted look
	// like this.
	ZeroLossBytes int64 `json:"zeroLossBytes"`
	// Nats is the loss on the scored bytes.
	Nats float64 `json:"nats"`
}
