"""What the measurements in this directory share: a run of `runner`, processes with their memory, GEMMs, byte tokens."""

import json
import os
import shutil
import subprocess
import time

import psutil


def gemm(device, dtype):
    """Floating-point operations of large matrix products, and the seconds that they took."""
    import torch

    cuda = device.startswith("cuda")
    size, wait = (8192, torch.cuda.synchronize) if cuda else (2048, lambda: None)
    a, b = (torch.randn(size, size).to(device, getattr(torch, dtype)) for _ in range(2))
    for _ in range(5 if cuda else 1):
        a @ b
    wait()
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < 2:
        a @ b
        wait()
        count += 1
    return count * 2 * size**3, time.perf_counter() - started


def cores():
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def run(runner, directory, spec, devices=0):
    """Runs an experiment in a fresh directory, and returns the records of its actions."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    (directory / "bench.cue").write_text(spec)
    subprocess.run([runner, "--plugins", runner.parent, "run", "--devices", str(devices), directory], check=True, stdout=subprocess.DEVNULL)
    return [json.loads(path.read_text()) for path in (directory / ".surprisal/store/actions").glob("*/*.json")]


def scored(arguments, text, weights, context, backend, devices=0):
    """The tokens, seconds and nats of a run that scores the documents of a JSONL file; seconds are those of scoring."""
    directory = arguments.work / "experiment"
    records = run(
        arguments.runner, directory,
        'package bench\n\nimport "surprisal.dev/experiment"\n\nexperiment.#Experiment\n\nname: "bench"\n'
        f'datasets: text: source: jsonl: path: "{text}"\n'
        f'models: model: {{backend: torch: {json.dumps(backend)}, weights: safetensors: path: "{weights}"}}\n'
        f'scoring: context: {context}\n',
        devices,
    )
    (found,) = [record["measured"] for record in records if record["descriptor"]["kind"] == "score"]
    return found["tokens"], found["tokens"] / found["tokensPerSecond"], nats(arguments.runner, directory, "score model text")


def nats(runner, directory, score):
    """The sum of all losses of a score action, such as "score MODEL DATASET"."""
    subprocess.run([runner, "--plugins", runner.parent, "-C", directory, "export", score, directory / "score"], check=True, stdout=subprocess.DEVNULL)
    return json.loads((directory / "score/summary.json").read_text())["ledger"]["tokens"]


def separate(command, log, threads, descendants_only=False):
    """Runs a command in a separate process. Returns the JSON in its last line of output, and its peak memory in bytes."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "true", "HF_HUB_OFFLINE": "1"}
    with log.open("ab") as file:
        process = psutil.Popen([str(c) for c in command], stdout=subprocess.PIPE, stderr=file, env=environment)
        peak = 0
        while process.poll() is None:
            peak = max(peak, resident(process, descendants_only))
            time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"{' '.join(str(c) for c in command)}: exit {process.returncode}; see {log}")
    return json.loads(process.stdout.read().splitlines()[-1]), peak


def resident(process, descendants_only):
    """The memory of a process and its descendants; a script that starts `runner` can be excluded."""
    total = 0
    try:
        for p in ([] if descendants_only else [process]) + process.children(recursive=True):
            total += p.memory_info().rss
    except psutil.NoSuchProcess:
        pass  # it has ended in the meantime
    return total


def tokenizer(words=()):
    """One token per byte, in the alphabet of byte-level BPE, and one for each of the words of three letters after a space."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    characters = {b: chr(b) for b in printable} | {b: chr(256 + i) for i, b in enumerate(others)}
    vocabulary, merges = {characters[b]: b for b in range(256)}, []
    for word in words:
        made = characters[0x20]
        for letter in word:
            if made + letter not in vocabulary:
                vocabulary[made + letter] = len(vocabulary)
                merges.append([made, letter])
            made += letter
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": True}
    model = {"type": "BPE", "vocab": vocabulary, "merges": merges, "dropout": None, "unk_token": None,
             "byte_fallback": False, "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False}
    return {"version": "1.0", "added_tokens": [], "normalizer": None, "post_processor": None, "truncation": None, "padding": None,
            "pre_tokenizer": level, "decoder": level, "model": model}
