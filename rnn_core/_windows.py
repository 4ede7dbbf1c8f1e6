"""The rows that `Model.predict` is given, window by window, so that none but these need memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from rnn_core import _ragged
from rnn_core._ragged import Chunks, Ragged
from rnn_core._typing import Array

# The rows of a window, and the bytes that its sequences may have.
WINDOW_ROWS = 1 << 18
WINDOW_BYTES = 32 << 20

# The shape of an input with its batch, or None if nothing is known of it.
Shape = tuple[Any, ...] | None
Rows = Array | Ragged


class Windows:
    """Rows of a model's inputs.

    Args:
        inputs: one for each of the model's inputs: an array, a list of sequences, an Arrow column
            of lists or a `Ragged`; or an iterator that gives such, or single rows of them.
        shapes: of the model's inputs.
        name: of the model, for errors.
        most: rows to a window.

    `rows` is their number, None for an iterator; `ragged` whether there are sequences. Iterating
    gives, for each window, an array or `Ragged` for each input; `first` is then the number of its
    first row. There is always a window.

    Raises:
        ValueError: inputs of unequal numbers of rows; rows that do not fit.
        TypeError: rows of something else than numbers.
    """

    def __init__(self, inputs: Any, shapes: Sequence[Shape], name: str, most: int) -> None:
        self._shapes, self._name, self._most = shapes, name, most
        self._columns: list[_Column] = []
        self._iterator: Iterator[Any] | None = None
        self.rows: int | None = None
        self.first = 0
        if is_iterator(inputs):
            self._iterator, self.ragged = inputs, True
            return
        self._columns = [_Column(x, shape) for x, shape in zip(inputs, shapes, strict=True)]
        self.ragged = any(column.lengths is not None for column in self._columns)
        counts = {column.rows for column in self._columns}
        if len(counts) != 1:
            raise ValueError(f"{name}: inputs have {sorted(counts)} rows, expected equal numbers")
        self.rows = counts.pop()

    def __iter__(self) -> Iterator[list[Rows]]:
        if self._iterator is None:
            yield from self._slices()
            return
        for block in _blocks(self._iterator, self._shapes, self._name, self._most):
            yield block
            self.first += len(block[0])
        if not self.first:
            yield [_part(_nothing(shape), shape, 0) for shape in self._shapes]

    def _slices(self) -> Iterator[list[Rows]]:
        assert self.rows is not None
        while self.first < max(1, self.rows):
            last = min(self.rows, self.first + self._most)
            for column in self._columns:
                last = column.fitting(self.first, last)
            yield [column.read(self.first, last) for column in self._columns]
            self.first = max(1, last)


def is_iterator(value: Any) -> bool:
    """Return whether this is a generator or another iterator."""
    return hasattr(value, "__next__")


class _Column:
    """All rows of one input."""

    def __init__(self, given: Any, shape: Shape) -> None:
        self.lengths: Array | None = None
        self._given = given
        self._rest = shape and shape[2:]
        if _ragged.is_arrow(given) and _ragged.arrow_axes(given) > 1:
            self._given = _ragged.chunks_of(given, self._rest)
        if isinstance(self._given, (Ragged, Chunks)):
            self.lengths = self._given.lengths
        elif holds_sequences(given, shape):
            self.lengths = _ragged.lengths_of(given)
        else:
            self._given = _array(given, shape)
        self.rows = len(self._given)

    def fitting(self, first: int, last: int) -> int:
        """Return up to where rows from the first on have no more bytes than a window may."""
        if self.lengths is None:
            return last
        width = 8 * int(np.prod([n or 1 for n in self._rest or ()]))
        steps = self.lengths[first:last].cumsum()
        return first + max(1, int(np.searchsorted(steps, WINDOW_BYTES // width, side="right")))

    def read(self, first: int, last: int) -> Rows:
        if self.lengths is None or isinstance(self._given, (Ragged, Chunks)):
            rows = slice(first, last)
            found: Rows
            found = self._given[rows] if self.lengths is None else self._given.take(rows)
            return found
        return _ragged.from_rows(self._given[first:last], self._rest or (), first)


def depth(value: Any) -> int:
    """Return the number of axes, of lists by their first items."""
    if isinstance(value, np.ndarray):
        return value.ndim
    axes = 0
    while isinstance(value, (list, tuple)):
        axes += 1
        if not value:
            return axes
        value = value[0]
    return axes + (_ragged.arrow_axes(value) if _ragged.is_arrow(value) else np.ndim(value))


def holds_sequences(given: Any, shape: Shape) -> bool:
    """Return whether this is a list of sequences: the model takes any length, and lists them."""
    if not isinstance(given, (list, tuple)) or shape is None or shape[1:2] != (None,):
        return False
    # Of rows without steps nothing else is known.
    row = next((row for row in given if not hasattr(row, "__len__") or len(row)), None)
    return row is None or depth(row) + 1 == len(shape)


def _array(given: Any, shape: Shape) -> Array:
    try:
        array = np.asarray(given)
    except ValueError as error:
        shapes = [np.shape(row) for row in given]
        row = next((i for i, shape in enumerate(shapes) if shape != shapes[0]), 0)
        want = shapes[0] if shape is None else shape[1:]
        raise ValueError(f"row {row} has shape {shapes[row]}, expected {want}") from error
    if not array.ndim:
        kind = type(given).__name__
        raise ValueError(f"inputs are one {kind}, expected rows: an array, lists or an iterator")
    return array


def _blocks(
    elements: Iterator[Any], shapes: Sequence[Shape], name: str, most: int
) -> Iterator[list[Rows]]:
    """Yield windows of what an iterator gives: rows, batches of rows, or both."""
    pending: list[list[Any]] = []
    parts: list[list[Rows]] = []
    first = rows = size = 0

    def settle() -> None:
        """Make a part of the single rows that have come."""
        if pending:
            columns = map(list, zip(*pending, strict=True))
            begin = first + rows - len(pending)
            parts.append([_part(c, shape, begin) for c, shape in zip(columns, shapes, strict=True)])
            pending.clear()

    for element in elements:
        given = list(element) if len(shapes) > 1 else [element]
        # Copies: an iterator may fill the same array again.
        given = [np.array(x) if isinstance(x, np.ndarray) else x for x in given]
        if _are_rows(given, shapes, name, first + rows):
            pending.append(given)
            rows += 1
        else:
            settle()
            part = [_part(x, s, first + rows) for x, s in zip(given, shapes, strict=True)]
            if len(set(map(len, part))) > 1:
                raise ValueError(f"{name}: a batch's inputs have {[*map(len, part)]} rows")
            parts.append(part)
            rows += len(part[0])
        size += sum(map(_size, given))
        if rows >= most or size >= WINDOW_BYTES:
            settle()
            yield [_joined(column) for column in zip(*parts, strict=True)]
            parts.clear()
            first, rows, size = first + rows, 0, 0
    settle()
    if parts:
        yield [_joined(column) for column in zip(*parts, strict=True)]


def _are_rows(given: Sequence[Any], shapes: Sequence[Shape], name: str, row: int) -> bool:
    """Return whether these are single rows for all inputs, and no batches for all."""
    if len(given) != len(shapes):
        raise ValueError(f"{name}: row {row} has {len(given)} inputs, expected {len(shapes)}")
    axes = [depth(x) for x in given]
    batches = [len(shape or ()) for shape in shapes]
    if axes == batches:
        return False
    if axes != [n - 1 for n in batches]:
        raise ValueError(
            f"{name}: row {row} has {axes} axes, expected {batches}, or one less without a batch"
        )
    return True


def _part(given: Any, shape: Shape, first: int) -> Rows:
    if _ragged.is_arrow(given) and _ragged.arrow_axes(given) > 1:
        return _ragged.from_arrow(given, shape and shape[2:], first)
    if holds_sequences(given, shape):
        return _ragged.from_rows(given, (shape or ())[2:], first)
    array = _array(given, shape)
    return Ragged.of_equal(array) if shape and len(shape) > 1 and shape[1] is None else array


def _nothing(shape: Shape) -> Array:
    """Return no rows of an input of this shape."""
    return np.zeros((0, *(n or 0 for n in (shape or ())[1:])), np.bool_)


def _joined(parts: Sequence[Rows]) -> Rows:
    ragged = [part for part in parts if isinstance(part, Ragged)]
    arrays = [part for part in parts if isinstance(part, np.ndarray)]
    return _ragged.joined(ragged) if ragged else np.concatenate(arrays)


def _size(given: Any) -> int:
    """Return how many bytes an array or a list of numbers takes, about."""
    if isinstance(given, (list, tuple)):
        nested = given and isinstance(given[0], (list, tuple, np.ndarray))
        return sum(map(_size, given)) if nested else 8 * len(given)
    return int(given.nbytes)
