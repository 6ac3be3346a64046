package checkpoint_test

import (
	"encoding/binary"
	"math"
	"testing"

	"surprisal.dev/plugins/torch/graph"
)

// phi3File writes a GGUF file of a Phi-3 model with two rotated pairs, and changes to its metadata and tensors.
func phi3File(t *testing.T, tensors map[string]array, pairs ...any) string {
	t.Helper()
	all := map[string]array{
		"token_embd.weight": ramp(0, 10, 8), "output_norm.weight": ramp(0, 8), "blk.0.attn_norm.weight": ramp(0, 8), "blk.0.ffn_norm.weight": ramp(0, 8),
		"blk.0.attn_qkv.weight": ramp(0, 16, 8), "blk.0.attn_output.weight": ramp(0, 8, 8), "blk.0.ffn_up.weight": ramp(0, 24, 8), "blk.0.ffn_down.weight": ramp(0, 8, 12),
		"rope_factors_short.weight": float32s(1, 2), "rope_factors_long.weight": float32s(4, 8),
	}
	for name, a := range tensors {
		if all[name] = a; a.shape == nil {
			delete(all, name)
		}
	}
	fields := map[string]any{
		"general.architecture": "phi3", "phi3.context_length": uint32(128), "phi3.embedding_length": uint32(8), "phi3.block_count": uint32(1),
		"phi3.feed_forward_length": uint32(12), "phi3.attention.head_count": uint32(2), "phi3.attention.head_count_kv": uint32(1),
		"phi3.attention.layer_norm_rms_epsilon": float32(1e-5), "phi3.rope.dimension_count": uint32(4), "phi3.rope.freq_base": float32(10000),
		"phi3.rope.scaling.original_context_length": uint32(32), "phi3.rope.scaling.attn_factor": float32(1.25), "phi3.attention.sliding_window": uint32(262144),
	}
	return ggufFile(t, gguf(t, with(fields, pairs...), all))
}

func float32s(values ...float32) array {
	a := array{shape: []int64{int64(len(values))}}
	for _, x := range values {
		a.data = binary.LittleEndian.AppendUint32(a.data, math.Float32bits(x))
	}
	return a
}

func TestGGUFPhi3(t *testing.T) {
	c := open(t, phi3File(t, nil))
	at := attention(c.Architecture().Layers[0])
	equal(t, "rope", at.Rope, &graph.Rope{
		Size: 4, InverseFrequencies: []float32{1, 0.005}, Factor: 1.25, Long: &graph.LongRope{From: 33, InverseFrequencies: []float32{0.25, 0.00125}},
	})
	equal(t, "window", at.Window, 262144)
	equal(t, "k", elements(t, c, "layers.0.attention.k.weight"), matrix(4, 8, func(r, c int) int { return (8+r)*8 + c }))
	equal(t, "up", elements(t, c, "layers.0.mlp.up.weight"), matrix(12, 8, func(r, c int) int { return (12+r)*8 + c }))
	none := open(t, phi3File(t, nil, "phi3.attention.sliding_window", uint32(0)))
	equal(t, "no window", attention(none.Architecture().Layers[0]).Window, 0)
	for _, test := range []struct {
		tensors map[string]array
		pairs   []any
		want    string
	}{
		{nil, []any{"phi3.attention.sliding_window", drop}, "no field phi3.attention.sliding_window: the file is from before converters recorded the window"},
		{nil, []any{"phi3.rope.dimension_count", uint32(3)}, "rope.dimension_count is 3, which is odd"},
		{nil, []any{"phi3.attention.bias", true}, "unknown field phi3.attention.bias (true), which may change the graph"},
		{nil, []any{"phi3.expert_count", uint32(4), "phi3.expert_used_count", uint32(5)}, "phi3.expert_used_count is 5, but phi3.expert_count is 4"},
		{map[string]array{"rope_factors_long.weight": {}}, nil, "the tensors rope_factors_long.weight and rope_factors_short.weight belong together"},
		{map[string]array{"rope_factors_long.weight": {}, "rope_factors_short.weight": {}}, nil, "phi3.rope.scaling.attn_factor is 1.25, but there is no tensor"},
		{map[string]array{"rope_factors_long.weight": float32s(1, 0)}, nil, "tensor rope_factors_long.weight has 0 at 1"},
		{map[string]array{"rope_factors_short.weight": float32s(1, 1, 1)}, nil, "tensor rope_factors_short.weight is F32 of shape [3], expected F32 of shape [2]"},
		{map[string]array{"blk.0.attn_qkv.weight": ramp(0, 12, 8)}, nil, `"blk.0.attn_qkv.weight" (layers.0.attention.q.weight) has shape [12 8], the configuration requires [16 8]`},
	} {
		refused(t, phi3File(t, test.tensors, test.pairs...), test.want)
	}
}
