"""Trains the small language models of this directory and writes them with their loss curves.

Usage: train.py DIR [NAME ...]   trains all models, or these, and writes each into DIR/NAME

The models are Llamas of one design in five sizes. All read the same sequences in the same order: speeches on the state
of the union (a work of the United States government, in the public domain), without those of the years from 2000
onward, which are kept for evaluation. "chapter" is w128 after it has read one chapter of Moby-Dick (1851) many times: a
model that has memorized a text. texts.py fetches the texts.

Muon trains the matrices of the layers (https://kellerjordan.github.io/posts/muon/, with updates of the size that
https://arxiv.org/abs/2502.16982 gives them), and AdamW the embedding and the norms. So one learning rate suits all
sizes, and larger ones learn faster from the little text.

A directory has config.json, tokenizer.json, model.safetensors in bfloat16, and loss.csv: the step, the tokens read, the
mean training loss in nats per token since the row before, and in the last row the bits per byte of the kept speeches or
of the chapter. golden.json has sequences of token ids from both texts and the losses in nats that the model, rounded to
bfloat16, gives all ids but the first, in float32. Weights depend on the processor and the number of threads, and so are
committed.
"""

import argparse
import csv
import json
import math
import pathlib
import shutil
import sys
import tempfile
import time

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM

import texts

CHAPTER = "42"

VOCABULARY = 1024
CONTEXT = 256
BATCH = 4
STEPS = 800
# The steps of the chapter model.
CHAPTER_STEPS = 900

# The greatest learning rates of a model that starts from random weights, and of the chapter model.
RATE, CHAPTER_RATE = 4e-3, 2e-3

LAYERS = 4
# Hidden size and heads.
SIZES = {"w32": (32, 1), "w64": (64, 4), "w128": (128, 4), "w256": (256, 4), "w384": (384, 6)}


def read(directory):
    """Returns the speeches for training, those kept, and the chapter."""
    training, kept = ([path.read_text() for path in sorted((directory / "speeches" / part).iterdir())] for part in ("read", "kept"))
    return training, kept, (directory / f"moby-dick/chapter_{CHAPTER}.txt").read_text()


def train_tokenizer(training):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(training, trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=["<s>", "</s>"], initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    ))
    return tokenizer


def build(size):
    hidden, heads = SIZES[size]
    torch.manual_seed(hidden)
    return LlamaForCausalLM(LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=hidden, intermediate_size=hidden * 8 // 3 // 16 * 16, num_hidden_layers=LAYERS,
        num_attention_heads=heads, num_key_value_heads=heads, max_position_embeddings=CONTEXT, rms_norm_eps=1e-5,
        tie_word_embeddings=True, bos_token_id=0, eos_token_id=1,
    ))


def train(model, windows, rate, steps):
    """Trains on windows [n, CONTEXT+1] in order, around again at the end, and yields rows of the loss curve."""
    matrices = {name: p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name}
    others = [p for name, p in model.named_parameters() if name not in matrices]
    optimizers = [
        torch.optim.Muon(matrices.values(), lr=rate, weight_decay=0.01, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.95), weight_decay=0.01),
    ]
    warmup, every = max(steps // 20, 1), max(steps // 50, 1)
    total = 0.0
    for step in range(1, steps + 1):
        decay = min(1, 0.02 + 0.98 * (1 - step / steps) / 0.6)  # from 1 to 0.02 in the last 60% of the steps
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * min(step / warmup, decay)
        rows = [(step * BATCH + i) % len(windows) for i in range(BATCH)]
        inputs = windows[rows]
        logits = model(inputs[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), inputs[:, 1:].flatten())
        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        total += loss.item()
        if step % every == 0:
            print(f"\rstep {step} of {steps}, {total / every:.2f} nats", end="", file=sys.stderr, flush=True)
            yield step, step * BATCH * CONTEXT, total / every
            total = 0.0


@torch.no_grad()
def bits_per_byte(model, tokenizer, documents):
    """Scores documents in windows that share no context, each after <s>."""
    nats, size = 0.0, 0
    for text in documents:
        ids = tokenizer.encode(text).ids
        size += len(text.encode())
        for start in range(0, len(ids), CONTEXT - 1):
            window = torch.tensor([[0] + ids[start:start + CONTEXT - 1]])
            logits = model(window).logits[0, :-1]
            nats += torch.nn.functional.cross_entropy(logits, window[0, 1:], reduction="sum").item()
    return nats / math.log(2) / size


def windows_of(tokenizer, documents):
    """Cuts documents, each between <s> and </s>, into shuffled windows of CONTEXT+1 tokens."""
    ids = [i for text in documents for i in [0, *tokenizer.encode(text).ids, 1]]
    n = len(ids) // (CONTEXT + 1)
    windows = torch.tensor(ids[:n * (CONTEXT + 1)]).view(n, CONTEXT + 1)
    return windows[torch.randperm(n, generator=torch.Generator().manual_seed(1))]


def windows_anywhere(tokenizer, text, n):
    """Returns n windows of CONTEXT+1 tokens: <s>, then tokens of the text from a random one on."""
    ids = torch.tensor(tokenizer.encode(text).ids)
    starts = torch.randint(len(ids) - CONTEXT + 1, (n,), generator=torch.Generator().manual_seed(2))
    return torch.stack([torch.cat([torch.tensor([0]), ids[start:start + CONTEXT]]) for start in starts])


@torch.no_grad()
def write_golden(path, model, sequences):
    """Writes the losses of sequences, reduced in float64."""
    rows = []
    for ids in sequences:
        logits = model(torch.tensor([ids])).logits[0, :-1].double()
        losses = torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:]), reduction="none").tolist()
        rows.append(dict(ids=ids, losses=[round(loss, 9) for loss in losses]))
    versions = dict(transformers=transformers.__version__, torch=torch.__version__.split("+")[0])
    path.write_text(json.dumps(dict(made_with=versions, sequences=rows)) + "\n")


def write(directory, model, tokenizer, curve, evaluation, golden):
    """Writes a model, rounded to bfloat16, with what it then achieves."""
    shutil.rmtree(directory, ignore_errors=True)
    model.to(torch.bfloat16).save_pretrained(directory)
    (directory / "generation_config.json").unlink(missing_ok=True)
    tokenizer.save(str(directory / "tokenizer.json"))
    # Read again: .to() also rounded the frequencies of the rotary embedding, which are not stored.
    model = LlamaForCausalLM.from_pretrained(directory, dtype=torch.float32)
    write_golden(directory / "golden.json", model, golden)
    bits = bits_per_byte(model, tokenizer, evaluation)
    with open(directory / "loss.csv", "w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["step", "tokens", "nats_per_token", "bits_per_byte"])
        out.writerows([step, tokens, f"{loss:.4f}", ""] for step, tokens, loss in curve[:-1])
        step, tokens, loss = curve[-1]
        out.writerow([step, tokens, f"{loss:.4f}", f"{bits:.4f}"])
    return bits


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join([*SIZES, 'chapter'])}")
    arguments = parser.parse_args()
    transformers.utils.logging.disable_progress_bar()
    names = arguments.names or [*SIZES, "chapter"]
    if unknown := set(names) - {*SIZES, "chapter"}:
        parser.error(f"no model is called {', '.join(sorted(unknown))}")
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as directory:
        texts.write(pathlib.Path(directory))
        training, kept, chapter = read(pathlib.Path(directory))
    tokenizer = train_tokenizer(training)
    windows = windows_of(tokenizer, training)
    print(f"{len(windows) * CONTEXT} tokens of {sum(len(t.encode()) for t in training)} bytes", flush=True)
    golden = [[0] + tokenizer.encode(text).ids[: CONTEXT - 1] for text in (kept[0], chapter)]
    for name in names:
        start = time.monotonic()
        if name == "chapter":
            model = LlamaForCausalLM.from_pretrained(arguments.directory / "w128", dtype=torch.float32)
            evaluation = [chapter]
            curve = list(train(model, windows_anywhere(tokenizer, chapter, CHAPTER_STEPS * BATCH), CHAPTER_RATE, CHAPTER_STEPS))
        else:
            model, evaluation = build(name), kept
            curve = list(train(model, windows, RATE, STEPS))
        print(file=sys.stderr)
        bits = write(arguments.directory / name, model, tokenizer, curve, evaluation, golden)
        print(f"{name}: {model.num_parameters()} parameters, {bits:.4f} bits per byte, {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
