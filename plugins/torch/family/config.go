package family

import (
	"maps"
	"math"
	"slices"
	"strings"

	"surprisal.dev/plugins/torch/graph"
)

var activations = map[string]graph.Activation{
	"silu": graph.SiLU, "swish": graph.SiLU, "gelu": graph.GELU, "gelu_python": graph.GELU,
	// One formula under several names.
	"gelu_new": graph.GELUTanh, "gelu_pytorch_tanh": graph.GELUTanh, "gelu_fast": graph.GELUTanh, "gelu_accurate": graph.GELUTanh,
}

func (f *fields) activation(name, fallback string) graph.Activation {
	text := f.text(name, fallback)
	activation, ok := activations[text]
	if !ok {
		f.fail("%s is %q, which is not supported (supported: %s)", name, text, strings.Join(slices.Sorted(maps.Keys(activations)), ", "))
	}
	return activation
}

// blockDefaults are a family's defaults for missing fields; 0: there is no default, or it follows from other fields.
type blockDefaults struct{ vocabulary, context, heads, kvHeads, headSize int }

// decoderBlocks reads the fields that Llama's descendants share. The caller adds windows and rotations, which need the
// size of a head.
func decoderBlocks(f *fields, d blockDefaults, activation graph.Activation) (a graph.Architecture, headSize int) {
	a = graph.Architecture{
		Vocabulary: f.size("vocab_size", d.vocabulary),
		Hidden:     f.size("hidden_size", 0),
		Context:    f.size("max_position_embeddings", d.context),
		Norm:       graph.Norm{Kind: graph.RMSNorm, Epsilon: f.positive("rms_norm_eps", 1e-6)},
	}
	heads := f.count("num_attention_heads", d.heads)
	kvHeads := d.kvHeads
	// Null means as many as heads.
	if _, written := f.values["num_key_value_heads"]; written || kvHeads == 0 {
		kvHeads = f.count("num_key_value_heads", heads)
	}
	if heads%kvHeads != 0 {
		f.fail("num_attention_heads %d is not a multiple of num_key_value_heads %d", heads, kvHeads)
	}
	headSize = f.headSize("head_dim", d.headSize)
	if headSize == 0 {
		headSize = f.divided("hidden_size", a.Hidden, "num_attention_heads", heads)
	}
	a.Layers = slices.Repeat([]graph.Layer{{
		Mixer:   graph.Attention{Heads: heads, KVHeads: kvHeads, HeadSize: headSize, Scale: 1 / math.Sqrt(float64(headSize))},
		FFN:     graph.Dense{Width: f.size("intermediate_size", 0), Activation: activation, Gated: true},
		PreNorm: true,
	}}, f.count("num_hidden_layers", 0))
	return a, headSize
}

// headSize reads an even size; fallback 0 gives 0.
func (f *fields) headSize(name string, fallback int) int {
	if _, ok := f.get(name); !ok {
		return fallback
	}
	n := f.count(name, 0)
	if n%2 != 0 {
		f.fail("%s is %d, which is odd", name, n)
	}
	return n
}

// divided returns the size of a head for a configuration that does not state it.
func (f *fields) divided(name string, hidden int, headsName string, heads int) int {
	size := hidden / heads
	if hidden%heads != 0 || size%2 != 0 || size > maximumCount {
		f.fail("%s %d over %s %d is not an even whole number up to %d", name, hidden, headsName, heads, maximumCount)
		return 2
	}
	return size
}

// softcap reads the bound of a soft cap; 0: none.
func (f *fields) softcap(name string) float64 {
	if _, ok := f.get(name); !ok {
		return 0
	}
	return f.positive(name, 0)
}

// windowOr reads sliding_window, which may be missing; it returns 0 for null, which means no window.
func (f *fields) windowOr(missing int) int {
	if _, written := f.values["sliding_window"]; !written {
		return missing
	}
	if _, ok := f.get("sliding_window"); !ok {
		return 0
	}
	return f.size("sliding_window", 0)
}

// layerWindows reads layer_types, or derives them by a rule if they are missing, and sets the window of sliding layers.
func (f *fields) layerWindows(a *graph.Architecture, window int, sliding func(layer int) bool) {
	types := f.strings("layer_types")
	if len(types) != 0 && len(types) != len(a.Layers) {
		f.fail("layer_types has %d elements, num_hidden_layers is %d", len(types), len(a.Layers))
		return
	}
	eachAttention(a, func(n int, at *graph.Attention) {
		slides := len(types) == 0 && sliding(n)
		if len(types) != 0 {
			switch types[n] {
			case "full_attention":
			case "sliding_attention":
				slides = true
			default:
				f.fail("layer_types[%d] is %q, which is not supported (supported: full_attention, sliding_attention)", n, types[n])
			}
		}
		if slides && window == 0 {
			f.fail("layer %d has sliding attention, but there is no window: set sliding_window, or make it full_attention", n)
		}
		if slides {
			at.Window = window
		}
	})
}
