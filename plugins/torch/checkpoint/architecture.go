package checkpoint

// Architecture is the graph of a decoder: what a config.json or the metadata of a GGUF file says, in terms of parts that
// families have in common. Sizes count elements.
type Architecture struct {
	// Family is the name of the architecture in transformers, such as "llama" or "gemma3_text".
	Family string
	// Vocabulary is the number of rows of the embedding, Hidden the width of the residual stream.
	Vocabulary, Hidden int
	// Context is the most tokens that the model was made for.
	Context int
	// Positions is the number of learned absolute positions; 0: none.
	Positions int
	// EmbeddingScale multiplies the embedding's rows; 0: not scaled. It is rounded to the weights' type first.
	EmbeddingScale float64
	// TiedHead says that the head is the embedding.
	TiedHead bool
	// LogitSoftcap c makes c*tanh(z/c) of each logit z; 0: none.
	LogitSoftcap float64
	Norm         Norm
	Layers       []Layer
}

// NormKind is how a norm is computed.
type NormKind int8

// Kinds of norms.
const (
	// RMSNorm is x / sqrt(mean(x^2) + epsilon) * w.
	RMSNorm NormKind = iota
	// LayerNorm is (x - mean(x)) / sqrt(var(x) + epsilon) * w + b.
	LayerNorm
)

// Norm is how all norms of a model are computed.
type Norm struct {
	Kind    NormKind
	Epsilon float64
	// AddOne says that the weight is stored as w-1 (Gemma's safetensors; its GGUF files store w).
	AddOne bool
	// Float32Product says that the product with the weight is made in float32 before rounding (Gemma, OLMo 2).
	Float32Product bool
}

// Layer is one block.
type Layer struct {
	Attention Attention
	MLP       MLP
	// Parallel says that attention and MLP both read the block's input (GPT-NeoX).
	Parallel bool
	// PreNorm and PostNorm say whether attention and MLP have a norm before, and one after, inside the residual branch.
	PreNorm, PostNorm bool
}

// QKNorm is what of queries and keys is normalized before the rotation.
type QKNorm int8

// Kinds of QKNorm.
const (
	NoQKNorm QKNorm = iota
	// HeadQKNorm normalizes each head.
	HeadQKNorm
	// FullQKNorm normalizes all heads together (OLMo 2).
	FullQKNorm
)

// Attention is grouped-query attention.
type Attention struct {
	Heads, KVHeads, HeadSize int
	// Scale multiplies q·k.
	Scale float64
	// Window w lets a query see keys less than w positions before it, itself included; 0: all before it.
	Window int
	QKNorm QKNorm
	// Rope is nil for models with learned positions.
	Rope *Rope
}

// Rope turns pairs (i, i+Size/2) of the first Size elements of each head by position * InverseFrequencies[i].
type Rope struct {
	Size int
	// InverseFrequencies has Size/2 elements, any scaling applied, computed as transformers does in float32.
	InverseFrequencies []float32
	// Factor multiplies sine and cosine; 1 in most models.
	Factor float64
}

// Activation is a function between the matrices of an MLP.
type Activation int8

// Activations.
const (
	SiLU Activation = iota
	// GELUTanh is the approximation with tanh.
	GELUTanh
	GELU
)

// MLP is down(activation(gate(x)) * up(x)), or down(activation(up(x))).
type MLP struct {
	Width      int
	Activation Activation
	Gated      bool
}

// Names of tensors, the same for all families. The checkpoint brings what families store otherwise into this form:
// matrices are [outputs, inputs]; q, k and v are apart; rotated pairs are half a head from each other. A bias exists where
// the checkpoint has one: the name with ".bias" in the place of ".weight".
//
//	embedding.weight              [Vocabulary, Hidden]
//	positions.weight              [Positions, Hidden]
//	layers.N.attention.norm.weight, layers.N.mlp.norm.weight                     [Hidden], before
//	layers.N.attention.postnorm.weight, layers.N.mlp.postnorm.weight             [Hidden], after
//	layers.N.attention.q.weight   [Heads*HeadSize, Hidden]; k and v [KVHeads*HeadSize, Hidden]
//	layers.N.attention.qnorm.weight, .knorm.weight   [HeadSize], or [all heads]
//	layers.N.attention.out.weight [Hidden, Heads*HeadSize]
//	layers.N.mlp.gate.weight, .up.weight             [Width, Hidden]
//	layers.N.mlp.down.weight      [Hidden, Width]
//	norm.weight                   [Hidden]
//	head.weight                   [Vocabulary, Hidden], unless TiedHead
