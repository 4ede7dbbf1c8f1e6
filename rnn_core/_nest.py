"""Nested lists, tuples and dicts of values, walked leaf by leaf; shapes, also nested."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

IsLeaf = Callable[[Any], bool]


def _never(value: Any) -> bool:
    return False


def flatten(structure: Any, is_leaf: IsLeaf = _never) -> list[Any]:
    """Return the leaves in order; None is a leaf, dicts go by their own order."""
    if is_leaf(structure):
        return [structure]
    if isinstance(structure, dict):
        return [leaf for value in structure.values() for leaf in flatten(value, is_leaf)]
    if isinstance(structure, (list, tuple)):
        return [leaf for value in structure for leaf in flatten(value, is_leaf)]
    return [structure]


def first_leaf(structure: Any) -> Any:
    """Return the first leaf, or None if there is none."""
    while isinstance(structure, (list, tuple, dict)):
        values = structure.values() if isinstance(structure, dict) else structure
        structure = next(iter(values), None)
    return structure


def map_leaves(function: Callable[[Any], Any], structure: Any, is_leaf: IsLeaf = _never) -> Any:
    """Return the same structure with `function` applied to each leaf."""
    if is_leaf(structure):
        return function(structure)
    if isinstance(structure, dict):
        return {key: map_leaves(function, value, is_leaf) for key, value in structure.items()}
    if isinstance(structure, (list, tuple)):
        values = [map_leaves(function, value, is_leaf) for value in structure]
        named = hasattr(structure, "_fields")
        return type(structure)(*values) if named else type(structure)(values)
    return function(structure)


def pack_like(structure: Any, leaves: Iterable[Any]) -> Any:
    """Return `leaves` in the shape of `structure`, which has as many."""
    remaining: Iterator[Any] = iter(leaves)
    return map_leaves(lambda _: next(remaining), structure)


def listed(value: Any) -> list[Any]:
    """Return the items of a list or tuple, or a list of the one value."""
    return list(value) if isinstance(value, (list, tuple)) else [value]


class TensorShape:
    """The axes of one row of a state or output that has more than one.

    A cell whose state is a matrix a row says so by ``state_size = TensorShape((3, 4))``; the
    tuple ``(3, 4)`` would be two states.

    Args:
        dims: a length for each axis, the batch left out; None for any. One number is one axis.

    >>> shape = TensorShape((3, 4))
    >>> shape, shape.rank, shape[0], shape == (3, 4)
    (TensorShape([3, 4]), 2, 3, True)
    """

    def __init__(self, dims: Any) -> None:
        self._dims = tuple(None if n is None else operator.index(n) for n in _dims_of(dims))

    @property
    def rank(self) -> int:
        """The number of axes.

        >>> TensorShape((3, 4)).rank
        2
        """
        return len(self._dims)

    def as_list(self) -> list[int | None]:
        """Return the lengths, None for any.

        >>> TensorShape((None, 4)).as_list()
        [None, 4]
        """
        return list(self._dims)

    def __iter__(self) -> Iterator[int | None]:
        return iter(self._dims)

    def __len__(self) -> int:
        return len(self._dims)

    def __getitem__(self, index: Any) -> Any:
        return self._dims[index]

    def __eq__(self, other: object) -> bool:
        try:
            return self._dims == tuple(_dims_of(other))
        except TypeError:
            return False

    def __hash__(self) -> int:
        return hash(self._dims)

    def __repr__(self) -> str:
        return f"TensorShape({list(self._dims)})"


def _dims_of(size: Any) -> Iterable[Any]:
    if hasattr(size, "as_list"):
        return list(size.as_list())
    return (size,) if np.ndim(size) == 0 else tuple(size)


def axes_of(size: Any) -> tuple[Any, ...]:
    """Return the axes of one row of a state or output: its size is an int or a shape."""
    if type(size) is int:
        return (size,)
    return tuple(TensorShape(size))


def is_shape(value: Any) -> bool:
    """Return whether `value` is one shape, such as ``(None, 3)``, and no structure of shapes."""
    if isinstance(value, (list, tuple)):
        return all(n is None or isinstance(n, (int, np.integer)) for n in value)
    return hasattr(value, "as_list")


def shapes_of(structure: Any) -> list[tuple[Any, ...]]:
    """Return the shapes within a shape or a structure of shapes, in order."""
    return [tuple(shape) for shape in flatten(structure, is_shape)]
