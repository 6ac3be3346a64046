package graph

import "slices"

// Architecture is the graph of a decoder, expressed in parts that families have in common. Sizes count elements.
type Architecture struct {
	// Family is the name of the architecture in transformers, such as "llama" or "gemma3_text".
	Family string
	// Vocabulary is the number of rows of the embedding; Hidden is the width of the residual stream.
	Vocabulary, Hidden int
	// Context is the maximum context length that the model was made for.
	Context int
	// Positions is the number of learned absolute positions; 0: none.
	Positions int
	// EmbeddingScale multiplies the embedding's rows; 0: not scaled. It is rounded to the weights' type first.
	EmbeddingScale float64
	// TiedHead is true if the head is the embedding.
	TiedHead bool
	// LogitSoftcap c replaces each logit z by c*tanh(z/c); 0: none.
	LogitSoftcap float64
	Norm         Norm
	Layers       []Layer
}

// NormKind is a kind of normalization.
type NormKind int8

// Kinds of norms.
const (
	// RMSNorm is x / sqrt(mean(x^2) + epsilon) * w.
	RMSNorm NormKind = iota
	// LayerNorm is (x - mean(x)) / sqrt(var(x) + epsilon) * w + b.
	LayerNorm
)

// Norm describes all norms of a model.
type Norm struct {
	Kind    NormKind
	Epsilon float64
	// AddOne is true if the weight is stored as w-1 (Gemma's safetensors; its GGUF files store w).
	AddOne bool
}

// Layer is one block: x + Mixer(x), and the same with FFN after it.
type Layer struct {
	Mixer Mixer
	FFN   FFN
	// Parallel is true if mixer and FFN both read the block's input (GPT-NeoX).
	Parallel bool
	// PreNorm and PostNorm are true if mixer and FFN have a norm before, and one after, inside the residual branch.
	PreNorm, PostNorm bool
}

// Mixer is the part of a layer in which tokens of a sequence see each other, such as Attention.
type Mixer interface {
	Part
	mixer()
}

// FFN is the feed-forward part of a layer, which computes each token separately, such as Dense.
type FFN interface {
	Part
	ffn()
}

// Part is a part of a layer. hidden is the width of the residual stream.
type Part interface {
	// Parameters declares the weights. Their keys are within the layer, such as "attention.q".
	Parameters(hidden int) []Parameter
	// FLOPs is the number of floating-point operations per token, of all ranks together, in sequences of context
	// tokens. A multiplication and an addition count as two.
	FLOPs(hidden, context int) float64
	// Activations is the maximum number of elements per token, of all ranks together, that exist at the same time.
	Activations(hidden, ranks int) int64
	// Shardable rejects a number of ranks over which the part cannot be divided.
	Shardable(ranks int) error
}

// Activation is a function between the matrices of a feed-forward part.
type Activation int8

// Activations.
const (
	SiLU Activation = iota
	// GELUTanh is the approximation with tanh.
	GELUTanh
	GELU
)

// parameters declares the norms of a layer, and the weights of its parts.
func (l Layer) parameters(hidden int) []Parameter {
	all := append(l.Mixer.Parameters(hidden), l.FFN.Parameters(hidden)...)
	if l.PreNorm {
		all = append(all, norm("mixer.norm", int64(hidden)), norm("ffn.norm", int64(hidden)))
	}
	if l.PostNorm {
		all = append(all, norm("mixer.postnorm", int64(hidden)), norm("ffn.postnorm", int64(hidden)))
	}
	return all
}

// Divides reports whether a sequence of tokens can be divided at any token, and its parts be computed from the keys and
// values of the parts before them. They must not depend on the tokens after them, as they do if long sequences have other
// rotations. Attention within chunks is computed as that of shorter sequences.
func (a Architecture) Divides() bool {
	return !slices.ContainsFunc(a.Layers, func(l Layer) bool {
		at, ok := l.Mixer.(Attention)
		return !ok || at.Chunk > 0 || at.Rope != nil && at.Rope.Long != nil
	})
}

// HasExperts reports whether a layer has experts.
func (a Architecture) HasExperts() bool {
	return slices.ContainsFunc(a.Layers, func(l Layer) bool { _, ok := l.FFN.(Experts); return ok })
}
