"""Rows from files and scores to files, for the command line."""

from __future__ import annotations

import csv
import gzip
import itertools
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from rnn_core._typing import Array

Columns = dict[str, list[str]]


@dataclass
class Table:
    """A CSV file's cells, column by column, and the line that each row ends on."""

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

    def filled(self, names: Sequence[str] | None) -> Columns:
        """Return the columns as `select` does.

        Raises:
            ValueError: the file has no such column, or one has an empty cell.
        """
        columns = self.select(names)
        for name, cells in columns.items():
            if "" in cells:
                raise ValueError(f"{self.place(cells.index(''))}: column {name!r} is empty")
        return columns

    def place(self, row: int) -> str:
        """Return the file's name and a row's line."""
        return f"{self.path}, line {self.lines[row]}"


def read_csv(path: Path) -> Table:
    """Return a CSV file's cells; ``.gz`` is unpacked.

    The first line names the columns unless it holds numbers only; then they are ``0``, ``1``, ….

    Raises:
        ValueError: no rows, a row of another number of cells than the first line, or text that is
            no UTF-8.
    """
    try:
        with _open_text(path) as file:
            return _read_rows(path, csv.reader(file))
    except (csv.Error, EOFError, UnicodeDecodeError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is no CSV file: {error}") from error


def _open_text(path: Path) -> IO[str]:
    opener: Callable[..., IO[str]] = gzip.open if path.suffix == ".gz" else open
    return opener(path, "rt", newline="", encoding="utf-8-sig")


def first_line_names(path: Path) -> tuple[list[str], bool]:
    """Return a CSV file's columns, and whether its first line names them; see `read_csv`.

    Raises:
        ValueError: an empty file, a blank first line, or two columns of one name.
    """
    with _open_text(path) as file:
        return _names(path, next(csv.reader(file), None))


def _names(path: Path, first: list[str] | None) -> tuple[list[str], bool]:
    if not first:
        raise ValueError(f"{path} {'is empty' if first is None else 'has a blank first line'}")
    has_header = not all(_is_number(cell) for cell in first if cell)
    names = [cell.strip() for cell in first] if has_header else list(map(str, range(len(first))))
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{path} has two columns {twice!r}")
    return names, has_header


def _read_rows(path: Path, reader: Any) -> Table:
    first = next(reader, None)
    names, has_header = _names(path, first)
    table = Table(path, {name: [] for name in names}, [])
    rows: list[list[str]] = [] if has_header or first is None else [first]
    if rows:
        table.lines.append(reader.line_num)
    blank = 0
    for row in reader:
        if not row:
            blank = blank or reader.line_num
            continue
        if blank or len(row) != len(names):
            line, cells = (blank, 0) if blank else (reader.line_num, len(row))
            raise ValueError(f"{path}, line {line}: {cells} cells, expected {len(names)}")
        rows.append(row)
        table.lines.append(reader.line_num)
        # Some thousand rows at a time: their lists are gone before they crowd the memory.
        if len(rows) == 4096:
            _append(table, rows)
    _append(table, rows)
    if not table.lines:
        raise ValueError(f"{path} has a header and no rows")
    return table


def _append(table: Table, rows: list[list[str]]) -> None:
    for column, cells in zip(table.columns.values(), zip(*rows, strict=True), strict=False):
        column += cells
    rows.clear()


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def numbers(table: Table, names: Sequence[str] | None) -> Array:
    """Return columns as float64 ``(rows, columns)``.

    Raises:
        ValueError: a cell that is no number, with its line and column.
    """
    columns = table.filled(names)
    values = np.empty((len(next(iter(columns.values()))), len(columns)))
    for index, (name, cells) in enumerate(columns.items()):
        try:
            values[:, index] = cells
        except ValueError:
            row = next(i for i, cell in enumerate(cells) if not _is_number(cell))
            raise ValueError(
                f"{table.place(row)}: column {name!r} is {cells[row]!r}, expected a number"
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
        if path.suffix == ".npy":
            return np.load(path, mmap_mode="r", allow_pickle=False)
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as content:
            if not hasattr(content, "files"):
                raise ValueError("it is no .npz file")
            for name in names or ():
                if name not in content.files:
                    raise ValueError(f"no array {name!r}; there are {', '.join(content.files)}")
            arrays = {name: content[name] for name in (names or content.files)}
    except FileNotFoundError:
        raise
    except Exception as error:  # NumPy's, zipfile's and zlib's, according to where it is broken
        raise ValueError(f"cannot read {path}: {error}") from error
    if not arrays:
        raise ValueError(f"{path} holds no arrays")
    return arrays if len(arrays) > 1 else next(iter(arrays.values()))


def write_csv(path: Path, kept: Columns, names: Sequence[str], scores: Array) -> None:
    """Write kept columns and scores ``(rows, columns)``, each score with the digits it needs."""
    digits = "%.17g" if scores.dtype == np.float64 else "%.9g"
    line = ",".join([*["%s"] * len(kept), *[digits] * scores.shape[1]]) + "\n"
    texts = [list(map(_quoted, cells)) for cells in kept.values()]
    with open(path, "w", newline="", encoding="utf-8") as file:
        file.write(",".join(map(_quoted, [*kept, *names])) + "\n")
        # One format operation for many rows is several times faster than one for each.
        for start in range(0, len(scores), 1024):
            part = scores[start : start + 1024]
            cells = zip(
                *(text[start : start + 1024] for text in texts), *part.T.tolist(), strict=True
            )
            file.write(line * len(part) % tuple(itertools.chain.from_iterable(cells)))


def output_names(shape: tuple[int, ...], given: Sequence[str] | None) -> list[str]:
    """Return a name for each value of a row; values of step t are named ``t.name``.

    Raises:
        ValueError: names are given, but another number of them.
    """
    width = shape[-1] if shape else 1
    names = list(given or [f"output_{index}" for index in range(width)])
    if len(names) != width:
        raise ValueError(f"names has {len(names)} names, expected {width}")
    for steps in reversed(shape[:-1]):
        names = [f"{step}.{name}" for step in range(steps) for name in names]
    return names


def _quoted(cell: str) -> str:
    if any(mark in cell for mark in ',"\n\r'):
        return '"' + cell.replace('"', '""') + '"'
    return cell
