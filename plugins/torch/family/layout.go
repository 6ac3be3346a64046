package family

import (
	"maps"
	"regexp"

	"surprisal.dev/plugins/torch/graph"
)

// Model is the content of a configuration.
type Model struct {
	Architecture graph.Architecture
	Layout       Layout
}

// Layout is the names and the form of a graph's parameters in files.
type Layout struct {
	// Names maps keys of parameters to names of the files without ".weight", or keys with ".weight" or ".bias" to whole
	// names. N is the number of a layer in both. A name with Number is that of several tensors, the matrices of the
	// parameter.
	Names map[string]string
	// Prefix begins the names in the files, all of them or none; Others lists alternatives to it.
	Prefix string
	Others []string
	// Biases has the presence of biases by key.
	Biases map[string]Presence
	// View returns the position of a parameter of this key and shape in the stored tensor, and the stored tensor's
	// shape. If nil, all tensors are stored as the graph declares them.
	View func(key string, shape []int64) (View, []int64)
	// BlockView is View for tensors in blocks with their scales in another tensor; nil: it is View.
	BlockView func(key string, shape []int64) (View, []int64)
	// Unused matches names of stored tensors that do not take part in the computation.
	Unused *regexp.Regexp
}

// Number is the place of a matrix's number in a name.
const Number = ".E."

// Presence is whether a checkpoint has a tensor.
type Presence int8

// Kinds of presence.
const (
	Absent Presence = iota
	Optional
	Required
)

// View maps the rows of a parameter to those of a stored tensor.
type View struct {
	// First is the stored row that is row 0.
	First int64
	// Row returns the stored row of a row, or the stored column of a row of a transposed matrix; it is nil if they are
	// consecutive.
	Row func(row int64) int64
	// Transposed is true if the rows are the stored matrix's columns, from First. Each of several matrices is transposed.
	Transposed bool
}

// Tensors looks up a tensor of a GGUF file.
type Tensors func(name string) (Tensor, bool)

// Tensor is a tensor of a GGUF file: its type by the name in ggml, its shape with the size of a row last, and its
// bytes.
type Tensor struct {
	Type  string
	Shape []int64
	Data  []byte
}

var (
	attentionBiases = map[string]Presence{
		"layers.N.attention.q": Required, "layers.N.attention.k": Required, "layers.N.attention.v": Required,
	}
	outBias   = map[string]Presence{"layers.N.attention.out": Required}
	mlpBiases = map[string]Presence{
		"layers.N.mlp.gate": Required, "layers.N.mlp.up": Required, "layers.N.mlp.down": Required,
	}
	normBiases = map[string]Presence{
		"layers.N.mixer.norm": Required, "layers.N.ffn.norm": Required, "norm": Required,
	}
)

// union joins maps; a nil map contributes nothing.
func union(parts ...map[string]Presence) map[string]Presence {
	all := map[string]Presence{}
	for _, part := range parts {
		maps.Copy(all, part)
	}
	return all
}

func when(condition bool, part map[string]Presence) map[string]Presence {
	if condition {
		return part
	}
	return nil
}

// computed matches masks and frequencies in older checkpoints, which the code computes.
var computed = regexp.MustCompile(`\.(attn|attention)\.(bias|masked_bias)$|\.rotary_emb\.inv_freq$`)
