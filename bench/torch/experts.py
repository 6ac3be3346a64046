"""Measures `runner` and transformers on a mixture of experts with random weights: tokens/s, and shares of the GEMM rate.

Usage: experts.py --work DIR [--runner bin/runner] [--layers 4] [--windows 12] [--rounds 3] [--dtypes float32,bfloat16]
                  [--peers runner,transformers/grouped_mm] [--batch-tokens 2048] [--device cuda] [--keep]

The model is a part of one in the shape of OLMoE-1B-7B: hidden size 2048, 16 heads, 64 experts of width 1024 of which each
token uses 8, in --layers of its 16 layers, and with the same part of its vocabulary of 50,304. All shares of the work are
therefore those of the whole model. In 16 layers, 1.3 billion parameters are active. The weights are made under DIR, in
bfloat16, and deleted at the end. A token of the text is a word that is drawn at random, so that each expert gets about the
same number of tokens, as in a trained model. A document is one window of 2,048 tokens. `runner` scores a sample of
documents twice, so that few windows slow it.

Peers are `runner`, and transformers with each of its implementations of experts: `eager`, a loop over experts;
`grouped_mm`, its default; and `batched_mm`, which copies the weights of a token's experts for each token. The latter would
need over 100 GB for a window, so it has windows of 16 tokens. All compute the losses of all tokens; nats per token show that they
compute the same. transformers has one document at a time, and batches of --batch documents.

Each measurement is a separate process. A round runs each peer once, and every round starts with a different one. Seconds are
those of scoring, without loading. Memory is the largest resident set. A GEMM of 2048 x 2048 x 2048 is measured in the same
rounds. The last column is the share of its rate that the products with weights and those of attention reach. Requirements are
those of peers.py, and an idle machine.
"""

import argparse
import dataclasses
import json
import pathlib
import random
import shutil
import statistics
import string
import sys
import time

import common

CONTEXT = 2048


@dataclasses.dataclass(frozen=True)
class Shape:
    layers: int
    hidden: int = 2048
    heads: int = 16
    experts: int = 64
    active: int = 8
    width: int = 1024

    @property
    def vocabulary(self):
        return 50304 * self.layers // 16

    def parameters(self, experts):
        """The elements of matrices, with that many experts in each layer; those of the embedding are not multiplied."""
        layer = self.hidden * (4 * self.hidden + self.experts + 3 * experts * self.width)
        return self.layers * layer + self.vocabulary * self.hidden

    def operations(self, length):
        """Floating-point operations of a token in a window of that length: products with weights, and of attention."""
        return 2 * self.parameters(self.active) + 4 * self.layers * self.hidden * (length + 1) / 2


def words(shape):
    """The words that are a token each, after a space: all that the vocabulary has room for."""
    tokens, found = 256, []
    seen = set()
    for n in range(26**3):
        word = "".join(string.ascii_lowercase[n // 26**k % 26] for k in (2, 1, 0))
        tokens += len({word[:1], word[:2], word} - seen)
        if tokens > shape.vocabulary:
            break
        seen |= {word[:1], word[:2], word}
        found.append(word)
    return found


def make(directory, shape):
    import torch
    from safetensors.torch import save_file

    directory.mkdir(parents=True)
    generator = torch.Generator().manual_seed(1)
    index = {}

    def matrix(rows, columns):
        return torch.empty(rows, columns, dtype=torch.bfloat16).normal_(std=columns**-0.5, generator=generator)

    def save(name, tensors):
        save_file(tensors, directory / name)
        index.update(dict.fromkeys(tensors, name))

    def ones():
        return torch.ones(shape.hidden, dtype=torch.bfloat16)

    for i in range(shape.layers):
        p = f"model.layers.{i}."
        tensors = {p + name + ".weight": ones() for name in ("input_layernorm", "post_attention_layernorm", "self_attn.q_norm", "self_attn.k_norm")}
        tensors |= {p + f"self_attn.{name}_proj.weight": matrix(shape.hidden, shape.hidden) for name in "qkvo"}
        tensors[p + "mlp.gate.weight"] = matrix(shape.experts, shape.hidden)
        for e in range(shape.experts):
            for name, rows, columns in (("gate", shape.width, shape.hidden), ("up", shape.width, shape.hidden), ("down", shape.hidden, shape.width)):
                tensors[p + f"mlp.experts.{e}.{name}_proj.weight"] = matrix(rows, columns)
        save(f"model-{i:05}.safetensors", tensors)
    save("model-head.safetensors", {
        "model.embed_tokens.weight": matrix(shape.vocabulary, shape.hidden), "lm_head.weight": matrix(shape.vocabulary, shape.hidden),
        "model.norm.weight": ones(),
    })
    (directory / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    (directory / "tokenizer.json").write_text(json.dumps(common.tokenizer(words(shape))))
    config = dict(architectures=["OlmoeForCausalLM"], model_type="olmoe", hidden_size=shape.hidden, num_hidden_layers=shape.layers,
                  num_attention_heads=shape.heads, num_key_value_heads=shape.heads, intermediate_size=shape.width,
                  num_experts=shape.experts, num_experts_per_tok=shape.active, norm_topk_prob=False, vocab_size=shape.vocabulary,
                  max_position_embeddings=CONTEXT, rms_norm_eps=1e-5, rope_theta=10000.0, hidden_act="silu", tie_word_embeddings=False,
                  bos_token_id=0, eos_token_id=0, pad_token_id=0, attention_bias=False, clip_qkv=None, torch_dtype="bfloat16")
    (directory / "config.json").write_text(json.dumps(config))


def text(shape, windows):
    """Documents of one window each: the beginning-of-text token precedes them, and the last token is not read."""
    known, drawn = words(shape), random.Random(1)
    return ["".join(" " + word for word in drawn.choices(known, k=CONTEXT)) for _ in range(windows)]


# The peers. Each returns tokens, seconds and nats.


def runner_peer(arguments):
    backend = {"dtype": arguments.dtype, "device": arguments.device, "threads": arguments.threads, "batchTokens": arguments.batch_tokens}
    devices = 0 if arguments.device == "cpu" else 1
    return common.scored(arguments, arguments.work / "text.jsonl", arguments.work / "model", CONTEXT, backend, devices)


def transformers_peer(arguments, implementation):
    import torch
    from tokenizers import Tokenizer
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(arguments.threads)
    model = AutoModelForCausalLM.from_pretrained(arguments.work / "model", dtype=getattr(torch, arguments.dtype), experts_implementation=implementation)
    model = model.to(arguments.device).eval()
    tokenizer = Tokenizer.from_file(str(arguments.work / "model/tokenizer.json"))
    lines = [json.loads(line)["text"] for line in (arguments.work / "text.jsonl").read_text().splitlines()]
    ids = torch.tensor([[0, *e.ids] for e in tokenizer.encode_batch(lines, add_special_tokens=False)], device=arguments.device)
    assert ids.size(1) == CONTEXT + 1, "a word is not one token"
    if implementation == "batched_mm":
        ids = ids[:1, :17]
    tokens, nats, started = ids[:, 1:].numel(), 0.0, time.perf_counter()
    with torch.inference_mode():
        for rows in ids.split(arguments.batch):
            for logits, targets in zip(model(rows[:, :-1]).logits, rows[:, 1:]):
                nats += torch.nn.functional.cross_entropy(logits.float(), targets, reduction="sum").item()
    return tokens, time.perf_counter() - started, nats


def gemm_peer(arguments):
    """Floating-point operations of a matrix product, in place of tokens."""
    import torch

    torch.set_num_threads(arguments.threads)
    return *common.gemm(arguments.device, arguments.dtype), 0


IMPLEMENTATIONS = {"eager": (1,), "grouped_mm": (1, 4), "batched_mm": (1,)}  # and how many documents at a time
PEERS = [("runner", 1), *((f"transformers/{name}", batch) for name, batches in IMPLEMENTATIONS.items() for batch in batches), ("gemm", 1)]


def work(arguments):
    name, _, implementation = arguments.only.partition("/")
    if name == "transformers":
        return transformers_peer(arguments, implementation)
    return {"runner": runner_peer, "gemm": gemm_peer}[name](arguments)


# The measurement.


def measure(arguments, peer, dtype):
    name, batch = peer
    command = [sys.executable, __file__, "--work", arguments.work, "--runner", arguments.runner, "--threads", arguments.threads]
    command += ["--batch-tokens", arguments.batch_tokens, "--only", name, "--batch", batch, "--dtype", dtype, "--device", arguments.device]
    (tokens, seconds, nats), peak = common.separate(command, arguments.work / "log", arguments.threads, name == "runner")
    return dict(tokens=tokens, seconds=seconds, nats=nats / tokens, peak=peak)


def label(peer):
    name, batch = peer
    return name.replace("/", ", ") + (f", batches of {batch}" if batch > 1 else "")


def table(arguments, shape, results):
    speed = {key: statistics.median(r["tokens"] / r["seconds"] for r in runs) for key, runs in results.items()}
    print(f"\n{arguments.layers} of 16 layers: {shape.parameters(shape.active) / 1e6:,.0f} million parameters are multiplied for a token, of "
          f"{shape.parameters(shape.experts) / 1e6:,.0f} million, with a head of {shape.vocabulary:,} tokens; {arguments.windows} windows of "
          f"{CONTEXT} tokens, {arguments.threads} threads, medians of {arguments.rounds} rounds\n")
    print("| | tokens/s | least - most | peak MB | nats per token | runner / this | of GEMM |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for (peer, dtype), runs in results.items():
        if peer[0] == "gemm":
            continue
        each, length = [r["tokens"] / r["seconds"] for r in runs], min(CONTEXT, runs[0]["tokens"])
        ours, gemm = speed.get((("runner", 1), dtype)), speed.get((("gemm", 1), dtype))
        cells = [f"{label(peer)}, {dtype}", f"{speed[peer, dtype]:,.1f}", f"{min(each):,.1f} - {max(each):,.1f}",
                 f"{statistics.median(r['peak'] for r in runs) / 1e6:,.0f}", f"{runs[0]['nats']:.5f}",
                 f"{ours / speed[peer, dtype]:.2f}x" if ours else "",
                 f"{100 * speed[peer, dtype] * shape.operations(length) / gemm:.0f}%" if gemm else ""]
        print("| " + " | ".join(cells) + " |")
    for (peer, dtype), rate in speed.items():
        if peer[0] == "gemm":
            print(f"\nGEMM in {dtype}: {rate / 1e9:,.0f} GFLOP/s, a ceiling of {rate / shape.operations(CONTEXT):,.0f} tokens/s")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=pathlib.Path, required=True, help="directory for the weights")
    parser.add_argument("--runner", type=pathlib.Path, default=pathlib.Path("bin/runner"))
    parser.add_argument("--layers", type=int, default=4, help="layers, 0.8 GB in bfloat16 each")
    parser.add_argument("--windows", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=common.cores())
    parser.add_argument("--dtypes", default="float32,bfloat16")
    parser.add_argument("--batch-tokens", type=int, default=2048, help="the option batchTokens of the torch backend")
    parser.add_argument("--peers", default="runner,transformers/eager,transformers/grouped_mm,gemm", help="the peers, separated by commas")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--keep", action="store_true", help="keep the weights")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parser.add_argument("--dtype", help=argparse.SUPPRESS)
    parser.add_argument("--batch", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(work(arguments)))
        return
    arguments.work, arguments.runner = arguments.work.resolve(), arguments.runner.resolve()
    selected = arguments.peers.split(",")
    if unknown := set(selected) - {name for name, _ in PEERS}:
        parser.error(f"--peers: unknown {min(unknown)!r}; peers are {', '.join(dict(PEERS))}")
    shape, model = Shape(arguments.layers), arguments.work / "model"
    try:
        if not (model / "config.json").exists():
            shutil.rmtree(model, ignore_errors=True)
            make(model, shape)
        if (layers := json.loads((model / "config.json").read_text())["num_hidden_layers"]) != arguments.layers:
            parser.error(f"--work {arguments.work} has a model of {layers} layers; use --layers {layers}, or delete {model}")
        rounds(arguments, shape, [(peer, dtype) for dtype in arguments.dtypes.split(",") for peer in PEERS if peer[0] in selected])
    finally:
        if not arguments.keep:
            shutil.rmtree(model, ignore_errors=True)


def rounds(arguments, shape, peers):
    (arguments.work / "text.jsonl").write_text("".join(json.dumps({"text": line}) + "\n" for line in text(shape, arguments.windows)))
    results = {peer: [] for peer in peers}
    for n in range(arguments.rounds):
        turn = n * len(peers) // arguments.rounds
        for peer in peers[turn:] + peers[:turn]:
            run = measure(arguments, *peer)
            results[peer].append(run)
            print(f"round {n + 1}: {label(peer[0])}, {peer[1]}: {run['tokens'] / run['seconds']:,.1f} tokens/s, {run['peak'] / 1e6:,.0f} MB", file=sys.stderr)
    table(arguments, shape, results)


if __name__ == "__main__":
    main()
