package family

import (
	"encoding/binary"
	"math"
	"regexp"
	"slices"

	"surprisal.dev/plugins/torch/graph"
)

// ggufNames maps keys of parameters to the names of GGUF files, the same for all families.
var ggufNames = map[string]string{
	"embedding":                "token_embd",
	"norm":                     "output_norm",
	"head":                     "output",
	"layers.N.mixer.norm":      "blk.N.attn_norm",
	"layers.N.attention.q":     "blk.N.attn_q",
	"layers.N.attention.k":     "blk.N.attn_k",
	"layers.N.attention.v":     "blk.N.attn_v",
	"layers.N.attention.qnorm": "blk.N.attn_q_norm",
	"layers.N.attention.knorm": "blk.N.attn_k_norm",
	"layers.N.attention.out":   "blk.N.attn_output",
	"layers.N.mixer.postnorm":  "blk.N.post_attention_norm",
	"layers.N.ffn.norm":        "blk.N.ffn_norm",
	"layers.N.ffn.postnorm":    "blk.N.post_ffw_norm",
	"layers.N.mlp.gate":        "blk.N.ffn_gate",
	"layers.N.mlp.up":          "blk.N.ffn_up",
	"layers.N.mlp.down":        "blk.N.ffn_down",
	"layers.N.attention.sinks": "blk.N.attn_sinks",
	"layers.N.experts.router":  "blk.N.ffn_gate_inp",
	"layers.N.experts.gate":    "blk.N.ffn_gate_exps",
	"layers.N.experts.up":      "blk.N.ffn_up_exps",
	"layers.N.experts.down":    "blk.N.ffn_down_exps",
}

// ropeFactors is the tensor of frequency divisors with which GGUF files of Llama 3 represent its scaling.
const ropeFactors = "rope_freqs.weight"

var ropeFactorsOnly = regexp.MustCompile(`^rope_freqs\.weight$`)

func metadataLayout(biases map[string]Presence) Layout {
	return Layout{Names: ggufNames, Biases: biases, Unused: ropeFactorsOnly}
}

// metadataBlocks reads the metadata that all families share, for blocks as Llama has them. theta is the family's
// default base of the rotation.
func metadataBlocks(f *fields, tensors Tensors, theta float64) (a graph.Architecture, headSize int) {
	heads := f.count("attention.head_count", 0)
	kvHeads := f.count("attention.head_count_kv", heads)
	if heads%kvHeads != 0 {
		f.fail("attention.head_count %d is not a multiple of attention.head_count_kv %d", heads, kvHeads)
	}
	hidden := f.size("embedding_length", 0)
	headSize = f.headSize("attention.key_length", 0)
	if headSize == 0 {
		headSize = f.divided("embedding_length", hidden, "attention.head_count", heads)
	}
	f.only("attention.value_length", headSize)
	rotated := headSize
	if f.prefix == "phi3." {
		rotated = min(f.headSize("rope.dimension_count", headSize), headSize)
	} else {
		f.only("rope.dimension_count", headSize)
	}
	f.only("attention.causal", true)
	f.only("tensor_data_layout", "Meta AI original pth")
	_, untied := tensors("output.weight")
	ffn := f.metadataFFN()
	a = graph.Architecture{
		Hidden: hidden, Context: f.size("context_length", 0), TiedHead: !untied,
		Norm: graph.Norm{Kind: graph.RMSNorm, Epsilon: f.positive("attention.layer_norm_rms_epsilon", 0)},
		Layers: slices.Repeat([]graph.Layer{{
			Mixer:   graph.Attention{Heads: heads, KVHeads: kvHeads, HeadSize: headSize, Scale: 1 / math.Sqrt(float64(headSize))},
			FFN:     ffn,
			PreNorm: true,
		}}, f.count("block_count", 0)),
	}
	a.Vocabulary = f.metadataVocabulary(tensors)
	settings := ropeSettings{theta: f.positive("rope.freq_base", theta), size: rotated, yarn: yarn{truncate: true}}
	if f.prefix == "gpt-oss." {
		settings.yarn.truncate = false // files do not record this
	}
	rope := f.metadataRope(settings, tensors)
	eachAttention(&a, func(_ int, at *graph.Attention) { at.Rope = rope })
	return a, headSize
}

// metadataVocabulary returns the number of tokens, which the embedding gives. If the metadata does too, the shapes must
// agree.
func (f *fields) metadataVocabulary(tensors Tensors) int {
	rows := 0
	if embedding, _ := tensors("token_embd.weight"); len(embedding.Shape) == 2 && embedding.Shape[0] <= maximumSize {
		rows = int(embedding.Shape[0])
	}
	return f.size("vocab_size", rows)
}

// metadataFFN reads the feed-forward part: experts if the metadata gives their number. The weights of experts are
// normalized, as in most families.
func (f *fields) metadataFFN() graph.FFN {
	count := f.whole("expert_count", 0)
	active := f.whole("expert_used_count", 0)
	if count == 0 {
		if active > 0 {
			f.fail("%sexpert_used_count is %d, but there is no %sexpert_count", f.prefix, active, f.prefix)
		}
		return graph.Dense{Width: f.size("feed_forward_length", 0), Activation: graph.SiLU, Gated: true}
	}
	if active < 1 || active > count {
		f.fail("%sexpert_used_count is %d, but %sexpert_count is %d: a token uses from one expert to all", f.prefix, active, f.prefix, count)
		active = 1
	}
	// Files of families without dense layers have the width of experts under either name.
	width := f.size("expert_feed_forward_length", f.whole("feed_forward_length", 0))
	f.only("expert_shared_count", 0)
	return graph.Experts{Count: count, Active: active, Width: width, Activation: graph.SiLU, Router: graph.Router{Scale: 1, Normalize: true}}
}

// dense rejects experts in the metadata of families that have none.
func (f *fields) dense(a graph.Architecture) {
	if a.HasExperts() {
		f.fail("%sexpert_count is %v, but this family has no experts", f.prefix, f.values[f.prefix+"expert_count"])
	}
}

// withExperts rejects metadata without experts.
func (f *fields) withExperts(a graph.Architecture) {
	if !a.HasExperts() {
		f.fail("no field %sexpert_count", f.prefix)
	}
}

// eachExperts modifies the experts of all layers.
func eachExperts(a *graph.Architecture, set func(x *graph.Experts)) {
	for n := range a.Layers {
		if x, ok := a.Layers[n].FFN.(graph.Experts); ok {
			set(&x)
			a.Layers[n].FFN = x
		}
	}
}

// metadataRope completes settings with rope.scaling, or with the tensor of factors.
func (f *fields) metadataRope(s ropeSettings, tensors Tensors) *graph.Rope {
	switch s.scaling = f.text("rope.scaling.type", "none"); s.scaling {
	case "none":
		s.scaling = "default"
	case "linear":
		s.factor = f.positive("rope.scaling.factor", 0)
	case "yarn":
		s.factor = f.positive("rope.scaling.factor", 0)
		s.originalContext = f.positive("rope.scaling.original_context_length", 0)
		s.yarn.fast, s.yarn.slow = f.positive("rope.scaling.yarn_beta_fast", 32), f.positive("rope.scaling.yarn_beta_slow", 1)
		s.yarn.attention = f.positive("rope.scaling.attn_factor", 1) * defaultAttention(s.factor, 1)
	default:
		f.fail("rope.scaling.type is %q, which is not supported (supported: none, linear, yarn)", s.scaling)
	}
	f.ignore("rope.scaling.original_context_length", "rope.scaling.finetuned")
	divisors := f.tensorFactors(tensors, ropeFactors, s.size/2)
	if f.err != nil {
		return nil
	}
	r := s.rope()
	for i, divisor := range divisors {
		r.InverseFrequencies[i] /= divisor
	}
	return r
}

// tensorFactors reads n divisors of frequencies; nil if there is no such tensor.
func (f *fields) tensorFactors(tensors Tensors, name string, n int) []float32 {
	factors, ok := tensors(name)
	if !ok {
		return nil
	}
	if factors.Type != "F32" || !slices.Equal(factors.Shape, []int64{int64(n)}) {
		f.fail("tensor %s is %s of shape %v, expected F32 of shape [%d]", name, factors.Type, factors.Shape, n)
		return nil
	}
	divisors := make([]float32, n)
	for i := range divisors {
		divisors[i] = math.Float32frombits(binary.LittleEndian.Uint32(factors.Data[4*i:]))
		if !(divisors[i] > 0) {
			f.fail("tensor %s has %v at %d", name, divisors[i], i)
		}
	}
	return divisors
}
