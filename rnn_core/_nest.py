"""Nested lists, tuples and dicts of values, walked leaf by leaf."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def flatten(structure: Any) -> list[Any]:
    """Return the leaves in order; None is a leaf, dicts go by their own order."""
    if isinstance(structure, dict):
        return [leaf for value in structure.values() for leaf in flatten(value)]
    if isinstance(structure, (list, tuple)):
        return [leaf for value in structure for leaf in flatten(value)]
    return [structure]


def map_leaves(function: Callable[[Any], Any], structure: Any) -> Any:
    """Return the same structure with `function` applied to each leaf."""
    if isinstance(structure, dict):
        return {key: map_leaves(function, value) for key, value in structure.items()}
    if isinstance(structure, tuple) and hasattr(structure, "_fields"):
        return type(structure)(*(map_leaves(function, value) for value in structure))
    if isinstance(structure, (list, tuple)):
        return type(structure)(map_leaves(function, value) for value in structure)
    return function(structure)


def pack_like(structure: Any, leaves: list[Any]) -> Any:
    """Return `leaves` in the shape of `structure`, which has as many."""
    remaining: Iterator[Any] = iter(leaves)
    return map_leaves(lambda _: next(remaining), structure)
