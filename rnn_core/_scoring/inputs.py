"""Parquet files as the parts that the workers of an engine score."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rnn_core._scoring import sizes
from rnn_core._scoring.arrow import pyarrow
from rnn_core._scoring.faults import listed
from rnn_core._scoring.scorer import Scorer

_READ_ROWS = 1 << 14
# Bytes of a value of Parquet's physical types that have a size.
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 8}


@dataclass(frozen=True)
class Part:
    """Rows of a Parquet file that are scored together."""

    path: str
    first: int
    rows: int


def read(source: Any, part: Part, columns: Sequence[str]) -> Any:
    """Return a part's rows as a table, from the row groups that hold them."""
    from pyarrow import parquet

    with parquet.ParquetFile(source.open_input_file(part.path), buffer_size=1 << 20) as file:
        groups, at, end = [], 0, 0
        for group in range(file.num_row_groups):
            begin, end = end, end + file.metadata.row_group(group).num_rows
            if end <= part.first:
                at = end
            elif begin < part.first + part.rows:
                groups.append(group)
        held = []
        # A row group may be larger than memory.
        count = max(1, min(_READ_ROWS, part.rows))
        for batch in file.iter_batches(count, groups, list(columns), use_threads=False):
            begin, at = at, at + batch.num_rows
            first, last = max(begin, part.first), min(at, part.first + part.rows)
            if first < last:
                held.append(batch.slice(first - begin, last - first).select(columns))
            if at >= part.first + part.rows:
                break
        schema = pyarrow().schema([file.schema_arrow.field(name) for name in columns])
    return pyarrow().Table.from_batches(held, schema)


def read_by_column(
    source: Any, part: Part, columns: Sequence[str], scorer: Scorer
) -> tuple[Any, str, str]:
    """Return a part as `read` does, null in the columns that cannot be read and in the inputs.

    Returns also these columns' names as one, and why; or all as it is, "", "" if each can be read.

    Raises:
        OSError, ValueError: nothing can be read.
    """
    from pyarrow import parquet

    pa = pyarrow()
    with parquet.ParquetFile(source.open_input_file(part.path)) as file:
        schema = pa.schema([file.schema_arrow.field(name) for name in columns])
    inputs = [name for names in scorer.input_columns(schema) for name in names]
    arrays: dict[str, Any] = {}
    broken: list[str] = []
    why = ""
    for name in columns:
        try:
            arrays[name] = read(source, part, [name]).column(0)
        except (OSError, ValueError) as error:
            broken, why = [*broken, name], str(error)
    for field in schema:
        if field.name not in arrays or (broken and field.name in inputs):
            arrays[field.name] = pa.nulls(part.rows, field.type)
    ordered = [arrays[name] for name in columns]
    return pa.Table.from_arrays(ordered, schema=schema), listed(broken), why


def located(location: Any) -> tuple[Any, str]:
    """Return the file system of a path or URI, and the path in it."""
    from pyarrow import fs

    if "://" in str(location):
        return tuple(fs.FileSystem.from_uri(str(location)))
    return fs.LocalFileSystem(), str(Path(location).resolve())


def _files(location: Any) -> tuple[Any, list[Any]]:
    """Return a file, or the files in a directory that do not begin with ``_`` or ``.``."""
    from pyarrow import fs

    source, path = located(location)
    info = source.get_file_info(path)
    if info.type == fs.FileType.NotFound:
        raise FileNotFoundError(f"no such file or directory: {location}")
    if info.is_file:
        return source, [info]
    inside = source.get_file_info(fs.FileSelector(path, recursive=True))
    files = [each for each in inside if each.is_file and not each.base_name.startswith(("_", "."))]
    if not files:
        raise ValueError(f"{location} holds no files, expected Parquet")
    return source, sorted(files, key=lambda each: each.path)


def _opened(source: Any, path: str) -> tuple[Any, Any]:
    """Return a Parquet file's schema and metadata."""
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(source.open_input_file(path)) as file:
            return file.schema_arrow, file.metadata
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is no Parquet file: {error}") from error


def _row_bytes(group: Any, columns: Sequence[str]) -> float:
    """Return how many bytes a row of a row group takes in memory, about."""
    size = 0.0
    for index in range(group.num_columns):
        column = group.column(index)
        if column.path_in_schema.split(".")[0] in columns:
            width = _WIDTHS.get(column.physical_type, 0)
            size += max(width * column.num_values, column.total_uncompressed_size)
    rows: int = group.num_rows
    return size / max(rows, 1)


def _cut(metadata: Any, columns: Sequence[str], part_rows: int) -> Iterator[tuple[int, int]]:
    """Yield the first row of each part and their number: fewer in groups whose rows are long."""
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    ends = np.cumsum([group.num_rows for group in groups])
    most = [sizes.fitting(part_rows, _row_bytes(group, columns)) for group in groups]
    first = 0
    while first < metadata.num_rows:
        at = int(np.searchsorted(ends, first, side="right"))
        last = min(first + most[at], metadata.num_rows)
        while ends[at] < last and most[at + 1] >= most[at]:
            at += 1
        last = min(last, int(ends[at]))
        yield first, last - first
        first = last


def _part_rows(scorer: Scorer, source: Any, path: str, columns: Sequence[str]) -> int:
    try:
        sample = read(source, Part(path, 0, sizes.SAMPLE_ROWS), columns)
    except (OSError, ValueError) as error:
        if not scorer._skip:
            rows = f"rows 1 to {sizes.SAMPLE_ROWS}"
            raise ValueError(f"cannot read {path}, {rows}: {error}") from error
        return sizes.MAX_ROWS  # what the metadata say of its bytes bounds them
    return sizes.part_rows(scorer, sample)


def planned(
    scorer: Scorer, location: Any, part_rows: int | None
) -> tuple[Any, list[Part], list[str], dict[str, Any]]:
    """Return the input's file system, parts and columns, and what tells it from another."""
    source, files = _files(location)
    with ThreadPoolExecutor(16) as pool:
        opened = list(pool.map(lambda each: _opened(source, each.path), files))
    first = opened[0][0]
    inputs = [name for names in scorer.input_columns(first) for name in names]
    columns = list(dict.fromkeys([*scorer.keep, *inputs]))
    scorer.schema(first)
    if part_rows is None:
        largest = max(zip(files, opened, strict=True), key=lambda each: each[1][1].num_rows)[0]
        part_rows = _part_rows(scorer, source, largest.path, columns)
    parts, known = [], []
    for info, (schema, metadata) in zip(files, opened, strict=True):
        for name in columns:
            have = schema.field(name).type if name in schema.names else "missing"
            if have != first.field(name).type:
                raise ValueError(
                    f"{info.path}: column {name!r} is {have}, expected "
                    f"{first.field(name).type} as in {files[0].path}"
                )
        known.append([info.path, info.size, info.mtime_ns, metadata.num_rows])
        parts += [Part(info.path, *rows) for rows in _cut(metadata, columns, part_rows)]
    # Without a row there is still a table, of no rows.
    parts = parts or [Part(files[0].path, 0, 0)]
    return source, parts, columns, {"input": known, "part_rows": part_rows}
