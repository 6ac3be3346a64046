"""Writes tally.json: documents with the losses and the confidence of their tokens, and the summary of a score of them.

The distributions are over a vocabulary of 50 and deliberately miscalibrated. Everything is computed from all tokens at
once, with numpy: tally.py > tally.json
"""

import json
import sys

import numpy as np

CONTEXT, STRIDE = 16, 6
VOCABULARY = 50
random = np.random.default_rng(13)


def document(tokens):
    logits = random.normal(size=(tokens, VOCABULARY)) * random.uniform(0.5, 4, size=(tokens, 1))
    logp = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    truth_logp = 0.6 * logits
    truth_logp -= np.log(np.exp(truth_logp).sum(axis=1, keepdims=True))
    truth = np.array([random.choice(VOCABULARY, p=np.exp(row)) for row in truth_logp], dtype=int)
    order = np.argsort(-logp, axis=1, kind="stable")
    return {
        "ids": truth.tolist(),
        "nll": (-logp[np.arange(tokens), truth]).tolist(),
        "top": order[:, 0].tolist(),
        "topNLL": (-logp.max(axis=1)).tolist() if tokens else [],
        "ranks": [int(np.flatnonzero(row == t)[0]) + 1 for row, t in zip(order, truth)],
        "entropies": (-(np.exp(logp) * logp).sum(axis=1)).tolist(),
    }


def interval(error, residuals, unit):
    """The interval of an error by the residuals of each unit, from those of tokens, and the number of units."""
    sums = np.array([residuals[unit == u].sum() for u in np.unique(unit)])
    half = 1.959963984540054 * np.sqrt(len(sums) / (len(sums) - 1) * np.square(sums).sum()) / len(residuals)
    return {"interval": [max(0, error - half), error + half], "units": len(sums)}


def calibration(predicted, observed, width, bins):
    """The error, its intervals with the residuals of units and of shards, and the bins."""
    index = np.minimum(np.floor(predicted / width).astype(int), bins - 1)
    error, signs, rows = 0.0, np.zeros(bins), []
    for b in range(bins):
        inside = index == b
        if not inside.any():
            continue
        difference = (observed - predicted)[inside].sum()
        error += abs(difference)
        signs[b] = np.sign(difference)
        rows.append({
            "from": b * width, "tokens": int(inside.sum()),
            "predicted": predicted[inside].mean(), "observed": observed[inside].mean(),
        })
    error /= len(predicted)
    residuals = signs[index] * (observed - predicted) - error
    return {
        "error": error, **interval(error, residuals, of_documents(UNITS)), "shards": interval(error, residuals, of_documents(SHARDS)),
        "width": width, "bins": rows,
    }


def of_documents(values):
    """The value of the document of each token."""
    return np.concatenate([np.full(len(d["ids"]), value) for d, value in zip(documents, values)])


def positions(tokens):
    """The number of tokens before each token in the window that scores it."""
    for i in range(tokens):
        start = 0
        while start + CONTEXT <= i:
            start += STRIDE
        yield i - start


documents = [document(n) for n in (40, 3, 0, 17, 100, 1, 64)]
# A document without a cluster is a unit by itself.
CLUSTERS = ["", "x", "x", "y", "x", "", "y"]
UNITS = [cluster or str(i) for i, cluster in enumerate(CLUSTERS)]
SHARDS = ["s", "s", "t", "t", "t", "u", "u"]
for d, cluster, shard in zip(documents, CLUSTERS, SHARDS):
    d["cluster"], d["shard"] = cluster, shard
column = {name: np.concatenate([d[name] for d in documents]) for name in ("ids", "nll", "top", "topNLL", "ranks", "entropies")}
position = np.concatenate([list(positions(len(d["ids"]))) for d in documents])
nll, ranks, entropies = column["nll"], column["ranks"], column["entropies"]
hits = (ranks == 1).astype(float)

buckets, low, high = [], 0, 1
while low < CONTEXT:
    inside = (position >= low) & (position < high)
    if inside.any():
        buckets.append({
            "from": low, "to": high, "tokens": int(inside.sum()), "mean": nll[inside].mean(),
            "meanEntropy": entropies[inside].mean(),
        })
    low, high = high, 2 * high

json.dump({
    "context": CONTEXT, "stride": STRIDE, "documents": documents,
    "losses": {
        "mean": nll.mean(), "max": nll.max(),
        "quantiles": [
            {"share": q, "nats": np.quantile(nll, q, method="inverted_cdf")} for q in (0.5, 0.9, 0.99, 0.999)
        ],
        "counts": np.histogram(nll, bins=np.arange(0, np.floor(nll.max() / 0.5) * 0.5 + 1, 0.5))[0].tolist(),
        "positions": buckets,
    },
    "confidence": {
        "tokens": len(nll),
        "top": calibration(np.exp(-column["topNLL"]), hits, 1 / 15, 15),
        "entropy": calibration(entropies, nll, 0.5, 24),
        "ranks": {
            "first": hits.mean(), "first5": (ranks <= 5).mean(), "first10": (ranks <= 10).mean(),
            "first100": (ranks <= 100).mean(), "meanReciprocal": (1 / ranks).mean(),
        },
    },
}, sys.stdout, indent=1)
print()
