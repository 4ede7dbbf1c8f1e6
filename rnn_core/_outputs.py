"""The outputs that `Model.predict` gathers, in the caller's order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rnn_core._nest import flatten, pack_like
from rnn_core._typing import Array


class Outputs:
    """A model's outputs for all rows.

    Args:
        rows: how many there are, None if that is not known.
        own_lengths: tells, once the model has run, in which outputs rows have lengths of their own:
            these are lists. None if there are none.
        out: arrays to write to, in the structure of the outputs; made if not given.
        name: of the model, for errors.
    """

    def __init__(
        self,
        rows: int | None,
        own_lengths: Callable[[], Sequence[bool]] | None,
        out: Any,
        name: str,
    ) -> None:
        self._rows, self._own_lengths, self._name = rows, own_lengths, name
        self._given = None if out is None else flatten(out)
        self._structure: Any = None
        self._targets: list[Any] | None = None
        self._lists: Sequence[bool] = ()
        self._done = 0

    def write(self, first: int, places: slice | Array, outputs: Any, lengths: Array | None) -> None:
        """Take over a batch's outputs.

        Args:
            first: the number of the window's first row.
            places: which of the window's rows they are.
            outputs: in the model's structure, ``(rows, ...)``.
            lengths: of the rows, if they were padded.
        """
        parts = flatten(outputs)
        if self._targets is None:
            self._structure = outputs
            self._lists = self._own_lengths() if self._own_lengths else [False] * len(parts)
            self._targets = self._made(parts, isinstance(places, slice))
        if isinstance(places, slice):
            rows: Any = slice(first + places.start, first + places.stop)
            self._done = max(self._done, rows.stop)
        else:
            rows = first + places
            self._done = max(self._done, int(rows.max(initial=-1)) + 1)
        for index, (part, is_list) in enumerate(zip(parts, self._lists, strict=True)):
            if is_list:
                _list(self._targets[index], rows, part, lengths)
            elif self._targets[index] is not part:
                self._room(index)[rows] = part

    def _made(self, parts: list[Array], in_order: bool) -> list[Any]:
        """Return what outputs like these are written to: themselves if they are all."""
        if self._given is not None:
            self._check(parts)
            return self._given
        if in_order and not any(self._lists) and all(len(part) == self._rows for part in parts):
            return parts
        return [
            [] if is_list else np.empty((self._rows or 0, *part.shape[1:]), part.dtype)
            for part, is_list in zip(parts, self._lists, strict=True)
        ]

    def _check(self, parts: list[Array]) -> None:
        assert self._given is not None
        if any(self._lists):
            raise ValueError(f"{self._name}: out is given, but rows have outputs of own lengths")
        if len(self._given) != len(parts):
            raise ValueError(f"{self._name}: out has {len(self._given)} arrays for {len(parts)}")
        for array, part in zip(self._given, parts, strict=True):
            if not isinstance(array, np.ndarray):
                raise TypeError(f"{self._name}: out is a {type(array).__name__}, expected an array")
            rows = "any number of" if self._rows is None else self._rows
            fits = array.shape[1:] == part.shape[1:] and self._rows in (None, len(array))
            if not fits or not np.can_cast(part.dtype, array.dtype, "same_kind"):
                raise ValueError(
                    f"{self._name}: out is {array.dtype} {array.shape}, expected {rows} rows "
                    f"of {part.dtype} {part.shape[1:]}"
                )

    def _room(self, index: int) -> Array:
        """Return an output's array, enlarged if more rows have come than it has."""
        assert self._targets is not None
        target: Array = self._targets[index]
        if len(target) < self._done:
            if self._given is not None:
                raise ValueError(f"{self._name}: out has {len(target)} rows, but more have come")
            larger = np.empty((max(self._done, 2 * len(target)), *target.shape[1:]), target.dtype)
            larger[: len(target)] = target
            self._targets[index] = target = larger
        return target

    def result(self) -> Any:
        """Return all outputs; those of a number of rows that was not known are cut to it."""
        assert self._targets is not None
        cut = self._targets
        if self._rows is None:
            cut = [target[: self._done] for target in cut]
        return pack_like(self._structure, cut)


def _list(target: list[Any], rows: Any, part: Array, lengths: Array | None) -> None:
    """Put each row's own steps in a list."""
    numbers = range(rows.start, rows.stop) if isinstance(rows, slice) else rows.tolist()
    target.extend([None] * (max(numbers, default=-1) + 1 - len(target)))
    for index, number in enumerate(numbers):
        row = part[index] if lengths is None else part[index, : lengths[index]]
        # A copy: a view would keep its whole batch in memory.
        target[number] = row.copy()
