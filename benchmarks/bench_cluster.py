"""Surnames from Parquet to Parquet: workers of Ray and Spark against this process alone.

    python benchmarks/bench_cluster.py --rows 10000000

Each engine runs in a process of its own, on the same cores, one after the other: all cores in one
process, then as many workers of one thread each. Rows are made of the beginnings and ends of the
162,254 surnames, which makes others that begin and end as real ones do. A run of few rows says what
an engine costs to start; it is taken from the long one for the rate without the start. All give the
same table, which is checked.
"""

import argparse
import contextlib
import csv
import gzip
import importlib.util
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROOT = Path(__file__).parents[1]
SURNAMES = ROOT / "examples/surnames"
MODEL = SURNAMES / "census2010_ln_lstm.h5"
OUTPUTS = ["api", "black", "hispanic", "white"]
GROUP_ROWS = 1 << 18
PACKAGES = {"local": "pyarrow", "ray": "ray", "spark": "pyspark"}


def make(path, rows):
    """Write a table of an id and the 20 bigrams of a made-up name a row."""
    sys.path.insert(0, str(ROOT))
    from examples.surnames.encoder import encode

    with gzip.open(SURNAMES / "census_2010_surnames.csv.gz", "rt") as file:
        names = np.array([row["name"] for row in csv.DictReader(file)])
    rng = np.random.default_rng(0)
    schema = pa.schema([("id", pa.int64()), ("ids", pa.list_(pa.int32(), 20))])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, rows, GROUP_ROWS):
            count = min(GROUP_ROWS, rows - start)
            begins, ends = rng.choice(names, (2, count))
            made = [a[: len(a) // 2] + b[len(b) // 2 :] for a, b in zip(begins, ends, strict=True)]
            ids = pa.FixedSizeListArray.from_arrays(pa.array(encode(made).ravel()), 20)
            columns = [pa.array(np.arange(start, start + count)), ids]
            writer.write_table(pa.table(columns, schema=schema))


def run(engine, path, output, workers, pipe):
    """Send the seconds that a run takes."""
    import rnn_core

    scorer = rnn_core.Scorer(MODEL, ["ids"], keep=["id"], names=OUTPUTS)
    options = {} if engine == "local" else {"engine": engine, "workers": workers}
    begin = time.perf_counter()
    rnn_core.score_table(scorer, path, output, **options)
    pipe.send(time.perf_counter() - begin)


def timed(*arguments):
    """Run in a new process, which no engine's threads are left in."""
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    process = context.Process(target=run, args=(*arguments, theirs))
    process.start()
    theirs.close()
    try:
        return pipe.recv()
    finally:
        process.join()


def check(outputs, rows):
    """Raise if a table is not that of the first, to the bit and in order."""
    first, *others = (pq.read_table(output) for output in outputs)
    if first.num_rows != rows or not pc.all(pc.equal(first["id"], pa.array(np.arange(rows)))):
        raise ValueError("rows are missing or out of order")
    for other in others:
        if not other.equals(first):
            raise ValueError("the engines' tables differ")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--engines", default="ray,spark")
    parser.add_argument("--directory", help="for the files; default: a temporary one")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-options.workers :])
    engines = ["local", *options.engines.split(",")]
    with contextlib.ExitStack() as stack:
        place = options.directory or stack.enter_context(tempfile.TemporaryDirectory())
        few, many = Path(place, "few.parquet"), Path(place, f"{options.rows}.parquet")
        make(few, 1000)
        make(many, options.rows)
        outputs, rates = [], {}
        print(f"{options.rows:,} rows, {options.workers} workers of one thread")
        print("engine  start s   whole s   rows/s  without start   of local")
        for engine in engines:
            if not importlib.util.find_spec(PACKAGES[engine]):
                print(f"{engine} is left out: {PACKAGES[engine]} not installed")
                continue
            start = timed(engine, few, Path(place, f"{engine}-few.parquet"), options.workers)
            outputs.append(Path(place, f"{engine}.parquet"))
            seconds = timed(engine, many, outputs[-1], options.workers)
            whole, later = options.rows / seconds, options.rows / (seconds - start)
            rates[engine] = later
            print(
                f"{engine:6} {start:8.1f} {seconds:9.1f} {whole:8,.0f} {later:14,.0f} "
                f"{later / rates['local']:10.2f}"
            )
        check(outputs, options.rows)


if __name__ == "__main__":
    main()
