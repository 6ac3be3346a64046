"""Makes the GGUF files of gguf/ from tiny models of golden/, and checks that llama.cpp computes the same losses.

Usage: gguf_golden.py GOLDEN DIR [--llama]

Names, metadata and layouts are those of llama.cpp's converter: Llama's q and k have the rows of a rotated pair together,
experts are one tensor each for gate, up and down. Weights are bfloat16. With --llama, which needs the package
llama-cpp-python, llama.cpp reads the same weights in float32, and the losses differ from golden.json by at most 1e-4 nats,
GPT-2's by 5e-3. Models of Phi-3 with windows are not compared: llama.cpp ignores the windows. For gpt-oss it is compared
with transformers once more: llama.cpp rounds the range of YaRN to whole numbers, which the published configuration says
not to do and GGUF files do not record.
"""

import argparse
import json
import math
import pathlib
import shutil
import tempfile

import gguf
import numpy as np
import safetensors.torch

# The golden model, and the architecture in GGUF files.
MODELS = {
    "mixtral": "llama",
    "olmoe": "olmoe",
    "qwen3_moe-every": "qwen3moe",
    "gpt_oss": "gpt-oss",
    "gpt2": "gpt2",
    "llama-yarn": "llama",
    "qwen3": "qwen3",
    "phi3-longrope": "phi3",
    "phi3-partial": "phi3",
}
LAYER = {
    "input_layernorm.weight": "attn_norm.weight",
    "self_attn.sinks": "attn_sinks.weight",
    "self_attn.q_norm.weight": "attn_q_norm.weight",
    "self_attn.k_norm.weight": "attn_k_norm.weight",
    "mlp.gate.weight": "ffn_gate_inp.weight",
    "block_sparse_moe.gate.weight": "ffn_gate_inp.weight",
    "mlp.router.weight": "ffn_gate_inp.weight",
    "mlp.router.bias": "ffn_gate_inp.bias",
}
LAYER |= {f"self_attn.{a}_proj.{s}": f"attn_{b}.{s}" for a, b in dict(q="q", k="k", v="v", o="output").items() for s in ("weight", "bias")}
LAYER |= {"self_attn.qkv_proj.weight": "attn_qkv.weight", "mlp.gate_up_proj.weight": "ffn_up.weight"}
LAYER |= {f"mlp.{a}_proj.weight": f"ffn_{a}.weight" for a in ("gate", "up", "down")}
EXPERTS = dict(gate_proj="gate", up_proj="up", down_proj="down", w1="gate", w3="up", w2="down")


def gpt2_tensors(directory):
    names = dict(
        {"wte.weight": "token_embd.weight", "wpe.weight": "position_embd.weight"},
        **{f"ln_f.{s}": f"output_norm.{s}" for s in ("weight", "bias")})
    parts = {"ln_1": "attn_norm", "ln_2": "ffn_norm", "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output", "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down"}
    for name, t in safetensors.torch.load_file(directory / "model.safetensors").items():
        if name in names:
            yield names[name], t.float().numpy()
        elif not name.endswith(".attn.bias"):  # a mask
            _, layer, part = name.split(".", 2)
            part, suffix = part.rsplit(".", 1)
            t = t.float().numpy()
            yield f"blk.{layer}.{parts[part]}.{suffix}", t.T if t.ndim == 2 else t


def tensors(directory, config):
    """Yields names and float32 arrays of a GGUF file."""
    stored = {n: t.float().numpy() for n, t in safetensors.torch.load_file(directory / "model.safetensors").items()}
    yield "token_embd.weight", stored["model.embed_tokens.weight"]
    yield "output_norm.weight", stored["model.norm.weight"]
    if "lm_head.weight" in stored:
        yield "output.weight", stored["lm_head.weight"]
    for kind in ("long", "short"):
        if factors := config["rope_parameters"].get(f"{kind}_factor"):
            yield f"rope_factors_{kind}.weight", np.array(factors, np.float32)
    for layer in range(config["num_hidden_layers"]):
        part = {n.removeprefix(f"model.layers.{layer}."): t for n, t in stored.items() if n.startswith(f"model.layers.{layer}.")}
        experts = {}
        for name, t in part.items():
            if ".experts." in name and config["model_type"] != "gpt_oss":
                number, kind = name.split(".experts.")[1].split(".")[:2]
                experts.setdefault(EXPERTS[kind], {})[int(number)] = t
            elif name == "post_attention_layernorm.weight":
                yield f"blk.{layer}." + ("post_attention_norm" if config["model_type"] == "gpt_oss" else "ffn_norm") + ".weight", t
            elif name in LAYER:
                if config["model_type"] in ("llama", "mixtral") and name in ("self_attn.q_proj.weight", "self_attn.k_proj.weight"):
                    heads = config["num_attention_heads" if ".q_" in name else "num_key_value_heads"]
                    t = t.reshape(heads, 2, -1, t.shape[1]).swapaxes(1, 2).reshape(t.shape)
                yield f"blk.{layer}.{LAYER[name]}", t
        for kind, numbered in experts.items():
            yield f"blk.{layer}.ffn_{kind}_exps.weight", np.stack([numbered[i] for i in range(len(numbered))])
        if config["model_type"] == "gpt_oss":
            both, biases = part["mlp.experts.gate_up_proj"], part["mlp.experts.gate_up_proj_bias"]
            for kind, first in dict(gate=0, up=1).items():
                yield f"blk.{layer}.ffn_{kind}_exps.weight", both[..., first::2].swapaxes(1, 2)
                yield f"blk.{layer}.ffn_{kind}_exps.bias", biases[:, first::2]
            yield f"blk.{layer}.ffn_down_exps.weight", part["mlp.experts.down_proj"].swapaxes(1, 2)
            yield f"blk.{layer}.ffn_down_exps.bias", part["mlp.experts.down_proj_bias"]


def write(directory, architecture, path, matrices):
    config = json.loads((directory / "config.json").read_text())
    w = gguf.GGUFWriter(path, architecture)
    if architecture == "gpt2":
        add_gpt2(w, config)
    else:
        add_metadata(w, architecture, config)
    w.add_string("tokenizer.ggml.model", "none")
    for name, t in gpt2_tensors(directory) if architecture == "gpt2" else tensors(directory, config):
        kind = gguf.GGMLQuantizationType.F32
        if name.endswith("weight") and t.ndim > 1 and "ffn_gate_inp" not in name and "position" not in name:
            kind = matrices
        t = np.ascontiguousarray(t)
        w.add_tensor(name, gguf.quants.quantize(t, kind), raw_dtype=kind)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def add_gpt2(w, config):
    w.add_context_length(config["n_positions"])
    w.add_embedding_length(config["n_embd"])
    w.add_block_count(config["n_layer"])
    w.add_feed_forward_length(4 * config["n_embd"])
    w.add_head_count(config["n_head"])
    w.add_layer_norm_eps(config["layer_norm_epsilon"])
    w.add_vocab_size(config["vocab_size"])


def add_metadata(w, architecture, config):
    w.add_context_length(config["max_position_embeddings"])
    w.add_embedding_length(config["hidden_size"])
    w.add_block_count(config["num_hidden_layers"])
    w.add_feed_forward_length(config["intermediate_size"])
    w.add_head_count(config["num_attention_heads"])
    w.add_head_count_kv(config["num_key_value_heads"])
    w.add_layer_norm_rms_eps(config["rms_norm_eps"])
    w.add_vocab_size(config["vocab_size"])
    w.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    size = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    w.add_key_length(size)
    w.add_value_length(size)
    w.add_rope_dimension_count(int(size * config["rope_parameters"].get("partial_rotary_factor", 1)))
    if experts := config.get("num_local_experts") or config.get("num_experts"):
        w.add_expert_count(experts)
        w.add_expert_used_count(config["num_experts_per_tok"])
    if architecture in ("qwen3moe", "gpt-oss"):
        w.add_expert_feed_forward_length(config.get("moe_intermediate_size") or config["intermediate_size"])
    if architecture == "gpt-oss":
        w.add_sliding_window(config["sliding_window"])
    if architecture == "phi3":
        w.add_sliding_window(config["sliding_window"] or 0)
    if config["rope_parameters"]["rope_type"] == "longrope":
        original = config["rope_parameters"]["original_max_position_embeddings"]
        w.add_rope_scaling_orig_ctx_len(original)
        w.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(config["max_position_embeddings"] / original) / math.log(original)))
    if config["rope_parameters"]["rope_type"] == "yarn":
        w.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        w.add_rope_scaling_factor(config["rope_parameters"]["factor"])
        w.add_rope_scaling_orig_ctx_len(config["rope_parameters"]["original_max_position_embeddings"])


def truncated(directory, copy):
    """Copies a model with the rounded range, and computes its losses."""
    import golden

    golden.configure()
    shutil.copytree(directory, copy)
    config = json.loads((copy / "config.json").read_text())
    config["rope_parameters"]["truncate"] = True
    golden.save(copy / "config.json", config)
    model = golden.load(copy)
    sequences = [dict(ids=s["ids"], losses=golden.losses(model, s["ids"])) for s in json.loads((copy / "golden.json").read_text())["sequences"]]
    golden.write_golden(copy / "golden.json", sequences)
    return copy


def check(directory, path):
    """Compares llama.cpp's losses with golden.json."""
    import llama_cpp

    model = llama_cpp.Llama(str(path), n_ctx=256, logits_all=True, verbose=False, n_threads=1, type_k=0, type_v=0)  # keys and values in float32
    worst = 0.0
    # llama.cpp has the long factors of longrope for all sequences if its context is long.
    long = json.loads((directory / "config.json").read_text()).get("rope_parameters", {})
    least = long["original_max_position_embeddings"] if "long_factor" in long else 0
    for s in json.loads((directory / "golden.json").read_text())["sequences"]:
        if len(s["ids"]) <= least:
            continue
        model.reset()
        model.eval(s["ids"])
        z = np.array(model.scores[: len(s["ids"]) - 1], np.float64)
        for row, target, loss in zip(z, s["ids"][1:], s["losses"], strict=True):
            worst = max(worst, abs(np.log(np.exp(row - row.max()).sum()) + row.max() - row[target] - loss))
    print(f"{directory.name:16} llama.cpp differs by at most {worst:.2g} nats")
    # ggml has a table of GELU in float16.
    assert worst < (5e-3 if directory.name == "gpt2" else 1e-4), directory


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("golden", type=pathlib.Path)
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--llama", action="store_true")
    arguments = parser.parse_args()
    arguments.directory.mkdir(exist_ok=True)
    for name, architecture in MODELS.items():
        directory = arguments.golden / name
        write(directory, architecture, arguments.directory / f"{name}.gguf", gguf.GGMLQuantizationType.BF16)
        if arguments.llama and name != "phi3-partial":
            with tempfile.TemporaryDirectory() as wide:
                write(directory, architecture, pathlib.Path(wide) / "wide.gguf", gguf.GGMLQuantizationType.F32)
                compared = truncated(directory, pathlib.Path(wide) / name) if architecture == "gpt-oss" else directory
                check(compared, pathlib.Path(wide) / "wide.gguf")


if __name__ == "__main__":
    main()
