"""Values brought to another scale: by constants, by data seen before, by each row's own."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnn_core import _initializers
from rnn_core._layer import Layer


class Rescaling(Layer):
    """scale x + offset.

    Args:
        scale, offset: numbers, or arrays that broadcast with the inputs.
        kwargs: as for `Layer`.

    Inputs ``(batch, ...)``, outputs of the same shape.

    >>> Rescaling(2.0, offset=1.0)([[1.0, 2.0]]).tolist()
    [[3.0, 5.0]]
    """

    supports_masking = True
    config_keys = ("scale", "offset")

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = _plain(scale)
        self.offset = _plain(offset)

    def call(self, inputs: Any) -> Any:
        return inputs * np.asarray(self.scale, self.dtype) + np.asarray(self.offset, self.dtype)


class Normalization(Layer):
    """(x - mean) / sqrt(variance), of data that the layer was adapted to.

    Args:
        axis: the axes with a mean and variance for each index; None for one of both in all.
        mean, variance: values, in place of the weights.
        invert: x sqrt(variance) + mean.
        kwargs: as for `Layer`.

    Weights: mean and variance, of the axes' lengths, such as ``(features,)``, and a count.
    Inputs ``(batch, ..., features)``, outputs of the same shape.

    Raises:
        ValueError: `mean` without `variance`, or the reverse.

    >>> Normalization(mean=1.0, variance=4.0)([[3.0, 5.0]]).tolist()
    [[1.0, 2.0]]
    """

    config_keys = ("axis", "mean", "variance", "invert")

    def __init__(
        self,
        axis: Any = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (mean is None) != (variance is None):
            raise ValueError(f"mean is {mean!r}, variance {variance!r}: expected both or none")
        self.axis = axis
        self.mean = _plain(mean)
        self.variance = _plain(variance)
        self.invert = invert

    def build(self, input_shape: Any) -> None:
        axes = () if self.axis is None else np.atleast_1d(self.axis)
        kept = sorted(int(axis) % len(input_shape) for axis in axes)
        self._shape = [n if axis in kept else 1 for axis, n in enumerate(input_shape)]
        self._lengths = shape = tuple(input_shape[axis] for axis in kept)
        if self.mean is None:
            self._mean = self.add_weight(shape, "zeros", trainable=False, name="mean")
            self._variance = self.add_weight(shape, "ones", trainable=False, name="variance")
            self.add_weight((), "zeros", trainable=False, name="count")

    def _of_axes(self, given: Any, weight: str) -> Any:
        value = np.asarray(getattr(self, weight) if given is None else given, self.dtype)
        value = value.reshape(-1) if value.size == 1 else value
        return np.broadcast_to(value, self._lengths or (1,)).reshape(self._shape)

    def call(self, inputs: Any) -> Any:
        mean = self._of_axes(self.mean, "_mean")
        deviation = np.sqrt(self._of_axes(self.variance, "_variance"))
        if self.invert:
            return inputs * np.maximum(deviation, self.dtype.type(1e-7)) + mean
        return (inputs - mean) / np.maximum(deviation, self.dtype.type(1e-7))


class UnitNormalization(Layer):
    """x over its length.

    Args:
        axis: the axes that the length goes over.
        kwargs: as for `Layer`.

    Inputs ``(batch, ..., features)``, outputs of the same shape.

    >>> UnitNormalization()([[3.0, 4.0]]).round(3).tolist()
    [[0.6000000238418579, 0.800000011920929]]
    """

    supports_masking = True
    config_keys = ("axis",)

    def __init__(self, axis: Any = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Any) -> Any:
        axes = tuple(int(axis) for axis in np.atleast_1d(self.axis))
        square = np.square(inputs).sum(axis=axes, keepdims=True)
        return inputs / np.sqrt(np.maximum(square, inputs.dtype.type(1e-12)))


class GroupNormalization(Layer):
    """gamma (x - mean) / sqrt(variance + epsilon) + beta, by each row's groups of features.

    See Wu and He 2018.

    Args:
        groups: number of groups; -1 for one a feature.
        axis: the features' axis.
        epsilon: added to the variance.
        center, scale: whether there are beta and gamma.
        beta_initializer, gamma_initializer: names or configs.
        kwargs: as for `Layer`.

    Weights: gamma, beta, each ``(features,)``. Inputs ``(batch, ..., features)``, outputs of the
    same shape.

    Raises:
        ValueError: features that are no multiple of the groups.

    >>> GroupNormalization(1, epsilon=0.0)([[1.0, 3.0]]).tolist()
    [[-1.0, 1.0]]
    """

    supports_masking = True
    config_keys = (
        "groups",
        "axis",
        "epsilon",
        "center",
        "scale",
        "beta_initializer",
        "gamma_initializer",
    )

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.groups = groups
        self.axis = axis
        self.epsilon = epsilon
        self.center = center
        self.scale = scale
        self.beta_initializer = _initializers.get(beta_initializer)
        self.gamma_initializer = _initializers.get(gamma_initializer)

    def build(self, input_shape: Any) -> None:
        features = input_shape[self.axis]
        self._groups = features if self.groups == -1 else self.groups
        if features is None or self._groups < 1 or features % self._groups:
            raise ValueError(
                f"{self.name}: {features} features, expected a multiple of groups={self.groups}"
            )
        if self.scale:
            self.gamma = self.add_weight((features,), self.gamma_initializer, name="gamma")
        if self.center:
            self.beta = self.add_weight((features,), self.beta_initializer, name="beta")

    def call(self, inputs: Any) -> Any:
        x = np.moveaxis(inputs, self.axis, -1)
        grouped = x.reshape(*x.shape[:-1], self._groups, -1)
        axes = (*range(1, x.ndim - 1), -1)
        mean, variance = (f(grouped, axis=axes, keepdims=True) for f in (np.mean, np.var))
        y = (grouped - mean) / np.sqrt(variance + inputs.dtype.type(self.epsilon))
        y = y.reshape(x.shape)
        y = y * self.gamma if self.scale else y
        return np.moveaxis(y + self.beta if self.center else y, -1, self.axis)


def _plain(value: Any) -> Any:
    """Return a number or list without the wrapping that Keras 3 gives arrays in a config."""
    if isinstance(value, dict):
        value = value["config"]["value"]
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
