"""Operations that Keras 3 writes into a functional model's graph as nodes of their own."""

from __future__ import annotations

import typing

import numpy as np

from rnn_core._layer import Layer


class _Op(Layer):
    """A function without weights, of arrays of any dtype."""

    def _cast(self, inputs: typing.Any) -> typing.Any:
        return inputs


class NotEqual(_Op):
    """x1 != x2, value by value.

    >>> NotEqual()(np.array([0, 3]), 0)
    array([False,  True])
    """

    def call(self, x1: typing.Any, x2: typing.Any) -> typing.Any:
        """Return where the two differ."""
        return np.not_equal(x1, x2)


class Any(_Op):
    """Whether any value along an axis is true.

    Args:
        axis: the axis, or None for all.
        keepdims: keep the axis, of length 1.
        kwargs: as for `Layer`.
    """

    config_keys = ("axis", "keepdims")

    def __init__(
        self, axis: typing.Any = None, keepdims: bool = False, **kwargs: typing.Any
    ) -> None:
        super().__init__(**kwargs)
        self.axis = axis
        self.keepdims = keepdims

    def call(self, x: typing.Any) -> typing.Any:
        """Return the reduction."""
        axis: typing.Any = tuple(self.axis) if isinstance(self.axis, list) else self.axis
        flags: typing.Any = np.asarray(x, bool)
        return flags.any(axis=axis, keepdims=self.keepdims)

    def compute_output_shape(self, input_shape: typing.Any) -> typing.Any:
        """Return the reduced shape."""
        axes = range(len(input_shape)) if self.axis is None else np.atleast_1d(self.axis)
        gone = {int(axis) % len(input_shape) for axis in axes}
        if self.keepdims:
            return tuple(1 if axis in gone else n for axis, n in enumerate(input_shape))
        return tuple(n for axis, n in enumerate(input_shape) if axis not in gone)
