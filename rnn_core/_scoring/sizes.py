"""How many rows a part has, which is scored and written as one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from rnn_core._scoring.arrow import is_list, is_text, pyarrow
from rnn_core._scoring.faults import BadRow
from rnn_core._scoring.scorer import Scorer

# Enough that many rows begin alike, few enough that three parts fit in memory beside each other,
# by these bytes of input and output.
MIN_ROWS, MAX_ROWS = 1 << 4, 1 << 18
PART_BYTES = 64 << 20
SAMPLE_ROWS = 256
# A part is cut between pieces of it where its rows are longer than the first ones are: into so
# many at most, fewer if there are many columns to measure.
_PIECES, _FEWEST_PIECES = 256, 4


def part_rows(scorer: Scorer, sample: Any) -> int:
    """Return the number of a part's rows, from the bytes of the first `SAMPLE_ROWS` rows."""
    if not sample.num_rows:
        return MAX_ROWS
    size = sample.nbytes
    # Rows that cannot be scored are named where they are scored.
    with suppress(BadRow):
        size += scorer(sample).nbytes
    return fitting(MAX_ROWS, size / sample.num_rows)


def fitting(most: int, row_bytes: float) -> int:
    """Return how many rows of so many bytes a part has, a power of two or as many as it may."""
    rows = int(PART_BYTES / max(row_bytes, 1))
    return min(most, max(MIN_ROWS, 1 << rows.bit_length() >> 1))


def parts_of(batches: Iterable[Any], schema: Any, part_rows: int) -> Iterator[Any]:
    """Yield record batches' rows as tables of so many rows, or of fewer if these are long.

    Where a table ends depends on the rows from its first one on, not on the batches: what begins
    with one of the tables has the same tables from there on.

    Args:
        batches: all of one schema.
        schema: theirs.
        part_rows: at most.
    """
    pa = pyarrow()
    fixed = {field.name: _row_bytes(field.type) for field in schema}
    varying = [name for name, size in fixed.items() if size is None]
    row_bytes = sum(size for size in fixed.values() if size is not None)
    piece_rows = max(1, part_rows // max(_FEWEST_PIECES, _PIECES // max(1, len(varying))))
    held: list[Any] = []
    rows = size = 0  # of the whole pieces that are held
    open_rows = open_size = 0  # of the piece after them

    def cut(count: int) -> Any:
        nonlocal held, rows, size
        whole = pa.Table.from_batches(held, schema)
        held, rows, size = whole.slice(count).to_batches(), 0, 0
        return whole.slice(0, count)

    for batch in batches:
        held.append(batch)
        columns = [batch.column(name) for name in varying]
        at = 0
        while at < batch.num_rows:
            count = min(piece_rows - open_rows, batch.num_rows - at)
            some = [column.slice(at, count) for column in columns]
            open_size += row_bytes * count + sum(map(_value_bytes, some))
            at, open_rows = at + count, open_rows + count
            if rows and size + open_size > PART_BYTES:
                yield cut(rows)
            if open_rows == piece_rows:
                rows, size = rows + open_rows, size + open_size
                open_rows = open_size = 0
            if rows + piece_rows > part_rows:
                yield cut(rows)
    if rows + open_rows:
        yield cut(rows + open_rows)


def _row_bytes(kind: Any) -> int | None:
    """Return how many bytes a row's values of a type take, None if that depends on the row."""
    count = 1
    while pyarrow().types.is_fixed_size_list(kind):
        count, kind = count * kind.list_size, kind.value_type
    if is_list(kind) or _is_bytes(kind):
        return None
    try:
        return count * max(1, int(kind.bit_width) // 8)
    except ValueError:  # of a kind that is only ever copied
        return count * 8


def _value_bytes(array: Any) -> int:
    """Return how many bytes a column's values take: a sum over its rows."""
    from pyarrow import compute

    while is_list(array.type):
        array = array.flatten()
    if _is_bytes(array.type):
        return compute.sum(compute.binary_length(array)).as_py() or 0
    return len(array) * (_row_bytes(array.type) or 0)


def _is_bytes(kind: Any) -> bool:
    types = pyarrow().types
    return bool(is_text(kind) or types.is_binary(kind) or types.is_large_binary(kind))
