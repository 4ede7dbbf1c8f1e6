"""Tables of single steps to tables of sequences, one a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rnn_core._scoring.arrow import check_columns, column_of, is_text, pyarrow
from rnn_core._scoring.faults import BadRows
from rnn_core._scoring.sequences import parse
from rnn_core._scoring.sources import Source


class Groups:
    """The rows of a source grouped by an id, in the order of its first appearance.

    Each row is an id, the columns to keep as they are in the id's first step, and a list of each
    column's values in the order of time; steps of one time are in the file's order.

    Args:
        source: a step a row.
        path: of its file, for messages.
        by: the column of ids.
        order: the column of times, or None for the file's order.
        keep: columns of which an id's first value is kept.
        columns: whose values become lists.
        skip: whether a cell that is no number becomes a null of the list, or is an error.

    Raises:
        ValueError: a column that is missing, or both kept and to become lists; an id or a time that
            is null.
    """

    def __init__(
        self,
        source: Source,
        path: Path,
        by: str,
        order: str | None,
        keep: Sequence[str],
        columns: Sequence[str],
        skip: bool,
    ) -> None:
        pa = pyarrow()
        from pyarrow import compute

        wanted = [by, *keep, *columns, *([order] if order else [])]
        check_columns(source.schema, wanted)
        both = [name for name in dict.fromkeys([by, *keep]) if name in columns]
        if both:
            raise ValueError(f"column {both[0]!r} is both kept, once for an id, and an input")
        names = list(dict.fromkeys(wanted))
        batches = list(source.batches(0, names))
        fields = [source.schema.field(name) for name in names]
        table = pa.Table.from_batches(batches, pa.schema(fields))
        ids = column_of(table, by)
        _refuse_nulls(path, by, ids)
        coded = ids.dictionary_encode()
        codes = coded.indices
        counts = np.bincount(codes.to_numpy(), minlength=len(coded.dictionary))
        offsets = np.concatenate([[0], np.cumsum(counts)])
        times = pa.array(np.arange(len(ids))) if order is None else _times(path, table, order)
        keys = pa.table({"id": codes, "time": times})
        # Stable: steps of one time stay in the file's order.
        sorted_rows = compute.sort_indices(
            keys, sort_keys=[("id", "ascending"), ("time", "ascending")]
        )
        firsts = sorted_rows.take(pa.array(offsets[:-1]))
        arrays = {by: coded.dictionary}
        for name in keep:
            if name != by:
                arrays[name] = column_of(table, name).take(firsts)
        for name in columns:
            column = _numbers(path, name, column_of(table, name), skip).take(sorted_rows)
            arrays[name] = pa.LargeListArray.from_arrays(pa.array(offsets), column)
        self._table = pa.table(arrays)
        self.schema, self.rows = self._table.schema, self._table.num_rows

    def batches(self, start: int, columns: Sequence[str]) -> Iterator[Any]:
        """Yield record batches of some columns from a row on."""
        yield from self._table.select(columns).slice(start).to_batches(max_chunksize=1 << 16)

    def name_of(self, row: int) -> Any:
        """Return a row's id."""
        return self._table.column(0)[row].as_py()


def _refuse_nulls(path: Path, name: str, column: Any) -> None:
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
        raise ValueError(f"{path}, row {row + 1:,}: column {name!r} is null")


def _times(path: Path, table: Any, name: str) -> Any:
    """Return a column to order by: text that holds numbers as numbers, other text as text."""
    column = column_of(table, name)
    _refuse_nulls(path, name, column)
    if is_text(column.type):
        pa = pyarrow()
        for kind in (pa.int64(), pa.float64()):
            try:
                return column.cast(kind)
            except pa.ArrowInvalid:
                continue
    return column


def _numbers(path: Path, name: str, column: Any, skip: bool) -> Any:
    """Return a column, text as the numbers it holds."""
    if not is_text(column.type):
        return column
    pa = pyarrow()
    from pyarrow import compute

    absent = column.is_null().to_numpy(zero_copy_only=False).copy()
    column = column.fill_null("0")
    try:
        return pa.array(parse(name, column), mask=absent)
    except BadRows as bad:
        if not skip:
            row = int(bad.rows[0])
            message = f"{path}, row {row + 1:,}: column {name!r} {bad.why(row)}"
            raise ValueError(message) from None
        absent[bad.rows] = True
    return pa.array(parse(name, compute.if_else(pa.array(absent), "0", column)), mask=absent)
