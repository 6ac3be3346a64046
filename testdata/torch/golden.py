"""Makes the tiny models of golden/, one directory each, with the losses and confidence that transformers computes.

Usage: golden.py DIR [NAME ...]           writes the models (all of them, or these) into DIR
       golden.py --check DIR [NAME ...]   makes them again elsewhere and compares

A directory has config.json, weights in safetensors, and golden.json. golden.json holds sequences of token ids and, for
each, the losses in nats of all ids but the first. They are computed by the Hugging Face model in float32 with its eager
attention, and reduced in float64. Weights are random, but rounded to bfloat16 and stored in it. They come from numpy's
PCG64, seeded with the names of the model and the tensor, so that every machine makes the same bytes. Norms and biases
are random too, and matrices are scaled so that attention and predictions are far from uniform. --check requires equal
bytes for configurations and weights. Losses may differ by 2e-5 nats, because float32 sums depend on the machine.

confidence.json has, for the same predictions: "top", the lowest id among those with the greatest logit, and "top_nll",
its loss; "ranks", 1 plus the number of ids with a greater logit than the next id, or the same logit and a lower id; and
"entropies" in nats. "top_gaps" and "rank_gaps" are the least distances of another id's logit from that of top and of
the next id: where a gap is smaller than the error of float32 logits, top or rank may differ. --check requires equal
top and ranks where gaps exceed 2e-5, and the other numbers within 2e-5.

analyses.json is that of analyses.py, compared likewise.

The models differ in points that a loader may get wrong: see MODELS.
"""

import argparse
import json
import pathlib
import shutil
import sys
import tempfile
import zlib

import gguf
import numpy as np
import safetensors.torch
import torch
import transformers
from transformers import AutoModelForCausalLM

import analyses

# Vectors whose initial value in the class is random.
RANDOM = ("self_attn.sinks", "mlp.router.bias", "linear_attn.A_log")
LENGTHS = [1, 2, 17, 64, 17]
TOLERANCE = 2e-5

LLAMA = dict(
    vocab_size=256, hidden_size=48, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
    head_dim=16, max_position_embeddings=128, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2,
)
# Wave lengths of 16 dimensions are 6.3, 20 and more at theta 10000: one kept, one between, the others slowed down.
LLAMA3_ROPE = dict(
    rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
    original_max_position_embeddings=32,
)
GEMMA3 = dict(
    vocab_size=320, hidden_size=40, intermediate_size=80, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=1,
    head_dim=16, query_pre_attn_scalar=24, max_position_embeddings=128, sliding_window=8, rms_norm_eps=1e-5,
    layer_types=["sliding_attention", "sliding_attention", "full_attention", "sliding_attention"],
    rope_parameters={
        "full_attention": dict(rope_type="default", rope_theta=1000000.0),
        "sliding_attention": dict(rope_type="default", rope_theta=10000.0),
    },
)
GPT_NEOX = dict(
    vocab_size=256, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
    max_position_embeddings=128, rope_parameters=dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.25),
)
GPT2 = dict(vocab_size=256, n_embd=48, n_layer=2, n_head=4, n_positions=64, bos_token_id=0, eos_token_id=0)
QWEN2 = {**LLAMA, "rms_norm_eps": 1e-6}
del QWEN2["head_dim"]
PHI3 = {**LLAMA, "hidden_size": 64, "pad_token_id": 0}
del PHI3["head_dim"]
# Sequences of more than 32 tokens have the long factors. Three quarters of each head are rotated.
LONGROPE = dict(
    rope_type="longrope", rope_theta=10000.0, partial_rotary_factor=0.75, original_max_position_embeddings=32,
    short_factor=[1.0, 1.05, 1.1, 1.2, 1.3, 1.5], long_factor=[1.1, 1.7, 2.5, 4.0, 9.0, 20.0],
)

MIXTRAL = {**LLAMA, "intermediate_size": 32, "num_local_experts": 8, "num_experts_per_tok": 2}
OLMOE = {**{k: v for k, v in LLAMA.items() if k != "head_dim"}, "hidden_size": 64, "intermediate_size": 32, "num_experts": 8, "num_experts_per_tok": 3}
QWEN3_MOE = {**LLAMA, "rms_norm_eps": 1e-6, "num_experts": 8, "num_experts_per_tok": 3, "moe_intermediate_size": 32}
GLM4_MOE = {
    **LLAMA, "num_hidden_layers": 3, "moe_intermediate_size": 32, "n_routed_experts": 8, "num_experts_per_tok": 3, "routed_scaling_factor": 1.5,
    "first_k_dense_replace": 1,
}
# More layers with the delta rule amplify the errors of float32 to 1e-4 nats: transformers differs from float64 by as much.
QWEN3_NEXT = {
    **LLAMA, "hidden_size": 64, "rms_norm_eps": 1e-6, "num_experts": 8, "num_experts_per_tok": 3, "moe_intermediate_size": 16,
    "shared_expert_intermediate_size": 24, "linear_num_key_heads": 4, "linear_num_value_heads": 8, "linear_key_head_dim": 16, "linear_value_head_dim": 24,
    "layer_types": ["linear_attention", "full_attention"],
}
GPT_OSS = {
    **LLAMA, "hidden_size": 64, "intermediate_size": 32, "num_local_experts": 8, "num_experts_per_tok": 2, "sliding_window": 8,
    "rope_parameters": dict(
        rope_type="yarn", rope_theta=10000.0, factor=4.0, beta_fast=32.0, beta_slow=1.0, truncate=False, original_max_position_embeddings=32,
    ),
}

# Chunks of 8 tokens, and a layer without positions whose queries get a temperature from the 16th token on.
LLAMA4 = {
    **LLAMA, "num_hidden_layers": 3, "hidden_size": 48, "intermediate_size": 24, "intermediate_size_mlp": 64, "num_local_experts": 8,
    "num_experts_per_tok": 1, "interleave_moe_layer_step": 2, "no_rope_layer_interval": 3, "attention_chunk_size": 8, "floor_scale": 16,
    "attn_scale": 0.5, "rope_parameters": LLAMA3_ROPE,
}

# Each model: its class, its config, and how its files differ from those that save_pretrained writes.
MODELS = {
    "llama": ("Llama", {**LLAMA, "tie_word_embeddings": True}, {}),
    # Biases everywhere; heads that together are wider than the residual stream; another context.
    "llama-bias": ("Llama", {**LLAMA, "head_dim": 24, "attention_bias": True, "mlp_bias": True}, {}),
    # The configuration exists in the fields of transformers 4 too: config.v4.json.
    "llama-llama3": ("Llama", {**LLAMA, "hidden_size": 64, "rope_parameters": LLAMA3_ROPE}, {
        "v4": dict(rope_theta=10000.0, torch_dtype="bfloat16", rope_scaling={k: v for k, v in LLAMA3_ROPE.items() if k != "rope_theta"}),
        "without": ["rope_parameters", "dtype", "head_dim"],
    }),
    # Layers with experts and dense ones in turn.
    "llama4": ("Llama4", LLAMA4, {
        "v4": dict(rope_theta=10000.0, torch_dtype="bfloat16", rope_scaling={k: v for k, v in LLAMA3_ROPE.items() if k != "rope_theta"}),
        "without": ["rope_parameters", "dtype", "layer_types", "moe_layers"],
    }),
    # All layers have experts, and queries and keys no norm; no temperature.
    "llama4-every": ("Llama4", {**LLAMA4, "num_hidden_layers": 2, "interleave_moe_layer_step": 1, "no_rope_layers": [0, 1], "use_qk_norm": False, "attn_temperature_tuning": False}, {}),
    # The text decoder of a multimodal model; its files have the image encoder too.
    "llama4-images": ("Llama4ForConditionalGeneration", {"text_config": {**LLAMA4, "num_hidden_layers": 2}, "vision_config": dict(
        hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, image_size=28, patch_size=14, vision_output_dim=8,
        projector_input_dim=8, projector_output_dim=8,
    )}, {}),
    "gemma3": ("Gemma3", GEMMA3, {
        "v4": dict(rope_theta=1000000.0, rope_local_base_freq=10000.0, rope_scaling=None, sliding_window_pattern=3, torch_dtype="bfloat16"),
        "without": ["rope_parameters", "dtype", "layer_types", "_sliding_window_pattern"],
    }),
    # No known model of this family has one, but its config allows it. (transformers reads attn_logit_softcapping and ignores it.)
    "gemma3-softcap": ("Gemma3", {**GEMMA3, "final_logit_softcapping": 3.0}, {}),
    # The text decoder of a multimodal model; its files have the image encoder too.
    "gemma3-images": ("Gemma3ForConditionalGeneration", {"text_config": GEMMA3, "vision_config": dict(
        hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, image_size=28, patch_size=14,
    ), "mm_tokens_per_image": 4}, {}),
    # Biases of q, k and v only; two shards and an index.
    "qwen2": ("Qwen2", QWEN2, {"shards": "60KB"}),
    # Layers from the second on have a window.
    "qwen2-window": ("Qwen2", {**QWEN2, "use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1}, {}),
    "qwen3": ("Qwen3", {**LLAMA, "head_dim": 24, "rms_norm_eps": 1e-6, "tie_word_embeddings": True}, {}),
    # Old files store masks among the weights, and names without "transformer.".
    "gpt2": ("GPT2", GPT2, {"masks": "transformer.h.{}.attn.bias", "prefix": "transformer."}),
    "gpt2-untied": ("GPT2", {**GPT2, "tie_word_embeddings": False, "n_inner": 80, "scale_attn_by_inverse_layer_idx": True}, {}),
    "gpt_neox": ("GPTNeoX", GPT_NEOX, {"masks": "gpt_neox.layers.{}.attention.bias"}),
    "gpt_neox-serial": ("GPTNeoX", {**GPT_NEOX, "use_parallel_residual": False, "attention_bias": False, "tie_word_embeddings": True}, {
        "v4": dict(rotary_pct=0.25, rotary_emb_base=10000, torch_dtype="bfloat16"),
        "without": ["rope_parameters", "dtype"],
    }),
    "mistral": ("Mistral", {**LLAMA, "sliding_window": 8}, {}),
    # q, k and v are one tensor, gate and up another.
    "phi3": ("Phi3", {**PHI3, "sliding_window": None}, {}),
    # Half of each head is rotated, and layers have a window.
    "phi3-partial": ("Phi3", {**PHI3, "sliding_window": 8, "rope_parameters": dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.5)}, {
        "v4": dict(rope_theta=10000.0, rope_scaling=None, partial_rotary_factor=0.5, torch_dtype="bfloat16"),
        "without": ["rope_parameters", "dtype"],
    }),
    "phi3-longrope": ("Phi3", {**PHI3, "sliding_window": None, "original_max_position_embeddings": 32, "tie_word_embeddings": True, "rope_parameters": LONGROPE}, {
        "v4": dict(
            rope_theta=10000.0, partial_rotary_factor=0.75, torch_dtype="bfloat16",
            rope_scaling=dict(type="longrope", short_factor=LONGROPE["short_factor"], long_factor=LONGROPE["long_factor"]),
        ),
        "without": ["rope_parameters", "dtype"],
    }),
    "mixtral": ("Mixtral", MIXTRAL, {}),
    "mixtral-window": ("Mixtral", {**MIXTRAL, "sliding_window": 8, "num_local_experts": 4, "num_experts_per_tok": 4}, {}),
    # Weights are the probabilities among all experts.
    "olmoe": ("Olmoe", {**OLMOE, "num_key_value_heads": 4}, {}),
    "olmoe-grouped": ("Olmoe", {**OLMOE, "tie_word_embeddings": True, "norm_topk_prob": True}, {}),
    "qwen3_moe": ("Qwen3Moe", {**QWEN3_MOE, "num_hidden_layers": 3, "mlp_only_layers": [1], "norm_topk_prob": True}, {}),
    "qwen3_moe-every": ("Qwen3Moe", {**QWEN3_MOE, "norm_topk_prob": True}, {}),
    # Every second layer has experts.
    "qwen3_moe-sparse": ("Qwen3Moe", {**QWEN3_MOE, "decoder_sparse_step": 2, "attention_bias": True, "tie_word_embeddings": True}, {
        "v4": dict(rope_theta=10000.0, rope_scaling=None, num_experts=8, torch_dtype="bfloat16"),
        "without": ["rope_parameters", "dtype", "num_local_experts"],
    }),
    # Sinks, biases of experts, a rotation that is scaled by YaRN.
    "gpt_oss": ("GptOss", GPT_OSS, {}),
    # Weights of experts in MXFP4, as the family is published.
    "gpt_oss-mxfp4": ("GptOss", GPT_OSS, {"mxfp4": True}),
    # The first layer is dense, scores are corrected, half of each head is rotated.
    "glm4_moe": ("Glm4Moe", {**GLM4_MOE, "use_qk_norm": True}, {}),
    "glm4_moe-bias": ("Glm4Moe", {**GLM4_MOE, "attention_bias": True, "norm_topk_prob": False, "n_shared_experts": 2}, {
        "v4": dict(rope_theta=10000.0, partial_rotary_factor=0.5, rope_scaling=None, torch_dtype="bfloat16"),
        "without": ["rope_parameters", "dtype"],
    }),
    # The first layer has the gated delta rule; attention and the shared expert have gates.
    "qwen3_next": ("Qwen3Next", QWEN3_NEXT, {
        "v4": dict(rope_theta=10000.0, partial_rotary_factor=0.25, rope_scaling=None, full_attention_interval=2, torch_dtype="bfloat16"),
        "without": ["rope_parameters", "dtype", "layer_types"],
    }),
    "llama-yarn": ("Llama", {**LLAMA, "rope_parameters": dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=32)}, {
        "v4": dict(rope_theta=10000.0, torch_dtype="bfloat16", rope_scaling=dict(type="yarn", factor=4.0, original_max_position_embeddings=32)),
        "without": ["rope_parameters", "dtype"],
    }),
    "olmo2": ("Olmo2", {k: v for k, v in LLAMA.items() if k != "head_dim"} | {"hidden_size": 64}, {}),
}


def random(model, name, shape):
    generator = np.random.Generator(np.random.PCG64([zlib.crc32(model.encode()), zlib.crc32(name.encode())]))
    return torch.from_numpy(generator.standard_normal(shape))


def fill(name, model):
    """Sets all parameters to values that bfloat16 represents."""
    for parameter_name, parameter in model.named_parameters():
        noise = random(name, parameter_name, tuple(parameter.shape))
        if parameter_name.endswith(RANDOM):
            value = 0.5 * noise
        elif parameter_name.endswith("conv1d.weight"):
            value = 0.5 * noise
        elif parameter.ndim == 1:
            value = parameter.data.double() + 0.25 * noise  # around 0 or 1, the initial value of the class
        elif any(part in parameter_name for part in ("embed", "wte", "wpe", "lm_head")):
            value = 0.4 * noise
        else:
            # Conv1D of GPT-2 is [inputs, outputs]; experts are [experts, outputs, inputs].
            # GPT-OSS and Llama 4 have [experts, inputs, outputs], and GPT-OSS' biases two dimensions.
            experts = ".experts." in parameter_name and not type(model).__name__.startswith(("GptOss", "Llama4"))
            inputs = parameter.shape[0 if "GPT2" in type(model).__name__ else 2 if experts else 1]
            value = 1.5 / inputs**0.5 * noise
        parameter.data = value.to(torch.bfloat16)
    for buffer_name, buffer in model.named_buffers():
        if buffer_name.endswith("e_score_correction_bias"):
            buffer.copy_(0.2 * random(name, buffer_name, tuple(buffer.shape)))


def sequences(name, vocabulary):
    generator = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    return [generator.integers(vocabulary, size=n).tolist() for n in LENGTHS]


@torch.inference_mode()
def predict(model, ids):
    """Returns the float32 logits of all ids but the first, as float64 [ids - 1, vocabulary]."""
    logits = model(torch.tensor([ids])).logits[0, :-1]
    assert logits.dtype == torch.float32
    return logits.double()


def rounded(x):
    return [round(value, 9) for value in x.flatten().tolist()]


def losses(model, ids):
    picked = torch.log_softmax(predict(model, ids), -1).gather(-1, torch.tensor(ids[1:], dtype=torch.int64)[:, None])
    return rounded(-picked)


def confidence(model, ids):
    z, targets = predict(model, ids), torch.tensor(ids[1:], dtype=torch.int64)[:, None]
    log_p = torch.log_softmax(z, -1)
    truth = z.gather(-1, targets)
    tokens = torch.arange(z.shape[1])
    top = ((z == z.amax(-1, keepdim=True)) * (len(tokens) - tokens)).argmax(-1, keepdim=True)  # the lowest id
    precedes = (z > truth) | (z == truth) & (tokens < targets)

    def gaps(chosen):
        return (z - z.gather(-1, chosen)).abs().scatter(-1, chosen, torch.inf).amin(-1)

    return dict(
        top=top.flatten().tolist(), top_nll=rounded(-log_p.gather(-1, top)), ranks=(1 + precedes.sum(-1)).tolist(),
        entropies=rounded(-(log_p.exp() * log_p).sum(-1)), top_gaps=rounded(gaps(top)), rank_gaps=rounded(gaps(targets)),
    )


def load(directory):
    model, info = AutoModelForCausalLM.from_pretrained(
        directory, dtype=torch.float32, attn_implementation="eager", local_files_only=True, output_loading_info=True
    )
    problems = {k: v for k, v in info.items() if v and k != "unexpected_keys"}
    assert not problems, f"{directory}: {problems}"
    return model.eval()


def rewrite(directory, model, files):
    """Adds to the weights the additional tensors of older files."""
    path = directory / "model.safetensors"
    tensors = safetensors.torch.load_file(path)
    masks = torch.tril(torch.ones(1, 1, 8, 8, dtype=torch.uint8))
    for layer in range(model.config.num_hidden_layers):
        tensors[files["masks"].format(layer)] = masks.clone()
    prefix = files.get("prefix", "")
    tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    safetensors.torch.save_file(tensors, path, {"format": "pt"})


def to_mxfp4(directory):
    """Rewrites the weights of experts in blocks of MXFP4, and sets them to the values that the blocks have."""
    path = directory / "model.safetensors"
    tensors = safetensors.torch.load_file(path)
    for name in [n for n in tensors if n.endswith(("experts.gate_up_proj", "experts.down_proj"))]:
        rows = tensors.pop(name).transpose(1, 2).float().numpy()  # [experts, outputs, inputs]
        # The gguf package has the elements of a block in another order.
        blocks = gguf.quants.quantize(rows, gguf.GGMLQuantizationType.MXFP4).reshape(*rows.shape[:2], -1, 17)
        low, high = blocks[..., 1:] & 15, blocks[..., 1:] >> 4
        elements = np.concatenate([low, high], -1)
        tensors[f"{name}_blocks"] = torch.from_numpy(elements[..., 0::2] | elements[..., 1::2] << 4)
        tensors[f"{name}_scales"] = torch.from_numpy(blocks[..., 0].copy())
    safetensors.torch.save_file(tensors, path, {"format": "pt"})
    path = directory / "config.json"
    config = json.loads(path.read_text())
    config["quantization_config"] = dict(quant_method="mxfp4", modules_to_not_convert=["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"])
    save(path, config)


def write_config(directory, files):
    path = directory / "config.json"
    config = json.loads(path.read_text())
    del config["transformers_version"]  # golden.json records the release that wrote it
    save(path, config)
    if "v4" in files:
        save(directory / "config.v4.json", {k: v for k, v in config.items() if k not in files["without"]} | files["v4"])


def save(path, value):
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")


def make(name, directory):
    class_name, parameters, files = MODELS[name]
    family = class_name.removesuffix("ForConditionalGeneration")
    config_class = getattr(transformers, family + ("TextConfig" if class_name in ("Gemma3", "Llama4") else "Config"))
    model_class = getattr(transformers, class_name + ("" if family != class_name else {"GPT2": "LMHeadModel"}.get(class_name, "ForCausalLM")))
    model = model_class(config_class(**parameters)).to(torch.bfloat16)
    fill(name, model)
    model.tie_weights()
    shutil.rmtree(directory, ignore_errors=True)
    model.save_pretrained(directory, max_shard_size=files.get("shards", "1GB"))
    (directory / "generation_config.json").unlink(missing_ok=True)
    if "masks" in files:
        rewrite(directory, model, files)
    write_config(directory, files)
    if "mxfp4" in files:
        to_mxfp4(directory)

    # The losses are those of the files when loaded as a user would.
    model = load(directory)
    confident = [confidence(model, ids) for ids in sequences(name, model.config.get_text_config().vocab_size)]
    found = [dict(ids=ids, losses=losses(model, ids)) for ids in sequences(name, model.config.get_text_config().vocab_size)]
    if "v4" in files:
        with tempfile.TemporaryDirectory() as old:
            shutil.copytree(directory, old, dirs_exist_ok=True)
            shutil.copy(directory / "config.v4.json", pathlib.Path(old) / "config.json")
            model = load(old)
            assert [losses(model, s["ids"]) for s in found] == [s["losses"] for s in found], f"{name}: config.v4.json is another model"
    write_golden(directory / "golden.json", found)
    write_golden(directory / "confidence.json", confident)
    analyses.write(model, directory, [s["ids"] for s in found])
    mean = np.mean(found[3]["losses"])
    print(f"{name:16} {sum(p.numel() for p in model.parameters()):7} parameters, mean loss {mean:.3f} nats", file=sys.stderr)


def write_golden(path, found):
    """One line per list, so that diffs are readable."""
    lines = ",\n".join("    {" + ",\n     ".join(f'"{k}": {json.dumps(v)}' for k, v in s.items()) + "}" for s in found)
    versions = json.dumps({"transformers": transformers.__version__, "torch": torch.__version__.split("+")[0]})
    path.write_text(f'{{\n  "made_with": {versions},\n  "sequences": [\n{lines}\n  ]\n}}\n')


def compare_losses(path, a, b):
    assert a["ids"] == b["ids"], f"{path}: other ids"
    compare_numbers(path, a, b, ["losses"])


def compare_confidence(path, a, b):
    for key, gaps in dict(top="top_gaps", ranks="rank_gaps").items():
        for x, y, gap in zip(a[key], b[key], a[gaps], strict=True):
            assert x == y or gap <= TOLERANCE, f"{path}: {key} {x} and {y}"
    compare_numbers(path, a, b, ["top_nll", "entropies", "top_gaps", "rank_gaps"])


def compare_numbers(path, a, b, keys):
    for key in keys:
        difference = max((abs(x - y) for x, y in zip(a[key], b[key], strict=True)), default=0)
        assert difference <= TOLERANCE, f"{path}: {key} differ by {difference}"


COMPARED = {"golden.json": compare_losses, "confidence.json": compare_confidence, "analyses.json": analyses.compare}


def check(directory, names):
    with tempfile.TemporaryDirectory() as fresh:
        fresh = pathlib.Path(fresh)
        for name in names:
            make(name, fresh / name)
            files = sorted(p.name for p in (directory / name).iterdir())
            assert files == sorted(p.name for p in (fresh / name).iterdir()), f"{name}: other files"
            for file in files:
                old, new = directory / name / file, fresh / name / file
                if file not in COMPARED:
                    assert old.read_bytes() == new.read_bytes(), f"{old}: other bytes"
                    continue
                for a, b in zip(*(json.loads(p.read_text())["sequences"] for p in (old, new)), strict=True):
                    COMPARED[file](old, a, b)
    print("the same")


def configure():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("names", nargs="*", help="of " + ", ".join(MODELS))
    arguments = parser.parse_args()
    names = arguments.names or list(MODELS)
    if unknown := set(names) - set(MODELS):
        parser.error(f"no model {min(unknown)!r}; there are {', '.join(MODELS)}")
    configure()
    if arguments.check:
        check(arguments.directory, names)
        return
    for name in names:
        make(name, arguments.directory / name)


if __name__ == "__main__":
    main()
