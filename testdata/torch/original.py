"""Makes original/gpt_oss from golden/gpt_oss-mxfp4: the same weights in the layout in which OpenAI published gpt-oss.

Usage: original.py GOLDEN DIR

The layout has its own configuration, q, k and v in one tensor, and names that transformers'
convert_gpt_oss_weights_to_hf.py lists. Norms are float32.
"""

import json
import pathlib
import sys

import torch
from safetensors.torch import load_file, save_file

LAYER = {
    "input_layernorm.weight": "attn.norm.scale",
    "self_attn.sinks": "attn.sinks",
    "self_attn.o_proj.weight": "attn.out.weight",
    "self_attn.o_proj.bias": "attn.out.bias",
    "post_attention_layernorm.weight": "mlp.norm.scale",
    "mlp.router.weight": "mlp.gate.weight",
    "mlp.router.bias": "mlp.gate.bias",
    "mlp.experts.gate_up_proj_blocks": "mlp.mlp1_weight.blocks",
    "mlp.experts.gate_up_proj_scales": "mlp.mlp1_weight.scales",
    "mlp.experts.gate_up_proj_bias": "mlp.mlp1_bias",
    "mlp.experts.down_proj_blocks": "mlp.mlp2_weight.blocks",
    "mlp.experts.down_proj_scales": "mlp.mlp2_weight.scales",
    "mlp.experts.down_proj_bias": "mlp.mlp2_bias",
}
WHOLE = {"model.embed_tokens.weight": "embedding.weight", "model.norm.weight": "norm.scale", "lm_head.weight": "unembedding.weight"}


def tensors(stored, layers):
    for name, new in WHOLE.items():
        yield new, stored[name]
    for n in range(layers):
        for name, new in LAYER.items():
            yield f"block.{n}.{new}", stored[f"model.layers.{n}.{name}"]
        for kind in ("weight", "bias"):
            yield f"block.{n}.attn.qkv.{kind}", torch.cat([stored[f"model.layers.{n}.self_attn.{x}_proj.{kind}"] for x in "qkv"])


def main():
    source, directory = pathlib.Path(sys.argv[1]) / "gpt_oss-mxfp4", pathlib.Path(sys.argv[2]) / "gpt_oss"
    directory.mkdir(parents=True, exist_ok=True)
    hub = json.loads((source / "config.json").read_text())
    rope = hub["rope_parameters"]
    kept = (
        "vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads head_dim sliding_window swiglu_limit"
    ).split()
    config = {name: hub[name] for name in kept} | dict(
        num_experts=hub["num_local_experts"], experts_per_token=hub["num_experts_per_tok"], rope_theta=rope["rope_theta"],
        initial_context_length=rope["original_max_position_embeddings"], rope_scaling_factor=rope["factor"],
        rope_ntk_alpha=rope["beta_slow"], rope_ntk_beta=rope["beta_fast"],
    )
    (directory / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    stored = load_file(source / "model.safetensors")
    found = {
        name: (t.float() if name.endswith("scale") else t).contiguous() for name, t in tensors(stored, hub["num_hidden_layers"])
    }
    save_file(found, directory / "model.safetensors", {"format": "pt"})


if __name__ == "__main__":
    main()
