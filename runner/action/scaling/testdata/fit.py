"""Fits power laws with scipy, for TestFitsEqualScipy.

    python fit.py > fit.json

needs numpy 2 and scipy 1.17.
"""

import json

import numpy as np
from scipy import optimize, stats


def case(name, sizes, losses):
    x, y = np.log(sizes), np.log(losses)
    r = stats.linregress(x, y)
    n = len(x)
    t = stats.t.ppf(0.975, n - 2)
    out = {
        "name": name,
        "sizes": list(sizes),
        "losses": list(losses),
        "lnA": [r.intercept, r.intercept - t * r.intercept_stderr, r.intercept + t * r.intercept_stderr],
        "b": [-r.slope, -r.slope - t * r.stderr, -r.slope + t * r.stderr],
        "deviation": float(np.sqrt(np.sum((y - r.intercept - r.slope * x) ** 2) / (n - 2))),
    }
    # The 95% interval of the line at twice the largest size.
    at = np.log(2 * max(sizes))
    half = t * out["deviation"] * np.sqrt(1 / n + (at - x.mean()) ** 2 / np.sum((x - x.mean()) ** 2))
    value = r.intercept + r.slope * at
    out["twice"] = list(np.exp([value, value - half, value + half]))
    if n >= 5:
        mean = x.mean()

        def model(x, level, b, c):
            return np.log(c + np.exp(level - b * (x - mean)))

        best = None
        for share in (0.1, 0.5, 0.9):
            c = share * min(losses)
            slope, level = np.polyfit(x - mean, np.log(np.array(losses) - c), 1)
            p, covariance = optimize.curve_fit(
                model, x, y, (level, -slope, c), method="trf", bounds=((-np.inf, -np.inf, 0), np.inf),
                xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=100000,
            )
            rest = float(np.sum((y - model(x, *p)) ** 2))
            if best is None or rest < best[0]:
                best = rest, p, covariance
        rest, (level, b, c), v = best
        t = stats.t.ppf(0.975, n - 3)
        sd = [np.sqrt(v[0, 0] + mean**2 * v[1, 1] + 2 * mean * v[0, 1]), np.sqrt(v[1, 1]), np.sqrt(v[2, 2])]
        out["offset"] = {
            key: [value, value - t * s, value + t * s] for key, value, s in zip(("lnA", "b", "c"), (level + b * mean, b, c), sd)
        }
    return out


def main():
    rng = np.random.default_rng(13)
    # The sizes of SmolLM2 and of Pythia without embeddings.
    smol = [134515008, 361821120, 1711376384]
    pythia = [18915328, 85056000, 302311424, 805736448, 1208602624, 2517652480, 6444163072, 11327027200]
    law = lambda sizes, a, b, c, noise: [float(c + a * n**-b) * float(np.exp(noise * rng.standard_normal())) for n in sizes]
    cases = [
        case("three sizes", smol, law(smol, 5, 0.07, 0, 0.01)),
        case("four sizes", [1e3, 1e4, 1e5, 1e6], law([1e3, 1e4, 1e5, 1e6], 20, 0.2, 0, 0.03)),
        case("eight sizes with an offset", pythia, law(pythia, 400, 0.34, 1.69, 0.003)),
        case("five sizes with an offset", [1e6, 3e6, 1e7, 3e7, 1e8], law([1e6, 3e6, 1e7, 3e7, 1e8], 60, 0.3, 0.8, 0.001)),
        case("a size twice", [1e6, 1e6, 4e6], [1.5, 1.6, 1.2]),
        case("loss that rises", [1.0, 2.0, 3.0, 4.0], [1.0, 1.1, 1.15, 1.3]),
    ]
    print(json.dumps(cases, indent=1))


main()
