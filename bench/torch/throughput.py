"""Measures `runner` on a model of random weights: tokens/s, and the share of the device's GEMM rate.

Usage: throughput.py --work DIR [--device cuda] [--dtype bfloat16] [--shape 8b] [--ranks 1] [--tokens 400000] [--rounds 3]
                     [--vllm PYTHON]

The weights, in the shape of a Llama of 8 billion parameters or a smaller one, are made once, under DIR, with a tokenizer of
single bytes: random text costs as much as any other. A round measures a large GEMM, a run, and transformers on the same
weights and windows, with batches of one and of four. With --vllm, the Python of an environment with vLLM, it also measures
vLLM's prompt_logprobs on the same windows, in a separate process. A model's operations are two per weight that is multiplied, and four per
query and key that it sees; shares are of the median GEMM rate. On a GPU, a run's peak memory is compared with the planned
value. Requirements: `pip install torch safetensors numpy transformers psutil`, bin/runner and bin/runner-backend-torch.
"""

import argparse
import json
import pathlib
import shutil
import statistics
import subprocess
import time

import common

SHAPES = {  # hidden, layers, heads, key heads, MLP width, vocabulary
    "8b": (4096, 32, 32, 8, 14336, 128256),
    "1b": (2048, 16, 32, 8, 8192, 128256),
    "135m": (576, 30, 9, 3, 1536, 49152),
    "tiny": (256, 2, 4, 2, 512, 1024),
}
CONTEXT = 4096
LOGPROBS = pathlib.Path(__file__).resolve().parent / "prompt_logprobs.py"


def make(directory, shape, device):
    import torch
    from safetensors.torch import save_file

    hidden, layers, heads, key_heads, width, vocabulary = SHAPES[shape]
    directory.mkdir(parents=True)
    size = hidden // heads
    config = dict(architectures=["LlamaForCausalLM"], model_type="llama", hidden_size=hidden, num_hidden_layers=layers,
                  num_attention_heads=heads, num_key_value_heads=key_heads, head_dim=size, intermediate_size=width,
                  vocab_size=vocabulary, max_position_embeddings=CONTEXT, rms_norm_eps=1e-5, rope_theta=500000.0, hidden_act="silu",
                  tie_word_embeddings=False, bos_token_id=0, eos_token_id=0, attention_bias=False, mlp_bias=False, torch_dtype="bfloat16")
    generator = torch.Generator(device).manual_seed(1)
    index = {}

    def matrix(rows, columns):
        return (torch.randn(rows, columns, generator=generator, device=device) / columns**0.5).bfloat16().cpu()

    def save(name, tensors):
        save_file(tensors, directory / name)
        index.update(dict.fromkeys(tensors, name))

    ones = torch.ones(hidden, dtype=torch.bfloat16)
    files = layers + 1
    for i in range(layers):
        p = f"model.layers.{i}."
        save(f"model-{i + 1:05}-of-{files:05}.safetensors", {
            p + "input_layernorm.weight": ones, p + "post_attention_layernorm.weight": ones.clone(),
            p + "self_attn.q_proj.weight": matrix(heads * size, hidden), p + "self_attn.k_proj.weight": matrix(key_heads * size, hidden),
            p + "self_attn.v_proj.weight": matrix(key_heads * size, hidden), p + "self_attn.o_proj.weight": matrix(hidden, heads * size),
            p + "mlp.gate_proj.weight": matrix(width, hidden), p + "mlp.up_proj.weight": matrix(width, hidden),
            p + "mlp.down_proj.weight": matrix(hidden, width),
        })
    save(f"model-{files:05}-of-{files:05}.safetensors", {
        "model.embed_tokens.weight": matrix(vocabulary, hidden), "lm_head.weight": matrix(vocabulary, hidden), "model.norm.weight": ones,
    })
    (directory / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    (directory / "tokenizer.json").write_text(json.dumps(common.tokenizer()))
    (directory / "config.json").write_text(json.dumps(config))  # last: it marks the directory as complete


def operations(shape):
    """Floating-point operations per token in a window of CONTEXT."""
    hidden, layers, heads, key_heads, width, vocabulary = SHAPES[shape]
    size = hidden // heads
    matrices = layers * (hidden * size * (2 * heads + 2 * key_heads) + 3 * hidden * width) + vocabulary * hidden
    return 2 * matrices + 4 * layers * heads * size * (CONTEXT + 1) / 2


def text(arguments):
    """Lines of one window each: the last token is predicted and not read, and the prefix precedes the first."""
    line = ("The quick brown fox jumps over the lazy dog. " * CONTEXT)[: CONTEXT - 1]
    return [f"{i:08}{line[8:]}" for i in range(max(arguments.tokens // len(line), 2))]


def run(arguments, number):
    """Tokens/s, the planned bytes and the GPU's peak bytes."""
    directory = arguments.work / f"run-{number}"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    backend = dict(device=arguments.device, dtype=arguments.dtype, tensorParallel=arguments.ranks, batchTokens=arguments.batch)
    (directory / "throughput.cue").write_text(
        'package throughput\n\nimport "surprisal.dev/experiment"\n\nexperiment.#Experiment\n\nname: "throughput"\n'
        f'datasets: random: source: text: {{path: "{arguments.work}/text.txt", split: "lines"}}\n'
        f'models: model: {{backend: torch: {json.dumps(backend)}, weights: safetensors: path: "{arguments.work}/{arguments.shape}"}}\n'
        f"scoring: {{context: {CONTEXT}, stride: {CONTEXT}}}\n"
    )
    runner = [arguments.runner, "--plugins", arguments.runner.parent]
    plan = json.loads(subprocess.run([*runner, "plan", "--json", directory], check=True, capture_output=True).stdout)
    (planned,) = [action["cost"]["memory"] for action in plan["actions"] if action["kind"] == "score"]
    devices = 0 if arguments.device == "cpu" else arguments.ranks if arguments.device == "cuda" else 1
    with subprocess.Popen([*runner, "run", "--devices", str(devices), directory], stdout=subprocess.DEVNULL) as process:
        before = peak = gpu_memory(arguments.device)
        while process.poll() is None:
            peak = max(peak, gpu_memory(arguments.device))
            time.sleep(0.2)
    if process.returncode:
        raise SystemExit(f"runner: exit {process.returncode}")
    records = [json.loads(path.read_text()) for path in (directory / ".surprisal/store/actions").glob("*/*.json")]
    (measured,) = [record["measured"] for record in records if record["descriptor"]["kind"] == "score"]
    return measured["tokensPerSecond"], planned, peak - before


def gpu_memory(device):
    """Bytes in use on the first GPU."""
    if not device.startswith("cuda"):
        return 0
    command = ["nvidia-smi", "--id=0", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) << 20


def vllm_speed(arguments):
    """Tokens/s of vLLM over a quarter of the text."""
    lines = text(arguments)
    rows = arguments.work / "rows.json"
    rows.write_text(json.dumps([[0, *line.encode()] for line in lines[: max(len(lines) // 4, 1)]]))
    command = [arguments.vllm, LOGPROBS, arguments.work / arguments.shape, rows, "--dtype", arguments.dtype]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.splitlines()[-1]
    tokens, seconds, nats = json.loads(answer)
    print(f"vLLM: {nats / tokens:.4f} nats per token", flush=True)
    return tokens / seconds


class Transformers:
    def __init__(self, arguments):
        import torch
        from transformers import AutoModelForCausalLM

        self.arguments = arguments
        self.device = "cpu" if arguments.device == "cpu" else "cuda:0"
        dtype = getattr(torch, arguments.dtype)
        self.model = AutoModelForCausalLM.from_pretrained(arguments.work / arguments.shape, dtype=dtype).to(self.device).eval()

    def speed(self, batch):
        """Tokens/s over a quarter of the text, with batches of that many windows."""
        import torch

        lines = text(self.arguments)
        ids = torch.tensor([[0, *line.encode()] for line in lines[: max(len(lines) // 4, 1)]], device=self.device)
        with torch.inference_mode():
            self.model(ids[:batch, :-1])
            nats, started = 0.0, time.perf_counter()
            for rows in ids.split(batch):
                for logits, targets in zip(self.model(rows[:, :-1]).logits, rows[:, 1:]):
                    nats += torch.nn.functional.cross_entropy(logits.float(), targets, reduction="sum").item()
        seconds = time.perf_counter() - started
        print(f"transformers, {batch} at a time: {nats / ids[:, 1:].numel():.4f} nats per token", flush=True)
        return ids[:, 1:].numel() / seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=pathlib.Path, required=True, help="directory for the weights, kept")
    parser.add_argument("--runner", type=pathlib.Path, default=pathlib.Path("bin/runner"))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--shape", choices=SHAPES, default="8b")
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--batch", type=int, default=4 * CONTEXT, help="tokens per batch")
    parser.add_argument("--tokens", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--vllm", type=pathlib.Path, help="the Python of an environment with vLLM, which is then measured, too")
    arguments = parser.parse_args()
    arguments.work, arguments.runner = arguments.work.resolve(), arguments.runner.resolve()
    if arguments.vllm and subprocess.run([arguments.vllm, LOGPROBS, "--check"]).returncode:
        parser.error("--vllm: vLLM cannot run here; leave --vllm out")
    if not (arguments.work / arguments.shape / "config.json").exists():
        shutil.rmtree(arguments.work / arguments.shape, ignore_errors=True)
        make(arguments.work / arguments.shape, arguments.shape, arguments.device)
    (arguments.work / "text.txt").write_text("".join(line + "\n" for line in text(arguments)))
    peer = Transformers(arguments)
    products, ours, theirs, others = [], [], {1: [], 4: []}, []
    for number in range(arguments.rounds):
        operations_done, seconds = common.gemm(arguments.device, arguments.dtype)
        products.append(operations_done / seconds)
        speed, planned, held = run(arguments, number)
        ours.append(speed)
        for batch, speeds in theirs.items():
            speeds.append(peer.speed(batch))
        if arguments.vllm:
            others.append(vllm_speed(arguments))
        print(f"round {number + 1}: products {products[-1] / 1e12:.3g} TFLOP/s, runner {speed:,.0f} tokens/s, transformers "
              + ", ".join(f"{speeds[-1]:,.0f} ({batch} at a time)" for batch, speeds in theirs.items())
              + (f", vLLM {others[-1]:,.0f}" if others else ""), flush=True)
    product, each = statistics.median(products), operations(arguments.shape)

    def line(name, speeds):
        speed = statistics.median(speeds)
        print(f"| {name} | {speed:,.0f} ({min(speeds):,.0f} - {max(speeds):,.0f}) | {speed * each / 1e12:.3g} | "
              f"{100 * speed * each / product:.0f}% | {statistics.median(ours) / speed:.2f}x |")

    print(f"\n{arguments.shape}, {arguments.dtype} on {arguments.device}, medians of {arguments.rounds} rounds; products run at {product / 1e12:.3g} TFLOP/s\n")
    print("| | tokens/s | TFLOP/s | of the products | runner / this |\n| --- | ---: | ---: | ---: | ---: |")
    line(f"runner, {arguments.ranks} ranks", ours)
    for batch, speeds in theirs.items():
        line(f"transformers, {batch} at a time", speeds)
    if others:
        line("vLLM, prompt_logprobs", others)
    if held:
        print(f"\nGPU memory: {held / 1e9:.3g} GB, planned {planned / 1e9:.3g} GB")


if __name__ == "__main__":
    main()
