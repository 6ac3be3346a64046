"""Scores sliding windows with the model of fake_test.go and computes all statistics, for TestEqualsPython.

    python sliding.py > sliding.json

needs numpy 2.
"""

import json
import math

import numpy as np

# Lowercase text is probable after four tokens of it, digits at once, and other text is not. Characters have one to four bytes.
MEMORIZED = "thequickbrownfoxjumpsoverthelazydogandrunsawayfromthebearsthatlivebehindthehillsofthenorth" * 2
EASY = "0123456789" * 15
OTHER = "Ünter DEN Łinden, ÇA VA? 東京 😀 №5. " * 6
TEXTS = [OTHER + MEMORIZED + OTHER, EASY + "\n" + OTHER, "short", OTHER * 3 + MEMORIZED[:100] + "😀" * 40]

CASES = {
    "characters": dict(sliceLength=120, chunkTokens=20, promptTokens=10, cursorInc=7, cursorUnit="characters", topK=20),
    "tokens": dict(sliceLength=90, chunkTokens=16, promptTokens=4, cursorInc=3, cursorUnit="tokens", topK=3),
    "refined": dict(sliceLength=120, chunkTokens=20, promptTokens=10, cursorInc=10, cursorUnit="characters", topK=20, above=0.3, stride=2),
    "refined tokens": dict(sliceLength=120, chunkTokens=12, promptTokens=6, cursorInc=5, cursorUnit="tokens", topK=20, above=0.3, stride=1),
}

THRESHOLDS = [1e-4, 1e-3, 1e-2, 0.1, 0.25, 0.5, 0.75, 0.9]


def tokens(text):
    """Tokens have three bytes, whatever the characters are."""
    data = text.encode()
    return [data[i : i + 3] for i in range(0, len(data), 3)]


def prediction(history, token):
    """Loss, rank and mass of the top k of a token after the tokens of a history."""
    m = ((history[-1][-1] if history else 0) * 31 + sum(token) * 17) % 23
    if all(48 <= b <= 57 for b in token):
        loss = 0.0005 * (m + 1)
    elif all(97 <= b <= 122 for b in token):
        loss = 0.002 * (m + 1) + (3 if len(history) < 4 else 0)
    else:
        loss = 0.5 + 0.3 * m
    return loss, 2 + m if m % 5 == 4 else 1, -0.15 * loss * (m % 3)


def window(document, text, cursor, start, case):
    piece = text[start : start + case["sliceLength"]]
    chunk = tokens(piece)[: case["chunkTokens"]]
    if len(chunk) < case["chunkTokens"]:
        return None
    prompt = case["promptTokens"]
    log_p, log_top, without, greedy = 0.0, 0.0, 0.0, 0
    for i in range(prompt, len(chunk)):
        loss, rank, mass = prediction(chunk[:i], chunk[i])
        log_p -= loss
        log_top += -loss - mass if rank <= case["topK"] else -math.inf
        greedy += rank == 1
        without -= prediction(chunk[prompt:i], chunk[i])[0]
    size = len(piece.encode())
    suffix_byte, end_byte = 3 * prompt, min(3 * len(chunk), size)
    ends = np.cumsum([len(c.encode()) for c in piece])
    suffix = int(np.searchsorted(ends, suffix_byte, side="right"))
    end = int(np.searchsorted(ends, end_byte, side="left")) + 1
    return dict(document=document, cursor=cursor, start=start, suffix=start + suffix, end=start + end, log_p=log_p,
                log_p_top_k=log_top, log_p_without_prompt=without, greedy_tokens=greedy)


def start_of(text, cursor, case):
    """The first character of the window of a cursor, or None behind the end."""
    if case["cursorUnit"] == "characters":
        return cursor if cursor < len(text) else None
    if cursor >= len(tokens(text)):
        return None
    ends = np.cumsum([len(c.encode()) for c in text])
    return int(np.searchsorted(ends, 3 * cursor, side="right"))


def slide(case):
    rows, skipped, at_end, refined = [], 0, 0, []
    for document, text in enumerate(TEXTS):
        last, cursor = None, 0
        while (start := start_of(text, cursor, case)) is not None:
            if start != last:
                row = window(document, text, cursor, start, case)
                rows += [row] if row else []
                skipped += row is None
                at_end += row is None and start + case["sliceLength"] >= len(text)
            last, cursor = start, cursor + case["cursorInc"]
        if "above" not in case:
            continue
        gaps = set()
        for row in rows:
            if row["document"] == document and row["log_p"] >= math.log(case["above"]):
                gaps |= {g for g in (row["cursor"], row["cursor"] - case["cursorInc"]) if g >= 0}
        last = None
        for gap in sorted(gaps):
            for cursor in range(gap + case["stride"], gap + case["cursorInc"], case["stride"]):
                start = start_of(text, cursor, case)
                if start is None or start == last:
                    continue
                last = start
                row = window(document, text, cursor, start, case)
                refined += [row] if row else []
    return rows, skipped, at_end, refined


def tries(p, log_p):
    if log_p == -math.inf:
        return math.inf
    return max(math.ceil(math.log1p(-p) / math.log1p(-math.exp(log_p))), 1)


def statistics(case):
    rows, skipped, at_end, refined = slide(case)
    log_p = np.array([r["log_p"] for r in rows])
    top = np.array([r["log_p_top_k"] for r in rows])
    without = np.array([r["log_p_without_prompt"] for r in rows])
    suffix = case["chunkTokens"] - case["promptTokens"]
    character_max = [np.full(len(t), -np.inf) for t in TEXTS]
    for r in rows + refined:
        of = character_max[r["document"]][r["start"] : r["end"]]
        np.maximum(of, r["log_p"], out=of)
    characters = np.concatenate(character_max)
    discoverable = []
    for k, values in ((0, log_p), (case["topK"], top)):
        for p in (0.1, 0.5, 0.9, 0.99, 0.999):
            n = np.array([tries(p, v) for v in values], dtype=float)
            discoverable.append(dict(topK=k, p=p, shares=[float(np.mean(n <= 10.0**d)) for d in range(13)], possible=float(np.mean(np.isfinite(n)))))
    infinite = lambda values: [None if v == -math.inf else float(v) for v in values]
    for r in rows + refined:
        r["log_p_top_k"] = infinite([r["log_p_top_k"]])[0]
    merged = sorted([(r["document"], r["start"], 0, r) for r in rows] + [(r["document"], r["start"], 1, r) for r in refined], key=lambda x: x[:3])
    return dict(
        case=case, skipped=skipped, skippedAtEnd=at_end, rows=[r for *_, r in merged], windows=len(rows), refining=len(refined),
        character_max=[infinite(c) for c in character_max],
        max=float(log_p.max()), mean=float(log_p.mean()), without=float(without.mean()),
        greedy=int(sum(r["greedy_tokens"] == suffix for r in rows)),
        thresholds=[dict(p=p, windows=int((log_p >= math.log(p)).sum()), topK=int((top >= math.log(p)).sum()),
                         easy=int(((log_p >= math.log(p)) & (without >= math.log(1e-4))).sum()),
                         characters=int((characters >= math.log(p)).sum())) for p in THRESHOLDS],
        discoverable=discoverable,
    )


if __name__ == "__main__":
    result = dict(texts=TEXTS, cases={name: statistics(case) for name, case in CASES.items()})
    extreme = [(p, v) for p in (0.1, 0.5, 0.999) for v in (-1e-3, -0.7, -5.0, -30.0, -36.0)]
    result["tries"] = [dict(p=p, logP=v, n=tries(p, v)) for p, v in extreme]
    # ln n = ln(-ln(1-p)) - ln(p_z), as far as -ln(1-p_z) is p_z.
    result["log10Tries"] = [dict(p=p, logP=v, log10=(math.log(-math.log1p(-p)) - v) / math.log(10)) for p in (0.1, 0.5, 0.999) for v in (-80.0, -400.0, -1e5)]
    print(json.dumps(result, separators=(",", ":"), ensure_ascii=True))
