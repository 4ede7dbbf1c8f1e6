"""Scores the census's surnames from a Parquet file into another, a part at a time.

    python examples/surnames/score_parquet.py [scored.parquet]

It makes the first file, surnames.parquet, beside the second; needs pyarrow.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from encoder import encode

import rnn_core

HERE = Path(__file__).parent
GROUPS = ["api", "black", "hispanic", "white"]


def write_surnames(path: Path) -> None:
    """Make a Parquet file of the census's CSV."""
    pq.write_table(pa.csv.read_csv(HERE / "census_2010_surnames.csv.gz"), path)


def scored(model: Any, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield each batch's names with the model's scores, a column for each group."""
    for batch in batches:
        names = batch.column("name")
        scores = model.predict(encode(names.to_pylist()))  # (rows, 4), float32
        yield pa.record_batch([names, *scores.T], names=["name", *GROUPS])


def main(target: Path) -> None:
    """Score all surnames."""
    source = target.with_name("surnames.parquet")
    write_surnames(source)
    model = rnn_core.load(HERE / "census2010_ln_lstm.h5")
    schema = pa.schema([("name", pa.string()), *((group, pa.float32()) for group in GROUPS)])
    with pq.ParquetFile(source) as file, pq.ParquetWriter(target, schema) as writer:
        for batch in scored(model, file.iter_batches(columns=["name"])):
            writer.write_batch(batch)
    print(f"{pq.read_metadata(target).num_rows:,} rows in {target}, the first:")
    for name, *scores in zip(*pq.read_table(target).slice(0, 3).to_pydict().values(), strict=True):
        print(name, *(f"{group} {p:.3f}" for group, p in zip(GROUPS, scores, strict=True)))


if __name__ == "__main__":
    main(Path(*sys.argv[1:] or ["scored.parquet"]))
