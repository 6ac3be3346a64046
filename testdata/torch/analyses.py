"""Makes analyses.json in the directories of golden.py's models: what transformers computes for ranges, top-k and norms.

Usage: analyses.py DIR [NAME ...]   writes the files of existing models (all of them, or these); golden.py does so too

For each sequence of golden.json, in float32 with eager attention, reduced in float64:

"top_mass" is, for all ids but the first, the logarithm of the total probability of the K most probable ids.

"prompted" has the losses of ids[SCORE:TO] after the ids [PREFIX, *ids[FROM:SCORE]], and "unprompted" those after PREFIX
alone. Both are empty for sequences that are too short.

"positions", "largest", "medians" and "dimensions" describe the outputs of the norms before attention and before the MLP
of each layer, which "sites" names as the weights' files do, while the model reads all ids but the last. A magnitude is
an absolute value. "largest" has the largest magnitude of each site; "medians" has the lower median of the magnitudes in
every STRIDE-th position. "dimensions" has, for each dimension with a magnitude of at least "threshold", its number, the
sites where it has one, the number of positions where it has one at some site, and its largest magnitude. The threshold
is at least 1e-4 away from all magnitudes, and about half of the dimensions reach it.
"""

import argparse
import json
import pathlib
import re

import numpy as np
import safetensors
import torch

K, STRIDE = 40, 16
PREFIX, FROM, SCORE, TO = 1, 10, 30, 50
TOLERANCE = 2e-5
FROM_THRESHOLD = 1e-4

# The norms, in the order of computation. Models that have the second and the third use the second before the MLP.
NORMS = [["input_layernorm", "ln_1"], ["pre_feedforward_layernorm", "post_attention_layernorm", "ln_2"]]


def sites(model):
    """The norms before attention and MLP: their modules by the end of their name, such as layers.0.input_layernorm."""
    found = {}
    for name, module in model.named_modules():
        layer = re.search(r"(?:^|\.)((?:layers|h)\.\d+)$", name)
        if layer is None or "vision" in name or not hasattr(module, "input_layernorm") and not hasattr(module, "ln_1"):
            continue
        for choices in NORMS:
            norm = next(n for n in choices if hasattr(module, n))
            found[f"{layer[1]}.{norm}"] = getattr(module, norm)
    return found


def stored_names(directory, ends):
    """The names of weights in the files, without .weight, that have these ends."""
    names = []
    for path in sorted(directory.glob("*.safetensors")):
        with safetensors.safe_open(path, "pt") as f:
            names += f.keys()
    stored = []
    for end in ends:
        matches = [n for n in names if f".{n}".endswith(f".{end}.weight") and "vision" not in n]
        assert len(matches) == 1, f"{directory}: {matches} end in {end}"
        stored.append(matches[0].removesuffix(".weight"))
    return stored


@torch.inference_mode()
def run(model, norms, ids):
    """Returns the logarithms of probabilities [ids, vocabulary], and the magnitudes [sites, ids, hidden size]."""
    outputs = []
    hooks = [norm.register_forward_hook(lambda _module, _input, output: outputs.append(output)) for norm in norms]
    logits = model(torch.tensor([ids])).logits[0]
    for hook in hooks:
        hook.remove()
    assert logits.dtype == torch.float32 and len(outputs) == len(norms) and all(o.dtype == torch.float32 for o in outputs)
    magnitudes = torch.stack([o[0].abs() for o in outputs]).numpy() if outputs else np.zeros((0, len(ids), 0), np.float32)
    return torch.log_softmax(logits.double(), -1), magnitudes


def losses(model, norms, context, ids):
    log_p, _ = run(model, norms, [*context, *ids[:-1]])
    return rounded(-log_p[len(context) - 1 :].gather(-1, torch.tensor(ids)[:, None]))


def rounded(x):
    return [round(float(value), 9) for value in np.asarray(x).flatten()]


def choose_threshold(magnitudes):
    """The threshold nearest to the median of the largest magnitudes of dimensions, from which all magnitudes differ."""
    if not magnitudes or magnitudes[0].shape[0] == 0:
        return 1.0
    target = float(np.median(np.max([m.max((0, 1)) for m in magnitudes], 0)))
    every = np.sort(np.concatenate([m.flatten() for m in magnitudes]).astype(np.float64))
    candidates = sorted(np.round(target + np.arange(-2000, 2000) * 2e-4, 4), key=lambda t: abs(t - target))
    for t in candidates:
        at = np.searchsorted(every, t)
        if np.abs(every[max(at - 1, 0) : at + 1] - t).min() > FROM_THRESHOLD:
            return float(t)
    raise SystemExit("no threshold differs from all magnitudes")


def statistics(magnitudes, threshold):
    _, positions, hidden = magnitudes.shape
    hits = magnitudes >= threshold
    dimensions = [
        [j, np.flatnonzero(hits[:, :, j].any(1)).tolist(), int(hits[:, :, j].any(0).sum()), rounded(magnitudes[:, :, j].max())[0]]
        for j in range(hidden) if hits[:, :, j].any()
    ]
    medians = [np.sort(site[::STRIDE].flatten())[(site[::STRIDE].size - 1) // 2] for site in magnitudes]
    return dict(positions=positions, largest=rounded(magnitudes.max((1, 2), initial=0)), medians=rounded(medians), dimensions=dimensions)


def analyses(model, directory, sequences):
    norms = sites(model)
    observed = [run(model, norms.values(), ids[:-1]) if len(ids) > 1 else None for ids in sequences]
    threshold = choose_threshold([o[1] for o in observed if o])
    found = []
    for ids, o in zip(sequences, observed):
        entry = dict(top_mass=[], prompted=[], unprompted=[])
        if o is not None:
            entry["top_mass"] = rounded(torch.logsumexp(o[0].topk(K).values, -1))
        if len(ids) >= TO:
            suffix = ids[SCORE:TO]
            entry["prompted"] = losses(model, norms.values(), [PREFIX, *ids[FROM:SCORE]], suffix)
            entry["unprompted"] = losses(model, norms.values(), [PREFIX], suffix)
        if o is not None and norms:
            entry |= statistics(o[1], threshold)
        found.append(entry)
    return dict(sites=stored_names(directory, norms), threshold=threshold, sequences=found)


def write(model, directory, sequences):
    found = analyses(model, directory, sequences)
    lines = ",\n".join("    {" + ",\n     ".join(f'"{k}": {json.dumps(v)}' for k, v in s.items()) + "}" for s in found.pop("sequences"))
    head = "".join(f'  "{k}": {json.dumps(v)},\n' for k, v in found.items())
    (directory / "analyses.json").write_text(f'{{\n{head}  "sequences": [\n{lines}\n  ]\n}}\n')


def compare(path, a, b):
    """Compares one sequence of two files. Sites, positions and dimensions are equal, since the threshold is far from all."""
    assert a.keys() == b.keys(), f"{path}: other fields"
    for key, x in a.items():
        y = b[key]
        if key == "dimensions":
            assert [d[:3] for d in x] == [d[:3] for d in y], f"{path}: other dimensions"
            x, y = [d[3] for d in x], [d[3] for d in y]
        difference = max((abs(p - q) for p, q in zip(np.atleast_1d(x), np.atleast_1d(y), strict=True)), default=0)
        assert difference <= TOLERANCE, f"{path}: {key} differ by {difference}"


def main():
    import golden

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("names", nargs="*", help="of " + ", ".join(golden.MODELS))
    arguments = parser.parse_args()
    golden.configure()
    for name in arguments.names or golden.MODELS:
        directory = arguments.directory / name
        sequences = [s["ids"] for s in json.loads((directory / "golden.json").read_text())["sequences"]]
        write(golden.load(directory), directory, sequences)


if __name__ == "__main__":
    main()
