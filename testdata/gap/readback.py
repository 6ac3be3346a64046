"""Reads every column of a table with pyarrow and with DuckDB and prints the result as JSON.

Usage: readback.py TABLE.parquet

The output has the columns' types by both readers and the rows as columns of values. Doubles are hexadecimal, so that
they can be compared bit by bit. The two readers' values must be equal.
"""

import json
import sys

import duckdb
import pyarrow.parquet as pq


def exact(value):
    if isinstance(value, float):
        return value.hex()
    if isinstance(value, list):
        return [exact(v) for v in value]
    return value


path = sys.argv[1]
table = pq.read_table(path)
arrow = {name: exact(table[name].to_pylist()) for name in table.column_names}
relation = duckdb.sql(f"select * from read_parquet('{path}')")
rows = relation.fetchall()
duck = {name: exact([row[i] for row in rows]) for i, name in enumerate(relation.columns)}
assert arrow == duck, "pyarrow and DuckDB read different values"
json.dump(
    {
        "arrow": {f.name: str(f.type) for f in table.schema},
        "duckdb": dict(zip(relation.columns, map(str, relation.types))),
        "codecs": sorted({pq.ParquetFile(path).metadata.row_group(0).column(i).compression for i in range(pq.ParquetFile(path).metadata.num_columns)}),
        "values": arrow,
    },
    sys.stdout,
)
