package activations

import (
	"encoding/json"

	"surprisal.dev/runner/artifact"
)

// Summary is summary.json.
type Summary struct {
	// Documents counts the sequences, one of each document, and Bytes the bytes of the whole documents.
	Documents int64 `json:"documents"`
	Bytes     int64 `json:"bytes"`
	Sums
	// BPB is the number of bits per scored byte, and Perplexity is exp(nats / predicted tokens).
	BPB        float64  `json:"bpb"`
	Perplexity *float64 `json:"perplexity"`
	// SequenceLength is the largest number of tokens of a sequence.
	SequenceLength int64 `json:"sequenceLength"`
	// Threshold is the magnitude from which an activation counts.
	Threshold float64 `json:"threshold"`
	// Sites names the norms whose outputs were observed, in the order of computation, and HiddenSize is their size. If the
	// model has none, nothing was observed, and there are only losses.
	Sites      []string `json:"sites"`
	HiddenSize int64    `json:"hiddenSize"`
	// Protocol is the scoring protocol. Its context is the sequence length.
	Protocol artifact.ScoringProtocol `json:"scoringProtocol"`
	Model    artifact.ModelSize       `json:"model"`
	// UnscoredBytes counts the bytes without a loss, by reason.
	UnscoredBytes map[string]int64  `json:"unscoredBytes,omitempty"`
	Parameters    json.RawMessage   `json:"parameters"`
	Computed      map[string]string `json:"computed"`
}

// Sums are sums over the sequences.
type Sums struct {
	// Tokens counts the tokens of the sequences, and Predicted those with a loss.
	Tokens    int64 `json:"tokens"`
	Predicted int64 `json:"predictedTokens"`
	// Positions counts the observed positions.
	Positions   int64 `json:"positions"`
	ScoredBytes int64 `json:"scoredBytes"`
	// Nats is the loss.
	Nats float64 `json:"nats"`
	// Hits counts the pairs of a sequence and a dimension that reaches the threshold in it.
	Hits int64 `json:"hits"`
}

// Add adds a sequence.
func (s *Sums) Add(of *artifact.ActivationSequence) {
	s.Tokens += of.Tokens
	s.Predicted += of.Predicted
	s.Positions += of.Positions
	s.ScoredBytes += of.ScoredBytes
	s.Nats += of.Nats
}
