package protocol

import (
	"encoding/json"
	"math"
)

// BackendDescription identifies a backend and describes its inputs.
type BackendDescription struct {
	// Name is the name that a spec uses: backend: NAME: {...}.
	Name    string
	Version string
	// Schema is CUE source that defines #Config, the backend's settings for a model.
	Schema string
	// Environment names the environment variables that the backend needs.
	Environment []string
	// Trains is true if the backend makes its model from datasets. Its configuration then has a field `train`, a list
	// of dataset names.
	Trains bool
	// Capabilities names the backend's optional capabilities: those that not every backend has. Unknown names are
	// ignored.
	Capabilities []string
	// NeutralSettings are dotted names of configuration fields that do not change results, such as a number of threads.
	NeutralSettings []string
}

// CapabilitySpecialTokens means that a model has special tokens, which Document.ParseSpecial can recognize in a text. A
// backend without it ignores ParseSpecial.
const CapabilitySpecialTokens = "specialTokens"

// CapabilityConfidence means that a backend obeys Settings.Confidence. The runner requests it from no other backend.
const CapabilityConfidence = "confidence"

// CapabilityTokenRange means that a backend obeys Settings.Range. The runner sets it for no other backend.
const CapabilityTokenRange = "tokenRange"

// CapabilityTopK means that a backend obeys Settings.TopK. The runner sets it for no other backend.
const CapabilityTopK = "topK"

// CapabilityActivations means that a backend obeys Settings.ActivationThreshold. The runner sets it for no other backend.
const CapabilityActivations = "activations"

// CapabilityTokenTexts means that a backend names the tokens of its models: the texts of the most probable tokens are
// recorded with scores. The runner asks no other backend.
const CapabilityTokenTexts = "tokenTexts"

// MaxTokenText is the maximum size of the text of a token in bytes.
const MaxTokenText = 64 << 10

// Model is a configured model.
type Model struct {
	// Config is the backend's settings as JSON, defaults filled, valid under the backend's schema. It omits the `train`
	// field: a trained model's content is in Files.
	Config json.RawMessage
	// Files are the model's files on this machine.
	Files []ModelFile
	// Halvings is positive when a model is loaded again because its process was killed, possibly because memory ran
	// out. The backend then computes at most 1 / 2^Halvings as much at once as it would have, but at least the smallest
	// part that it can. Losses do not depend on it.
	Halvings int
}

// ModelFile is a file of a model, with the digest the plan was made with.
type ModelFile struct {
	Name, Path, Digest string
}

// Estimate is a backend's estimate of a model's resources, made without reading the weights. Zero means unknown.
type Estimate struct {
	Parameters int64 `json:"parameters,omitempty"`
	// ActiveParameters are those that a token uses, if they are fewer, as in a mixture of experts; 0: all.
	ActiveParameters int64   `json:"activeParameters,omitempty"`
	WeightBytes      int64   `json:"weightBytes,omitempty"`
	FLOPsPerToken    float64 `json:"flopsPerToken,omitempty"`
	// MemoryBytes is the peak resident size while scoring, without the memory of accelerators.
	MemoryBytes int64 `json:"memoryBytes,omitempty"`
	// DeviceMemoryBytes is the total peak memory of all accelerators. Devices is the number of accelerators that the
	// model uses.
	DeviceMemoryBytes int64 `json:"deviceMemoryBytes,omitempty"`
	Devices           int64 `json:"devices,omitempty"`
	// The memory of a trained model grows with its training text. Per byte of that text, TrainingMemoryPerByte is added
	// to MemoryBytes during training, and MemoryPerTrainingByte during scoring. The latter is 0 if the estimate is of a
	// model whose file exists.
	TrainingMemoryPerByte float64 `json:"trainingMemoryPerByte,omitempty"`
	MemoryPerTrainingByte float64 `json:"memoryPerTrainingByte,omitempty"`
	// BytesPerToken is the expected mean number of text bytes per token.
	BytesPerToken float64 `json:"bytesPerToken,omitempty"`
	// SharesPrefixes is true if tokens with which consecutive documents begin are computed once, as far as documents are
	// computed together. A plan then counts them once.
	SharesPrefixes bool `json:"sharesPrefixes,omitempty"`
	// Context is the size of a window under the settings of the request, in tokens, or in bytes if their Anchor is
	// AnchorBytes: the default or the model's maximum if they name none; 0 if it is unknown before the model is loaded.
	Context int64 `json:"context,omitempty"`
}

// TrainingMemory is the peak resident size of training on a text of that many bytes, or 0 if unknown.
func (e Estimate) TrainingMemory(bytes int64) int64 {
	return e.MemoryBytes + int64(math.Ceil(e.TrainingMemoryPerByte*float64(bytes)))
}

// ScoringMemory is the peak resident size of scoring with a model that is trained on a text of that many bytes, or 0 if
// unknown.
func (e Estimate) ScoringMemory(trainingBytes int64) int64 {
	return e.MemoryBytes + int64(math.Ceil(e.MemoryPerTrainingByte*float64(trainingBytes)))
}

// LoadedModel describes a model that is ready to score.
type LoadedModel struct {
	// ContextLimit is the maximum context length in tokens, or 0 for no limit.
	ContextLimit int64
	// VocabularySize bounds token ids: 0 <= id < VocabularySize.
	VocabularySize int64
	Device, Dtype  string
	// Computed identifies the compute components: the device, the class of processor, versions of libraries. It is
	// recorded with results, whose last bits may differ between processors.
	Computed map[string]string
	// Arithmetic is what losses of this Dtype depend on by more than the rounding of their last bits, such as the kind of
	// device and the number of ranks; empty if there is nothing. Scores with different arithmetic are not comparable: it
	// is recorded in the scoring protocol.
	Arithmetic string
	// Sites names the norms whose outputs Settings.ActivationThreshold observes, in the order of computation: for each
	// layer the norm before the mixer and the norm before the feed-forward part, as far as the model has them. A norm that
	// feeds both is one site. It is empty without the capability "activations", and for a model without such norms.
	Sites []string
	// HiddenSize is the number of dimensions at each site, or 0 without sites.
	HiddenSize int64
}

// Prefixes of a window.
const (
	PrefixBOS   = "bos"
	PrefixFirst = "first"
	PrefixNone  = "none"
)

// Anchors of windows.
const (
	AnchorTokens = "tokens"
	AnchorBytes  = "bytes"
)

// Settings determine how documents are scored. Zero Context and Stride mean the defaults, which Resolve fills.
type Settings struct {
	// Prefix is PrefixBOS, PrefixFirst or PrefixNone.
	Prefix string `json:"prefix"`
	// Context and Stride are in tokens, or in bytes if Anchor is AnchorBytes.
	Context int64  `json:"context"`
	Stride  int64  `json:"stride"`
	Anchor  string `json:"anchor"`
	// EOS requests the loss of the end-of-text token after each document. It goes to the ledger, never to bytes.
	EOS bool `json:"eos"`
	// Confidence requests ScoredDocument.Confidence. Losses do not depend on it.
	Confidence bool `json:"confidence,omitempty"`
	// Range limits what is read and scored of each document. Every document is then one window, the first and last, as
	// Windows returns it. It excludes EOS.
	Range TokenRange `json:"range,omitzero"`
	// TopK requests Confidence.TopKMass for that many tokens. It is 0, or from 1 to MaxTopK with Confidence. Losses do not
	// depend on it.
	TopK int64 `json:"topK,omitempty"`
	// ActivationThreshold requests ScoredDocument.Activations for magnitudes of at least this much. 0 requests none.
	// Losses do not depend on it.
	ActivationThreshold float64 `json:"activationThreshold,omitempty"`
}

// TokenRange is a range of the tokens of every document. The zero value is the whole document.
//
// A model reads the prefix and then the tokens [From, To), and scores the tokens [Score, To), with 0 <= From <= Score < To.
// Tokens outside [Score, To) have no loss: their bytes are unscored with ReasonNotRequested, and those from To on may be
// missing from the answer. A document may have fewer than To tokens.
type TokenRange struct {
	From  int64 `json:"from"`
	Score int64 `json:"score"`
	To    int64 `json:"to"`
}

// Document is a text to score. Text is valid UTF-8; the scored span is [ScoreStart, ScoreEnd) in bytes.
type Document struct {
	// Index counts the documents of one call from 0.
	Index                int64
	Dataset, Shard       string
	Row                  int64
	Text                 string
	ScoreStart, ScoreEnd int32
	// Cluster is the name of the document's cluster, or "". Backends do not see it.
	Cluster string
	// ParseSpecial makes text that looks like a special token become that token.
	ParseSpecial bool
}

// ScoredDocument is a backend's answer for one document. The token slices have equal length. Tokens and NoToken
// spans together tile [0, len(text)).
type ScoredDocument struct {
	Index int64
	// TokenIDs, TokenStarts, TokenEnds (bytes) and TokenNLL (nats) describe the document's own tokens in order.
	TokenIDs, TokenStarts, TokenEnds []int32
	TokenNLL                         []float64
	// Confidence describes the distributions that predicted the tokens, if Settings.Confidence requested it. It has no
	// entry for the end-of-text token.
	Confidence Confidence
	// Activations describes the outputs of norms, if Settings.ActivationThreshold requested it.
	Activations Activations
	// EOSNLL is the loss in nats of the end-of-text token, if Settings.EOS requested it.
	EOSNLL float64
	// Unscored lists byte ranges that have no loss, in order. A token inside one has a TokenNLL of 0. An empty range at
	// the end of the text means that the end-of-text token was requested and has no loss: no token precedes it.
	Unscored []Unscored
	// TotalNLL is the backend's own sum of all losses in nats, EOS included. It verifies the transfer.
	TotalNLL float64
	// SharedTokens is how many of the tokens that were read needed no computation, because a document or window before
	// begins with the same tokens. It depends on batches; losses do not depend on it.
	SharedTokens int64
}

// Reasons why bytes are unscored.
const (
	// ReasonNoContext marks the first token of a document scored without a prefix. In a document without tokens that is
	// the end-of-text token, if it is requested.
	ReasonNoContext = "no context"
	// ReasonNoToken marks bytes for which the tokenizer has no token; no token covers them.
	ReasonNoToken = "no token"
	// ReasonNotRequested marks bytes of tokens outside Settings.Range.
	ReasonNotRequested = "not requested"
)

// Unscored is a byte range without a loss, and the reason.
type Unscored struct {
	Start, End int32
	Reason     string
}

// EndUnscored reports whether the end-of-text token was requested and has no loss.
func (s ScoredDocument) EndUnscored() bool {
	n := len(s.Unscored)
	return n > 0 && s.Unscored[n-1].Start == s.Unscored[n-1].End
}
