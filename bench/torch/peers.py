"""Measures `runner` and its alternatives: tokens/s and peak memory, on one model and one text.

Usage: peers.py MODEL.gguf --work DIR [--tokenizer tokenizer.json] [--runner bin/runner] [--bytes 120000] [--rounds 3]
                [--device cpu] [--cases book,short,busy] [--jobs 2] [--peers runner,transformers/float32] [--vllm PYTHON]

Peers are transformers (one document at a time, and padded batches of 8), lm-evaluation-harness's rolling likelihood
(one at a time) and llama.cpp by llama-cpp-python, each in float32 and bfloat16, llama.cpp also on the original file. With
--device cuda, vLLM's prompt_logprobs takes the place of llama.cpp; --vllm is the Python of an environment with vLLM. The
model's weights are converted to float32 and bfloat16 once, under DIR, as safetensors for the Python peers and for `runner`,
and as GGUF for llama.cpp. The text is a book from the Go installation. A document is one window of at most CONTEXT tokens
after the beginning-of-text token, so that all peers compute the same; the bits per byte in the table show this.

Cases are `book`, documents of 1,000, 2,000 and 4,000 bytes; `short`, documents of 16, 32 and 64 bytes; and `busy`, the
documents of `book` while --jobs other processes keep a core busy each. The script starts these for each measurement and ends
them after it.

Every measurement is a separate process. A round runs each peer once in each case, and every round starts with a different
one. Seconds are those of scoring, without loading. Memory is the largest sum of the resident sets of a peer's processes, on
the host. A GEMM is measured in the same rounds, as the machine's attainable rate: 2048 x 2048 x 2048, or 8192 x 8192 x 8192
on a GPU. The last two columns are shares of that rate: for the products with weights, and with attention's added (a query
and the keys that it may see). Other load on the machine invalidates the results: check the spread.
"""

import argparse
import contextlib
import hashlib
import importlib.util
import json
import math
import os
import pathlib
import shlex
import statistics
import subprocess
import sys
import time

import common

CONTEXT = 2048
SIZES = {"book": [1000, 2000, 4000], "short": [16, 32, 64], "busy": [1000, 2000, 4000]}  # bytes of documents, by case
BOOK = "src/testdata/Isaac.Newton-Opticks.txt"


def agree():
    """The script that can read this model's tokenizer."""
    path = pathlib.Path(__file__).resolve().parents[2] / "testdata/torch/agree.py"
    spec = importlib.util.spec_from_file_location("agree", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Preparation.


def prepare(arguments):
    work = arguments.work
    if not (work / "prepared.json").exists():
        weights(arguments.model, work, arguments.tokenizer)
    if (other := json.loads((work / "prepared.json").read_text()).get("model")) != digest(arguments.model):
        raise SystemExit(f"--work {work} has the converted files of another model ({other}); use a separate directory for each model")
    for case in arguments.cases:
        texts(work, case, arguments.bytes)


def digest(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def texts(work, case, size):
    local = {**os.environ, "GOTOOLCHAIN": "local"}  # a downloaded toolchain may contain other text
    root = subprocess.run(["go", "env", "GOROOT"], check=True, capture_output=True, text=True, cwd="/", env=local).stdout.strip()
    data = (pathlib.Path(root) / BOOK).read_bytes()
    position = data.index(b"\n", len(data) // 10) + 1
    sizes, documents, total = SIZES[case], [], 0
    while total < size:
        piece = data[position : position + min(sizes[len(documents) % len(sizes)], size - total)]
        if not piece:
            raise SystemExit(f"--bytes {size}: the text has only {total} bytes after the first document start")
        documents.append(piece.decode(errors="ignore"))
        position += len(documents[-1].encode())
        total += len(documents[-1].encode()) or size
    (work / f"{case}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in documents))


def weights(path, work, tokenizer_path):
    import gguf
    import torch
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    reader = gguf.GGUFReader(path)
    bos, eos = (int(reader.fields[f"tokenizer.ggml.{name}_token_id"].contents()) for name in ("bos", "eos"))
    backend = agree().make_tokenizer(reader.fields, tokenizer_path)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token=backend.id_to_token(bos), eos_token=backend.id_to_token(eos), pad_token=backend.id_to_token(eos)
    )
    model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32, local_files_only=True)
    matrices = sum(p.numel() for p in model.parameters() if p.ndim == 2)
    assert model.config.tie_word_embeddings, "an untied embedding must be excluded from the FLOPs"
    for field in ("quantization_config", "_model_name_or_path", "unk_token_id"):  # of the GGUF file, not of the model
        delattr(model.config, field)
    model.hf_quantizer, model.is_quantized = None, False
    for dtype in ("float32", "bfloat16"):
        model.to(getattr(torch, dtype)).save_pretrained(work / dtype)
        tokenizer.save_pretrained(work / dtype)
        convert(reader, gguf, work / f"{dtype}.gguf", {"float32": "F32", "bfloat16": "BF16"}[dtype])
    (work / "prepared.json").write_text(json.dumps(dict(bos=bos, matrices=matrices, model=digest(path))))


def convert(reader, gguf, path, kind):
    """Writes a GGUF file with all matrices in one type."""
    kind = gguf.GGMLQuantizationType[kind]
    writer = gguf.GGUFWriter(path, arch=reader.fields["general.architecture"].contents())
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type", "general.quantization_version"):
            continue
        array = field.types[0] == gguf.GGUFValueType.ARRAY
        writer.add_key_value(name, field.contents(), field.types[0], sub_type=field.types[-1] if array else None)
    for tensor in reader.tensors:
        values = gguf.dequantize(tensor.data, tensor.tensor_type)
        if values.ndim > 1:
            values = gguf.quantize(values, kind)
            writer.add_tensor(tensor.name, values, raw_dtype=kind)
        else:
            writer.add_tensor(tensor.name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


# The peers. Each returns tokens, seconds and nats.


def documents(work, case):
    return [json.loads(line)["text"] for line in (work / f"{case}.jsonl").read_text().splitlines()]


def encoded(work, case):
    """The ids of each document, after the beginning-of-text token."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(work / "float32/tokenizer.json"))
    bos = json.loads((work / "prepared.json").read_text())["bos"]
    ids = [[bos, *e.ids] for e in tokenizer.encode_batch(documents(work, case), add_special_tokens=False)]
    assert max(map(len, ids)) <= CONTEXT, "a document does not fit in a window"
    return ids


def transformers_peer(arguments):
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(arguments.threads)
    dtype = getattr(torch, arguments.dtype)
    model = AutoModelForCausalLM.from_pretrained(arguments.work / arguments.dtype, dtype=dtype).to(arguments.device).eval()
    ids = sorted(encoded(arguments.work, arguments.case), key=len)
    nats, started = 0.0, time.perf_counter()
    with torch.inference_mode():
        for i in range(0, len(ids), arguments.batch):
            batch = ids[i : i + arguments.batch]
            width = max(map(len, batch))
            padded = torch.tensor([row + [0] * (width - len(row)) for row in batch], device=arguments.device)
            mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in batch], device=arguments.device) if len(batch) > 1 else None
            logits = model(padded, attention_mask=mask).logits
            for row, scores in zip(batch, logits):
                targets = torch.tensor(row[1:], device=arguments.device)
                nats += torch.nn.functional.cross_entropy(scores[: len(row) - 1].float(), targets, reduction="sum").item()
    return sum(len(row) - 1 for row in ids), time.perf_counter() - started, nats


def lm_eval_peer(arguments):
    import torch
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    torch.set_num_threads(arguments.threads)
    prepared = json.loads((arguments.work / "prepared.json").read_text())
    model = HFLM(
        pretrained=str(arguments.work / arguments.dtype), dtype=arguments.dtype, device=arguments.device, batch_size=arguments.batch,
        max_length=CONTEXT, prefix_token_id=prepared["bos"], add_bos_token=False,
    )
    texts = sorted(documents(arguments.work, arguments.case), key=len)
    requests = [Instance(request_type="loglikelihood_rolling", doc={}, arguments=(text,), idx=i) for i, text in enumerate(texts)]
    started = time.perf_counter()
    nats = -sum(model.loglikelihood_rolling(requests, disable_tqdm=True))
    seconds = time.perf_counter() - started
    return sum(len(row) - 1 for row in encoded(arguments.work, arguments.case)), seconds, nats


def llama_cpp_peer(arguments):
    from concurrent.futures import ThreadPoolExecutor

    import llama_cpp
    import numpy as np

    size = 512  # tokens per batch
    path = arguments.model if arguments.dtype == "file" else arguments.work / f"{arguments.dtype}.gguf"
    model = llama_cpp.Llama(str(path), n_ctx=CONTEXT, n_batch=size, n_ubatch=size, logits_all=True, n_threads=arguments.threads,
                            n_threads_batch=arguments.threads, verbose=False)
    vocabulary = model.n_vocab()
    batch = llama_cpp.llama_batch_init(size, 0, 1)
    ids = encoded(arguments.work, arguments.case)

    def losses(scores, targets):
        top = scores.max(-1)
        sums = np.exp(scores - top[:, None]).sum(-1, dtype=np.float64)
        return float((top + np.log(sums) - scores[np.arange(len(targets)), targets]).sum())

    nats, started = 0.0, time.perf_counter()
    with ThreadPoolExecutor(arguments.threads) as pool:
        for row in ids:
            llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(model.ctx), False)
            inputs, targets = row[:-1], np.array(row[1:])
            for begin in range(0, len(inputs), size):
                part = inputs[begin : begin + size]
                batch.n_tokens = len(part)
                for i, token in enumerate(part):
                    batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, begin + i, 1, True
                    batch.seq_id[i][0] = 0
                if code := llama_cpp.llama_decode(model.ctx, batch):
                    raise RuntimeError(f"llama_decode: {code}")
                scores = np.ctypeslib.as_array(llama_cpp.llama_get_logits(model.ctx), (len(part), vocabulary))
                rows = range(0, len(part), 32)
                nats += sum(pool.map(lambda r: losses(scores[r : r + 32], targets[begin + r : begin + min(r + 32, len(part))]), rows))
    return sum(len(row) - 1 for row in ids), time.perf_counter() - started, nats


def runner_peer(arguments):
    """A run in a fresh directory; tokens and seconds are those that the score action measured."""
    backend = {"dtype": arguments.dtype, "device": arguments.device, "threads": arguments.threads}
    devices = 0 if arguments.device == "cpu" else 1
    return common.scored(arguments, arguments.work / f"{arguments.case}.jsonl", arguments.work / arguments.dtype, CONTEXT, backend, devices)


def vllm_peer(arguments):
    rows = arguments.work / "rows.json"
    rows.write_text(json.dumps(encoded(arguments.work, arguments.case)))
    command = [arguments.vllm, LOGPROBS, arguments.work / arguments.dtype, rows, "--dtype", arguments.dtype]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.splitlines()[-1])


def gemm_peer(arguments):
    """Floating-point operations of a matrix product, in place of tokens."""
    import torch

    torch.set_num_threads(arguments.threads)
    return *common.gemm(arguments.device, arguments.dtype), 0


LOGPROBS = pathlib.Path(__file__).resolve().parent / "prompt_logprobs.py"
WORK = {
    "runner": runner_peer, "transformers": transformers_peer, "lm-eval": lm_eval_peer, "llama.cpp": llama_cpp_peer, "vllm": vllm_peer,
    "gemm": gemm_peer,
}
ONLY_ON = {"llama.cpp": "cpu", "vllm": "cuda"}
PEERS = [
    (name, dtype, batch)
    for name, batches, dtypes in (
        ("runner", [0], ["float32", "bfloat16"]),
        ("transformers", [1, 8], ["float32", "bfloat16"]),
        ("lm-eval", [1], ["float32", "bfloat16"]),
        ("llama.cpp", [0], ["float32", "bfloat16", "file"]),
        ("vllm", [0], ["float32", "bfloat16"]),
        ("gemm", [0], ["float32", "bfloat16"]),
    )
    for dtype in dtypes
    for batch in batches
]


# The measurement.


@contextlib.contextmanager
def jobs(count):
    """Processes that keep a core busy each until the end of the block."""
    # They also end with this process, however that ends.
    work = f"import os\nwhile os.getppid() == {os.getpid()}: sum(range(100_000))"
    started = []
    try:
        for _ in range(count):
            started.append(subprocess.Popen([sys.executable, "-c", work]))
        yield
    finally:
        for process in started:
            process.kill()
        for process in started:
            process.wait()


def measure(arguments, case, peer):
    """Runs a peer in a separate process and adds its peak memory in bytes."""
    with jobs(arguments.jobs if case == "busy" else 0):
        return measure_alone(arguments, case, peer)


def measure_alone(arguments, case, peer):
    name, dtype, batch = peer
    command = [sys.executable, __file__, arguments.model, "--work", arguments.work, "--threads", arguments.threads]
    command += ["--runner", arguments.runner, "--only", name, "--dtype", dtype, "--batch", batch, "--device", arguments.device]
    command += ["--cases", case, "--vllm", arguments.vllm]
    (tokens, seconds, nats), peak = common.separate(command, arguments.work / "log", arguments.threads, name == "runner")
    return dict(tokens=tokens, seconds=seconds, nats=nats, peak=peak)


def label(peer):
    name, dtype, batch = peer
    return f"{name}, {dtype}" + (f", batches of {batch}" if batch > 1 else "")


def attention_operations(work, case):
    """Floating-point operations of attention per token: two products with each key that a query may see."""
    config = json.loads((work / "float32/config.json").read_text())
    lengths = [len(row) - 1 for row in encoded(work, case)]
    width = config["num_attention_heads"] * config.get("head_dim", config["hidden_size"] // config["num_attention_heads"])
    keys = 0
    for kind in config.get("layer_types") or ["full_attention"] * config["num_hidden_layers"]:
        window = config["sliding_window"] if kind == "sliding_attention" else CONTEXT
        keys += sum(min(i, window) for n in lengths for i in range(1, n + 1))
    return 4 * width * keys / sum(lengths)


def table(arguments, case, results):
    attention = attention_operations(arguments.work, case)
    prepared = json.loads((arguments.work / "prepared.json").read_text())
    size = sum(len(text.encode()) for text in documents(arguments.work, case))
    speed = {peer: statistics.median(r["tokens"] / r["seconds"] for r in runs) for peer, runs in results.items()}
    ours = {dtype: speed[peer] for peer in results if peer[0] == "runner" for dtype in [peer[1]]}
    load = f", alongside {arguments.jobs} busy processes" if case == "busy" else ""
    print(f"\n{arguments.model.name}, {case}: {size:,} bytes on {arguments.device}, {arguments.threads} threads{load}, "
          f"medians of {arguments.rounds} rounds\n")
    print("| | tokens/s | least - most | peak MB | bpb | " + "".join(f"runner {dtype} / this | " for dtype in ours) + "of GEMM | with attention |")
    print("| --- | ---: | ---: | ---: | ---: | " + "---: | " * (len(ours) + 1) + "---: |")
    for peer, runs in results.items():
        if peer[0] == "gemm":
            continue
        each = [r["tokens"] / r["seconds"] for r in runs]
        bpb = runs[0]["nats"] / math.log(2) / size
        cells = [label(peer), f"{speed[peer]:,.0f}", f"{min(each):,.0f} - {max(each):,.0f}", f"{statistics.median(r['peak'] for r in runs) / 1e6:,.0f}", f"{bpb:.5f}"]
        cells += [f"{rate / speed[peer]:.2f}x" for rate in ours.values()]
        gemm = speed.get(("gemm", peer[1], 0))
        for operations in (2 * prepared["matrices"], 2 * prepared["matrices"] + attention):
            cells.append(f"{100 * speed[peer] * operations / gemm:.0f}%" if gemm else "")
        print("| " + " | ".join(cells) + " |")
    for peer in results:
        if peer[0] == "gemm":
            print(f"\nGEMM in {peer[1]}: {speed[peer] / 1e9:,.0f} GFLOP/s, a ceiling of {speed[peer] / 2 / prepared['matrices']:,.0f} tokens/s")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--work", type=pathlib.Path, required=True, help="directory for the converted model, kept")
    parser.add_argument("--tokenizer", type=pathlib.Path, help="the original tokenizer.json, if the GGUF file does not suffice")
    parser.add_argument("--runner", type=pathlib.Path, default=pathlib.Path("bin/runner"))
    parser.add_argument("--bytes", type=int, default=120_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--peers", help="the peers, separated by commas: a name, or NAME/TYPE for one of its types")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--cases", default="book", help=f"the cases, separated by commas: {', '.join(SIZES)}")
    parser.add_argument("--jobs", type=int, default=2, help="the number of other processes in the case `busy`")
    parser.add_argument("--vllm", type=pathlib.Path, default=pathlib.Path(sys.executable), help="the Python of an environment with vLLM")
    parser.add_argument("--only", choices=WORK, help=argparse.SUPPRESS)
    parser.add_argument("--dtype", help=argparse.SUPPRESS)
    parser.add_argument("--batch", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.model, arguments.work, arguments.runner = (p.resolve() for p in (arguments.model, arguments.work, arguments.runner))
    arguments.cases = arguments.cases.split(",")
    if unknown := set(arguments.cases) - set(SIZES):
        parser.error(f"--cases: unknown {min(unknown)!r}; cases are {', '.join(SIZES)}")
    if arguments.only:
        (arguments.case,) = arguments.cases
        print(json.dumps(WORK[arguments.only](arguments)))
        return
    here = [name for name in WORK if ONLY_ON.get(name, arguments.device) == arguments.device]
    selected = arguments.peers.split(",") if arguments.peers else here
    known = {name for peer in PEERS for name in (peer[0], f"{peer[0]}/{peer[1]}")}
    if unknown := set(selected) - known:
        parser.error(f"--peers: unknown {min(unknown)!r}; peers are {', '.join(sorted(known))}")
    peers = [peer for peer in PEERS if peer[0] in selected or f"{peer[0]}/{peer[1]}" in selected]
    if misplaced := {peer[0] for peer in peers} - set(here):
        parser.error(f"--peers: {min(misplaced)} is measured with --device {ONLY_ON[min(misplaced)]}")
    if "vllm" in {peer[0] for peer in peers} and subprocess.run([arguments.vllm, LOGPROBS, "--check"]).returncode:
        parser.error("--peers: vllm cannot run here; leave it out of --peers")
    arguments.work.mkdir(parents=True, exist_ok=True)
    prepare(arguments)
    results = {case: {peer: [] for peer in peers} for case in arguments.cases}
    for n in range(arguments.rounds):
        turn = n * len(peers) // arguments.rounds
        for peer in peers[turn:] + peers[:turn]:
            for case in arguments.cases:
                run = measure(arguments, case, peer)
                results[case][peer].append(run)
                rate = f"{run['tokens'] / run['seconds']:,.0f} tokens/s, {run['peak'] / 1e6:,.0f} MB"
                print(f"round {n + 1}: {case}, {label(peer)}: {rate}", file=sys.stderr)
    print(shlex.join(["python", *sys.argv]))
    for case in arguments.cases:
        table(arguments, case, results[case])


if __name__ == "__main__":
    main()
