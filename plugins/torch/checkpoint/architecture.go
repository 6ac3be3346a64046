package checkpoint

// Architecture is the graph of a decoder: the content of a config.json or of a GGUF file's metadata, expressed in parts
// that families have in common. Sizes count elements.
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
	// Float32Product is true if the product with the weight is computed in float32 before rounding (Gemma, OLMo 2).
	Float32Product bool
}

// Layer is one block.
type Layer struct {
	Attention Attention
	MLP       MLP
	// Parallel is true if attention and MLP both read the block's input (GPT-NeoX).
	Parallel bool
	// PreNorm and PostNorm are true if attention and MLP have a norm before, and one after, inside the residual branch.
	PreNorm, PostNorm bool
}

// QKNorm is the normalization of queries and keys before the rotation.
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
	// Window w restricts a query to the last w positions, its own included; 0: all positions up to its own.
	Window int
	QKNorm QKNorm
	// Rope is nil for models with learned positions.
	Rope *Rope
}

// Rope rotates the pairs (i, i+Size/2) of the first Size elements of each head by position * InverseFrequencies[i].
type Rope struct {
	Size int
	// InverseFrequencies has Size/2 elements, with any scaling applied, computed in float32 as in transformers.
	InverseFrequencies []float32
	// Factor multiplies sine and cosine; it is 1 in most models.
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

// Names of tensors, the same for all families. The checkpoint converts what families store differently to this form:
// matrices are [outputs, inputs]; q, k and v are separate; rotated pairs are half a head apart. A bias exists if the
// checkpoint has one: its name has ".bias" in place of ".weight".
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
