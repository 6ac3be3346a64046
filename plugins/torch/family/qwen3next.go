package family

import (
	"maps"
	"regexp"
	"slices"

	"surprisal.dev/plugins/torch/graph"
)

// qwen3Next is Qwen3-Next: three of four layers have the gated delta rule in place of attention, whose output has a
// gate in the others. All norms but that of the delta rule store weights less 1.
var qwen3Next = definition{modelType: "qwen3_next", config: qwen3NextConfig}

func qwen3NextConfig(f *fields) Model {
	activation := f.activation("hidden_act", "silu")
	f.only("hidden_act", "silu") // the delta rule's gates too
	a, headSize := decoderBlocks(f, blockDefaults{vocabulary: 151936, context: 32768, heads: 16, kvHeads: 2, headSize: 256}, activation)
	a.TiedHead = f.boolean("tie_word_embeddings", false)
	a.Norm.AddOne = true
	f.only("use_sliding_window", false)
	parameters := f.ropeParameters()
	settings := ropeSettings{theta: f.positive("rope_theta", 10000), size: headSize}
	rope := f.scaledRope(parameters, f.partial(parameters, f.positive("partial_rotary_factor", 0.25), settings), a.Context)
	eachAttention(&a, func(_ int, at *graph.Attention) { at.Rope, at.QKNorm, at.OutputGate = rope, graph.HeadQKNorm, true })
	delta := f.gatedDelta()
	f.replaceMixers(&a, delta)
	names := expertFields{
		count: "num_experts", otherCount: "num_local_experts", defaultCount: 512, active: 10, width: "moe_intermediate_size", defaultWidth: 512,
	}
	x := f.experts(names, activation)
	x.Router.Normalize = f.boolean("norm_topk_prob", true)
	x.Shared, x.SharedGate = f.size("shared_expert_intermediate_size", 512), true
	f.sparseLayers(&a, x)
	layout := expertLayout(when(f.boolean("attention_bias", false), union(attentionBiases, outBias, map[string]Presence{"layers.N.attention.gate": Required})))
	maps.Copy(layout.Names, qwen3NextNames)
	layout.View = qwen3NextView(int64(headSize), delta)
	layout.Unused = predictors
	return Model{a, layout}
}

// predictors matches layers that predict further tokens, and what computed matches.
var predictors = regexp.MustCompile(`^mtp\.|` + computed.String())

func (f *fields) gatedDelta() graph.GatedDelta {
	d := graph.GatedDelta{
		KeyHeads: f.count("linear_num_key_heads", 16), ValueHeads: f.count("linear_num_value_heads", 32),
		KeySize: f.count("linear_key_head_dim", 128), ValueSize: f.count("linear_value_head_dim", 128),
		Kernel: f.count("linear_conv_kernel_dim", 4),
	}
	if d.ValueHeads%d.KeyHeads != 0 {
		f.fail("linear_num_value_heads %d is not a multiple of linear_num_key_heads %d", d.ValueHeads, d.KeyHeads)
		d.ValueHeads = d.KeyHeads
	}
	return d
}

// replaceMixers gives the delta rule to the layers that layer_types, or else the interval of attention, say.
func (f *fields) replaceMixers(a *graph.Architecture, delta graph.GatedDelta) {
	interval, types := f.count("full_attention_interval", 4), f.strings("layer_types")
	if len(types) != 0 && len(types) != len(a.Layers) {
		f.fail("layer_types has %d elements, num_hidden_layers is %d", len(types), len(a.Layers))
		return
	}
	for n := range a.Layers {
		linear := (n+1)%interval != 0
		if len(types) != 0 {
			linear = types[n] == "linear_attention"
			if !linear && types[n] != "full_attention" {
				f.fail("layer_types[%d] is %q, which is not supported (supported: full_attention, linear_attention)", n, types[n])
			}
		}
		if linear {
			a.Layers[n].Mixer = delta
		}
	}
}

var qwen3NextNames = map[string]string{
	"layers.N.attention.gate":     "model.layers.N.self_attn.q_proj",
	"layers.N.delta.in":           "model.layers.N.linear_attn.in_proj_qkvz",
	"layers.N.delta.rates":        "model.layers.N.linear_attn.in_proj_ba",
	"layers.N.delta.convolution":  "model.layers.N.linear_attn.conv1d",
	"layers.N.delta.decay.weight": "model.layers.N.linear_attn.A_log",
	"layers.N.delta.step.weight":  "model.layers.N.linear_attn.dt_bias",
	"layers.N.delta.norm":         "model.layers.N.linear_attn.norm",
	"layers.N.delta.out":          "model.layers.N.linear_attn.out_proj",
	"layers.N.shared.gate":        "model.layers.N.mlp.shared_expert.gate_proj",
	"layers.N.shared.up":          "model.layers.N.mlp.shared_expert.up_proj",
	"layers.N.shared.down":        "model.layers.N.mlp.shared_expert.down_proj",
	"layers.N.shared.router":      "model.layers.N.mlp.shared_expert_gate",
}

// qwen3NextView is the view of queries and gates, of which each head has its rows of both together, and of the
// convolution, which has those of all queries, all keys and all values.
func qwen3NextView(size int64, d graph.GatedDelta) func(string, []int64) (View, []int64) {
	return func(key string, shape []int64) (View, []int64) {
		part, joined := map[string]int64{"layers.N.attention.q": 0, "layers.N.attention.gate": 1}[key]
		switch {
		case joined:
			whole := slices.Clone(shape)
			whole[0] *= 2
			return View{Row: func(r int64) int64 { return (r/size*2+part)*size + r%size }}, whole
		case key == "layers.N.delta.convolution":
			return View{Row: d.StoredChannel}, []int64{shape[0] * shape[1], 1, shape[2]}
		}
		return View{}, shape
	}
}
