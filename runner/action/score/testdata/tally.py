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


def calibration(predicted, observed, document, width, bins):
    """The error, its interval by the residuals of each document, and the bins."""
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
    residuals = []
    for d in np.unique(document):
        of = document == d
        residuals.append((signs[index[of]] * (observed - predicted)[of]).sum() - error * of.sum())
    groups = len(residuals)
    deviation = np.sqrt(groups / (groups - 1) * np.square(residuals).sum()) / len(predicted)
    half = 1.959963984540054 * deviation
    return {"error": error, "interval": [max(0, error - half), error + half], "width": width, "bins": rows}


def positions(tokens):
    """The number of tokens before each token in the window that scores it."""
    for i in range(tokens):
        start = 0
        while start + CONTEXT <= i:
            start += STRIDE
        yield i - start


documents = [document(n) for n in (40, 3, 0, 17, 100, 1, 64)]
column = {name: np.concatenate([d[name] for d in documents]) for name in documents[0]}
owner = np.concatenate([np.full(len(d["ids"]), i) for i, d in enumerate(documents)])
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
        "top": calibration(np.exp(-column["topNLL"]), hits, owner, 1 / 15, 15),
        "entropy": calibration(entropies, nll, owner, 0.5, 24),
        "ranks": {
            "first": hits.mean(), "first5": (ranks <= 5).mean(), "first10": (ranks <= 10).mean(),
            "first100": (ranks <= 100).mean(), "meanReciprocal": (1 / ranks).mean(),
        },
    },
}, sys.stdout, indent=1)
print()
