package family

import (
	"maps"
	"regexp"

	"surprisal.dev/plugins/torch/graph"
)

// phi3 is Phi-3 (Abdin et al., arXiv:2404.14219) and Phi-4: Llama with q, k and v in one tensor, and gate and up in
// another.
var phi3 = definition{modelType: "phi3", config: phi3Config, architecture: "phi3", metadata: phi3Metadata}

func phi3Config(f *fields) Model {
	f.ignore("auto_map") // names code from before transformers had this family
	for _, name := range []string{"attention_bias", "mlp_bias", "lm_head_bias"} {
		f.only(name, false)
	}
	// Phi-4-mini's code has these; transformers does not.
	f.only("full_attn_mod", 1)
	f.only("interpolate_factor", 1)
	a, headSize := decoderBlocks(f, blockDefaults{}, f.activation("hidden_act", "silu"))
	a.TiedHead = f.boolean("tie_word_embeddings", false)
	a.Norm.Epsilon = f.positive("rms_norm_eps", 1e-5)
	rope := f.phi3Rope(headSize, a.Context)
	window := f.windowOr(0)
	eachAttention(&a, func(_ int, at *graph.Attention) { at.Rope, at.Window = rope, window })
	return Model{a, phi3Layout(a, llamaLayout(nil), phi3Names)}
}

// phi3Layout is a layout with q, k and v in one tensor, and gate and up in another.
func phi3Layout(a graph.Architecture, layout Layout, names map[string]string) Layout {
	layout.Names = maps.Clone(layout.Names)
	maps.Copy(layout.Names, names)
	eachAttention(&a, func(_ int, at *graph.Attention) {
		layout.View = phi3View(int64(at.Heads*at.HeadSize), int64(at.KVHeads*at.HeadSize))
	})
	return layout
}

func (f *fields) phi3Rope(headSize, context int) *graph.Rope {
	parameters := f.ropeParameters()
	original := f.size("original_max_position_embeddings", 4096)
	if parameters != nil {
		parameters.only("rope_type", "default", "longrope")
		parameters.only("type", "default", "longrope", "su")
		if parameters.values["type"] == "su" { // longrope's name in the first files
			parameters.values = maps.Clone(parameters.values)
			parameters.values["type"] = "longrope"
		}
	}
	settings := ropeSettings{theta: f.positive("rope_theta", 10000), size: headSize, originalContext: float64(original)}
	return f.scaledRope(parameters, f.partial(parameters, f.positive("partial_rotary_factor", 1), settings), context)
}

var phi3Names = map[string]string{
	"layers.N.attention.q": "model.layers.N.self_attn.qkv_proj",
	"layers.N.attention.k": "model.layers.N.self_attn.qkv_proj",
	"layers.N.attention.v": "model.layers.N.self_attn.qkv_proj",
	"layers.N.mlp.gate":    "model.layers.N.mlp.gate_up_proj",
	"layers.N.mlp.up":      "model.layers.N.mlp.gate_up_proj",
}

var phi3MetadataNames = map[string]string{
	"layers.N.attention.q": "blk.N.attn_qkv",
	"layers.N.attention.k": "blk.N.attn_qkv",
	"layers.N.attention.v": "blk.N.attn_qkv",
	"layers.N.mlp.gate":    "blk.N.ffn_up",
	"layers.N.mlp.up":      "blk.N.ffn_up",
}

// Tensors of GGUF files with the divisors of frequencies.
const (
	longFactors  = "rope_factors_long.weight"
	shortFactors = "rope_factors_short.weight"
)

var longFactorsOnly = regexp.MustCompile(`^rope_factors_(long|short)\.weight$`)

// phi3Metadata reads a GGUF file. A window of 0 is none; the first files have no field for it, although their models have
// a window.
func phi3Metadata(f *fields, tensors Tensors) Model {
	a, _ := metadataBlocks(f, tensors, 10000)
	f.dense(a)
	written, ok := f.get("attention.sliding_window")
	if !ok {
		f.fail("no field %sattention.sliding_window: the file is from before converters recorded the window; convert the model again", f.prefix)
	}
	window := 0
	if n, ok := Integer(written); !ok || n != 0 {
		window = f.size("attention.sliding_window", 0)
	}
	f.phi3Factors(&a, tensors)
	eachAttention(&a, func(_ int, at *graph.Attention) { at.Window = window })
	layout := phi3Layout(a, metadataLayout(nil), phi3MetadataNames)
	layout.Unused = longFactorsOnly
	return Model{a, layout}
}

// phi3Factors sets the rotation longrope if the file has its divisors.
func (f *fields) phi3Factors(a *graph.Architecture, tensors Tensors) {
	original := f.size("rope.scaling.original_context_length", a.Context)
	attention := f.positive("rope.scaling.attn_factor", 1)
	_, long := tensors(longFactors)
	_, short := tensors(shortFactors)
	switch {
	case long != short:
		f.fail("the tensors %s and %s belong together, and one of them is missing", longFactors, shortFactors)
	case !long && attention != 1:
		f.fail("%srope.scaling.attn_factor is %v, but there is no tensor %s", f.prefix, attention, longFactors)
	}
	if !long || f.err != nil {
		return
	}
	eachAttention(a, func(_ int, at *graph.Attention) {
		s := ropeSettings{theta: f.positive("rope.freq_base", 10000), size: at.Rope.Size, scaling: "longrope", originalContext: float64(original)}
		s.long = longRope{f.tensorFactors(tensors, shortFactors, s.size/2), f.tensorFactors(tensors, longFactors, s.size/2), attention}
		if f.err == nil {
			at.Rope = s.rope()
		}
	})
}

// phi3View is the view of tensors whose rows are those of q, k and v, or of gate and up, one after the other. queries
// and keys are the numbers of rows of q and of k.
func phi3View(queries, keys int64) func(string, []int64) (View, []int64) {
	return func(key string, shape []int64) (View, []int64) {
		switch key {
		case "layers.N.attention.q":
			return View{}, []int64{queries + 2*keys, shape[1]}
		case "layers.N.attention.k":
			return View{First: queries}, []int64{queries + 2*keys, shape[1]}
		case "layers.N.attention.v":
			return View{First: queries + keys}, []int64{queries + 2*keys, shape[1]}
		case "layers.N.mlp.gate":
			return View{}, []int64{2 * shape[0], shape[1]}
		case "layers.N.mlp.up":
			return View{First: shape[0]}, []int64{2 * shape[0], shape[1]}
		}
		return View{}, shape
	}
}
