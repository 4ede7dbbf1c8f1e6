"""Several inputs made one."""

from __future__ import annotations

from functools import reduce
from typing import Any, ClassVar

import numpy as np

from rnn_core._dtypes import as_real
from rnn_core._layer import Layer
from rnn_core._typing import Array


class _Merge(Layer):
    """Combines a list of inputs; see `Add`."""

    supports_masking = True
    config_keys: ClassVar[tuple[str, ...]] = ("keras_version",)

    def __init__(self, keras_version: float = 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.keras_version = keras_version

    def _cast(self, inputs: Any) -> Any:
        if not isinstance(inputs, (list, tuple)) or not inputs:
            given = getattr(inputs, "shape", type(inputs).__name__)
            raise ValueError(f"{self.name}: inputs are {given}, expected a list of arrays")
        return [as_real(x, self.dtype, self.name) for x in inputs]

    def _check(self, inputs: Any) -> None:
        self.compute_output_shape([x.shape for x in inputs])

    def call(self, inputs: Any, mask: Any = None) -> Any:
        axes = max(x.ndim for x in inputs)
        inputs = [x.reshape(_widened(x.shape, axes)) for x in inputs]
        masks: list[Any] = [None] * len(inputs)
        if mask is not None and self.keras_version == 3:
            masks = [m if m is None else _aligned(m, x) for m, x in zip(mask, inputs, strict=True)]
        return self._combine(inputs, masks)

    def _combine(self, inputs: list[Array], masks: list[Any]) -> Any:
        raise NotImplementedError

    def compute_output_shape(self, input_shape: Any) -> Any:
        axes = max(len(shape) for shape in input_shape)
        try:
            return reduce(broadcast, (_widened(shape, axes) for shape in input_shape))
        except ValueError:
            raise ValueError(
                f"{self.name}: inputs have shapes {[*map(tuple, input_shape)]}, "
                "expected shapes that broadcast together"
            ) from None

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        if self.keras_version == 3.3:
            return None
        present = [m for m in mask or [] if m is not None]
        if self.keras_version == 2:
            return reduce(np.logical_and, present) if present else None
        return reduce(np.logical_or, present) if present and len(present) == len(mask) else None


def _widened(shape: Any, axes: int) -> tuple[Any, ...]:
    """Return a shape with ones after the batch's axis, so that it has so many axes."""
    return (*shape[:1], *(1,) * (axes - len(shape)), *shape[1:])


def _aligned(mask: Any, x: Array) -> Array:
    """Return a mask with as many axes as `x`."""
    return np.reshape(mask, (*np.shape(mask), *(1,) * (x.ndim - np.ndim(mask))))


def broadcast(a: Any, b: Any) -> tuple[Any, ...]:
    """Return the common shape of two; an axis of unknown length takes the other's."""
    shape = []
    for m, n in zip(a, b, strict=True):
        if None not in (m, n) and m != n and 1 not in (m, n):
            raise ValueError
        shape.append(n if m == 1 or (m is None and n != 1) else m)
    return tuple(shape)


class Add(_Merge):
    """The sum of the inputs.

    Args:
        keras_version: whose rule for masks. 3: a step counts if it does in any input, and Multiply,
            Maximum and Minimum leave out inputs where they are masked; no mask comes out unless all
            inputs have one. 2: a step counts if it does in all inputs that have a mask. 3.3: no
            mask comes out, as in Keras 3.0 to 3.3.
        kwargs: as for `Layer`.

    Inputs: a list of arrays ``(batch, ...)``, which broadcast: missing axes count as 1 after the
    batch's. Outputs: of the shape they broadcast to.

    Raises:
        ValueError: inputs that are no list, or do not broadcast.

    >>> Add()([np.ones((1, 2)), np.array([[1.0, 3.0]])]).tolist()
    [[2.0, 4.0]]
    """

    def _combine(self, inputs: list[Array], masks: list[Any]) -> Any:
        return reduce(np.add, inputs)


class Subtract(_Merge):
    """The first of two inputs less the second.

    Arguments, inputs ``(batch, ...)``, outputs and errors are those of `Add`.

    Raises:
        ValueError: another number of inputs than 2.

    >>> Subtract()([np.ones((1, 2)), np.array([[1.0, 3.0]])]).tolist()
    [[0.0, -2.0]]
    """

    def _combine(self, inputs: list[Array], masks: list[Any]) -> Any:
        if len(inputs) != 2:
            raise ValueError(f"{self.name}: {len(inputs)} inputs, expected 2")
        return inputs[0] - inputs[1]


class Average(_Merge):
    """The mean of the inputs.

    Arguments, inputs ``(batch, ...)``, outputs and errors are those of `Add`.

    >>> Average()([np.ones((1, 2)), np.array([[1.0, 3.0]])]).tolist()
    [[1.0, 2.0]]
    """

    def _combine(self, inputs: list[Array], masks: list[Any]) -> Any:
        return reduce(np.add, inputs) / self.dtype.type(len(inputs))


class Multiply(_Merge):
    """The product of the inputs.

    Arguments, inputs ``(batch, ...)``, outputs and errors are those of `Add`.

    >>> Multiply()([np.ones((1, 2)), np.array([[1.0, 3.0]])]).tolist()
    [[1.0, 3.0]]
    """

    def _combine(self, inputs: list[Array], masks: list[Any]) -> Any:
        one = self.dtype.type(1)
        pairs = zip(inputs, masks, strict=True)
        product = reduce(np.multiply, (x if m is None else np.where(m, x, one) for x, m in pairs))
        if any(m is None for m in masks):
            return product
        return np.where(reduce(np.logical_or, masks), product, one - one)


class _Extreme(_Merge):
    """The maximum or minimum; where one input is masked, the other's value."""

    choose: ClassVar[Any]

    def _combine(self, inputs: list[Array], masks: list[Any]) -> Any:
        best, best_mask = inputs[0], masks[0]
        for x, mask in zip(inputs[1:], masks[1:], strict=True):
            if mask is not None:
                x = np.where(mask, x, best)
            if best_mask is not None:
                best = np.where(best_mask, best, x)
            both = mask is not None and best_mask is not None
            best_mask = np.logical_or(best_mask, mask) if both else None
            best = type(self).choose(best, x)
        return best


class Maximum(_Extreme):
    """The largest of the inputs.

    Arguments, inputs ``(batch, ...)``, outputs and errors are those of `Add`.

    >>> Maximum()([np.ones((1, 2)), np.array([[1.0, 3.0]])]).tolist()
    [[1.0, 3.0]]
    """

    choose = np.maximum


class Minimum(_Extreme):
    """The smallest of the inputs.

    Arguments, inputs ``(batch, ...)``, outputs and errors are those of `Add`.

    >>> Minimum()([np.ones((1, 2)), np.array([[1.0, 3.0]])]).tolist()
    [[1.0, 1.0]]
    """

    choose = np.minimum


class Concatenate(_Merge):
    """The inputs one after another along an axis.

    Args:
        axis: the axis.
        keras_version: whose rule for masks along the features: 3, a step counts if it does in any
            input; 2, if it does in all; 3.3, no mask comes out. The steps of an input without a
            mask all count.
        kwargs: as for `Layer`.

    Inputs: a list of arrays ``(batch, ..., features)`` of equal shapes but for the axis, whose
    lengths add up in the output's.

    Raises:
        ValueError: inputs that are no list, or differ on another axis.

    >>> Concatenate()([np.zeros((1, 2)), np.zeros((1, 3))]).shape
    (1, 5)
    """

    config_keys = ("axis", "keras_version")

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Any) -> Any:  # type: ignore[override]
        return np.concatenate(inputs, axis=self.axis)

    def compute_output_shape(self, input_shape: Any) -> Any:
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
        if self.keras_version == 3.3 or mask is None or all(m is None for m in mask):
            return None
        masks = [
            np.ones(x.shape, bool) if m is None else np.broadcast_to(_aligned(m, x), x.shape)
            for x, m in zip(inputs, mask, strict=True)
        ]
        reduction = np.all if self.keras_version == 2 else np.any
        return reduction(np.concatenate(masks, axis=self.axis), axis=-1)
