"""Computes estimates, tests and intervals with statsmodels and scipy, for TestEqualsStatsmodels.

    python reference.py > reference.json

needs the packages of testdata/python/requirements.txt.
"""

import json
import sys

import numpy as np
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint


def ratio(name, d, w, clusters=None):
    model = sm.WLS(d / w, np.ones(len(d)), weights=w)
    if clusters is None:
        hc1, d_units, w_units = model.fit(cov_type="HC1").bse[0], d, w
    else:
        # The correction is G/(G-1) (n-1)/(n-1): there is one parameter.
        hc1 = model.fit(cov_type="cluster", cov_kwds={"groups": clusters, "use_correction": True}).bse[0]
        d_units, w_units = (np.bincount(clusters, weights=x) for x in (d, w))
    total = w_units.sum()
    value = d_units.sum() / total
    residuals = d_units - value * w_units
    # The residuals are M d. If the d/w have the variance 1, the expected sum of their squares is the trace of M V M'.
    m = np.eye(len(w_units)) - np.outer(w_units, np.ones(len(w_units))) / total
    expected = np.trace(m @ np.diag(w_units**2) @ m.T)
    # The variance of the ratio is then sum w^2 / (sum w)^2.
    error = np.sqrt((residuals**2).sum() / expected * (w_units**2).sum()) / total
    effective = total**2 / (w_units**2).sum()
    t = stats.t(max(effective - 1, 1))
    return {
        "name": name, "d": d.tolist(), "w": w.tolist(), "clusters": None if clusters is None else clusters.tolist(),
        "value": value, "hc1": hc1, "error": error, "low": value - t.ppf(0.975) * error, "high": value + t.ppf(0.975) * error,
        "p": 2 * t.sf(abs(value) / error), "effective": effective,
    }


def cases():
    random = np.random.default_rng(1)
    for n in (2, 5, 40, 300):
        w = np.ceil(random.lognormal(6, 1.5, n))
        yield ratio(f"{n} documents", w * random.normal(0.01, 0.1, n), w)
    w = np.ceil(random.lognormal(6, 1, 400))
    clusters = random.integers(0, 30, 400)
    yield ratio("30 clusters", w * (random.normal(0, 0.05, 30)[clusters] + random.normal(0.01, 0.1, 400)), w, clusters)
    yield ratio("far from zero", w * (1 + random.normal(0, 1e-4, 400)), w)


def signs():
    """All assignments of signs to few values; a permutation_test of samples exchanges the two of each pair."""
    random = np.random.default_rng(3)
    for n in (2, 5, 12, 13):
        d = random.normal(0.3, 1, n)
        test = stats.permutation_test((d, np.zeros(n)), lambda x, y: abs((x - y).sum()), permutation_type="samples",
                                      alternative="greater", n_resamples=np.inf)
        yield {"values": d.tolist(), "p": float(test.pvalue)}
    for n in (14, 60, 199):
        d = random.normal(0.15, 1, n)
        test = stats.permutation_test((d, np.zeros(n)), lambda x, y, axis: abs((x - y).sum(axis=axis)), permutation_type="samples",
                                      alternative="greater", n_resamples=200_000, vectorized=True, rng=random, batch=2000)
        yield {"values": d.tolist(), "p": float(test.pvalue)}


def locations():
    """Medians and means without 10% at each end. The number of values is a multiple of 10, so that the share is exact."""
    random = np.random.default_rng(4)
    for n in (10, 20, 100, 1000):
        x = random.standard_t(3, n)
        median = stats.quantile_test(x, p=0.5).confidence_interval()
        trimmed = stats.mstats.trimmed_mean_ci(x, limits=(0.1, 0.1))
        yield {
            "values": x.tolist(), "median": [float(np.median(x)), float(median.low), float(median.high)],
            "trimmed": [float(stats.trim_mean(x, 0.1)), float(trimmed[0]), float(trimmed[1])],
        }


def welch():
    """Differences of the means of two samples, with Welch's test."""
    random = np.random.default_rng(5)
    for n, m in ((2, 3), (20, 30), (300, 25)):
        a, b = random.normal(0.3, 1, n), random.standard_t(3, m)
        test = stats.ttest_ind(a, b, equal_var=False)
        low, high = test.confidence_interval(0.95)
        yield {
            "a": a.tolist(), "b": b.tolist(), "value": float(a.mean() - b.mean()), "p": float(test.pvalue), "freedom": float(test.df),
            "low": float(low), "high": float(high),
        }


def quantile(x, clusters, share):
    """The quantile of clustered values with its interval by Woodruff's method, and the degrees of freedom of the share."""
    q = np.quantile(x, share, method="inverted_cdf")
    below = ratio("", np.bincount(clusters, weights=x <= q), np.bincount(clusters).astype(float))
    half = below["high"] - below["value"]
    ends = np.quantile(x, [share - half, share + half], method="inverted_cdf")
    return float(q), float(ends[0]), float(ends[1]), below["error"], max(below["effective"] - 1, 1)


def quantiles():
    """Quantiles of two samples and their difference, by Zou and Donner's method."""
    random = np.random.default_rng(6)
    for share in (0.5, 0.9):
        clusters = [np.sort(random.integers(0, 40, n)) for n in (300, 240)]
        x = [random.normal(0, 0.5, 40)[c] + random.exponential(1, len(c)) for c in clusters]
        (q, low, high, e, f), (r, below, above, g, h) = (quantile(*of, share) for of in zip(x, clusters))
        down, up = np.hypot(q - low, above - r), np.hypot(high - q, r - below)
        t = stats.t((e**2 + g**2) ** 2 / (e**4 / f + g**4 / h))
        nearer = down if q > r else up
        yield {
            "share": share, "a": x[0].tolist(), "b": x[1].tolist(), "clustersOfA": clusters[0].tolist(), "clustersOfB": clusters[1].tolist(),
            "quantiles": [[q, low, high], [r, below, above]], "value": q - r, "low": q - r - down, "high": q - r + up,
            "p": float(2 * t.sf(abs(q - r) / (nearer / t.ppf(0.975)))),
        }


def main():
    random = np.random.default_rng(2)
    p = np.concatenate([random.uniform(size=30), random.uniform(size=10) ** 6, [0.5, 0.5, 0, 1]])
    json.dump({
        "ratios": list(cases()),
        "p": p.tolist(),
        "falseDiscovery": stats.false_discovery_control(p).tolist(),
        "signs": list(signs()),
        "locations": list(locations()),
        "welch": list(welch()),
        "quantiles": list(quantiles()),
        "familyWise": multipletests(p, method="holm")[1].tolist(),
        "shares": [
            {"successes": k, "trials": n, "interval": list(proportion_confint(k, n, method="wilson"))}
            for k, n in ((0, 1), (0, 20), (3, 20), (10, 20), (20, 20), (5000, 10001))
        ],
    }, sys.stdout, indent=1)
    print()


main()
