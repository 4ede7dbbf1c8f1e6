"""score_table from Parquet to Parquet against predict on the same rows in memory.

    python benchmarks/bench_table.py --rows 10000000

Both run in processes of their own, on the same cores, in turn: predict on the rows of one part of
the file, which are decoded beforehand; and the whole file, read, scored, kept with its ids and
written. Reports rows a second of both, the table's peak memory, and whether every row is there, in
order, with predict's bits where that ran. The rows are those of bench_cluster.py.
"""

import argparse
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from bench_cluster import GROUP_ROWS, MODEL, OUTPUTS, make


def part_of(path):
    """Return the ids of the first part of a file's rows."""
    column = pq.ParquetFile(path).read_row_group(0, ["ids"])["ids"].combine_chunks()
    return column.flatten().to_numpy().reshape(len(column), -1)


def serve_predict(path, pipe):
    """Answer each request with rows a second and the scores."""
    import rnn_core

    model, x = rnn_core.load(MODEL), part_of(path)
    model.predict(x[:5000])
    while pipe.recv():
        begin = time.perf_counter()
        scores = model.predict(x)
        pipe.send((len(x) / (time.perf_counter() - begin), scores))


def score(path, output, pipe):
    """Send rows a second and the peak memory in bytes."""
    import rnn_core

    scorer = rnn_core.Scorer(MODEL, ["ids"], keep=["id"], names=OUTPUTS)
    begin = time.perf_counter()
    rows = rnn_core.score_table(scorer, path, output).rows
    seconds = time.perf_counter() - begin
    pipe.send((rows / seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))


def check(path, output, rows, scores):
    """Raise if rows are missing or out of order, or are not what predict gives."""
    table = pq.read_table(output)
    if table.num_rows != rows or not np.array_equal(table["id"].to_numpy(), np.arange(rows)):
        raise ValueError("rows are missing or out of order")
    ours = np.stack([table[name].to_numpy()[: len(scores)] for name in OUTPUTS], axis=1)
    if not np.array_equal(ours, scores):
        raise ValueError("the table's scores are not predict's")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--samples", type=int, default=5, help="of predict, before and after")
    parser.add_argument("--directory", help="for the files; default: a temporary one")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-options.threads :])
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(dir=options.directory) as place:
        path, output = Path(place, "rows.parquet"), Path(place, "scores.parquet")
        make(path, options.rows)
        pipe, theirs = context.Pipe()
        context.Process(target=serve_predict, args=(path, theirs), daemon=True).start()

        def sample():
            pipe.send(True)
            return pipe.recv()

        rates = [sample()[0] for _ in range(options.samples)]
        ours, theirs = context.Pipe()
        process = context.Process(target=score, args=(path, output, theirs))
        process.start()
        rate, peak = ours.recv()
        process.join()
        rates += [sample()[0] for _ in range(options.samples)]
        check(path, output, options.rows, sample()[1])
        pipe.send(False)
    predicted = statistics.median(rates)
    print(f"{options.rows:,} rows, {options.threads} threads, parts of up to {GROUP_ROWS:,} rows")
    print(f"predict      {predicted:10,.0f} rows/s  ({min(rates):,.0f} to {max(rates):,.0f})")
    print(f"score_table  {rate:10,.0f} rows/s, {rate / predicted:.0%}, peak {peak / 1e6:,.0f} MB")


if __name__ == "__main__":
    main()
