"""Operators that reduce axes, sum along them, or find the largest on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rnn_core._typing import Array

Ints = list[int]


def _least(dtype: np.dtype[Any]) -> Any:
    """Return what every number of a dtype is at least."""
    if dtype.kind == "b":
        return False
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min


def _greatest(dtype: np.dtype[Any]) -> Any:
    if dtype.kind == "b":
        return True
    return np.inf if dtype.kind == "f" else np.iinfo(dtype).max


def _sum(x: Array, **over: Any) -> Array:
    return np.asarray(np.sum(x, dtype=x.dtype, **over))


def _mean(x: Array, **over: Any) -> Array:
    return np.asarray(np.mean(x, **over)).astype(x.dtype, copy=False)


def _log_sum_exp(x: Array, **over: Any) -> Array:
    top = np.max(x, initial=_least(x.dtype), **{**over, "keepdims": True})
    top = np.where(np.isfinite(top), top, 0)
    total = np.log(_sum(np.exp(x - top), **over))
    return np.asarray(total + top.reshape(total.shape)).astype(x.dtype, copy=False)


def _reduction(reduce: Callable[..., Any]) -> Callable[..., Array]:
    """Return an operator: axes are an attribute at first, then an input."""

    def apply(
        x: Array,
        given: Array | None = None,
        /,
        *,
        axes: Ints | None = None,
        keepdims: int = 1,
        noop_with_empty_axes: int = 0,
    ) -> Array:
        over = axes if given is None else given.tolist()
        if not over and noop_with_empty_axes:
            # The operation itself without its reduction: a square, say, of each value.
            over = ()
        elif not over:
            over = range(x.ndim)
        return np.asarray(reduce(x, axis=tuple(over), keepdims=bool(keepdims)))

    return apply


def _arg(largest: bool) -> Callable[..., Array]:
    def apply(
        x: Array, /, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0
    ) -> Array:
        find = np.argmax if largest else np.argmin
        if select_last_index:
            found = x.shape[axis] - 1 - find(np.flip(x, axis), axis=axis, keepdims=bool(keepdims))
        else:
            found = find(x, axis=axis, keepdims=bool(keepdims))
        return np.asarray(found, np.int64)

    return apply


def top_k(
    x: Array,
    count: Array | None = None,
    /,
    *,
    k: int | None = None,
    axis: int = -1,
    largest: int = 1,
    sorted: int = 1,
) -> tuple[Array, Array]:
    """Return the k largest or smallest on an axis and where they are; the first of equals first."""
    wanted = k if count is None else int(count.reshape(-1)[0])
    if wanted is None or not 0 <= wanted <= x.shape[axis]:
        raise ValueError(f"k is {wanted}, expected up to {x.shape[axis]}")
    x = np.moveaxis(x, axis, -1)
    if largest:
        last_first = np.argsort(x[..., ::-1], axis=-1, kind="stable")[..., ::-1]
        order = x.shape[-1] - 1 - last_first
    else:
        order = np.argsort(x, axis=-1, kind="stable")
    order = order[..., :wanted]
    values = np.take_along_axis(x, order, -1)
    return np.moveaxis(values, -1, axis), np.moveaxis(order, -1, axis).astype(np.int64)


def cum_sum(x: Array, axis: Array, /, *, exclusive: int = 0, reverse: int = 0) -> Array:
    """Return running sums along an axis."""
    along = int(axis.reshape(-1)[0])
    if reverse:
        x = np.flip(x, along)
    sums = np.cumsum(x, along, dtype=x.dtype)
    if exclusive:
        sums = np.roll(sums, 1, along)
        np.moveaxis(sums, along, 0)[:1] = 0
    return np.flip(sums, along) if reverse else sums


OPERATORS: dict[str, Callable[..., Any]] = {
    "ArgMax": _arg(largest=True),
    "ArgMin": _arg(largest=False),
    "CumSum": cum_sum,
    "ReduceL1": _reduction(lambda x, **over: _sum(np.abs(x), **over)),
    "ReduceL2": _reduction(lambda x, **over: np.sqrt(_sum(x * x, **over)).astype(x.dtype)),
    "ReduceLogSum": _reduction(lambda x, **over: np.log(_sum(x, **over)).astype(x.dtype)),
    "ReduceLogSumExp": _reduction(_log_sum_exp),
    "ReduceMax": _reduction(lambda x, **over: np.max(x, initial=_least(x.dtype), **over)),
    "ReduceMean": _reduction(_mean),
    "ReduceMin": _reduction(lambda x, **over: np.min(x, initial=_greatest(x.dtype), **over)),
    "ReduceProd": _reduction(lambda x, **over: np.prod(x, dtype=x.dtype, **over)),
    "ReduceSum": _reduction(_sum),
    "ReduceSumSquare": _reduction(lambda x, **over: _sum(x * x, **over)),
    "TopK": top_k,
}
