"""Scores rows of token ids with vLLM's prompt_logprobs, and prints tokens, seconds and nats as JSON.

Usage: prompt_logprobs.py MODEL ROWS.json [--dtype bfloat16] [--memory 0.5]

MODEL is a directory of safetensors. ROWS.json is a list of lists of ids; the first id of a row is the
beginning-of-text token, which has no loss. Seconds are those of scoring all rows, after a pass over some of them and
without loading. vLLM needs a GPU. It may be installed in an environment without anything else of this benchmark:
`pip install vllm`.
"""

import argparse
import importlib.util
import json
import math
import os
import pathlib
import sys
import time


def check():
    """Exits with a reason if vLLM cannot run here."""
    if importlib.util.find_spec("vllm") is None:
        raise SystemExit(f"{sys.executable} has no vLLM: run `pip install vllm` in an environment, and pass its Python with --vllm")
    import torch

    if not torch.cuda.is_available():
        raise SystemExit("vLLM is measured on a GPU only, and torch finds none")


def losses(model, rows, dtype, memory):
    """Tokens, seconds and nats."""
    os.environ["VLLM_ALLOW_LONG_MAX_MODEL_LEN"] = "1"  # a token is generated after the longest row, and ignored
    from vllm import LLM, SamplingParams

    engine = LLM(
        model=str(model), dtype=dtype, max_model_len=max(map(len, rows)) + 1, gpu_memory_utilization=memory, enable_prefix_caching=False,
        disable_log_stats=True,
    )
    # With 0, the answer has the loss of each token of the prompt and no other.
    sampling = SamplingParams(temperature=0, max_tokens=1, prompt_logprobs=0, detokenize=False)
    prompts = [{"prompt_token_ids": row} for row in rows]
    engine.generate(prompts[: max(len(prompts) // 8, 1)], sampling, use_tqdm=False)
    started = time.perf_counter()
    answers = engine.generate(prompts, sampling, use_tqdm=False)
    nats = [-answer.prompt_logprobs[i][row[i]].logprob for row, answer in zip(rows, answers) for i in range(1, len(row))]
    return len(nats), time.perf_counter() - started, math.fsum(nats)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=pathlib.Path, nargs="?")
    parser.add_argument("rows", type=pathlib.Path, nargs="?")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--memory", type=float, default=0.5, help="share of the GPU's memory that vLLM may use")
    parser.add_argument("--check", action="store_true", help="only report whether vLLM can run here")
    arguments = parser.parse_args()
    check()
    if arguments.check:
        return
    if arguments.rows is None:
        parser.error("MODEL and ROWS.json are missing")
    print(json.dumps(losses(arguments.model, json.loads(arguments.rows.read_text()), arguments.dtype, arguments.memory)))


if __name__ == "__main__":
    main()
