"""Tables in files, read by record batch."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rnn_core._scoring.arrow import column_of, is_list, pyarrow
from rnn_core._tables import first_line_names, read_arrays

# What is read at once, at most.
_BATCH_ROWS = 1 << 16
_BLOCK_BYTES = 4 << 20


def _batch_rows(rows: int, size: int) -> int:
    """Return the rows to a batch, given the bytes of all rows."""
    return max(1, min(_BATCH_ROWS, 2 * _BLOCK_BYTES * rows // max(size, 1)))


def _is_damage(error: Exception) -> bool:
    """Return whether an error says that a file that is there cannot be read."""
    errors = (OSError, EOFError, UnicodeDecodeError, csv.Error, zlib.error)
    damage = isinstance(error, (pyarrow().ArrowException, *errors))
    return damage and not isinstance(error, (FileNotFoundError, MemoryError))


def _in_words(error: Exception) -> str:
    return " ".join(str(error).split())


@contextmanager
def _opening(path: Path) -> Iterator[None]:
    """Raise ValueError that names the file for whatever is wrong in it."""
    try:
        yield
    except Exception as error:
        if not _is_damage(error):
            raise
        raise ValueError(f"cannot read {path}: {_in_words(error)}") from error


@dataclass(frozen=True)
class Unreadable:
    """Rows [first, last) that cannot be read: a column of them, and why."""

    first: int
    last: int
    column: str
    why: str


class Source:
    """A table in a file.

    Args:
        path: of the file.

    `schema` has all columns' names and types, `rows` is the number of rows if it is known without
    reading them all, and `unreadable` lists what has been passed over.
    """

    schema: Any
    rows: int | None = None

    def __init__(self, path: Path) -> None:
        self.path = path
        self.unreadable: list[Unreadable] = []
        self._inputs: Sequence[str] | None = None

    def pass_over(self, inputs: Sequence[str]) -> None:
        """From now on have rows that cannot be read, as far as it is known which these are.

        They are null in the columns that cannot be read, and in these inputs.
        """
        self._inputs = inputs

    def batches(self, start: int, columns: Sequence[str]) -> Iterator[Any]:
        """Yield record batches of some columns from a row on, dictionaries' values looked up.

        Raises:
            ValueError: a batch is broken; after which row, and in which column if it is one.
        """
        row, batches = start, self._batches(start, columns)
        while True:
            try:
                batch = next(batches, None)
            except Exception as error:
                if not _is_damage(error):
                    raise
                batch = self._without_damage(row, columns, error)
                batches = self._batches(row + batch.num_rows, columns)
            if batch is None:
                return
            row += batch.num_rows
            yield _plain_batch(batch)

    def _batches(self, start: int, columns: Sequence[str]) -> Iterator[Any]:
        raise NotImplementedError

    def _end(self, row: int) -> int | None:
        """Return where the rows end that are read together with one, if it is known."""
        return None

    def _without_damage(self, row: int, columns: Sequence[str], error: Exception) -> Any:
        """Return rows from a broken one on; raise ValueError if they are not to be passed over."""
        pa = pyarrow()
        end = self._end(row)
        last = row if end is None else min(end, row + _BATCH_ROWS)
        arrays = {name: self._column(name, row, last) for name in columns if end is not None}
        broken = [name for name in arrays if arrays[name] is None]
        if self._inputs is None or end is None:
            one = f", column {broken[0]!r}" if len(broken) == 1 else ""
            where = f"{self.path} after row {row:,}{one}"
            raise ValueError(f"cannot read {where}: {_in_words(error)}") from error
        if broken:
            why = f"cannot be read: {_in_words(error)}"
            self.unreadable.append(Unreadable(row, last, ", ".join(broken), why))
        schema = pa.schema([self.schema.field(name) for name in columns])
        for field in schema:
            if arrays[field.name] is None or (broken and field.name in self._inputs):
                arrays[field.name] = pa.nulls(last - row, field.type)
        return pa.RecordBatch.from_arrays(list(arrays.values()), schema=schema)

    def _column(self, name: str, row: int, last: int) -> Any:
        """Return rows of a column as an array, None if they cannot be read."""
        held: list[Any] = []
        try:
            for batch in self._batches(row, [name]):
                held.append(_plain_batch(batch))
                if sum(each.num_rows for each in held) >= last - row:
                    break
        except Exception as error:
            if not _is_damage(error):
                raise
            return None
        return column_of(pyarrow().Table.from_batches(held).slice(0, last - row), name)


def _plain_schema(schema: Any) -> Any:
    """Return a schema whose dictionaries are what they stand for, as files can join them."""
    pa = pyarrow()
    fields = [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in schema
    ]
    return pa.schema(fields)


def _plain_batch(batch: Any) -> Any:
    pa = pyarrow()
    plain = _plain_schema(batch.schema)
    columns = [
        column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=plain)


def _check_offsets(array: Any) -> None:
    """Raise ArrowInvalid for offsets that lead astray, where Arrow aborts or reads anything."""
    pa = pyarrow()
    if pa.types.is_string(array.type):
        array = array.view(pa.binary())
    elif pa.types.is_large_string(array.type):
        array = array.view(pa.large_binary())
    types = pa.types.is_binary, pa.types.is_large_binary, is_list
    array.validate(full=any(test(array.type) for test in types))


class Parquet(Source):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with _opening(path):
            file = self._open()
            self.schema, self.rows = _plain_schema(file.schema_arrow), file.metadata.num_rows

    def _open(self) -> Any:
        from pyarrow import parquet

        # Buffered: a column of a large row group is not read whole.
        return parquet.ParquetFile(self.path, buffer_size=_BLOCK_BYTES)

    def _batches(self, start: int, columns: Sequence[str]) -> Iterator[Any]:
        file = self._open()
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        first_row = 0
        # A group at a time: what is before a broken one is read.
        for index, group in enumerate(groups):
            skipped = min(max(start - first_row, 0), group.num_rows)
            first_row += group.num_rows
            if skipped < group.num_rows:
                count = _batch_rows(group.num_rows, group.total_byte_size)
                batches = file.iter_batches(count, row_groups=[index], columns=list(columns))
                yield from _without(batches, skipped)

    def _end(self, row: int) -> int | None:
        metadata = self._open().metadata
        end = 0
        for index in range(metadata.num_row_groups):
            end += int(metadata.row_group(index).num_rows)
            if row < end:
                return end
        return None


class Ipc(Source):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with _opening(path), self._open(None) as file:
            from pyarrow import dataset

            self.schema = _plain_schema(file.schema)
            self.rows = dataset.dataset(str(path), format="ipc").count_rows()

    def _open(self, fields: list[int] | None) -> Any:
        pa = pyarrow()
        options = pa.ipc.IpcReadOptions(included_fields=fields)
        return pa.ipc.open_file(pa.OSFile(str(self.path)), options=options)

    def _batches(self, start: int, columns: Sequence[str]) -> Iterator[Any]:
        first = 0
        with self._open([self.schema.get_field_index(name) for name in columns]) as file:
            for index in range(file.num_record_batches):
                try:
                    batch = file.get_batch(index).select(columns)
                    for column in batch.columns:
                        _check_offsets(column)
                except (pyarrow().ArrowException, OSError):
                    rows = self._rows_of(index)
                    if rows is None or start < first + rows:
                        raise
                    first += rows
                    continue
                if start < first + batch.num_rows:
                    yield batch.slice(max(0, start - first))
                first += batch.num_rows

    def _rows_of(self, index: int) -> int | None:
        """Return the number of a batch's rows, of which some column may be broken."""
        for field in range(len(self.schema)):
            try:
                with self._open([field]) as file:
                    rows: int = file.get_batch(index).num_rows
                    return rows
            except (pyarrow().ArrowException, OSError):
                continue
        return None

    def _end(self, row: int) -> int | None:
        end = 0
        with self._open(None) as file:
            count = file.num_record_batches
        for index in range(count):
            rows = self._rows_of(index)
            if rows is None or row < end + rows:
                return None if rows is None else end + rows
            end += rows
        return None


class Csv(Source):
    """All columns are text."""

    def __init__(self, path: Path) -> None:
        pa = pyarrow()
        super().__init__(path)
        with _opening(path):
            names, self._has_header = first_line_names(path)
        self.schema = pa.schema([(name, pa.string()) for name in names])

    def _batches(self, start: int, columns: Sequence[str]) -> Iterator[Any]:
        from pyarrow import csv as arrow_csv

        read = arrow_csv.ReadOptions(
            column_names=self.schema.names,
            skip_rows=int(self._has_header),
            block_size=_BLOCK_BYTES,
            # Its errors name the row then.
            use_threads=False,
        )
        # A blank line is a row of a table of one column.
        parse = arrow_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
        types = {name: pyarrow().string() for name in self.schema.names}
        convert = arrow_csv.ConvertOptions(column_types=types, include_columns=list(columns))
        compression = "gzip" if self.path.suffix == ".gz" else None
        with pyarrow().input_stream(str(self.path), compression=compression) as stream:
            try:
                reader = arrow_csv.open_csv(stream, read, parse, convert)
            except pyarrow().ArrowInvalid as error:
                if "Empty CSV file" in str(error):
                    return
                raise
            yield from _without(reader, start)


class Npy(Source):
    """One column, ``x``: numbers, or lists of one length."""

    def __init__(self, path: Path) -> None:
        pa = pyarrow()
        super().__init__(path)
        array = read_arrays(path, None)
        if array.dtype.kind not in "fiub" or not array.ndim or 0 in array.shape[1:]:
            raise ValueError(f"{path} holds {array.dtype} {array.shape}, expected rows of numbers")
        kind = pa.from_numpy_dtype(array.dtype.newbyteorder("="))
        for size in reversed(array.shape[1:]):
            kind = pa.list_(kind, size)
        self.schema = pa.schema([("x", kind)])
        self.rows = self._length = len(array)
        self._count = _batch_rows(self.rows, array.nbytes)

    def _batches(self, start: int, columns: Sequence[str]) -> Iterator[Any]:
        pa = pyarrow()
        for row in range(start, self._length, self._count):
            # Mapped anew each time: pages that were read do not pile up.
            part = read_arrays(self.path, None)[row : row + self._count]
            part = np.ascontiguousarray(part, part.dtype.newbyteorder("="))
            column: Any = pa.array(part.reshape(-1).copy())
            for size in reversed(part.shape[1:]):
                column = pa.FixedSizeListArray.from_arrays(column, size)
            yield pa.RecordBatch.from_arrays([column], schema=self.schema)


def _without(batches: Any, rows: int) -> Iterator[Any]:
    """Yield batches without the first rows."""
    for batch in batches:
        dropped = min(rows, batch.num_rows)
        rows -= dropped
        if dropped < batch.num_rows:
            yield batch.slice(dropped)
