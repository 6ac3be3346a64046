"""Writes scored documents with pyarrow, in several ways, and prints the rows as JSON.

Usage: foreign.py DIR

Every file holds the same rows, as one row group.
"""

import json
import pathlib
import random
import sys

import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA = pa.schema(
    [
        ("dataset_name", pa.string()),
        ("tags", pa.list_(pa.string())),
        ("shard_name", pa.string()),
        ("row_index", pa.int64()),
        ("text", pa.string()),
        ("score_byte_start", pa.int32()),
        ("score_byte_end", pa.int32()),
        ("token_ids", pa.list_(pa.int32())),
        ("per_byte_loss", pa.list_(pa.float64())),
        ("token_byte_starts", pa.list_(pa.int32())),
        ("token_byte_ends", pa.list_(pa.int32())),
        ("num_bytes", pa.int32()),
    ]
)

rng = random.Random(0)
rows = []
for index in range(150):
    text = "".join(rng.choice("ab é🙂\n") for _ in range(rng.choice([0, 1, 10, 200, 3000])))
    size = len(text.encode())
    cuts = sorted({0, size, *(rng.randrange(size + 1) for _ in range(size // 3))})
    losses = []
    for start, end in zip(cuts, cuts[1:]):
        losses += [rng.choice([rng.expovariate(1), 0.25])] * (end - start)
    rows.append(
        {
            "dataset_name": "d" if index < 100 else "e",
            "tags": ["x", "y/z"][: index % 3],
            "shard_name": "part",
            "row_index": index,
            "text": text,
            "score_byte_start": 0,
            "score_byte_end": size,
            "token_ids": [-1 % 50000, *(rng.randrange(50000) for _ in cuts[1:])],
            "per_byte_loss": losses,
            "token_byte_starts": [-1, *cuts[:-1]],
            "token_byte_ends": [-1, *cuts[1:]],
            "num_bytes": size,
        }
    )
table = pa.Table.from_pylist(rows, schema=SCHEMA)
directory = pathlib.Path(sys.argv[1])
for name, options in {
    "default": {},
    "fallback": {"dictionary_pagesize_limit": 2000},
    "plain": {"use_dictionary": False},
    "small-pages": {"data_page_size": 1000},
    "second-pages": {"data_page_version": "2.0", "data_page_size": 5000},
    "zstd": {"compression": "zstd"},
    "old-lists": {"use_compliant_nested_type": False, "version": "1.0", "compression": "none"},
    "split": {"use_dictionary": False, "column_encoding": {"per_byte_loss.list.element": "BYTE_STREAM_SPLIT"}},
}.items():
    pq.write_table(table, directory / f"{name}.parquet", **options)
json.dump(rows, sys.stdout)
