"""Values of rows that are computed part by part, in any order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from rnn_core._nest import flatten, map_leaves
from rnn_core._typing import Array


class Kept:
    """Arrays of rows, written part by part.

    Args:
        like: a structure of arrays and None, each array of one row; the rows are like it.
        rows: how many.
    """

    def __init__(self, like: Any, rows: int) -> None:
        def room(array: Array | None) -> Array | None:
            return None if array is None else np.empty((rows, *array.shape[1:]), array.dtype)

        self._arrays = map_leaves(room, like)

    def put(self, rows: slice | Array, values: Any) -> None:
        """Write the values of some rows."""
        for kept, array in zip(arrays_of(self._arrays), arrays_of(values), strict=True):
            kept[rows] = array

    def take(self, rows: slice | Array) -> Any:
        """Return the values of some rows."""
        return map_leaves(lambda array: None if array is None else array[rows], self._arrays)


def arrays_of(structure: Any) -> Iterator[Array]:
    """Yield the leaves that are not None."""
    return (leaf for leaf in flatten(structure) if leaf is not None)


def row_bytes(structure: Any) -> int:
    """Return what the values of one row take."""
    return sum(array.nbytes for array in arrays_of(structure))
