"""Rows from files and scores to files, for the command line."""

from __future__ import annotations

import csv
import gzip
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

Columns = dict[str, list[str]]


@dataclass
class Table:
    """A CSV file's cells, column by column, and the line each row ends on."""

    path: Path
    columns: Columns
    lines: list[int]

    def select(self, names: Sequence[str] | None) -> Columns:
        """Return the columns of these names, all if None.

        Raises:
            ValueError: the file has no such column.
        """
        for name in names or ():
            if name not in self.columns:
                have = ", ".join(self.columns)
                raise ValueError(f"{self.path} has no column {name!r}; it has {have}")
        return {name: self.columns[name] for name in (names or self.columns)}


def read_csv(path: Path) -> Table:
    """Return a CSV file's cells; ``.gz`` is unpacked.

    The first line names the columns if it holds anything but numbers; else they are ``0``, ``1``, ….

    Raises:
        ValueError: no rows, a row of another number of cells than the first line, an empty cell,
            or text that is not UTF-8.
    """
    opener: Callable[..., IO[str]] = gzip.open if path.suffix == ".gz" else open
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        with opener(path, "rt", newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            for row in reader:
                rows.append(row)
                lines.append(reader.line_num)
    except (csv.Error, EOFError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no CSV file: {error}") from error
    if not rows:
        raise ValueError(f"{path} is empty, expected rows")
    names = [str(index) for index in range(len(rows[0]))]
    if not all(map(_is_number, rows[0])):
        names = rows.pop(0)
        lines.pop(0)
    if not rows:
        raise ValueError(f"{path} has a header and no rows")
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(names):
            raise ValueError(f"{path}, line {line}: {len(row)} cells, expected {len(names)}")
        if "" in row:
            raise ValueError(f"{path}, line {line}: column {names[row.index('')]!r} is empty")
    columns = [list(column) for column in zip(*rows, strict=True)]
    return Table(path, dict(zip(names, columns, strict=True)), lines)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def numbers(table: Table, names: Sequence[str] | None) -> np.ndarray:
    """Return columns as float64 ``(rows, columns)``.

    Raises:
        ValueError: a cell that is no number, with its line and column.
    """
    columns = table.select(names)
    values = np.empty((len(table.lines), len(columns)))
    for index, (name, cells) in enumerate(columns.items()):
        try:
            values[:, index] = cells
        except ValueError:
            row = next(i for i, cell in enumerate(cells) if not _is_number(cell))
            raise ValueError(
                f"{table.path}, line {table.lines[row]}: column {name!r} is {cells[row]!r}, "
                "expected a number"
            ) from None
    return values


def read_arrays(path: Path, names: Sequence[str] | None) -> Any:
    """Return a ``.npy`` file's array, or a ``.npz`` file's: one, or a dict of several.

    Args:
        path: of the file; a ``.npy`` is mapped, not read.
        names: of a ``.npz`` file's arrays to take; all if None.

    Raises:
        ValueError: the file is corrupt, holds objects, or has no such array.
    """
    try:
        content = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(content, np.ndarray):
            return content
        for name in names or ():
            if name not in content.files:
                raise ValueError(f"no array {name!r}; there are {', '.join(content.files)}")
        arrays = {name: content[name] for name in (names or content.files)}
    except (ValueError, EOFError, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise ValueError(f"cannot read {path}: {error}") from error
    except Exception as error:  # zipfile and zlib have errors of their own
        raise ValueError(f"{path} is truncated or corrupt: {error}") from error
    if not arrays:
        raise ValueError(f"{path} holds no arrays")
    return arrays if len(arrays) > 1 else next(iter(arrays.values()))


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`, which takes its place once all went well."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_csv(path: Path, kept: Columns, names: Sequence[str], scores: np.ndarray) -> None:
    """Write kept columns and scores ``(rows, columns)``, each score with the digits it needs."""
    digits = "%.17g" if scores.dtype == np.float64 else "%.9g"
    line = ",".join([digits] * scores.shape[1])
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*kept, *names])
        texts = (line % tuple(row) for row in scores.tolist())
        if kept:
            for cells, text in zip(zip(*kept.values(), strict=True), texts, strict=True):
                writer.writerow([*cells, *text.split(",")])
        else:
            file.writelines(f"{text}\n" for text in texts)
