"""Computes sliding windows with transformers, for TestFamilies.

Usage: sliding.py TEXTS > sliding.json, where TEXTS is the directory that texts.py writes

For each model and chapter: the characters of each window from start up to end, the logarithms of the probability of its suffix, with the prompt
and without, of that with each token drawn from the 40 most probable ones (null where a token is not among them), and
how many suffix tokens are the most probable ones. A window has 100 tokens, of which 50 are the prompt, after <s>.
"""

import json
import pathlib
import sys

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

SLICE, CHUNK, PROMPT, INCREMENT, CHARACTERS, TOP = 2000, 100, 50, 400, 4000, 40
HERE = pathlib.Path(__file__).parent


@torch.no_grad()
def log_probabilities(model, ids, first):
    """Returns the log-probabilities [tokens, vocabulary] that predict ids from first on, and ids from first on."""
    logits = model(torch.tensor([ids])).logits[0, first - 1 : -1].double()
    return torch.log_softmax(logits, -1), torch.tensor(ids[first:])


def window(model, ids):
    with_prompt, suffix = log_probabilities(model, [0, *ids], 1 + PROMPT)
    without, _ = log_probabilities(model, [0, *ids[PROMPT:]], 1)
    at = with_prompt.gather(1, suffix[:, None])[:, 0]
    top = with_prompt.topk(TOP, dim=1)
    inside = (top.indices == suffix[:, None]).any(1).all().item()
    return dict(
        log_p=at.sum().item(), log_p_without_prompt=without.gather(1, suffix[:, None]).sum().item(),
        log_p_topk=(at - top.values.logsumexp(1)).sum().item() if inside else None,
        greedy=(with_prompt.argmax(1) == suffix).sum().item(),
    )


def main():
    texts = pathlib.Path(sys.argv[1]) / "moby-dick"
    rows = []
    for name in ("w128", "chapter"):
        model = LlamaForCausalLM.from_pretrained(HERE / name, dtype=torch.float32).eval()
        tokenizer = Tokenizer.from_file(str(HERE / name / "tokenizer.json"))
        for chapter in ("chapter_1", "chapter_42"):
            text = (texts / f"{chapter}.txt").read_text()[:CHARACTERS]
            for start in range(0, len(text), INCREMENT):
                encoding = tokenizer.encode(text[start : start + SLICE], add_special_tokens=False)
                if len(encoding.ids) >= CHUNK:
                    end = start + encoding.offsets[CHUNK - 1][1]
                    rows.append(dict(model=name, text=chapter, start=start, end=end, **window(model, encoding.ids[:CHUNK])))
    json.dump(rows, sys.stdout, indent=1)
    print()


main()
