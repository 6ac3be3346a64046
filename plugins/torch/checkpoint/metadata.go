package checkpoint

import (
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
)

// ggufNames maps canonical names without ".weight" to those of GGUF files.
var ggufNames = map[string]string{
	"embedding":                   "token_embd",
	"norm":                        "output_norm",
	"head":                        "output",
	"layers.N.attention.norm":     "blk.N.attn_norm",
	"layers.N.attention.q":        "blk.N.attn_q",
	"layers.N.attention.k":        "blk.N.attn_k",
	"layers.N.attention.v":        "blk.N.attn_v",
	"layers.N.attention.qnorm":    "blk.N.attn_q_norm",
	"layers.N.attention.knorm":    "blk.N.attn_k_norm",
	"layers.N.attention.out":      "blk.N.attn_output",
	"layers.N.attention.postnorm": "blk.N.post_attention_norm",
	"layers.N.mlp.norm":           "blk.N.ffn_norm",
	"layers.N.mlp.postnorm":       "blk.N.post_ffw_norm",
	"layers.N.mlp.gate":           "blk.N.ffn_gate",
	"layers.N.mlp.up":             "blk.N.ffn_up",
	"layers.N.mlp.down":           "blk.N.ffn_down",
}

// ropeFactors is the tensor of frequency divisors with which GGUF files of Llama 3 represent its scaling.
const ropeFactors = "rope_freqs.weight"

var ropeFactorsOnly = regexp.MustCompile(`^rope_freqs\.weight$`)

// ggufFamilies maps general.architecture to the name in transformers.
var ggufFamilies = map[string]string{"llama": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "gemma3": "gemma3_text"}

// metadataModel reads the metadata of a GGUF file with these tensors.
func metadataModel(path string, metadata map[string]any, tensors map[string]stored) (model, error) {
	f := newFields(path, metadata)
	name := f.text("general.architecture", "")
	family, ok := ggufFamilies[name]
	if f.err == nil && !ok {
		f.fail("general.architecture is %q, which is not supported (supported: %s)", name, strings.Join(slices.Sorted(maps.Keys(ggufFamilies)), ", "))
	}
	if f.err != nil {
		return model{}, f.err
	}
	f.prefix = name + "."

	heads := f.count("attention.head_count", 0)
	kvHeads := f.count("attention.head_count_kv", heads)
	if heads%kvHeads != 0 {
		f.fail("attention.head_count %d is not a multiple of attention.head_count_kv %d", heads, kvHeads)
	}
	hidden := f.size("embedding_length", 0)
	headSize := f.headSize("attention.key_length", 0)
	if headSize == 0 {
		headSize = f.divided("embedding_length", hidden, "attention.head_count", heads)
	}
	f.only("attention.value_length", headSize)
	f.only("rope.dimension_count", headSize)
	f.only("attention.causal", true)
	f.only("expert_count", 0)
	f.only("expert_used_count", 0)
	f.only("tensor_data_layout", "Meta AI original pth")
	_, untied := tensors["output.weight"]
	a := Architecture{
		Family: family, Hidden: hidden, Context: f.size("context_length", 0), TiedHead: !untied,
		Norm: Norm{Kind: RMSNorm, Epsilon: f.positive("attention.layer_norm_rms_epsilon", 0)},
		Layers: slices.Repeat([]Layer{{
			Attention: Attention{Heads: heads, KVHeads: kvHeads, HeadSize: headSize, Scale: 1 / math.Sqrt(float64(headSize))},
			MLP:       MLP{Width: f.size("feed_forward_length", 0), Activation: SiLU, Gated: true},
			PreNorm:   true,
		}}, f.count("block_count", 0)),
	}
	// The embedding gives the number of tokens; if the metadata does too, the shapes must agree.
	rows := 0
	if embedding := tensors["token_embd.weight"]; len(embedding.shape) == 2 && embedding.shape[0] <= maximumSize {
		rows = int(embedding.shape[0])
	}
	a.Vocabulary = f.size("vocab_size", rows)

	m := model{names: ggufNames, biases: map[string]presence{}, unused: ropeFactorsOnly}
	theta := 10000.0
	if family == "gemma3_text" {
		theta = 1e6
	}
	global := f.ggufRope(ropeSettings{theta: f.positive("rope.freq_base", theta), size: headSize}, tensors)
	a.eachAttention(func(_ int, at *Attention) { at.Rope = global })
	switch family {
	case "llama":
		for _, name := range []string{"attention.q", "attention.k", "attention.v", "attention.out", "mlp.gate", "mlp.up", "mlp.down"} {
			m.biases["layers.N."+name] = optional
		}
		m.view = interleaved(int64(headSize))
	case "qwen2":
		m.biases = attentionBiases
	case "qwen3":
		a.eachAttention(func(_ int, at *Attention) { at.QKNorm = HeadQKNorm })
	case "gemma3_text":
		f.ggufGemma(&a, headSize)
	}
	m.architecture = a
	return m, f.finish()
}

func (f *fields) ggufGemma(a *Architecture, headSize int) {
	a.Norm.Float32Product = true
	a.EmbeddingScale = math.Sqrt(float64(a.Hidden))
	a.LogitSoftcap = f.softcap("final_logit_softcapping")
	window := f.size("attention.sliding_window", 0)
	// Files omit the pattern and the local frequencies, which all models of the family share.
	pattern := f.count("attention.sliding_window_pattern", 6)
	local := ropeSettings{theta: f.positive("rope.freq_base_swa", 1e4), size: headSize, scaling: "default"}.rope()
	scale := 1 / math.Sqrt(float64(headSize))
	// Only the model with 62 layers, 27B, scales by the width of the hidden size per head; files do not record this.
	if len(a.Layers) == 62 {
		scale = 1 / math.Sqrt(float64(a.Hidden)/float64(a.Layers[0].Attention.Heads))
	}
	for n := range a.Layers {
		l := &a.Layers[n]
		l.PostNorm = true
		l.MLP.Activation = GELUTanh
		at := &l.Attention
		at.Scale, at.QKNorm = scale, HeadQKNorm
		if (n+1)%pattern != 0 {
			at.Window, at.Rope = window, local
		}
	}
}

// ggufRope completes settings with rope.scaling, or with the tensor of factors.
func (f *fields) ggufRope(s ropeSettings, tensors map[string]stored) *Rope {
	switch s.scaling = f.text("rope.scaling.type", "none"); s.scaling {
	case "none":
		s.scaling = "default"
	case "linear":
		s.factor = f.positive("rope.scaling.factor", 0)
	default:
		f.fail("rope.scaling.type is %q, which is not supported (supported: none, linear)", s.scaling)
	}
	f.ignore("rope.scaling.original_context_length", "rope.scaling.finetuned")
	factors, scaled := tensors[ropeFactors]
	if scaled && (factors.typ != F32 || !slices.Equal(factors.shape, []int64{int64(s.size / 2)})) {
		f.fail("tensor %s is %s of shape %v, expected F32 of shape [%d]", ropeFactors, factors.typ, factors.shape, s.size/2)
	}
	if f.err != nil {
		return nil
	}
	r := s.rope()
	if scaled {
		divisors := make([]float32, s.size/2)
		decodeF32(divisors, factors.data)
		for i, divisor := range divisors {
			if !(divisor > 0) {
				f.fail("tensor %s has %v at %d", ropeFactors, divisor, i)
			}
			r.InverseFrequencies[i] /= divisor
		}
	}
	return r
}

// interleaved is the view of q and k in GGUF files of Llama. Within a head, the rows of a rotated pair, which are half
// a head apart in the canonical form, are adjacent.
func interleaved(headSize int64) func(string, []int64) (view, []int64) {
	return func(name string, shape []int64) (view, []int64) {
		if name != "layers.N.attention.q" && name != "layers.N.attention.k" {
			return view{}, shape
		}
		return view{row: func(r int64) int64 {
			head, i := r/headSize, r%headSize
			return head*headSize + i%(headSize/2)*2 + i/(headSize/2)
		}}, shape
	}
}
