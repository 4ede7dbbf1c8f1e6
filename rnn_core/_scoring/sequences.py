"""Arrow columns as sequences for a model's input; rows that cannot be one are named."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnn_core._scoring.arrow import column_of, is_list, is_number, is_text, pyarrow
from rnn_core._scoring.faults import listed, refuse
from rnn_core._scoring.models import ModelInput
from rnn_core._typing import Array


@dataclass
class Sequences:
    """Rows of any lengths: row i is ``values[offsets[i]:offsets[i + 1]]``.

    Args:
        values: ``(steps of all rows, ...)``.
        offsets: ``(rows + 1,)``.
    """

    values: Array
    offsets: Array

    @property
    def lengths(self) -> Array:
        """Each row's number of steps, ``(rows,)``."""
        return np.diff(self.offsets)

    def of_length(self, rows: Array, length: int) -> Array:
        """Return rows of one length as ``(rows, length, ...)``."""
        if len(rows) * length == len(self.values) and len(rows) == len(self.offsets) - 1:
            return self.values.reshape(len(rows), length, *self.values.shape[1:])
        taken: Array = self.values[self.offsets[rows][:, None] + np.arange(length)]
        return taken


def from_arrays(rows: Any) -> Sequences:
    """Return what an encoder gave for each row, an array or a list of them, as sequences."""
    if isinstance(rows, np.ndarray):
        rows = rows if rows.ndim > 1 else rows[:, None]
        values = rows.reshape(-1, *rows.shape[2:])
        return Sequences(values, np.arange(len(rows) + 1) * rows.shape[1])
    arrays = [np.asarray(row) for row in rows]
    offsets = np.cumsum([0, *map(len, arrays)])
    # Rows of no steps come without axes of their own.
    filled = [array for array in arrays if len(array)] or arrays[:1]
    return Sequences(np.concatenate(filled) if filled else np.zeros(0), offsets)


def read(table: Any, columns: Sequence[str], given: ModelInput | None = None) -> Sequences:
    """Return columns as one sequence a row.

    Numbers, or text that holds them, are a row's values side by side; lists of numbers are the
    row's values; several lists are the features of each step, as are lists in a list.

    Args:
        table: a record batch or table.
        columns: of it.
        given: the model's input, which says of how many features a step has to be.

    Raises:
        BadRows: nulls, text that is no number, lists of different lengths.
        ValueError: no such column; a column of something else.
    """
    arrays = [column_of(table, name) for name in columns]
    for name, array in zip(columns, arrays, strict=True):
        _refuse_nulls(name, array)
    if all(is_list(array.type) for array in arrays):
        alone = given is not None and len(columns) == 1 and len(given.shape) == 2
        features = given.shape[1] if given is not None and alone else None
        lists = [_read_list(name, a, features) for name, a in zip(columns, arrays, strict=True)]
        return lists[0] if len(lists) == 1 else _side_by_side(columns, lists)
    numbers = [_read_numbers(name, a) for name, a in zip(columns, arrays, strict=True)]
    kind = np.result_type(*numbers)
    return from_arrays(np.stack(numbers, axis=1).astype(kind, copy=False))


def _refuse_nulls(name: str, array: Any) -> None:
    if array.null_count:
        refuse(array.is_null().to_numpy(zero_copy_only=False), name, lambda row: "is null")


def _read_numbers(name: str, array: Any) -> Array:
    pa = pyarrow()
    if is_text(array.type):
        return parse(name, array)
    if not is_number(array.type):
        raise ValueError(f"column {name!r} is {array.type}, expected numbers, lists or text")
    if pa.types.is_decimal(array.type):
        array = array.cast(pa.float64())
    numbers: Array = array.to_numpy(zero_copy_only=False)
    return numbers


def parse(name: str, array: Any) -> Array:
    """Return the numbers that text holds, as float64.

    Raises:
        BadRows: cells that are none.
    """
    pa = pyarrow()
    try:
        numbers: Array = array.cast(pa.float64()).to_numpy(zero_copy_only=False)
        return numbers
    except pa.ArrowInvalid:
        cells = array.to_pylist()
    parsed = np.zeros(len(cells))
    wrong = np.zeros(len(cells), bool)
    for row, cell in enumerate(cells):
        try:
            parsed[row] = float(cell)
        except ValueError:
            wrong[row] = True
    refuse(
        wrong,
        name,
        lambda row: f"is {cells[row]!r}, expected a number" if cells[row] else "is empty",
    )
    return parsed


def _read_list(name: str, array: Any, features: int | None) -> Sequences:
    offsets, values = _taken_apart(array)
    if not is_list(values.type):
        _refuse_inner(name, offsets, values)
        if not is_number(values.type):
            raise ValueError(f"column {name!r} is {array.type}, expected lists of numbers")
        return Sequences(_read_numbers(name, values), offsets)
    _refuse_inner(name, offsets, values)
    inner_offsets, inner = _taken_apart(values)
    if not is_number(inner.type):
        raise ValueError(f"column {name!r} is {array.type}, expected lists of lists of numbers")
    lengths = np.diff(inner_offsets)
    width = int(lengths[0]) if len(lengths) else features or 0
    if (lengths != width).any():
        width = width if features is None else features
        _refuse_steps(
            name,
            offsets,
            lengths != width,
            lambda step: f"has a step of {lengths[step]} numbers, expected {width}",
        )
    shape = len(lengths), width
    if inner.null_count:
        nulls = inner.is_null().to_numpy(zero_copy_only=False).reshape(shape).any(axis=1)
        _refuse_steps(name, offsets, nulls, lambda step: "has a null")
    return Sequences(_read_numbers(name, inner).reshape(shape), offsets)


def _taken_apart(array: Any) -> tuple[Array, Any]:
    """Return a list array's offsets from 0, and the values between them."""
    pa = pyarrow()
    values = array.flatten()
    if pa.types.is_fixed_size_list(array.type):
        return np.arange(len(array) + 1) * array.type.list_size, values
    offsets = array.offsets.to_numpy()
    return offsets - offsets[0], values


def _refuse_inner(name: str, offsets: Array, values: Any) -> None:
    if values.null_count:
        nulls = values.is_null().to_numpy(zero_copy_only=False)
        _refuse_steps(name, offsets, nulls, lambda step: "has a null")


def _refuse_steps(name: str, offsets: Array, wrong: Array, why: Callable[[int], str]) -> None:
    """Raise BadRows for the rows that have a wrong step; `why` is asked of a row's first."""
    steps = np.flatnonzero(wrong)
    if not len(steps):
        return
    found = np.searchsorted(offsets, steps, side="right") - 1
    first_steps = {int(row): int(step) for row, step in zip(found[::-1], steps[::-1], strict=True)}
    rows = np.zeros(len(offsets) - 1, bool)
    rows[found] = True
    refuse(rows, name, lambda row: why(first_steps[row]))


def _side_by_side(columns: Sequence[str], lists: Sequence[Sequences]) -> Sequences:
    """Return lists of equal lengths as the features of each step."""
    first = lists[0]
    for name, other in zip(columns[1:], lists[1:], strict=True):
        have, want = other.lengths, first.lengths
        refuse(
            have != want,
            name,
            lambda row, have=have, want=want, name=name: (  # type: ignore[misc]
                f"has {have[row]} steps, expected {want[row]} as {columns[0]!r}"
            ),
        )
    values = [
        each.values.reshape(len(each.values), math.prod(each.values.shape[1:])) for each in lists
    ]
    return Sequences(np.concatenate(values, axis=1), first.offsets)


def fitted(sequences: Sequences, given: ModelInput, columns: Sequence[str]) -> Sequences:
    """Return sequences in the shape of a model's input, checked row by row.

    Values without a features' axis are all features of the first step, then of the second, ….

    Raises:
        BadRows: a number of steps or an id that the model does not take.
    """
    values, offsets = sequences.values, sequences.offsets
    name, inner = listed(columns), given.shape[1:]
    if inner and values.ndim == 1 and None not in inner:
        size = math.prod(n or 0 for n in inner)
        lengths = sequences.lengths
        refuse(
            lengths % size != 0,
            name,
            lambda row: f"has {lengths[row]} values, expected a multiple of {size} features",
        )
        values, offsets = values.reshape(-1, *(n or 0 for n in inner)), offsets // size
    have = values.shape[1:]
    fits = len(have) == len(inner) and all(w in (None, h) for w, h in zip(inner, have, strict=True))
    if given.shape and not fits and len(offsets) > 1:
        expected, found = _text(inner), _text(have)
        refuse(
            np.ones(len(offsets) - 1, bool),
            name,
            lambda row: f"has steps of shape {found}, expected {expected}",
        )
    fitting = Sequences(values, offsets)
    lengths = fitting.lengths
    steps = given.shape[0] if given.shape else 1
    if steps is not None:
        refuse(lengths != steps, name, lambda row: f"has {lengths[row]} steps, expected {steps}")
    if given.ids is not None:
        _refuse_ids(fitting, given.ids, name)
    return fitting


def _text(shape: Sequence[int | None]) -> str:
    return f"({', '.join('any' if n is None else str(n) for n in shape)})"


def are_no_ids(ids: Array, count: int) -> Array:
    """Return which numbers are no whole ones from 0 to below a count."""
    wrong: Array = ~((ids >= 0) & (ids < count))
    return wrong | (np.floor(ids) != ids) if ids.dtype.kind == "f" else wrong


def _refuse_ids(sequences: Sequences, count: int, name: str) -> None:
    ids = sequences.values
    if not ids.size or ids.dtype.kind == "b":
        return
    whole = ids.dtype.kind != "f"
    if whole and ids.min() >= 0 and ids.max() < count:
        return
    wrong = are_no_ids(ids, count)
    expected = f"expected {'' if whole else 'a whole number, '}0 to {count - 1}"
    steps: Array = wrong.reshape(len(ids), -1).max(axis=1, initial=False)
    _refuse_steps(
        name,
        sequences.offsets,
        steps,
        lambda step: f"is {ids[step][wrong[step]].flat[0]}, {expected}",
    )


def steps_of(schema: Any, columns: Sequence[str], given: ModelInput) -> int | None:
    """Return the number of steps that columns hold, if their types tell."""
    kind = schema.field(columns[0]).type
    if is_list(kind):
        size = getattr(kind, "list_size", None)
        if size is None or is_list(kind.value_type) or len(columns) > 1:
            return size
    else:
        size = len(columns)
    features = given.shape[1] if len(given.shape) > 1 else 1
    return size // features if features else size
