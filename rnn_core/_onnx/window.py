"""Operators that slide a window over space: convolutions and pools, ``(batch, channels, ...)``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from rnn_core._convolution import convolve, per_axis
from rnn_core._onnx.shape import surrounded
from rnn_core._typing import Array

Ints = list[int]


class Windows(NamedTuple):
    """Where windows lie on each axis: size, step, step within, space before and after, count."""

    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: list[int]
    after: list[int]
    # How far the last window reaches over the space after, if one is begun that does not fit.
    beyond: list[int]


def _windows(
    space: Sequence[int],
    sizes: Sequence[int],
    strides: Ints | None,
    dilations: Ints | None,
    pads: Ints | None,
    auto_pad: str,
    ceil_mode: int = 0,
) -> Windows:
    rank = len(space)
    window = per_axis(sizes, rank, "kernel_shape")
    step = per_axis(strides or 1, rank, "strides")
    within = per_axis(dilations or 1, rank, "dilations")
    ends = pads or [0] * 2 * rank
    if len(ends) != 2 * rank or min(ends, default=0) < 0:
        raise ValueError(f"pads are {ends}, expected {2 * rank} numbers from 0")
    before, after, beyond = ends[:rank], ends[rank:], [0] * rank
    for axis, (n, k, s, d) in enumerate(zip(space, window, step, within, strict=True)):
        reach = (k - 1) * d + 1
        if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            total = max((-(-n // s) - 1) * s + reach - n, 0)
            less, more = total // 2, total - total // 2
            before[axis], after[axis] = (less, more) if auto_pad == "SAME_UPPER" else (more, less)
        elif auto_pad == "VALID":
            before[axis] = after[axis] = 0
        elif auto_pad != "NOTSET":
            raise ValueError(f"auto_pad is {auto_pad!r}")
        left = (n + before[axis] + after[axis] - reach) % s
        if ceil_mode and left:
            # A window more, unless it would begin after what there is.
            begin = n + before[axis] + after[axis] - reach - left + s
            beyond[axis] = s - left if begin < n + before[axis] else 0
    return Windows(window, step, within, before, after, beyond)


def _padded(x: Array, before: Sequence[int], after: Sequence[int], fill: Any) -> Array:
    if not any(before) and not any(after):
        return x
    widths = [(0, 0)] * (x.ndim - len(before)) + list(zip(before, after, strict=True))
    return surrounded(x, widths, fill)


def arranged(kernel: Array) -> Array:
    """Return a kernel as `conv` takes it, laid out in memory as it needs it."""
    return np.moveaxis(np.ascontiguousarray(_filters_last(kernel)), (-2, -1), (1, 0))


def _filters_last(kernel: Array) -> Array:
    return np.moveaxis(kernel, (1, 0), (-2, -1))


def conv(
    x: Array,
    kernel: Array,
    bias: Array | None = None,
    /,
    *,
    kernel_shape: Ints | None = None,
    strides: Ints | None = None,
    dilations: Ints | None = None,
    pads: Ints | None = None,
    auto_pad: str = "NOTSET",
    group: int = 1,
) -> Array:
    """Return the convolution of x with kernels ``(filters, channels / group, *window)``."""
    if x.ndim < 3 or kernel.ndim != x.ndim:
        raise ValueError(f"x has shape {x.shape}, the kernel {kernel.shape}")
    if group < 1 or len(kernel) % group:
        raise ValueError(f"group is {group} for a kernel {kernel.shape}")
    if kernel_shape is not None and tuple(kernel_shape) != kernel.shape[2:]:
        raise ValueError(f"kernel_shape is {kernel_shape} for a kernel {kernel.shape}")
    at = _windows(x.shape[2:], kernel.shape[2:], strides, dilations, pads, auto_pad)
    x = np.moveaxis(_padded(x, at.before, at.after, 0), 1, -1)
    y = convolve(x, _filters_last(kernel), at.strides, "valid", at.dilations, group)
    return np.moveaxis(y if bias is None else y + bias, -1, 1)


def _slide(x: Array, at: Windows) -> Array:
    """Return a view ``(batch, channels, *space, *window)``."""
    rank = len(at.sizes)
    reach = [(k - 1) * d + 1 for k, d in zip(at.sizes, at.dilations, strict=True)]
    if any(n < k for n, k in zip(x.shape[-rank:], reach, strict=True)):
        raise ValueError(f"space {x.shape[-rank:]} is smaller than a window of {reach}")
    axes = tuple(range(x.ndim - rank, x.ndim))
    views = np.lib.stride_tricks.sliding_window_view(x, tuple(reach), axes)
    steps = [slice(None, None, step) for step in (*at.strides, *at.dilations)]
    index: Any = (..., *steps)
    return np.asarray(views[index])


def max_pool(
    x: Array,
    /,
    *,
    kernel_shape: Ints,
    strides: Ints | None = None,
    dilations: Ints | None = None,
    pads: Ints | None = None,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    storage_order: int = 0,
) -> Array:
    """Return the largest value in each window."""
    at = _windows(x.shape[2:], kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
    least = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    ends = [a + b for a, b in zip(at.after, at.beyond, strict=True)]
    windows = _slide(_padded(x, at.before, ends, least), at)
    return np.asarray(windows.max(axis=tuple(range(-len(kernel_shape), 0))))


def average_pool(
    x: Array,
    /,
    *,
    kernel_shape: Ints,
    strides: Ints | None = None,
    dilations: Ints | None = None,
    pads: Ints | None = None,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
) -> Array:
    """Return the mean of each window, of padding too if `count_include_pad`."""
    at = _windows(x.shape[2:], kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
    ends = [a + b for a, b in zip(at.after, at.beyond, strict=True)]
    over = tuple(range(-len(kernel_shape), 0))
    counted = np.ones(x.shape[2:], x.dtype)
    counted = _padded(counted, at.before, at.after, 1 if count_include_pad else 0)
    counted = _padded(counted, [0] * len(ends), at.beyond, 0)
    sums = _slide(_padded(x, at.before, ends, 0), at).sum(axis=over, dtype=x.dtype)
    return np.asarray(sums / _slide(counted, at).sum(axis=over, dtype=x.dtype))


def global_average_pool(x: Array, /) -> Array:
    """Return the mean over space."""
    return np.asarray(x.mean(axis=tuple(range(2, x.ndim)), keepdims=True))


def global_max_pool(x: Array, /) -> Array:
    """Return the maximum over space."""
    return np.asarray(x.max(axis=tuple(range(2, x.ndim)), keepdims=True))


OPERATORS: dict[str, Callable[..., Any]] = {
    "AveragePool": average_pool,
    "Conv": conv,
    "GlobalAveragePool": global_average_pool,
    "GlobalMaxPool": global_max_pool,
    "MaxPool": max_pool,
}
