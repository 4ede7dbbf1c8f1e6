"""Sequences of any lengths, one after the other in one array; from lists and from Arrow's lists."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from rnn_core._typing import Array


class Ragged:
    """Rows of any lengths.

    Args:
        values: the steps of all rows, ``(steps, ...)``.
        starts: where in `values` each row begins.
        lengths: how many steps each row has.
    """

    def __init__(self, values: Array, starts: Array, lengths: Array) -> None:
        self.values, self.starts, self.lengths = values, starts, lengths

    @classmethod
    def of(cls, values: Array, lengths: Array) -> Ragged:
        """Return rows that follow one another in `values`."""
        return cls(values, np.cumsum(lengths) - lengths, lengths)

    @classmethod
    def of_equal(cls, rows: Array) -> Ragged:
        """Return rows ``(rows, timesteps, ...)`` as sequences."""
        steps = np.full(len(rows), rows.shape[1], np.intp)
        return cls.of(rows.reshape(-1, *rows.shape[2:]), steps)

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def step_bytes(self) -> int:
        """How much memory a step takes."""
        return int(self.values.itemsize * math.prod(self.values.shape[1:]))

    def take(self, rows: Any) -> Ragged:
        """Return some rows, by a slice or by an array of numbers; nothing is copied."""
        return Ragged(self.values, self.starts[rows], self.lengths[rows])

    def inside(self) -> Array:
        """Return which steps are those of a row, boolean ``(rows, timesteps)``."""
        steps = np.arange(self.lengths.max(initial=0))
        found: Array = steps < self.lengths[:, None]
        return found

    def trimmed(self) -> Ragged:
        """Return rows that follow one another without the values before and after them."""
        first, last = self.starts[0], self.starts[-1] + self.lengths[-1]
        return Ragged(self.values[first:last], self.starts - first, self.lengths)

    def padded(self) -> Array:
        """Return an array ``(rows, timesteps, ...)`` with zeros after a row's end."""
        shape = len(self), int(self.lengths.max(initial=0)), *self.values.shape[1:]
        filled = np.zeros(shape, self.values.dtype)
        if shape[0] < shape[1]:
            # Few long rows: a copy each is faster than steps picked one by one.
            for row, start, length in zip(filled, self.starts, self.lengths, strict=True):
                row[:length] = self.values[start : start + length]
        else:
            inside = self.inside()
            steps = self.starts[:, None] + np.arange(shape[1])
            filled[inside] = self.values[steps[inside]]
        return filled


def joined(parts: Sequence[Ragged]) -> Ragged:
    """Return the rows of all parts, one part's after another's."""
    if len(parts) == 1:
        return parts[0]
    before = np.cumsum([0, *(len(part.values) for part in parts)])
    starts = [part.starts + offset for part, offset in zip(parts, before, strict=False)]
    # Rows of no steps come with no dtype and no axes of their own.
    filled = [part.values for part in parts if len(part.values)] or [parts[0].values]
    return Ragged(
        np.concatenate(filled), np.concatenate(starts), np.concatenate([p.lengths for p in parts])
    )


def from_rows(rows: Sequence[Any], rest: tuple[Any, ...], first: int) -> Ragged:
    """Return sequences of numbers, copied.

    Args:
        rows: arrays ``(timesteps, ...)``, or what makes them.
        rest: the axes that follow timesteps, None for any length.
        first: the number of the first row, for errors.

    Raises:
        ValueError: a row of other axes than the rest say, or than the rows before it.
        TypeError: a row of something else than numbers.
    """
    arrays = []
    for number, row in enumerate(rows, start=first):
        try:
            array = np.asarray(row)
        except ValueError as error:
            raise ValueError(f"row {number} is no array: {error}") from None
        if array.shape[1:] != rest or array.dtype.kind not in "fiub" or not array.ndim:
            array = _checked(array, rest, number)
            rest = array.shape[1:]
        arrays.append(array)
    lengths = np.fromiter(map(len, arrays), np.intp, len(arrays))
    filled = [array for array in arrays if len(array)]
    shape = (0, *(n or 0 for n in rest))
    return Ragged.of(np.concatenate(filled) if filled else np.zeros(shape, np.bool_), lengths)


def _checked(array: Array, rest: tuple[Any, ...], number: int) -> Array:
    """Return a row if it is one of numbers that has these axes after timesteps."""
    if array.shape == (0,):
        return np.zeros((0, *(n or 0 for n in rest)), np.bool_)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"row {number} is of {array.dtype}, expected numbers")
    if not array.ndim or not _fits(array.shape[1:], rest):
        want = ", ".join(["timesteps", *("?" if n is None else str(n) for n in rest)])
        raise ValueError(f"row {number} has shape {array.shape}, expected ({want})")
    return array


def _fits(axes: tuple[int, ...], rest: tuple[Any, ...]) -> bool:
    return len(axes) == len(rest) and all(
        want is None or want == have for want, have in zip(rest, axes, strict=True)
    )


def lengths_of(rows: Sequence[Any]) -> Array:
    """Return the rows' lengths.

    Raises:
        ValueError: a row that has none.
    """
    try:
        return np.fromiter(map(len, rows), np.intp, len(rows))
    except TypeError:
        row = next(i for i, row in enumerate(rows) if not hasattr(row, "__len__") or _is_0d(row))
        raise ValueError(f"row {row} is {rows[row]!r}, expected a sequence") from None


def _is_0d(row: Any) -> bool:
    return getattr(row, "shape", None) == ()


def is_arrow(value: Any) -> bool:
    """Return whether this is an array or a column of Arrow, which is not imported for that."""
    return hasattr(value, "null_count") and hasattr(value, "type") and hasattr(value, "slice")


def arrow_axes(value: Any) -> int:
    """Return how many axes an Arrow array has: a list's type has one more than its values'."""
    axes, kind = 1, value.type
    while hasattr(kind, "value_type") and hasattr(kind, "value_field"):
        axes, kind = axes + 1, kind.value_type
    return axes


class Chunks:
    """The rows of an Arrow column, of which one chunk's after another's are taken.

    Args:
        parts: the rows of each chunk, in order.
    """

    def __init__(self, parts: Sequence[Ragged]) -> None:
        self._parts = parts
        self._ends = np.cumsum([len(part) for part in parts])
        self.lengths = np.concatenate([part.lengths for part in parts])

    def __len__(self) -> int:
        return len(self.lengths)

    def take(self, rows: slice) -> Ragged:
        """Return rows that follow one another; those of several chunks are copied."""
        first, last, _ = rows.indices(len(self))
        found = []
        for part, end in zip(self._parts, self._ends, strict=True):
            begin = end - len(part)
            some = slice(max(first - begin, 0), max(min(last, end) - begin, 0))
            if some.start < some.stop:
                found.append(part.take(some).trimmed())
        return joined(found) if found else self._parts[0].take(slice(0))


def chunks_of(column: Any, rest: tuple[Any, ...] | None) -> Ragged | Chunks:
    """Return the rows of an Arrow column without copying its numbers; see `from_arrow`."""
    several = len(_chunks(column)) > 1
    return Chunks(_parts(column, rest, 0)) if several else from_arrow(column, rest, 0)


def from_arrow(column: Any, rest: tuple[Any, ...] | None, first: int) -> Ragged:
    """Return the rows of an Arrow list array, or a chunked one; the numbers of one are not copied.

    Args:
        column: of lists, large lists or lists of fixed size, of numbers or of such lists.
        rest: the axes that follow timesteps, None for any length; None if they are not known.
        first: the number of the first row, for errors.

    Raises:
        ValueError: a row or a number in it is null; steps of unequal numbers of features,
            or of other axes than the rest say.
        TypeError: lists of something else than numbers.
    """
    parts = _parts(column, rest, first)
    # An empty column may have no chunk at all.
    return joined(parts) if parts else Ragged.of(np.zeros(0, np.bool_), np.zeros(0, np.intp))


def _parts(column: Any, rest: tuple[Any, ...] | None, first: int) -> list[Ragged]:
    parts = []
    for chunk in _chunks(column):
        parts.append(_from_list_array(chunk, rest, first))
        first += len(chunk)
    return parts


def _chunks(column: Any) -> Sequence[Any]:
    chunks: Sequence[Any] = column.chunks if hasattr(column, "chunks") else [column]
    return chunks


def _from_list_array(array: Any, rest: tuple[Any, ...] | None, first: int) -> Ragged:
    if array.null_count:
        row = int(np.argmax(array.is_null().to_numpy(zero_copy_only=False)))
        raise ValueError(f"row {first + row} is null, expected a list")
    inner, offsets = _inside(array)

    def refuse(where: Array, what: str) -> None:
        row = int(np.searchsorted(offsets, int(np.argmax(where)), side="right")) - 1
        raise ValueError(f"row {first + row}: {what}")

    axes: list[int] = []
    steps = len(inner)
    while arrow_axes(inner) > 1:
        if inner.null_count:
            where = inner.is_null().to_numpy(zero_copy_only=False)
            refuse(where.reshape(steps, -1).any(axis=1), "a step is null")
        inner, edges = _inside(inner)
        sizes = np.diff(edges)
        size = int(sizes[0]) if len(sizes) else 0
        if (sizes != size).any():
            want = rest[len(axes)] if rest and len(axes) < len(rest) else None
            size = size if want is None else want
            refuse((sizes != size).reshape(steps, -1).any(axis=1), f"steps are not all of {size}")
        axes.append(size)
    if inner.null_count:
        where = inner.is_null().to_numpy(zero_copy_only=False)
        refuse(where.reshape(steps, -1).any(axis=1), "a number is null")
    values = inner.to_numpy(zero_copy_only=False)
    if values.dtype.kind not in "fiub":
        raise TypeError(f"lists are of {inner.type}, expected numbers")
    if not steps and rest is not None:
        axes = [n or 0 for n in rest]
    if rest is not None and not _fits(tuple(axes), rest):
        raise ValueError(f"a list's steps have the axes {axes}, expected {[*rest]}")
    return Ragged(values.reshape(steps, *axes), offsets[:-1], np.diff(offsets))


def _inside(array: Any) -> tuple[Any, Array]:
    """Return the values of a list array's rows, and where each row begins and the last ends."""
    size = getattr(array.type, "list_size", None)
    if size is not None:
        values = array.values.slice(array.offset * size, len(array) * size)
        return values, np.arange(len(array) + 1, dtype=np.intp) * size
    offsets = array.offsets.to_numpy().astype(np.intp)
    return array.values.slice(offsets[0], offsets[-1] - offsets[0]), offsets - offsets[0]
