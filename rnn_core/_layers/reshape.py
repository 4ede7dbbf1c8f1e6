"""Other shapes for the same values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rnn_core._layer import Layer
from rnn_core._numbers import positive


def _product(lengths: Any) -> int | None:
    return None if None in lengths else math.prod(lengths)


class Flatten(Layer):
    """All axes but the batch's made one.

    Args:
        data_format: with ``"channels_first"`` the features' axis goes last before that.
        kwargs: as for `Layer`.

    Inputs ``(batch, ...)``, outputs ``(batch, values)``.

    >>> Flatten()(np.zeros((2, 3, 4))).shape
    (2, 12)
    """

    config_keys = ("data_format",)

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = data_format or "channels_last"

    def call(self, inputs: Any) -> Any:
        if self.data_format == "channels_first" and inputs.ndim > 2:
            inputs = np.moveaxis(inputs, 1, -1)
        return inputs.reshape(inputs.shape[0], math.prod(inputs.shape[1:]))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], _product(input_shape[1:]))


class Reshape(Layer):
    """Another shape for each row.

    Args:
        target_shape: without the batch; one axis may be -1, for what is left.
        kwargs: as for `Layer`.

    Inputs ``(batch, ...)``, outputs ``(batch, *target_shape)``.

    Raises:
        ValueError: rows of another number of values.

    >>> Reshape((-1, 2))(np.zeros((2, 6))).shape
    (2, 3, 2)
    """

    config_keys = ("target_shape",)

    def __init__(self, target_shape: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_shape = tuple(int(n) for n in target_shape)

    def call(self, inputs: Any) -> Any:
        return inputs.reshape(inputs.shape[0], *self.compute_output_shape(inputs.shape)[1:])

    def compute_output_shape(self, input_shape: Any) -> Any:
        size = _product(input_shape[1:])
        known = math.prod(n for n in self.target_shape if n != -1)
        if size is None:
            return (input_shape[0], *(None if n == -1 else n for n in self.target_shape))
        fits = size % known == 0 if -1 in self.target_shape and known else size == known
        if not fits:
            raise ValueError(
                f"{self.name}: inputs have shape {tuple(input_shape)}, "
                f"expected as many values a row as {self.target_shape}"
            )
        return (input_shape[0], *(size // known if n == -1 else n for n in self.target_shape))


class Permute(Layer):
    """The axes of each row in another order.

    Args:
        dims: the new order, counted from 1: axis 0 is the batch.
        kwargs: as for `Layer`.

    Inputs ``(batch, timesteps, features)``, or any axes; outputs ``(batch, features, timesteps)``
    for ``dims=(2, 1)``.

    Raises:
        ValueError: `dims` are no order of 1, 2, and so on.

    >>> Permute((2, 1))(np.zeros((2, 3, 4))).shape
    (2, 4, 3)
    """

    config_keys = ("dims",)

    def __init__(self, dims: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = tuple(int(axis) for axis in dims)
        if sorted(self.dims) != [*range(1, len(self.dims) + 1)]:
            raise ValueError(f"dims is {self.dims}, expected an order of 1 to {len(self.dims)}")

    def call(self, inputs: Any) -> Any:
        return np.transpose(inputs, (0, *self.dims))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], *(input_shape[axis] for axis in self.dims))


class RepeatVector(Layer):
    """Each row ``(features,)`` as a sequence of equal steps.

    Args:
        n: number of steps.
        kwargs: as for `Layer`.

    Inputs ``(batch, features)``, outputs ``(batch, n, features)``.

    Raises:
        ValueError: n below 1; inputs of another number of axes.

    >>> RepeatVector(3)(np.zeros((2, 4))).shape
    (2, 3, 4)
    """

    input_axes = "(batch, features)"
    config_keys = ("n",)

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if n <= 0:
            raise ValueError(f"n is {n}, expected a positive number")
        self.n = int(n)

    def call(self, inputs: Any) -> Any:
        return np.repeat(inputs[:, None], self.n, axis=1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], self.n, input_shape[1])


class ZeroPadding1D(Layer):
    """Zeros before and after the steps.

    Args:
        padding: steps on both sides, or ``(before, after)``.
        kwargs: as for `Layer`.

    Inputs ``(batch, timesteps, features)``, outputs
    ``(batch, before + timesteps + after, features)``.

    Raises:
        ValueError: inputs of another number of axes.

    >>> ZeroPadding1D((1, 0))(np.ones((1, 2, 1))).ravel()
    array([0., 1., 1.], dtype=float32)
    """

    input_axes = "(batch, timesteps, features)"
    config_keys = ("padding",)

    def __init__(self, padding: Any = 1, **kwargs: Any) -> None:
        kwargs.pop("data_format", None)
        super().__init__(**kwargs)
        self.padding = (padding, padding) if isinstance(padding, int) else tuple(padding)

    def call(self, inputs: Any) -> Any:
        return np.pad(inputs, ((0, 0), self.padding, (0, 0)))

    def compute_output_shape(self, input_shape: Any) -> Any:
        steps = input_shape[1]
        return (
            input_shape[0],
            None if steps is None else steps + sum(self.padding),
            input_shape[2],
        )


class Cropping1D(Layer):
    """Without steps at the beginning and the end.

    Args:
        cropping: steps on both sides, or ``(before, after)``.
        kwargs: as for `Layer`.

    Inputs ``(batch, timesteps, features)``, outputs ``(batch, timesteps - both, features)``.

    Raises:
        ValueError: inputs of another number of axes, or of too few steps.

    >>> Cropping1D((1, 0))([[[1.0], [2.0], [3.0]]]).ravel()
    array([2., 3.], dtype=float32)
    """

    input_axes = "(batch, timesteps, features)"
    config_keys = ("cropping",)

    def __init__(self, cropping: Any = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cropping = (cropping, cropping) if isinstance(cropping, int) else tuple(cropping)

    def call(self, inputs: Any) -> Any:
        self.compute_output_shape(inputs.shape)
        return inputs[:, self.cropping[0] : inputs.shape[1] - self.cropping[1]]

    def compute_output_shape(self, input_shape: Any) -> Any:
        batch, steps, features = input_shape
        if steps is not None and steps < sum(self.cropping):
            raise ValueError(f"{self.name}: {steps} steps, expected at least {sum(self.cropping)}")
        return (batch, None if steps is None else steps - sum(self.cropping), features)


class UpSampling1D(Layer):
    """Each step several times.

    Args:
        size: how many times.
        kwargs: as for `Layer`.

    Inputs ``(batch, timesteps, features)``, outputs ``(batch, size * timesteps, features)``.

    Raises:
        ValueError: inputs of another number of axes; size below 1.

    >>> UpSampling1D(2)([[[1.0], [2.0]]]).ravel()
    array([1., 1., 2., 2.], dtype=float32)
    """

    input_axes = "(batch, timesteps, features)"
    config_keys = ("size",)

    def __init__(self, size: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = positive(size, "size")

    def call(self, inputs: Any) -> Any:
        return np.repeat(inputs, self.size, axis=1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        batch, steps, features = input_shape
        return (batch, None if steps is None else self.size * steps, features)
