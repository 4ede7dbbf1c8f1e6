"""A model's outputs as Arrow columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnn_core._scoring.arrow import pyarrow
from rnn_core._tables import output_names
from rnn_core._typing import Array


@dataclass(frozen=True)
class Form:
    """How outputs become columns.

    Args:
        shape: of a row's output; None is an axis whose length differs from row to row.
        dtype: of the outputs.
        names: of the columns, if they are given.
        as_list: one column with a list a row, instead of a column for each value.
        top_k: the k largest values and where they are, instead of all values.
        labels: what the places are called.
    """

    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]
    names: tuple[str, ...] | None
    as_list: bool
    top_k: int | None
    labels: tuple[str, ...] | None

    def check(self) -> None:
        """Raise ValueError if the options do not fit the outputs."""
        if self.top_k is None:
            if self.labels is not None:
                raise ValueError("labels are given without top_k, which says how many to name")
            if None in self.shape and not self.as_list:
                raise ValueError("the model has an output for each step: expected output='list'")
            if len(self.shape) > 2 and self.as_list:
                raise ValueError(f"a row's output has shape {self.shape}, expected 2 axes at most")
            return
        if len(self.shape) != 1:
            raise ValueError(f"a row's output has shape {self.shape}, top_k expects one axis")
        width = self.shape[0] or 0
        if not 1 <= self.top_k <= width:
            raise ValueError(f"top_k is {self.top_k}, expected 1 to {width}")
        if self.labels is not None and len(self.labels) != width:
            raise ValueError(f"labels has {len(self.labels)} names, expected {width}")

    def fields(self) -> list[Any]:
        """Return the columns' names and types.

        Raises:
            ValueError: options that do not fit the outputs; another number of names.
        """
        self.check()
        pa = pyarrow()
        number = pa.from_numpy_dtype(self.dtype)
        if self.top_k is not None:
            place = pa.int32() if self.labels is None else pa.string()
            types = [place, number] if not self.as_list else [pa.list_(place), pa.list_(number)]
            if self.as_list:
                return self._named(["labels", "scores"], types)
            ends = [""] if self.top_k == 1 else [f"_{k + 1}" for k in range(self.top_k)]
            names = [f"{what}{end}" for end in ends for what in ("label", "score")]
            return self._named(names, types * self.top_k)
        if self.as_list:
            for _ in self.shape:
                number = pa.list_(number)
            return self._named(["output"], [number])
        shape = tuple(n or 0 for n in self.shape)
        return [pa.field(name, number) for name in output_names(shape, self.names)]

    def _named(self, names: Sequence[str], types: Sequence[Any]) -> list[Any]:
        if self.names is not None:
            if len(self.names) != len(names):
                raise ValueError(f"names has {len(self.names)} names, expected {len(names)}")
            names = self.names
        return [pyarrow().field(name, kind) for name, kind in zip(names, types, strict=True)]

    def columns(self, outputs: Any) -> list[Any]:
        """Return outputs ``(rows, ...)``, or a list of arrays of different lengths, as columns."""
        pa = pyarrow()
        if self.top_k is not None:
            return self._largest(np.asarray(outputs))
        if self.as_list:
            return [_lists(outputs)]
        rows = len(outputs)
        flat = np.asarray(outputs).reshape(rows, math.prod(n or 0 for n in self.shape))
        return [pa.array(column) for column in np.ascontiguousarray(flat.T)]

    def _largest(self, outputs: Array) -> list[Any]:
        """Return places, or labels, and values, the largest first; of equal ones the first first.

        NaN comes last.
        """
        pa = pyarrow()
        keys = np.where(np.isnan(outputs), -np.inf, outputs)
        if self.top_k == 1:
            places = keys.argmax(axis=1)[:, None]
        else:
            places = np.argsort(-keys, axis=1, kind="stable")[:, : self.top_k]
        scores = np.take_along_axis(outputs, places, axis=1)
        places = places.astype(np.int32)
        named = None if self.labels is None else pa.array(self.labels, pa.string())

        def named_places(flat: Array) -> Any:
            return pa.array(flat) if named is None else named.take(pa.array(flat))

        if self.as_list:
            offsets = pa.array(np.arange(len(places) + 1, dtype=np.int32) * places.shape[1])
            values = [named_places(places.ravel()), pa.array(scores.ravel())]
            return [pa.ListArray.from_arrays(offsets, each) for each in values]
        pairs = zip(places.T, scores.T, strict=True)
        return [
            column
            for place, score in pairs
            for column in (
                named_places(np.ascontiguousarray(place)),
                pa.array(np.ascontiguousarray(score)),
            )
        ]


def _lists(outputs: Any) -> Any:
    """Return arrays of one axis or two, of any lengths, as lists, or lists of lists."""
    pa = pyarrow()
    if isinstance(outputs, np.ndarray):
        rows, inner = len(outputs), outputs.shape[1:]
        values: Any = pa.array(outputs.reshape(-1))
        for axis in reversed(range(len(inner))):
            count = rows * math.prod(inner[:axis])
            values = _listed(values, np.arange(count + 1) * inner[axis])
        return values
    lengths = [len(each) for each in outputs]
    steps = _lists(np.concatenate(outputs))
    return _listed(steps, np.cumsum([0, *lengths]))


def _listed(values: Any, offsets: Array) -> Any:
    pa = pyarrow()
    if offsets[-1] >= 1 << 31:
        raise ValueError(f"a batch has {offsets[-1]:,} output values, expected below 2^31")
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), values)
