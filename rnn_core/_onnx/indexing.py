"""Operators that take values at indices, or put them there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rnn_core._typing import Array

# How a scattered value joins the one that is there.
_JOIN: dict[str, Callable[..., Any]] = {
    "add": np.add.at,
    "mul": np.multiply.at,
    "max": np.maximum.at,
    "min": np.minimum.at,
}


def _within(indices: Array, length: int) -> Array:
    """Return indices from 0, negative ones counted from the end.

    Raises:
        ValueError: one is outside of the axis.
    """
    if indices.size and (indices.min() < -length or indices.max() >= length):
        raise ValueError(
            f"indices from {indices.min()} to {indices.max()}, expected {-length} to {length - 1}"
        )
    return np.where(indices < 0, indices + length, indices)


def gather(x: Array, indices: Array, /, *, axis: int = 0) -> Array:
    """Return the slices of x at indices along an axis."""
    if indices.size and (indices.min() < -x.shape[axis] or indices.max() >= x.shape[axis]):
        _within(indices, x.shape[axis])
    if indices.ndim == 0:
        return x[(slice(None),) * (axis % x.ndim) + (int(indices),)]
    return np.take(x, indices, axis)


def gather_elements(x: Array, indices: Array, /, *, axis: int = 0) -> Array:
    """Return for each index the value there along an axis, the other axes as for the index."""
    return x[_grid(x, indices, axis)]


def _grid(x: Array, indices: Array, axis: int) -> tuple[Array, ...]:
    """Return where each of the elements is that indices along an axis mean."""
    if indices.ndim != x.ndim:
        raise ValueError(f"indices have shape {indices.shape}, expected {x.ndim} axes")
    grid: list[Array] = list(np.indices(indices.shape, sparse=True))
    grid[axis] = _within(indices, x.shape[axis])
    return tuple(grid)


def scatter_elements(
    x: Array, indices: Array, updates: Array, /, *, axis: int = 0, reduction: str = "none"
) -> Array:
    """Return x with updates at indices along an axis."""
    return _put(x, _grid(x, indices, axis), updates, reduction)


def _put(x: Array, places: tuple[Any, ...], updates: Array, reduction: str) -> Array:
    if reduction != "none" and reduction not in _JOIN:
        raise ValueError(f"reduction is {reduction!r}, expected none or {', '.join(_JOIN)}")
    y = x.copy()
    if reduction == "none":
        y[places] = updates
    else:
        _JOIN[reduction](y, places, updates)
    return y


def gather_nd(x: Array, indices: Array, /, *, batch_dims: int = 0) -> Array:
    """Return the slices of x at tuples of indices, which are on the last axis."""
    return x[_tuples(x, indices, batch_dims)]


def _tuples(x: Array, indices: Array, batch_dims: int = 0) -> tuple[Array, ...]:
    depth = indices.shape[-1]
    if batch_dims + depth > x.ndim:
        raise ValueError(f"indices have shape {indices.shape} for {x.shape}")
    lead = np.indices(indices.shape[:batch_dims], sparse=True)
    more = indices.ndim - 1 - batch_dims
    batch = [axis.reshape(axis.shape + (1,) * more) for axis in lead]
    length = x.shape[batch_dims : batch_dims + depth]
    return (*batch, *(_within(indices[..., n], length[n]) for n in range(depth)))


def scatter_nd(x: Array, indices: Array, updates: Array, /, *, reduction: str = "none") -> Array:
    """Return x with updates at tuples of indices, which are on the last axis."""
    return _put(x, _tuples(x, indices), updates, reduction)


def one_hot(indices: Array, depth: Array, values: Array, /, *, axis: int = -1) -> Array:
    """Return the second of two values where an axis's place is the index, the first elsewhere."""
    count = int(depth.reshape(-1)[0])
    wanted = np.asarray(np.where(indices < 0, indices + count, indices))
    hot = np.expand_dims(wanted, axis) == np.arange(count).reshape(
        (-1,) + (1,) * (wanted.ndim - axis % (wanted.ndim + 1))
    )
    return np.asarray(np.where(hot, values[1], values[0]))


def non_zero(x: Array, /) -> Array:
    """Return the indices ``(axes, count)`` of what is not zero."""
    return np.array(np.nonzero(np.atleast_1d(x)), np.int64).reshape(max(x.ndim, 1), -1)


def compress(x: Array, condition: Array, /, *, axis: int | None = None) -> Array:
    """Return the slices along an axis, or the values, for which the condition is true."""
    return np.compress(condition.astype(bool), x, axis)


def reverse_sequence(
    x: Array, lengths: Array, /, *, batch_axis: int = 1, time_axis: int = 0
) -> Array:
    """Return x with the first steps of each sequence, as many as it has, in reverse order."""
    steps = np.moveaxis(x, (batch_axis, time_axis), (0, 1))
    time = np.arange(steps.shape[1])
    ends = lengths.reshape(-1, 1)
    order = np.where(time < ends, ends - 1 - time, time)
    taken = steps[np.arange(len(steps))[:, None], order]
    return np.moveaxis(taken, (0, 1), (batch_axis, time_axis))


OPERATORS: dict[str, Callable[..., Any]] = {
    "Compress": compress,
    "Gather": gather,
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
    "NonZero": non_zero,
    "OneHot": one_hot,
    "ReverseSequence": reverse_sequence,
    "Scatter": scatter_elements,
    "ScatterElements": scatter_elements,
    "ScatterND": scatter_nd,
}
