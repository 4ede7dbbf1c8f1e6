"""Scores the census's surnames from a Parquet file into another.

    python examples/surnames/score_parquet.py [scored.parquet]

It makes the first file, surnames.parquet, beside the second; needs the extra [table].
"""

import sys
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet as pq
from encoder import encode

import rnn_core

HERE = Path(__file__).parent
GROUPS = ["api", "black", "hispanic", "white"]


def main(target: Path) -> None:
    """Score all surnames, and print the first."""
    source = target.with_name("surnames.parquet")
    pq.write_table(pyarrow.csv.read_csv(HERE / "census_2010_surnames.csv.gz"), source)
    done = rnn_core.score_table(
        HERE / "census2010_ln_lstm.h5",
        source,
        target,
        columns=["name"],
        encoder=encode,
        keep=["name"],
        names=GROUPS,
        overwrite=True,  # parts of a run that was interrupted
    )
    print(f"{done.rows:,} rows in {target}, the first:")
    for name, *scores in zip(*pq.read_table(target).slice(0, 3).to_pydict().values(), strict=True):
        print(name, *(f"{group} {p:.3f}" for group, p in zip(GROUPS, scores, strict=True)))


if __name__ == "__main__":
    main(Path(*sys.argv[1:] or ["scored.parquet"]))
