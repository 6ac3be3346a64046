"""Fits exponential curves with scipy, for TestFitsEqualScipy.

    python fit.py > fit.json

needs numpy 2 and scipy 1.17.
"""

import json

import numpy as np
from scipy import optimize, stats


def case(name, x, y):
    x, y = np.array(x, float), np.array(y, float)

    def curve(x, a, b):
        return a * np.exp(b * x)

    positive = y > 0
    slope, level = np.polyfit(x[positive], np.log(y[positive]), 1)
    best = None
    for factor in (0.5, 1, 2, 5):
        try:
            p, covariance = optimize.curve_fit(
                curve, x, y, (np.exp(level + slope * (1 - factor) * x.mean()), factor * slope), method="lm",
                xtol=1e-15, ftol=1e-15, gtol=1e-15, maxfev=1000000,
            )
        except RuntimeError:
            continue
        rest = float(np.sum((y - curve(x, *p)) ** 2))
        if best is None or rest < best[0]:
            best = rest, p, covariance
    rest, (a, b), v = best
    n = len(x)
    t = stats.t.ppf(0.975, n - 2)
    at = 0.5 * (x[0] + x[1])
    value, gradient = curve(at, a, b), np.array([np.exp(b * at), a * at * np.exp(b * at)])
    half = t * np.sqrt(gradient @ v @ gradient)
    return {
        "name": name,
        "x": x.tolist(),
        "y": y.tolist(),
        "a": [a, a - t * np.sqrt(v[0, 0]), a + t * np.sqrt(v[0, 0])],
        "b": [b, b - t * np.sqrt(v[1, 1]), b + t * np.sqrt(v[1, 1])],
        "deviation": float(np.sqrt(rest / (n - 2))),
        "between": [value, value - half, value + half],
    }


def main():
    rng = np.random.default_rng(21)
    noisy = lambda x, a, b, noise: [float(a * np.exp(b * v) * np.exp(noise * rng.standard_normal())) for v in x]
    five = [21.4, 16.2, 13.9, 11.8, 9.6]
    cases = [
        case("three models", [30.1, 18.2, 11.5], noisy([30.1, 18.2, 11.5], 200, -0.1, 0.05)),
        case("five models", five, noisy(five, 90, -0.15, 0.1)),
        case("counts with zeros", five, [0, 0, 2, 5, 19]),
        case("values that rise", [8.0, 12.0, 15.0, 22.0], noisy([8.0, 12.0, 15.0, 22.0], 3, 0.08, 0.1)),
        case("a perplexity twice", [10.0, 10.0, 14.0, 19.0], [50.0, 44.0, 31.0, 17.0]),
        case("a wide range", [400.0, 120.0, 50.0, 30.0], [3.0, 9.0, 20.0, 31.0]),
    ]
    print(json.dumps(cases, indent=1))


main()
