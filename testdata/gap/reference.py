"""An independent reference of the gap report's numbers, slow and in memory.

Usage: reference.py A B OUT

A and B are directories with one directory per dataset, each with exported.parquet and, if it has one, ledger.parquet.
Writes to OUT, as JSON, the lists of summary.json that Marin's report has too. Bytes that a ledger marks as unscored are
removed from both sides first.
"""

import json
import math
import pathlib
import sys

import numpy as np
import pyarrow.parquet as pq
import regex

BITS = float(np.log2(np.e))
SEGMENT = regex.compile(
    r"(?P<url>(?:https?://|www\.)\S+)|(?P<space>\s+)|(?P<number>\p{N}+(?:[.,:/-]\p{N}+)*)"
    r"|(?P<word>[\p{L}\p{M}_]+(?:['’-][\p{L}\p{M}_]+)*)|(?P<other>[^\p{L}\p{M}\p{N}\s]+)"
)
SHOWN = {" ": "␠", "\n": "⏎", "\t": "⇥", "\r": "↵"}


def show(text):
    return "".join(SHOWN.get(c, c) for c in text)


def cut(text, limit):
    return text if len(text) <= limit else text[: limit - 1] + "…"


def around(text, start, end):
    """The text around characters [start, end)."""
    if len(text) <= 120:
        return show(text)
    low = max(0, (start + end) // 2 - 59)
    high = min(len(text), low + 118)
    low = max(0, high - 118)
    return ("…" if low else "") + show(text[low:high]) + ("…" if high < len(text) else "")


def bucket(piece):
    if piece.isspace():
        kinds = set(piece)
        if kinds & {"\t", "\r"}:
            return "whitespace/tab_or_cr"
        for c, one, many in ((" ", "single_space", "multi_space"), ("\n", "newline", "multi_newline")):
            if kinds == {c}:
                return "whitespace/" + (one if len(piece) == 1 else many)
        return "whitespace/mixed"
    match = SEGMENT.match(piece)
    kind = match.lastgroup if match.end() == len(piece) else "other"
    if kind in ("url", "number"):
        return "text/" + kind
    if kind == "word":
        return "text/word" if piece.isascii() else "text/non_ascii_word"
    return "text/punctuation" if piece.isascii() else "text/non_ascii"


class Sum:
    def __init__(self):
        self.a = self.b = 0.0
        self.bytes = self.count = 0

    def add(self, a, b, size, count=1):
        self.a += a
        self.b += b
        self.bytes += size
        self.count += count

    @property
    def delta(self):
        return (self.a - self.b) * BITS

    def row(self, name):
        def per_byte(nats):
            return nats * BITS / self.bytes if self.bytes else None

        return {
            "name": name,
            "documents": self.count,
            "bytes": self.bytes,
            "model_a_bpb": per_byte(self.a),
            "model_b_bpb": per_byte(self.b),
            "gap_bpb": per_byte(self.a - self.b),
            "delta_bits": self.delta,
        }


def boundaries(raw, low, high, document):
    shown = []
    for start, end in zip(document["token_byte_starts"], document["token_byte_ends"]):
        if start < 0 or end <= max(start, low) or start >= high:
            continue
        piece = show(raw[max(start, low) : min(end, high)].decode("utf-8", "surrogateescape"))
        piece = regex.sub("[\udc80-\udcff]+", "\ufffd", piece)
        shown.append(("…" if start < low else "") + piece + ("…" if end > high else ""))
    return "|" + "|".join(shown) + "|" if shown else "(no aligned tokens)"


def read(directory):
    documents = {}
    for path in sorted(pathlib.Path(directory).glob("**/exported.parquet")):
        ledger = path.with_name("ledger.parquet")
        unscored = {}
        if ledger.exists():
            for row in pq.read_table(ledger).to_pylist():
                unscored[row["shard_name"], row["row_index"]] = list(zip(row["unscored_starts"], row["unscored_ends"]))
        for row in pq.read_table(path).to_pylist():
            row["unscored"] = unscored.get((row["shard_name"], row["row_index"]), [])
            documents[row["dataset_name"], row["shard_name"], row["row_index"]] = row
    return documents


def by_size(rows):
    return sorted(sorted(rows, key=lambda r: r["name"]), key=lambda r: -abs(r["delta_bits"]))


def top(rows, limit):
    return {
        "model_a_worse": sorted((r for r in rows if r["delta_bits"] > 0), key=lambda r: -r["delta_bits"])[:limit],
        "model_b_worse": sorted((r for r in rows if r["delta_bits"] < 0), key=lambda r: r["delta_bits"])[:limit],
    }


def compare(side_a, side_b):
    assert side_a.keys() == side_b.keys()
    datasets, buckets, literals, examples, groups = {}, {}, {}, {}, {}
    documents, segments = [], []
    for key in sorted(side_a):
        a, b = side_a[key], side_b[key]
        name, text = key[0], a["text"]
        raw = text.encode()
        for label in [*a["tags"], name]:
            parts = label.split("/")
            for n in range(1, len(parts) + 1):
                groups.setdefault("/".join(parts[:n]), set()).add(name)
        losses_a, losses_b = np.array(a["per_byte_loss"]), np.array(b["per_byte_loss"])
        counted = np.ones(len(raw), dtype=np.int64)
        for start, end in a["unscored"] + b["unscored"]:
            start, end = max(start, a["score_byte_start"]), min(end, a["score_byte_end"])
            if start < end:
                counted[start:end] = 0
        losses_a, losses_b = np.where(counted, losses_a, 0.0), np.where(counted, losses_b, 0.0)
        low, high = a["score_byte_start"], a["score_byte_end"]
        whole = Sum()
        whole.add(float(losses_a[low:high].sum()), float(losses_b[low:high].sum()), int(counted[low:high].sum()))
        datasets.setdefault(name, Sum()).add(whole.a, whole.b, whole.bytes)
        if not whole.bytes:
            continue
        run_a, run_b = np.cumsum(losses_a), np.cumsum(losses_b)
        starts = [0]
        for c in text:
            starts.append(starts[-1] + len(c.encode()))
        position = {byte: char for char, byte in enumerate(starts)}

        def round_up(byte):
            while byte not in position:
                byte += 1
            return position[byte]

        def between(run, first, last):
            return float(run[last - 1] if last else 0.0) - float(run[first - 1] if first else 0.0)

        worst = {1: None, -1: None}
        for match in SEGMENT.finditer(text):
            first, last = max(starts[match.start()], low), min(starts[match.end()], high)
            if first >= last:
                continue
            from_char, to_char = round_up(first), round_up(last)
            piece = text[from_char:to_char]
            size = int(counted[first:last].sum())
            if not piece or not size:
                continue
            one = Sum()
            one.add(between(run_a, first, last), between(run_b, first, last), size)
            label = bucket(piece)
            buckets.setdefault(label, Sum()).add(one.a, one.b, size)
            if last - first <= 32:
                literals.setdefault((label, show(piece)), Sum()).add(one.a, one.b, size)
                held = examples.get((label, show(piece)))
                if held is None or abs(one.delta) > held[0]:
                    examples[label, show(piece)] = abs(one.delta), {
                        "example_dataset": name,
                        "example_doc_preview": around(text, from_char, to_char),
                        "model_a_token_boundaries": boundaries(raw, first, last, a),
                        "model_b_token_boundaries": boundaries(raw, first, last, b),
                    }
            if one.delta == 0:
                continue
            sign = int(math.copysign(1, one.delta))
            if worst[sign] is None or abs(one.delta) > abs(worst[sign][0].delta):
                worst[sign] = one, from_char, to_char, label, first, last
            segments.append(
                {
                    "dataset": name,
                    "bucket": label,
                    "bytes": size,
                    "delta_bits": one.delta,
                    "gap_bpb": one.delta / size,
                    "text": cut(show(piece), 32),
                    "doc_preview": around(text, from_char, to_char),
                }
            )
        row = whole.row(name)
        found = worst[int(math.copysign(1, whole.delta))] if whole.delta else None
        documents.append(
            {
                "dataset": name,
                "shard": key[1],
                "row_index": key[2],
                "score_byte_start": low,
                "score_byte_end": high,
                **{k: row[k] for k in ("bytes", "model_a_bpb", "model_b_bpb", "gap_bpb", "delta_bits")},
                "worst_bucket": found[3] if found else None,
                "worst_text": cut(show(text[found[1] : found[2]]), 32) if found else None,
                "worst_gap_bpb": found[0].delta / found[0].bytes if found else None,
                "worst_byte_start": found[4] if found else None,
                "worst_byte_end": found[5] if found else None,
                "preview": around(text, found[1], found[2]) if found else cut(show(text), 120),
            }
        )
    group_rows = []
    for group, members in groups.items():
        total = Sum()
        for name in sorted(members):
            total.add(datasets[name].a, datasets[name].b, datasets[name].bytes, datasets[name].count)
        if total.bytes and members != {group}:
            group_rows.append(total.row(group))
    overall = Sum()
    for name in sorted(datasets):
        overall.add(datasets[name].a, datasets[name].b, datasets[name].bytes, datasets[name].count)
    return {
        "overall": overall.row("overall"),
        "datasets": by_size(s.row(n) for n, s in datasets.items()),
        "dataset_groups": by_size(group_rows),
        "pattern_buckets": by_size(s.row(n) for n, s in buckets.items()),
        "top_documents": top(documents, 25),
        "top_segments": top(segments, 40),
        "top_literals": top([{**s.row(n), "bucket": b, **examples[b, n][1]} for (b, n), s in literals.items()], 40),
    }


if __name__ == "__main__":
    _, directory_a, directory_b, out = sys.argv
    pathlib.Path(out).write_text(json.dumps(compare(read(directory_a), read(directory_b))))
