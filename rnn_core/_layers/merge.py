"""Several inputs made one."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from rnn_core._layer import Layer, as_real


class _Merge(Layer):
    """Combines a list of inputs; its mask is true where all masks are."""

    supports_masking = True

    def _cast(self, inputs: Any) -> Any:
        if not isinstance(inputs, (list, tuple)) or not inputs:
            given = getattr(inputs, "shape", type(inputs).__name__)
            raise ValueError(f"{self.name}: inputs are {given}, expected a list of arrays")
        return [as_real(x, self.dtype, self.name) for x in inputs]

    def _check(self, inputs: Any) -> None:
        self.compute_output_shape([x.shape for x in inputs])

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape that the inputs broadcast to."""
        try:
            return reduce(_broadcast, input_shape)
        except ValueError:
            raise ValueError(
                f"{self.name}: inputs have shapes {[*map(tuple, input_shape)]}, "
                "expected shapes that broadcast together"
            ) from None

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Return where all masks are true; None if an input has none."""
        if mask is None or any(m is None for m in mask):
            return None
        return reduce(np.logical_and, mask)


def _broadcast(a: Any, b: Any) -> tuple[Any, ...]:
    """Return the common shape; an axis of unknown length takes the other's."""
    if len(a) < len(b):
        a, b = b, a
    b = (*(1,) * (len(a) - len(b)), *b)
    shape = []
    for m, n in zip(a, b, strict=True):
        if None not in (m, n) and m != n and 1 not in (m, n):
            raise ValueError
        shape.append(n if m == 1 or m is None else m)
    return tuple(shape)


class Add(_Merge):
    """The sum of the inputs.

    >>> Add()([np.ones(2), np.ones(2)])
    array([2., 2.], dtype=float32)
    """

    def call(self, inputs: Any) -> Any:
        """Return the sum."""
        return reduce(np.add, inputs)


class Subtract(_Merge):
    """The first of two inputs less the second.

    >>> Subtract()([np.ones(2), np.ones(2)])
    array([0., 0.], dtype=float32)
    """

    def call(self, inputs: Any) -> Any:
        """Return the difference."""
        if len(inputs) != 2:
            raise ValueError(f"{self.name}: {len(inputs)} inputs, expected 2")
        return inputs[0] - inputs[1]


class Multiply(_Merge):
    """The product of the inputs.

    >>> Multiply()([np.full(2, 3.0), np.full(2, 2.0)])
    array([6., 6.], dtype=float32)
    """

    def call(self, inputs: Any) -> Any:
        """Return the product."""
        return reduce(np.multiply, inputs)


class Average(_Merge):
    """The mean of the inputs.

    >>> Average()([np.zeros(2), np.ones(2)])
    array([0.5, 0.5], dtype=float32)
    """

    def call(self, inputs: Any) -> Any:
        """Return the mean."""
        return reduce(np.add, inputs) / self.dtype.type(len(inputs))


class Maximum(_Merge):
    """The largest of the inputs.

    >>> Maximum()([np.zeros(2), np.ones(2)])
    array([1., 1.], dtype=float32)
    """

    def call(self, inputs: Any) -> Any:
        """Return the maximum."""
        return reduce(np.maximum, inputs)


class Minimum(_Merge):
    """The smallest of the inputs.

    >>> Minimum()([np.zeros(2), np.ones(2)])
    array([0., 0.], dtype=float32)
    """

    def call(self, inputs: Any) -> Any:
        """Return the minimum."""
        return reduce(np.minimum, inputs)


class Concatenate(_Merge):
    """The inputs one after another along an axis.

    Args:
        axis: the axis.
        kwargs: as for `Layer`.

    >>> Concatenate()([np.zeros((1, 2)), np.zeros((1, 3))]).shape
    (1, 5)
    """

    config_keys = ("axis",)

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Any) -> Any:
        """Return the concatenation."""
        return np.concatenate(inputs, axis=self.axis)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the common shape with the axis' lengths added up."""
        shapes = [list(shape) for shape in input_shape]
        lengths = [shape.pop(self.axis) for shape in shapes]
        common = shapes[0]
        for shape in shapes[1:]:
            known = len(shape) == len(common) and all(
                None in (m, n) or m == n for m, n in zip(shape, common, strict=True)
            )
            if not known:
                raise ValueError(
                    f"{self.name}: inputs have shapes {[*map(tuple, input_shape)]}, "
                    f"expected equal ones but for axis {self.axis}"
                )
        total = None if None in lengths else sum(lengths)
        axis = self.axis % (len(common) + 1)
        return (*common[:axis], total, *common[axis:])

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Return the masks joined along the axis; steps of an input without one all count."""
        if mask is None or all(m is None for m in mask):
            return None
        masks = []
        for x, m in zip(inputs, mask, strict=True):
            if m is None:
                masks.append(np.ones(x.shape, bool))
            else:
                expanded = np.reshape(m, (*np.shape(m), *(1,) * (x.ndim - np.ndim(m))))
                masks.append(np.broadcast_to(expanded, x.shape))
        return np.all(np.concatenate(masks, axis=self.axis), axis=-1)
