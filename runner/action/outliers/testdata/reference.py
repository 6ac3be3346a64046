"""Computes the statistics of outlier features from raw activations, for TestStatisticsEqualNumpy.

    python reference.py > reference.json

needs numpy 2. The activations are seeded random numbers with some larger dimensions. "sequences" has what a backend
reports of them. "want" is computed from the raw activations, not from that.
"""

import json

import numpy as np

THRESHOLD, LAYER_SHARE, SEQUENCE_SHARE, STRIDE = 6.0, 0.25, 0.06, 16


def activations(rng, positions, sites, hidden, strength):
    """Returns magnitudes [site, position, dimension] in float32."""
    x = rng.standard_normal((sites, positions, hidden)).astype(np.float32)
    for dimension in range(0, hidden, 5):
        share = rng.uniform(0, 1, (sites, 1)) < 0.4
        here = rng.uniform(0, 1, (sites, positions)) < rng.uniform(0.02, 0.5)
        x[:, :, dimension] += np.where(share & here, np.float32(strength * rng.uniform(0.5, 2)), np.float32(0))
    return np.abs(x).astype(np.float32)


def reported(x, nats, tokens):
    sites, positions, hidden = x.shape
    hits = x >= np.float32(THRESHOLD)
    dimensions = []
    for d in np.flatnonzero(hits.any(axis=(0, 1))):
        bits = np.packbits(hits[:, :, d].any(axis=1), bitorder="little")
        dimensions.append({
            "dimension": int(d), "sites": bits.tolist(), "positions": int(hits[:, :, d].any(axis=0).sum()),
            "largest": float(x[:, :, d].max()),
        })
    sampled = x[:, ::STRIDE, :].reshape(sites, -1)
    ordered = np.sort(sampled, axis=1)
    medians = ordered[:, (ordered.shape[1] - 1) // 2]
    return {
        "tokens": tokens, "nats": nats, "bytes": 4 * tokens, "positions": positions,
        "largest": [float(v) for v in x.max(axis=(1, 2))], "median": [float(v) for v in medians], "dimensions": dimensions,
    }


def statistics(raw, threshold=THRESHOLD, layer_share=LAYER_SHARE, sequence_share=SEQUENCE_SHARE):
    """Computes statistics from [(magnitudes, nats, tokens)]. Every token has four bytes."""
    layer, sequence, where = [], [], []
    largest = (0.0,)
    for index, (x, _, _) in enumerate(raw):
        hits = x >= np.float32(threshold)
        layers = hits.any(axis=1).mean(axis=0)  # of each dimension
        positions = hits.any(axis=0).mean(axis=0)
        for d in np.flatnonzero((layers >= layer_share) & (positions >= sequence_share)):
            layer.append(100 * layers[d])
            sequence.append(100 * positions[d])
            where.append((int(d), index))
        site, position, dimension = np.unravel_index(np.argmax(x), x.shape)
        if x[site, position, dimension] > largest[0]:
            ordered = np.sort(x[site, ::STRIDE, :].reshape(-1))
            median = ordered[(len(ordered) - 1) // 2]
            largest = (float(x.max()), int(site), int(dimension), float(x.max()) / float(median))
    nats, tokens = sum(n for _, n, _ in raw), sum(t for _, _, t in raw)
    by_dimension = []
    for d in sorted({d for d, _ in where}):
        rows = [i for i, (e, _) in enumerate(where) if e == d]
        sites = np.zeros(raw[0][0].shape[0], bool)
        for i in rows:
            sites |= (raw[where[i][1]][0][:, :, d] >= np.float32(threshold)).any(axis=1)
        by_dimension.append({
            "dimension": d, "occurrences": len(rows), "meanLayerPercentage": float(np.mean([layer[i] for i in rows])),
            "meanSequencePercentage": float(np.mean([sequence[i] for i in rows])),
            "largest": float(max(raw[where[i][1]][0][:, :, d].max() for i in rows)), "layersAffected": int(sites.sum()),
        })
    return {
        "occurrences": len(where), "dimensions": len(by_dimension), "perplexity": float(np.exp(nats / tokens)),
        "bpb": float(nats / np.log(2) / (4 * tokens)),
        "meanLayer": float(np.mean(layer)) if layer else None, "medianLayer": float(np.median(layer)) if layer else None,
        "meanSequence": float(np.mean(sequence)) if layer else None,
        "medianSequence": float(np.median(sequence)) if layer else None,
        "largest": largest[0], "largestSite": largest[1], "largestDimension": largest[2], "largestRatio": largest[3],
        "byDimension": by_dimension,
    }


def main():
    rng = np.random.default_rng(17)
    models = []
    # Stronger outliers go with a lower loss.
    for name, family, sites, hidden, strength, loss in [
        ("tiny-0.3M", "tiny", 6, 16, 4.2, 3.4), ("tiny-1M", "tiny", 6, 24, 5.2, 2.9), ("tiny-3M", "tiny", 8, 40, 6.5, 2.5),
        ("tiny-10M", "tiny", 8, 48, 9.0, 2.1), ("other", "", 11, 32, 8.0, 2.3),
    ]:
        raw = []
        for positions in (48, 96, 96, 33, 70):
            tokens = positions - 1
            nats = float(sum(np.round(loss + 0.5 * rng.standard_normal(tokens), 3).clip(0.01)))
            raw.append((activations(rng, positions, sites, hidden, strength), nats, tokens))
        models.append({
            "name": name, "family": family, "sites": sites, "hidden": hidden, "sequences": [reported(*r) for r in raw],
            "want": statistics(raw),
        })
    print(json.dumps(models, indent=None, separators=(",", ":")))


if __name__ == "__main__":
    main()
