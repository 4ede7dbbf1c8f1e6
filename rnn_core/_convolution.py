"""Convolution over any number of axes, and what its arguments may be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnn_core._numbers import positive
from rnn_core._typing import Array

# Bytes of windows to gather for one product: they stay in the cache.
_BLOCK = 1 << 20


def one(value: Any) -> int:
    """Return the number in an int or a list of one, as Keras writes both; positive."""
    if np.size(value) != 1:
        raise ValueError(f"got {value!r}, expected one positive number")
    return positive(np.ravel(value)[0], "a number of steps or filters")


def per_axis(value: Any, rank: int, name: str) -> tuple[int, ...]:
    """Return a positive number for each of `rank` axes, all the same if `value` is an int.

    Raises:
        ValueError: another number of them, or one below 1.

    >>> per_axis(3, 2, "kernel_size"), per_axis([3, 5], 2, "kernel_size")
    ((3, 3), (3, 5))
    """
    numbers = (value,) * rank if np.ndim(value) == 0 else tuple(value)
    if len(numbers) != rank or any(int(n) != n or n <= 0 for n in numbers):
        raise ValueError(f"{name} is {value!r}, expected {rank} positive numbers, or one for all")
    return tuple(int(n) for n in numbers)


def padding_of(padding: str, known: tuple[str, ...]) -> str:
    """Return `padding` in lower case if it is among `known`."""
    if padding.lower() not in known:
        raise ValueError(f"padding is {padding!r}, expected one of {known}")
    return padding.lower()


def data_format_of(data_format: str | None) -> str:
    """Return ``"channels_last"``, also for None, or ``"channels_first"``."""
    known = ("channels_last", "channels_first")
    if data_format is not None and data_format.lower() not in known:
        raise ValueError(f"data_format is {data_format!r}, expected one of {known}")
    return known[0] if data_format is None else data_format.lower()


def output_steps(steps: int | None, window: int, stride: int, padding: str) -> int | None:
    """Return how many windows fit into so many steps."""
    if steps is None:
        return None
    return -(-steps // stride) if padding != "valid" else max(0, (steps - window) // stride + 1)


def output_space(
    space: Sequence[int | None],
    kernel_size: Sequence[int],
    strides: Sequence[int],
    padding: str,
    dilation_rate: Sequence[int],
) -> tuple[int | None, ...]:
    """Return the lengths of a convolution's axes for those of its inputs; None stands for any.

    >>> output_space((7, None), (3, 3), (2, 2), "valid", (1, 1))
    (3, None)
    """
    axes = zip(space, kernel_size, strides, dilation_rate, strict=True)
    return tuple(output_steps(n, (k - 1) * d + 1, s, padding) for n, k, s, d in axes)


def convolve(
    x: Array,
    kernel: Array,
    strides: Sequence[int],
    padding: str,
    dilation_rate: Sequence[int],
    groups: int = 1,
) -> Array:
    """Return the sum over each window of x.W; both keep their channels on the last axes.

    Args:
        x: ``(batch, *space, channels)``, any number of axes in the middle.
        kernel: ``(*window, channels / groups, filters)``.
        strides: steps from one window to the next, for each axis.
        padding: ``"valid"``, ``"same"`` or ``"causal"``; an odd step of ``"same"`` comes after.
        dilation_rate: steps from one value of a window to the next, for each axis.
        groups: into which the channels and filters are divided.

    Returns ``(batch, *windows, filters)``.

    Raises:
        ValueError: `x` has other axes or channels than the kernel.

    >>> x = np.arange(5.0).reshape(1, 5, 1)
    >>> convolve(x, np.ones((3, 1, 1)), (1,), "same", (1,))[0, :, 0]
    array([1., 3., 6., 9., 7.])
    """
    *window, channels, filters = kernel.shape
    if x.ndim != kernel.ndim or x.shape[-1] != groups * channels:
        raise ValueError(
            f"inputs have shape {x.shape}, expected {kernel.ndim} axes, "
            f"{groups * channels} channels on the last, for a kernel {kernel.shape}"
        )
    space = output_space(x.shape[1:-1], window, strides, padding, dilation_rate)
    y = np.zeros((len(x), *space, filters), np.result_type(x, kernel))
    if not y.size or not kernel.size:
        return y
    x = pad_space(x, y.shape[1:-1], window, strides, padding, dilation_rate)
    windows = window_view(x, y.shape[1:-1], window, strides, dilation_rate)
    rows = max(1, _BLOCK // windows[0, 0].nbytes)
    images = max(1, rows // windows.shape[1])
    for group in range(groups):
        taken = slice(group * channels, (group + 1) * channels)
        made = slice(group * filters // groups, (group + 1) * filters // groups)
        weights = kernel[..., made].reshape(np.prod(kernel.shape[:-1]), -1)
        for image in range(0, len(x), images):
            for row in range(0, windows.shape[1], rows):
                block = slice(image, image + images), slice(row, row + rows)
                gathered = windows[(*block, ..., taken)].reshape(-1, len(weights))
                np.matmul(gathered, weights, out=y[block].reshape(-1, filters)[:, made])
    return y


def depthwise(
    x: Array,
    kernel: Array,
    strides: Sequence[int],
    padding: str,
    dilation_rate: Sequence[int],
) -> Array:
    """Return the sum over each window of x W, for each channel alone.

    Args:
        x: ``(batch, *space, channels)``, any number of axes in the middle.
        kernel: ``(*window, channels, multiplier)``.
        strides, padding, dilation_rate: as for `convolve`.

    Returns ``(batch, *windows, channels * multiplier)``.

    >>> x = np.arange(5.0).reshape(1, 5, 1)
    >>> depthwise(x, np.ones((3, 1, 1)), (1,), "same", (1,))[0, :, 0]
    array([1., 3., 6., 9., 7.])
    """
    *window, channels, multiplier = kernel.shape
    space = output_space(x.shape[1:-1], window, strides, padding, dilation_rate)
    y = np.zeros((len(x), *space, channels, multiplier), np.result_type(x, kernel))
    if y.size:
        x = pad_space(x, y.shape[1:-2], window, strides, padding, dilation_rate)
        windows = window_view(x, y.shape[1:-2], window, strides, dilation_rate)
        for place in np.ndindex(*window):
            # (batch, *space, channels, 1) of one place in all windows
            values = windows[(*(slice(None),) * (y.ndim - 2), *place, slice(None), None)]
            y += values * kernel[place]
    return y.reshape(*y.shape[:-2], channels * multiplier)


def transposed_space(
    space: Sequence[int | None],
    kernel_size: Sequence[int],
    strides: Sequence[int],
    padding: str,
    dilation_rate: Sequence[int],
    output_padding: Sequence[int] | None,
) -> tuple[int | None, ...]:
    """Return the lengths of a transposed convolution's axes, as Keras counts them.

    Without an output padding they are the longest that the inputs could come from.

    >>> transposed_space((4, None), (3, 3), (2, 2), "valid", (1, 1), None)
    (9, None)
    """
    lengths: list[int | None] = []
    for axis, n in enumerate(space):
        stride, reach = strides[axis], (kernel_size[axis] - 1) * dilation_rate[axis] + 1
        window = reach if padding == "valid" else reach % 2
        longest = max(reach, stride) if padding == "valid" else stride
        window = longest if output_padding is None else window + output_padding[axis]
        lengths.append(None if n is None else max(0, (n - 1) * stride + window))
    return tuple(lengths)


def convolve_transposed(
    x: Array,
    kernel: Array,
    space: Sequence[int],
    strides: Sequence[int],
    padding: str,
    dilation_rate: Sequence[int],
) -> Array:
    """Return what each W.x adds to its window; the transpose of `convolve`.

    Args:
        x: ``(batch, *windows, channels)``, any number of axes in the middle.
        kernel: ``(*window, filters, channels)``.
        space: lengths of the outputs' axes.
        strides, padding, dilation_rate: as for `convolve`, from `space` to the windows.

    Returns ``(batch, *space, filters)``.

    Raises:
        ValueError: `x` has other axes or channels than the kernel.

    >>> x = np.arange(3.0).reshape(1, 3, 1)
    >>> convolve_transposed(x, np.ones((3, 1, 1)), (6,), (2,), "same", (1,))[0, :, 0]
    array([0., 0., 1., 1., 3., 2.])
    """
    *window, filters, channels = kernel.shape
    if x.ndim != kernel.ndim or x.shape[-1] != channels:
        raise ValueError(
            f"inputs have shape {x.shape}, expected {kernel.ndim} axes, "
            f"{channels} channels on the last, for a kernel {kernel.shape}"
        )
    reached = [
        (n - 1) * s + (k - 1) * d + 1 if n else 0
        for n, k, s, d in zip(x.shape[1:-1], window, strides, dilation_rate, strict=True)
    ]
    beyond = [max(n - out, 0) for n, out in zip(reached, space, strict=True)]
    before = [n // 2 if padding == "same" else 0 for n in beyond]
    lengths = [max(n, b + out) for n, b, out in zip(reached, before, space, strict=True)]
    y = np.zeros((len(x), *lengths, filters), np.result_type(x, kernel))
    for place in np.ndindex(*window):
        of_place = [
            slice(k * d, k * d + n * s, s)
            for k, n, s, d in zip(place, x.shape[1:-1], strides, dilation_rate, strict=True)
        ]
        y[(slice(None), *of_place)] += x @ kernel[place].T
    kept = [slice(b, b + out) for b, out in zip(before, space, strict=True)]
    return y[(slice(None), *kept)]


def pad_space(
    x: Array,
    space: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int],
    padding: str,
    dilation_rate: Sequence[int],
    fill: float = 0.0,
) -> Array:
    """Return `x` with as many values around it as the windows reach, zeros or `fill`."""
    if padding == "valid":
        return x
    lengths, inside = [], []
    for n, out, k, s, d in zip(x.shape[1:-1], space, window, strides, dilation_rate, strict=True):
        reach = (k - 1) * d
        beyond = reach if padding == "causal" else max((out - 1) * s + reach + 1 - n, 0)
        before = reach if padding == "causal" else beyond // 2
        lengths.append(n + beyond)
        inside.append(slice(before, before + n))
    if lengths == [*x.shape[1:-1]]:
        return x
    padded = np.full((len(x), *lengths, x.shape[-1]), fill, x.dtype)
    padded[(slice(None), *inside)] = x
    return padded


def window_view(
    x: Array,
    space: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int],
    dilation_rate: Sequence[int],
) -> Array:
    """Return a view ``(batch, *space, *window, channels)`` of padded inputs."""
    first, *steps, last = x.strides
    apart = [n * stride for n, stride in zip(steps, strides, strict=True)]
    within = [n * dilation for n, dilation in zip(steps, dilation_rate, strict=True)]
    return np.lib.stride_tricks.as_strided(
        x,
        (len(x), *space, *window, x.shape[-1]),
        (first, *apart, *within, last),
        writeable=False,
    )
