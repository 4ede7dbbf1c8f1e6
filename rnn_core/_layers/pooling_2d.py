"""Means and maxima over rows and columns."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from rnn_core._convolution import (
    data_format_of,
    output_space,
    pad_space,
    padding_of,
    per_axis,
    window_view,
)
from rnn_core._layer import Layer
from rnn_core._typing import Array


class _Images(Layer):
    """A layer of images in either data format."""

    input_axes = "(batch, rows, columns, channels)"

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = data_format_of(data_format)

    def _last(self, axes: Any) -> tuple[Any, ...]:
        """Return axes with the channels last."""
        a, b, c, d = axes
        return (a, b, c, d) if self.data_format == "channels_last" else (a, c, d, b)

    def _back(self, axes: Any) -> tuple[Any, ...]:
        """Return axes with the channels last in the layer's data format."""
        a, b, c, d = axes
        return (a, b, c, d) if self.data_format == "channels_last" else (a, d, b, c)


class _Pooling2D(_Images):
    """A window over rows and columns; see `MaxPooling2D`."""

    config_keys: ClassVar[tuple[str, ...]] = ("pool_size", "strides", "padding", "data_format")

    def __init__(
        self, pool_size: Any = 2, strides: Any = None, padding: str = "valid", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.pool_size = per_axis(pool_size, 2, "pool_size")
        self.strides = self.pool_size if strides is None else per_axis(strides, 2, "strides")
        self.padding = padding_of(padding, ("valid", "same"))

    def _space(self, shape: Any) -> tuple[Any, ...]:
        return output_space(shape[1:3], self.pool_size, self.strides, self.padding, (1, 1))

    def _pooled(self, x: Array, fill: float = 0.0) -> Array:
        """Return ``(batch, *windows, *pool_size, channels)``, `fill` beyond the image."""
        arguments = self.pool_size, self.strides
        space: Any = self._space(x.shape)
        x = pad_space(x, space, *arguments, self.padding, (1, 1), fill)
        return window_view(x, space, *arguments, (1, 1))

    def call(self, inputs: Any) -> Any:
        x = inputs.transpose(self._last(range(4)))
        return self._reduced(x).transpose(self._back(range(4)))

    def _reduced(self, x: Array) -> Array:
        raise NotImplementedError

    def compute_output_shape(self, input_shape: Any) -> Any:
        shape = self._last(input_shape)
        return self._back((shape[0], *self._space(shape), shape[3]))


class MaxPooling2D(_Pooling2D):
    """The maximum of each window over rows and columns.

    Args:
        pool_size: rows and columns of a window, or one number for both.
        strides: from one window to the next, likewise; `pool_size` if not given.
        padding: ``"valid"`` or ``"same"``.
        kwargs: as for `Layer`, and `data_format`: ``"channels_last"`` or ``"channels_first"``.

    Inputs ``(batch, rows, columns, channels)``, outputs ``(batch, *windows, channels)``.

    Raises:
        ValueError: a number below 1; an unknown padding or data format.

    >>> MaxPooling2D()(np.arange(16.0).reshape(1, 4, 4, 1))[0, ..., 0].tolist()
    [[5.0, 7.0], [13.0, 15.0]]
    """

    def _reduced(self, x: Array) -> Array:
        maximum: Array = self._pooled(x, -np.inf).max(axis=(3, 4))
        return maximum


class AveragePooling2D(_Pooling2D):
    """The mean of each window over rows and columns, of the values that exist.

    Args:
        pool_size: rows and columns of a window, or one number for both.
        strides: from one window to the next, likewise; `pool_size` if not given.
        padding: ``"valid"`` or ``"same"``.
        kwargs: as for `MaxPooling2D`.

    Inputs ``(batch, rows, columns, channels)``, outputs ``(batch, *windows, channels)``.

    Raises:
        ValueError: a number below 1; an unknown padding or data format.

    >>> AveragePooling2D()(np.arange(16.0).reshape(1, 4, 4, 1))[0, ..., 0].tolist()
    [[2.5, 4.5], [10.5, 12.5]]
    """

    def _reduced(self, x: Array) -> Array:
        count = self._pooled(np.ones((1, *x.shape[1:3], 1), x.dtype)).sum(axis=(3, 4))
        mean: Array = self._pooled(x).sum(axis=(3, 4)) / count
        return mean


class _GlobalPooling2D(_Images):
    """All rows and columns made one; see `GlobalMaxPooling2D`."""

    config_keys: ClassVar[tuple[str, ...]] = ("keepdims", "data_format")

    def __init__(self, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.keepdims = keepdims

    @property
    def _axes(self) -> tuple[int, int]:
        return (1, 2) if self.data_format == "channels_last" else (2, 3)

    def compute_output_shape(self, input_shape: Any) -> Any:
        if self.keepdims:
            return tuple(1 if a in self._axes else n for a, n in enumerate(input_shape))
        return tuple(n for a, n in enumerate(input_shape) if a not in self._axes)


class GlobalMaxPooling2D(_GlobalPooling2D):
    """The maximum over all rows and columns.

    Args:
        keepdims: keep axes of length 1.
        kwargs: as for `MaxPooling2D`.

    Inputs ``(batch, rows, columns, channels)``, outputs ``(batch, channels)``.

    >>> GlobalMaxPooling2D()(np.arange(4.0).reshape(1, 2, 2, 1)).tolist()
    [[3.0]]
    """

    def call(self, inputs: Any) -> Any:
        return inputs.max(axis=self._axes, keepdims=self.keepdims, initial=-np.inf)


class GlobalAveragePooling2D(_GlobalPooling2D):
    """The mean over all rows and columns.

    Args:
        keepdims: keep axes of length 1.
        kwargs: as for `MaxPooling2D`.

    Inputs ``(batch, rows, columns, channels)``, outputs ``(batch, channels)``.

    >>> GlobalAveragePooling2D()(np.arange(4.0).reshape(1, 2, 2, 1)).tolist()
    [[1.5]]
    """

    def call(self, inputs: Any) -> Any:
        return inputs.mean(axis=self._axes, keepdims=self.keepdims)
