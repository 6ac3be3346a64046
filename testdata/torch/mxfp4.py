"""Makes mxfp4.safetensors: blocks of MXFP4 in both published layouts, and what Python packages decode them to.

Usage: mxfp4.py FILE

"blocks" [256, 1, 16] and "scales" [256, 1] are the layout of GPT-OSS on the hub: each scale once, each element twice.
"values" is what transformers decodes them to, in bfloat16. "ggml" [256, 17] has the same elements in the layout of GGUF
files, and "ggml_values" is what the gguf package decodes it to, in float32.
"""

import sys

import gguf
import numpy as np
import torch
from safetensors.torch import save_file
from transformers.integrations.mxfp4 import convert_moe_packed_tensors


def main():
    generator = np.random.Generator(np.random.PCG64(4))
    elements = np.stack([generator.permutation(np.arange(32) % 16) for _ in range(256)]).astype(np.uint8)
    scales = np.arange(256, dtype=np.uint8)[:, None]
    blocks = (elements[:, 0::2] | elements[:, 1::2] << 4)[:, None, :]
    # transformers wants [experts, rows, blocks, bytes] and returns [experts, columns, rows].
    values = convert_moe_packed_tensors(torch.from_numpy(blocks[None]), torch.from_numpy(scales[None]))[0].T
    ggml = np.concatenate([scales, elements[:, :16] | elements[:, 16:] << 4], axis=1)
    decoded = gguf.quants.dequantize(ggml, gguf.GGMLQuantizationType.MXFP4)
    save_file(
        dict(blocks=torch.from_numpy(blocks), scales=torch.from_numpy(scales), values=values.contiguous(),
             ggml=torch.from_numpy(ggml), ggml_values=torch.from_numpy(decoded)),
        sys.argv[1])


if __name__ == "__main__":
    main()
