"""Measures sliding windows over a book: `runner`, and the usual way with transformers. Prints windows/s.

Usage: sliding.py MODEL.gguf --work DIR [--tokenizer tokenizer.json] [--runner bin/runner] [--windows 400] [--rounds 3]
                  [--dtypes float32,bfloat16]

A window is the first 100 tokens of 2,000 characters of the text, after the beginning-of-text token; the next one begins
10 characters later. The loss of the last 50 tokens is computed with the first 50 before them, and without. The usual way
tokenizes each window, pads batches of 8, computes the logits of all positions and takes the log-softmax at the tokens.
"transformers, with prompt" does only the first of the two computations; "transformers, both" does what `runner` does,
except for ranks, top-k probabilities and the rest of the report. The mean losses in the table show that all compute the
same.

The model's weights are converted once under DIR, as peers.py does. Each measurement is a separate process, and every
round starts with a different one. Seconds are those of scoring, without loading.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import common
import peers

SLICE, CHUNK, PROMPT, INCREMENT, BATCH = 2000, 100, 50, 10, 8


def text(windows):
    """The part of a book that has that many windows."""
    local = {**os.environ, "GOTOOLCHAIN": "local"}
    root = subprocess.run(["go", "env", "GOROOT"], check=True, capture_output=True, text=True, cwd="/", env=local).stdout.strip()
    book = (pathlib.Path(root) / peers.BOOK).read_text()
    position = book.index("\n", len(book) // 10) + 1
    return book[position : position + (windows - 1) * INCREMENT + SLICE]


def transformers_way(arguments, both):
    import torch
    from tokenizers import Tokenizer
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(os.cpu_count())
    model = AutoModelForCausalLM.from_pretrained(arguments.work / arguments.dtype, dtype=getattr(torch, arguments.dtype)).eval()
    tokenizer = Tokenizer.from_file(str(arguments.work / "float32/tokenizer.json"))
    bos = json.loads((arguments.work / "prepared.json").read_text())["bos"]
    book, windows = text(arguments.windows), arguments.windows

    def losses(rows, first):
        """The sum of the losses of each row's tokens from first on."""
        width = max(map(len, rows))
        ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
        logits = model(ids, attention_mask=mask).logits
        log_probabilities = torch.log_softmax(logits.float(), -1)[:, first - 1 : -1]
        return -log_probabilities.gather(2, ids[:, first:, None]).sum((1, 2)).double()

    started, with_prompt, without = time.perf_counter(), 0.0, 0.0
    with torch.inference_mode():
        for begin in range(0, windows, BATCH):
            rows = []
            for i in range(begin, min(begin + BATCH, windows)):
                ids = tokenizer.encode(book[i * INCREMENT : i * INCREMENT + SLICE], add_special_tokens=False).ids[:CHUNK]
                assert len(ids) == CHUNK
                rows.append([bos, *ids])
            with_prompt += losses(rows, 1 + PROMPT).sum().item()
            if both:
                without += losses([[bos, *row[1 + PROMPT :]] for row in rows], 1).sum().item()
    return time.perf_counter() - started, with_prompt / windows, without / windows


def runner_way(arguments):
    """A run in a fresh directory. Seconds are those of all its actions that score windows."""
    from pyarrow import parquet

    directory = arguments.work / "sliding"
    # The report also has windows of less text than a slice, at the end. They have no counterpart in the usual way: their
    # time counts in proportion, and their losses do not count.
    (arguments.work / "book.txt").write_text(text(arguments.windows))
    records = common.run(
        arguments.runner, directory,
        'package sliding\n\nimport "surprisal.dev/experiment"\n\nexperiment.#Experiment\n\nname: "sliding"\n'
        f'datasets: book: source: text: path: "{arguments.work}/book.txt"\n'
        f'models: model: {{backend: torch: dtype: "{arguments.dtype}", weights: safetensors: path: "{arguments.work}/{arguments.dtype}"}}\n'
        f'sliding: book: {{models: ["model"], sliceLength: {SLICE}, chunkTokens: {CHUNK}, promptTokens: {PROMPT}, cursorInc: {INCREMENT}}}\n',
    )
    measured = [r["measured"] for r in records if r["descriptor"]["kind"] == "windows"]
    rows = parquet.read_table(directory / ".surprisal/reports/sliding/book/model/book/windows.parquet").to_pylist()
    parts = [m for m in measured if m["windowsPerSecond"] > 0]
    assert len(parts) == 1, "a part has about 1,000 windows; use fewer"
    seconds = len(rows) / parts[0]["windowsPerSecond"]
    whole = [row for row in rows if row["cursor"] < arguments.windows * INCREMENT]
    assert len(whole) == arguments.windows
    means = [-statistics.mean(row[column] for row in whole) for column in ("log_p", "log_p_without_prompt")]
    return seconds * arguments.windows / len(rows), *means


WAYS = {
    "runner": runner_way,
    "transformers, with prompt": lambda arguments: transformers_way(arguments, both=False),
    "transformers, both": lambda arguments: transformers_way(arguments, both=True),
}


def measure(arguments, way, dtype):
    """Runs a way in a separate process."""
    command = [sys.executable, __file__, arguments.model, "--work", arguments.work, "--runner", arguments.runner]
    command += ["--windows", arguments.windows, "--only", way, "--dtype", dtype]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    with (arguments.work / "log").open("ab") as log:
        out = subprocess.run([str(c) for c in command], check=True, stdout=subprocess.PIPE, stderr=log, env=environment).stdout
    return json.loads(out.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--work", type=pathlib.Path, required=True, help="directory for the converted model, kept")
    parser.add_argument("--tokenizer", type=pathlib.Path, help="the original tokenizer.json, if the GGUF file does not suffice")
    parser.add_argument("--runner", type=pathlib.Path, default=pathlib.Path("bin/runner"))
    parser.add_argument("--windows", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtypes", default="float32,bfloat16")
    parser.add_argument("--only", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--dtype", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    arguments.work, arguments.model, arguments.runner = (p.resolve() for p in (arguments.work, arguments.model, arguments.runner))
    if arguments.only:
        print(json.dumps(WAYS[arguments.only](arguments)))
        return
    arguments.cases = []
    peers.prepare(arguments)
    all_ways = [(way, dtype) for dtype in arguments.dtypes.split(",") for way in WAYS]
    results = {way: [] for way in all_ways}
    for i in range(arguments.rounds):
        for way in all_ways[i:] + all_ways[:i]:
            seconds, loss, loss_without = measure(arguments, *way)
            results[way].append(arguments.windows / seconds)
            print(f"round {i + 1}: {', '.join(way)}: {arguments.windows / seconds:.2f} windows/s, mean -ln p {loss:.4f} and {loss_without:.4f}", flush=True)
    print("\n| | windows/s | least - most | runner / this |\n| --- | ---: | ---: | ---: |")
    for (way, dtype), each in results.items():
        ours = statistics.median(results["runner", dtype])
        median = statistics.median(each)
        print(f"| {way}, {dtype} | {median:.2f} | {min(each):.2f} - {max(each):.2f} | {ours / median:.2f}x |")


if __name__ == "__main__":
    main()
