"""Writes a GGUF file of random blocks of each quantized type, and the gguf package's dequantized values.

usage: dequantize.py DIR; writes DIR/model.gguf and DIR/TYPE.f32, little-endian float32
"""

import sys

import gguf
import numpy as np

ROWS, COLUMNS = 512, 512
TYPES = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q4_K", "Q5_K", "Q6_K"]
# Positions of the binary16 numbers in a block. Their exponents are kept small, so that there are no infinities or NaNs.
HALVES = {"Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}


def blocks(random, name):
    elements, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]]
    if elements == 1:
        numbers = random.standard_normal((ROWS, COLUMNS)).astype(np.float32)
        if name == "F16":
            return numbers.astype(np.float16)
        if name == "BF16":
            return gguf.quantize(numbers, gguf.GGMLQuantizationType.BF16)
        return numbers
    data = random.integers(0, 256, (ROWS * COLUMNS // elements, size), dtype=np.uint8)
    for at in HALVES[name]:
        scales = random.standard_normal(len(data)).astype(np.float16) * np.float16(0.01)
        # A few are subnormal.
        scales[::7] *= np.float16(1e-4)
        data[:, at : at + 2] = scales.view(np.uint8).reshape(-1, 2)
    return data.reshape(ROWS, -1)


def main(directory):
    random = np.random.default_rng(1)
    writer = gguf.GGUFWriter(f"{directory}/model.gguf", "llama")
    writer.add_block_count(len(TYPES))
    writer.add_context_length(64)
    writer.add_embedding_length(COLUMNS)
    writer.add_feed_forward_length(ROWS)
    writer.add_head_count(8)
    writer.add_layer_norm_rms_eps(1e-5)

    def vector(name):
        writer.add_tensor(name, np.ones(COLUMNS, dtype=np.float32))

    square = np.zeros((ROWS, COLUMNS), dtype=np.float32)
    writer.add_tensor("token_embd.weight", square)
    vector("output_norm.weight")
    for n, name in enumerate(TYPES):
        vector(f"blk.{n}.attn_norm.weight")
        vector(f"blk.{n}.ffn_norm.weight")
        for part in ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_down"]:
            writer.add_tensor(f"blk.{n}.{part}.weight", square)
        kind = gguf.GGMLQuantizationType[name]
        data = blocks(random, name)
        writer.add_tensor(f"blk.{n}.ffn_up.weight", data, raw_dtype=kind)
        gguf.dequantize(data, kind).astype("<f4").tofile(f"{directory}/{name}.f32")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


main(sys.argv[1])
