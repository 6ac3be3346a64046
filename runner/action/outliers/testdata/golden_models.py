"""Computes the outlier features of the golden models of the torch backend with transformers, for TestTorch.

    python golden_models.py > golden_models.json

needs testdata/torch/requirements.txt. Tokens are bytes. A model reads its first token and the sequence without its last
token, in float32. The threshold is at least 2e-5 away from all magnitudes.
"""

import json
import pathlib
import sys

import numpy as np
import torch

import reference

ROOT = pathlib.Path(__file__).resolve().parents[4] / "testdata/torch"
sys.path.append(str(ROOT))
import analyses  # noqa: E402
import golden  # noqa: E402

MODELS = ["llama", "mistral", "qwen3", "gemma3", "olmo2"]
LENGTH, LAYER_SHARE, SEQUENCE_SHARE = 64, 0.25, 0.06
TEXTS = [
    "It snowed for three days, and then for three more; the village at the end of the valley saw no train until March.",
    "Sphinx of black quartz, judge my vow.",
    "x",
    "The café was full: naïve tourists, a piano, and 12.50 for a cup of tea.",
    "She sells sea shells by the sea shore. The shells she sells are sea shells, of that I'm sure.",
]


def choose_threshold(every):
    every = np.sort(np.concatenate([m.flatten() for m in every]).astype(np.float64))
    for t in np.arange(2.8, 4.0, 1e-4).round(4):
        at = np.searchsorted(every, t)
        if np.abs(every[max(at - 1, 0) : at + 1] - t).min() > 2e-5:
            return float(t)
    raise SystemExit("no threshold differs from all magnitudes")


def observe(name):
    model = golden.load(ROOT / "golden" / name)
    norms = analyses.sites(model)
    start = model.config.get_text_config().bos_token_id
    raw = []
    for text in TEXTS:
        ids = list(text.encode())[:LENGTH]
        log_p, magnitudes = analyses.run(model, norms.values(), [start, *ids[:-1]])
        nats = -float(log_p.gather(-1, torch.tensor(ids)[:, None]).sum())
        raw.append((magnitudes, nats, len(ids)))
    return raw, analyses.stored_names(ROOT / "golden" / name, norms)


def main():
    golden.configure()
    observed = {name: observe(name) for name in MODELS}
    threshold = choose_threshold([m for raw, _ in observed.values() for m, _, _ in raw])
    models = []
    for name, (raw, sites) in observed.items():
        if sites:
            want = reference.statistics(raw, threshold, LAYER_SHARE, SEQUENCE_SHARE)
            del want["bpb"]
            want["largestSite"] = sites[want["largestSite"]]
        else:
            want = {"perplexity": float(np.exp(sum(n for _, n, _ in raw) / sum(t for _, _, t in raw)))}
        models.append({"name": name, "sites": len(sites), "hidden": raw[0][0].shape[2], "want": want})
    print(json.dumps({
        "threshold": threshold, "layerShare": LAYER_SHARE, "sequenceShare": SEQUENCE_SHARE, "length": LENGTH, "texts": TEXTS,
        "models": models,
    }, ensure_ascii=False, indent=1))


main()
