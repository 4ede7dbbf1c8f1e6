"""Tables in files: read by record batch, written as parts, and parts joined."""

from __future__ import annotations

import csv
import gzip
import io
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from rnn_core._scoring.arrow import is_list, is_number, pyarrow
from rnn_core._tables import first_line_names, read_arrays

# What is read at once, at most.
_BATCH_ROWS = 1 << 16
_BLOCK_BYTES = 4 << 20


def _batch_rows(rows: int, size: int) -> int:
    """Return the rows to a batch, given the bytes of all rows."""
    return max(1, min(_BATCH_ROWS, 2 * _BLOCK_BYTES * rows // max(size, 1)))


class Source(Protocol):
    """A table in a file."""

    @property
    def schema(self) -> Any:
        """All columns' names and types."""

    @property
    def rows(self) -> int | None:
        """Their number, if it is known without reading them all."""

    def batches(self, start: int, columns: Sequence[str]) -> Iterator[Any]:
        """Yield record batches of some columns from a row on."""
        ...


@contextmanager
def _reading(path: Path, where: Callable[[], str] = str) -> Iterator[None]:
    """Raise ValueError that names the file, and where in it, for whatever is wrong in it."""
    pa = pyarrow()
    try:
        yield
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError, csv.Error, zlib.error) as e:
        raise ValueError(f"cannot read {path}{where()}: {' '.join(str(e).split())}") from e


_Read = Callable[[int, Sequence[str]], Iterator[Any]]


def _guarded(path: Path, start: int, columns: Sequence[str], read: _Read) -> Iterator[Any]:
    """Yield batches without dictionaries; say after which row and in which column one is broken."""
    row, batches = start, read(start, columns)

    def where() -> str:
        return f" after row {row:,}{_broken(read, row, columns)}"

    while True:
        with _reading(path, where):
            batch = next(batches, None)
        if batch is None:
            return
        row += batch.num_rows
        yield _plain_batch(batch)


def _broken(read: _Read, row: int, columns: Sequence[str]) -> str:
    """Say which columns cannot be read from a row on, unless that is so of all of several."""
    found = []
    for name in columns:
        try:
            next(read(row, [name]), None)
        except (pyarrow().ArrowException, OSError):
            found.append(name)
    whole = len(found) == len(columns) > 1
    return f", column {', '.join(map(repr, found))}" if found and not whole else ""


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


class _Parquet:
    def __init__(self, path: Path) -> None:
        self.path = path
        with _reading(path):
            file = self._open()
            self.schema, self.rows = _plain_schema(file.schema_arrow), file.metadata.num_rows

    def _open(self) -> Any:
        from pyarrow import parquet

        # Buffered: a column of a large row group is not read whole.
        return parquet.ParquetFile(self.path, buffer_size=_BLOCK_BYTES)

    def batches(self, start: int, columns: Sequence[str]) -> Iterator[Any]:
        return _guarded(self.path, start, columns, self._batches)

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


class _Ipc:
    def __init__(self, path: Path) -> None:
        self.path = path
        with _reading(path), self._open(None) as file:
            from pyarrow import dataset

            self.schema = _plain_schema(file.schema)
            self.rows = dataset.dataset(str(path), format="ipc").count_rows()

    def _open(self, fields: list[int] | None) -> Any:
        pa = pyarrow()
        options = pa.ipc.IpcReadOptions(included_fields=fields)
        return pa.ipc.open_file(pa.OSFile(str(self.path)), options=options)

    def batches(self, start: int, columns: Sequence[str]) -> Iterator[Any]:
        return _guarded(self.path, start, columns, self._batches)

    def _batches(self, start: int, columns: Sequence[str]) -> Iterator[Any]:
        with self._open([self.schema.get_field_index(name) for name in columns]) as file:
            each = (file.get_batch(i).select(columns) for i in range(file.num_record_batches))
            for batch in _without(each, start):
                # Arrow takes offsets from the file as they are, and aborts where they lead astray.
                batch.validate(full=True)
                yield batch


class _Csv:
    """All columns are text."""

    def __init__(self, path: Path) -> None:
        pa = pyarrow()
        self.path, self.rows = path, None
        with _reading(path):
            names, self._has_header = first_line_names(path)
        self.schema = pa.schema([(name, pa.string()) for name in names])

    def batches(self, start: int, columns: Sequence[str]) -> Iterator[Any]:
        return _guarded(self.path, start, columns, self._batches)

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


class _Npy:
    """One column, ``x``: numbers, or lists of one length."""

    def __init__(self, path: Path) -> None:
        pa = pyarrow()
        self.path = path
        array = read_arrays(path, None)
        if array.dtype.kind not in "fiub" or not array.ndim or 0 in array.shape[1:]:
            raise ValueError(f"{path} holds {array.dtype} {array.shape}, expected rows of numbers")
        kind = pa.from_numpy_dtype(array.dtype.newbyteorder("="))
        for size in reversed(array.shape[1:]):
            kind = pa.list_(kind, size)
        self.schema, self.rows = pa.schema([("x", kind)]), len(array)
        self._count = _batch_rows(self.rows, array.nbytes)

    def batches(self, start: int, columns: Sequence[str]) -> Iterator[Any]:
        pa = pyarrow()
        for row in range(start, self.rows, self._count):
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


# Writing a part, and joining parts


def _write_parquet(tables: Iterator[Any], schema: Any, file: Any) -> None:
    from pyarrow import parquet

    pa = pyarrow()
    # A dictionary of scores would be as long as they are.
    repeated = [field.name for field in schema if not _has_floats(pa, field.type)]
    with parquet.ParquetWriter(file, schema, use_dictionary=repeated or False) as writer:
        for table in tables:
            writer.write_table(table)


def _has_floats(pa: Any, kind: Any) -> bool:
    while is_list(kind):
        kind = kind.value_type
    return bool(pa.types.is_floating(kind))


def _read_parquet(path: Path) -> Any:
    from pyarrow import parquet

    return parquet.ParquetFile(path).read()


def _write_arrow(tables: Iterator[Any], schema: Any, file: Any, compression: Any = None) -> None:
    pa = pyarrow()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_file(file, schema, options=options) as writer:
        for table in tables:
            writer.write_table(table)


def _write_feather(tables: Iterator[Any], schema: Any, file: Any) -> None:
    _write_arrow(tables, schema, file, "lz4")


def _read_arrow(path: Path) -> Any:
    pa = pyarrow()
    with pa.OSFile(str(path)) as file:
        return pa.ipc.open_file(file).read_all()


def _header(schema: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(schema.names)
    return text.getvalue().encode()


def _write_csv(tables: Iterator[Any], schema: Any, file: Any) -> None:
    from pyarrow import csv as arrow_csv

    file.write(_header(schema))
    for table in tables:
        arrow_csv.write_csv(table, file, arrow_csv.WriteOptions(include_header=False))


def _write_csv_gz(tables: Iterator[Any], schema: Any, file: Any) -> None:
    """Write the header and the rows as gzip members of their own, which can be joined."""
    from pyarrow import csv as arrow_csv

    file.write(gzip.compress(_header(schema), mtime=0))
    for table in tables:
        with gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0) as member:
            arrow_csv.write_csv(table, member, arrow_csv.WriteOptions(include_header=False))


def _join_csv(parts: Sequence[Path], schema: Any, file: Any) -> None:
    _join_after(parts, _header(schema), file)


def _join_csv_gz(parts: Sequence[Path], schema: Any, file: Any) -> None:
    _join_after(parts, gzip.compress(_header(schema), mtime=0), file)


def _join_after(parts: Sequence[Path], header: bytes, file: Any) -> None:
    file.write(header)
    for part in parts:
        with open(part, "rb") as source:
            source.seek(len(header))
            shutil.copyfileobj(source, file, 1 << 20)


def _write_npy(tables: Iterator[Any], schema: Any, file: Any) -> None:
    empty = [pyarrow().array([], field.type) for field in schema]
    dtype = np.result_type(*(column.to_numpy(zero_copy_only=False) for column in empty))
    rows = []
    for table in tables:
        if dtype.kind != "f" and any(column.null_count for column in table.columns):
            raise ValueError("whole numbers of an .npy cannot be null, expected another output")
        columns = [column.to_numpy().astype(dtype, copy=False) for column in table.columns]
        rows.append(np.stack(columns, axis=1))
    np.lib.format.write_array(file, np.ascontiguousarray(np.concatenate(rows)))


def _join_npy(parts: Sequence[Path], schema: Any, file: Any) -> None:
    arrays = [np.load(part, mmap_mode="r", allow_pickle=False) for part in parts]
    shape = (sum(map(len, arrays)), *arrays[0].shape[1:])
    descr = np.lib.format.dtype_to_descr(arrays[0].dtype)
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    for part, array in zip(parts, arrays, strict=True):
        with open(part, "rb") as source:
            source.seek(array.offset)
            shutil.copyfileobj(source, file, 1 << 20)


def _joined_tables(
    read: Callable[[Path], Any], write: Callable[[Iterator[Any], Any, Any], None]
) -> Callable[[Sequence[Path], Any, Any], None]:
    # A file may hold a type as another: Parquet's times are of milliseconds at least.
    return lambda parts, schema, file: write((read(p).cast(schema) for p in parts), schema, file)


def _any_columns(kind: Any) -> bool:
    return True


def _numpy_numbers(kind: Any) -> bool:
    return is_number(kind) and not pyarrow().types.is_decimal(kind)


def _no_lists(kind: Any) -> bool:
    return not is_list(kind)


@dataclass(frozen=True)
class Kind:
    """A kind of file: how it is read, how a part is written, how parts are joined.

    Args:
        open: returns the source of a path.
        write: writes tables of a schema to a binary file.
        join: writes the parts' rows to a binary file.
        holds: returns whether it can hold columns of a type.
    """

    open: Callable[[Path], Source]
    write: Callable[[Iterator[Any], Any, Any], None]
    join: Callable[[Sequence[Path], Any, Any], None]
    holds: Callable[[Any], bool] = _any_columns


KINDS = {
    ".parquet": Kind(_Parquet, _write_parquet, _joined_tables(_read_parquet, _write_parquet)),
    ".arrow": Kind(_Ipc, _write_arrow, _joined_tables(_read_arrow, _write_arrow)),
    ".feather": Kind(_Ipc, _write_feather, _joined_tables(_read_arrow, _write_feather)),
    ".csv": Kind(_Csv, _write_csv, _join_csv, _no_lists),
    ".csv.gz": Kind(_Csv, _write_csv_gz, _join_csv_gz, _no_lists),
    ".npy": Kind(_Npy, _write_npy, _join_npy, _numpy_numbers),
}


def suffix_of(path: Path, what: str) -> str:
    """Return the end of a path's name that says which kind of file it is.

    Raises:
        ValueError: it is none that is known.
    """
    suffix = next((end for end in KINDS if path.name.endswith(end)), None)
    if suffix is None:
        raise ValueError(f"{what} is {path}, expected a name that ends in {' or '.join(KINDS)}")
    return suffix
