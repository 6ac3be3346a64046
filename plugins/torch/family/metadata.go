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
	f.only("rope.dimension_count", headSize)
	f.only("attention.causal", true)
	f.only("expert_count", 0)
	f.only("expert_used_count", 0)
	f.only("tensor_data_layout", "Meta AI original pth")
	_, untied := tensors("output.weight")
	a = graph.Architecture{
		Hidden: hidden, Context: f.size("context_length", 0), TiedHead: !untied,
		Norm: graph.Norm{Kind: graph.RMSNorm, Epsilon: f.positive("attention.layer_norm_rms_epsilon", 0)},
		Layers: slices.Repeat([]graph.Layer{{
			Mixer:   graph.Attention{Heads: heads, KVHeads: kvHeads, HeadSize: headSize, Scale: 1 / math.Sqrt(float64(headSize))},
			FFN:     graph.Dense{Width: f.size("feed_forward_length", 0), Activation: graph.SiLU, Gated: true},
			PreNorm: true,
		}}, f.count("block_count", 0)),
	}
	// The embedding gives the number of tokens; if the metadata does too, the shapes must agree.
	rows := 0
	if embedding, _ := tensors("token_embd.weight"); len(embedding.Shape) == 2 && embedding.Shape[0] <= maximumSize {
		rows = int(embedding.Shape[0])
	}
	a.Vocabulary = f.size("vocab_size", rows)
	rope := f.metadataRope(ropeSettings{theta: f.positive("rope.freq_base", theta), size: headSize}, tensors)
	eachAttention(&a, func(_ int, at *graph.Attention) { at.Rope = rope })
	return a, headSize
}

// metadataRope completes settings with rope.scaling, or with the tensor of factors.
func (f *fields) metadataRope(s ropeSettings, tensors Tensors) *graph.Rope {
	switch s.scaling = f.text("rope.scaling.type", "none"); s.scaling {
	case "none":
		s.scaling = "default"
	case "linear":
		s.factor = f.positive("rope.scaling.factor", 0)
	default:
		f.fail("rope.scaling.type is %q, which is not supported (supported: none, linear)", s.scaling)
	}
	f.ignore("rope.scaling.original_context_length", "rope.scaling.finetuned")
	factors, scaled := tensors(ropeFactors)
	if scaled && (factors.Type != "F32" || !slices.Equal(factors.Shape, []int64{int64(s.size / 2)})) {
		f.fail("tensor %s is %s of shape %v, expected F32 of shape [%d]", ropeFactors, factors.Type, factors.Shape, s.size/2)
	}
	if f.err != nil {
		return nil
	}
	r := s.rope()
	if scaled {
		for i := range r.InverseFrequencies {
			divisor := math.Float32frombits(binary.LittleEndian.Uint32(factors.Data[4*i:]))
			if !(divisor > 0) {
				f.fail("tensor %s has %v at %d", ropeFactors, divisor, i)
			}
			r.InverseFrequencies[i] /= divisor
		}
	}
	return r
}
