"""Products of two inputs, row by row."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnn_core._dtypes import as_real
from rnn_core._layer import Layer


class Dot(Layer):
    """The sum over an axis of the products of two inputs, for each row.

    Args:
        axes: the axis, or one of each input, counted with the batch.
        normalize: divide both by their lengths along it, for the cosine of their angle.
        kwargs: as for `Layer`.

    Inputs: a list of two, ``(batch, steps, features)`` and ``(batch, others, features)`` for
    ``axes=2``. Outputs ``(batch, steps, others)``; ``(batch, 1)`` for inputs ``(batch, features)``.

    Raises:
        ValueError: inputs that are no list of two, or of other lengths along the axes; an axis of
            the batch.

    >>> Dot(1)([np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]])]).tolist()
    [[11.0]]
    """

    config_keys = ("axes", "normalize")

    def __init__(self, axes: Any, normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axes = axes if isinstance(axes, int) else [int(axis) for axis in axes]
        self.normalize = normalize

    def _cast(self, inputs: Any) -> Any:
        if not isinstance(inputs, (list, tuple)) or len(inputs) != 2:
            raise ValueError(f"{self.name}: expected a list of two inputs")
        return [as_real(x, self.dtype, self.name) for x in inputs]

    def _both_axes(self, shapes: Any) -> tuple[int, int]:
        axes = [self.axes] * 2 if isinstance(self.axes, int) else self.axes
        a, b = (axis % len(shape) for axis, shape in zip(axes, shapes, strict=True))
        lengths = shapes[0][a], shapes[1][b]
        if 0 in (a, b) or (None not in lengths and lengths[0] != lengths[1]):
            raise ValueError(
                f"{self.name}: inputs have shapes {[*map(tuple, shapes)]}, "
                f"expected equal lengths on axes {self.axes}"
            )
        return a, b

    def call(self, inputs: Any) -> Any:
        x, y = inputs
        a, b = self._both_axes([x.shape, y.shape])
        if self.normalize:
            x, y = _unit(x, a), _unit(y, b)
        x, y = np.moveaxis(x, a, -1), np.moveaxis(y, b, 1)
        rest = x.shape[1:-1] + y.shape[2:]
        product = x.reshape(len(x), -1, x.shape[-1]) @ y.reshape(*y.shape[:2], -1)
        return product.reshape(len(x), *(rest or (1,)))

    def compute_output_shape(self, input_shape: Any) -> Any:
        first, second = input_shape
        a, b = self._both_axes(input_shape)
        left = [n for axis, n in enumerate(first) if axis not in (0, a)]
        right = [n for axis, n in enumerate(second) if axis not in (0, b)]
        return (first[0], *(left + right or [1]))


def _unit(x: Any, axis: int) -> Any:
    square = np.square(x).sum(axis=axis, keepdims=True)
    return x / np.sqrt(np.maximum(square, x.dtype.type(1e-12)))
