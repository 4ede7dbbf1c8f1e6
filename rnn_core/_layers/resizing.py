"""Images with more or fewer rows and columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnn_core._convolution import per_axis
from rnn_core._layers.pooling_2d import _Images
from rnn_core._typing import Array


def _pair(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value, value)


def _sides(value: Any, name: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return ``((top, bottom), (left, right))`` for that, a number for both axes, or one each."""
    pairs = [_pair(axis) for axis in _pair(value)]
    numbers = [n for pair in pairs for n in pair]
    whole = all(isinstance(n, (int, np.integer)) and n >= 0 for n in numbers)
    if [*map(len, pairs)] != [2, 2] or not whole:
        raise ValueError(
            f"{name} is {value!r}, expected ((top, bottom), (left, right)), "
            "(rows, columns) or one number, none negative"
        )
    top, bottom, left, right = map(int, numbers)
    return (top, bottom), (left, right)


class _Resizing(_Images):
    """Other numbers of rows and columns; see `ZeroPadding2D`."""

    def _length(self, length: int, axis: int) -> int:
        """Return the number of rows, axis 0, or columns, axis 1, for that of the inputs."""
        raise NotImplementedError

    def _resized(self, x: Array) -> Array:
        """Return the outputs for `x`, channels last."""
        raise NotImplementedError

    def call(self, inputs: Any) -> Any:
        x = inputs.transpose(self._last(range(4)))
        return self._resized(x).transpose(self._back(range(4)))

    def compute_output_shape(self, input_shape: Any) -> Any:
        batch, *space, channels = self._last(input_shape)
        rows, columns = (None if n is None else self._length(n, a) for a, n in enumerate(space))
        return self._back((batch, rows, columns, channels))


class ZeroPadding2D(_Resizing):
    """Zeros around rows and columns.

    Args:
        padding: rows and columns on both sides, one number for all, or
            ``((top, bottom), (left, right))``.
        kwargs: as for `Layer`, and `data_format`: ``"channels_last"`` or ``"channels_first"``.

    Inputs ``(batch, rows, columns, channels)``, outputs
    ``(batch, top + rows + bottom, left + columns + right, channels)``.

    Raises:
        ValueError: another form of padding, or a negative number; an unknown data format; inputs of
            another number of axes.

    >>> ZeroPadding2D(((1, 0), (0, 1)))(np.ones((1, 1, 2, 1)))[0, ..., 0].tolist()
    [[0.0, 0.0, 0.0], [1.0, 1.0, 0.0]]
    """

    config_keys = ("padding", "data_format")

    def __init__(self, padding: Any = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.padding = _sides(padding, "padding")

    def _length(self, length: int, axis: int) -> int:
        return length + sum(self.padding[axis])

    def _resized(self, x: Array) -> Array:
        return np.pad(x, ((0, 0), *self.padding, (0, 0)))


class Cropping2D(_Resizing):
    """Without rows and columns at the edges.

    Args:
        cropping: rows and columns on both sides, one number for all, or
            ``((top, bottom), (left, right))``.
        kwargs: as for `ZeroPadding2D`.

    Inputs ``(batch, rows, columns, channels)``, outputs
    ``(batch, rows - top - bottom, columns - left - right, channels)``.

    Raises:
        ValueError: as for `ZeroPadding2D`; inputs of too few rows or columns.

    >>> Cropping2D(((1, 0), (0, 1)))(np.arange(4.0).reshape(1, 2, 2, 1)).ravel()
    array([2.], dtype=float32)
    """

    config_keys = ("cropping", "data_format")

    def __init__(self, cropping: Any = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cropping = _sides(cropping, "cropping")

    def _length(self, length: int, axis: int) -> int:
        cropped = sum(self.cropping[axis])
        if length < cropped:
            kind = ("rows", "columns")[axis]
            raise ValueError(f"{self.name}: {length} {kind}, expected at least {cropped}")
        return length - cropped

    def _resized(self, x: Array) -> Array:
        (top, _), (left, _) = self.cropping
        rows, columns = (self._length(n, axis) for axis, n in enumerate(x.shape[1:3]))
        return x[:, top : top + rows, left : left + columns]


def _repeated(x: Array, size: int, axis: int) -> Array:
    return np.repeat(x, size, axis)


def _interpolated(x: Array, size: int, axis: int) -> Array:
    """Return the values between pixels, which stand for their middles."""
    length = x.shape[axis]
    position = (np.arange(size * length) + 0.5) / size - 0.5
    position = np.clip(position, 0, length - 1)
    before = position.astype(int)
    after = np.minimum(before + 1, length - 1)
    part = (position - before).astype(x.dtype)
    part = part.reshape(-1, *(1,) * (x.ndim - axis - 1))
    between: Array = x.take(before, axis) * (1 - part) + x.take(after, axis) * part
    return between


_INTERPOLATIONS = {"nearest": _repeated, "bilinear": _interpolated}


class UpSampling2D(_Resizing):
    """More rows and columns, the same or between those that there are.

    Args:
        size: how many times the rows and columns, or one number for both.
        interpolation: ``"nearest"`` or ``"bilinear"``.
        kwargs: as for `ZeroPadding2D`.

    Inputs ``(batch, rows, columns, channels)``, outputs
    ``(batch, size[0] * rows, size[1] * columns, channels)``.

    Raises:
        ValueError: a size below 1; an unknown interpolation or data format; inputs of another
            number of axes.

    >>> UpSampling2D((1, 2))(np.arange(2.0).reshape(1, 1, 2, 1)).ravel()
    array([0., 0., 1., 1.], dtype=float32)
    >>> UpSampling2D((1, 2), interpolation="bilinear")(np.arange(2.0).reshape(1, 1, 2, 1)).ravel()
    array([0.  , 0.25, 0.75, 1.  ], dtype=float32)
    """

    config_keys = ("size", "data_format", "interpolation")

    def __init__(self, size: Any = 2, interpolation: str = "nearest", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = per_axis(size, 2, "size")
        if interpolation not in _INTERPOLATIONS:
            raise ValueError(
                f"interpolation is {interpolation!r}, expected one of {(*_INTERPOLATIONS,)}"
            )
        self.interpolation = interpolation

    def _length(self, length: int, axis: int) -> int:
        return length * self.size[axis]

    def _resized(self, x: Array) -> Array:
        resize = _INTERPOLATIONS[self.interpolation]
        rows, columns = self.size
        return resize(resize(x, rows, 1), columns, 2)
