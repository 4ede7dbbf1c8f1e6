"""Kinds of files that hold tables: what reads them, and parts that are written and joined."""

from __future__ import annotations

import csv
import gzip
import io
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rnn_core._scoring.arrow import is_list, is_number, pyarrow
from rnn_core._scoring.sources import Csv, Ipc, Npy, Parquet, Source


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
    ".parquet": Kind(Parquet, _write_parquet, _joined_tables(_read_parquet, _write_parquet)),
    ".arrow": Kind(Ipc, _write_arrow, _joined_tables(_read_arrow, _write_arrow)),
    ".feather": Kind(Ipc, _write_feather, _joined_tables(_read_arrow, _write_feather)),
    ".csv": Kind(Csv, _write_csv, _join_csv, _no_lists),
    ".csv.gz": Kind(Csv, _write_csv_gz, _join_csv_gz, _no_lists),
    ".npy": Kind(Npy, _write_npy, _join_npy, _numpy_numbers),
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
