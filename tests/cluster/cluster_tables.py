"""Tables of rows for engines, and what they are to become."""

import pyarrow as pa
import pyarrow.parquet as pq

ROWS, PART = 100, 32


def rows_of(rng, first, rows):
    ids = [rng.integers(1, 30, rng.integers(1, 9)).tolist() for _ in range(rows)]
    return {"key": range(first, first + rows), "name": [f"n{first}"] * rows, "ids": ids}


def expected(scorer, table):
    """What this process gives for the whole table at once."""
    files = [pq.read_table(path) for path in sorted(table.iterdir())]
    return scorer(pa.concat_tables(files))


def contents(directory):
    return {path.name: path.read_bytes() for path in sorted(directory.glob("part-*"))}


def spoil(path, row, value):
    data = pq.read_table(path)
    ids = data["ids"].to_pylist()
    ids[row] = value
    spoiled = data.set_column(2, "ids", pa.array(ids, pa.list_(pa.int64())))
    pq.write_table(spoiled, path, row_group_size=45)
