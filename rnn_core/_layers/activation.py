"""Activations as layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnn_core import _activations, _initializers
from rnn_core._layer import Layer
from rnn_core._registry import activation_of
from rnn_core._typing import Array


class Activation(Layer):
    """Applies an activation, value by value; softmax goes over the last axis.

    Args:
        activation: a name or a callable.
        kwargs: as for `Layer`.

    Inputs ``(batch, ...)``, outputs of the same shape.

    Raises:
        ValueError: an unknown activation.

    >>> Activation("relu")(np.array([-1.0, 2.0]))
    array([0., 2.], dtype=float32)
    """

    supports_masking = True
    config_keys = ("activation",)

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activation_of(activation)

    def call(self, inputs: Any) -> Any:
        if inputs.ndim < 2 and getattr(self.activation, "name", None) == "softmax":
            raise ValueError(
                f"{self.name}: softmax of inputs {inputs.shape}, expected an axis beside the batch"
            )
        return self.activation(inputs)


class ReLU(Layer):
    """max(x, 0), or with a slope below a threshold and a largest value.

    Args:
        max_value: cap, None for none.
        negative_slope: slope below the threshold.
        threshold: where the line begins.
        kwargs: as for `Layer`.

    Inputs ``(batch, ...)``, outputs of the same shape.

    >>> ReLU(max_value=1.0)(np.array([-1.0, 2.0]))
    array([0., 1.], dtype=float32)
    """

    supports_masking = True
    config_keys = ("max_value", "negative_slope", "threshold")

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.max_value = max_value
        self.negative_slope = negative_slope
        self.threshold = threshold

    def call(self, inputs: Any) -> Any:
        real = inputs.dtype.type
        below: Any = real(0)
        if self.negative_slope:
            below = real(self.negative_slope) * (inputs - real(self.threshold))
        y = np.where(inputs < self.threshold, below, inputs)
        return y if self.max_value is None else np.minimum(y, real(self.max_value))


class LeakyReLU(Layer):
    """Returns x where it is positive, a multiple of it elsewhere (Maas et al. 2013).

    Args:
        negative_slope: the multiple; Keras 2 calls it ``alpha``.
        kwargs: as for `Layer`.

    Inputs ``(batch, ...)``, outputs of the same shape.

    >>> LeakyReLU(0.5)(np.array([-1.0, 2.0]))
    array([-0.5,  2. ], dtype=float32)
    """

    supports_masking = True
    config_keys = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        negative_slope = kwargs.pop("alpha", negative_slope)
        super().__init__(**kwargs)
        self.negative_slope = float(negative_slope)

    def call(self, inputs: Any) -> Any:
        return np.where(inputs < 0, inputs.dtype.type(self.negative_slope) * inputs, inputs)


class PReLU(Layer):
    """Returns x where it is positive, a learned multiple of it elsewhere (He et al. 2015).

    Args:
        alpha_initializer: a name or a config.
        shared_axes: axes along which all share a multiple, counted with the batch.
        kwargs: as for `Layer`.

    Weights: alpha, of a row's shape, 1 on shared axes: ``(timesteps, features)`` for inputs
    ``(batch, timesteps, features)``. Outputs have the inputs' shape.

    >>> PReLU(alpha_initializer="ones")(np.array([[-1.0, 2.0]]))
    array([[-1.,  2.]], dtype=float32)
    """

    supports_masking = True
    config_keys = ("alpha_initializer", "shared_axes")

    def __init__(
        self, alpha_initializer: Any = "zeros", shared_axes: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.alpha_initializer = _initializers.get(alpha_initializer)
        self.shared_axes = (
            None if shared_axes is None else [int(a) for a in np.atleast_1d(shared_axes)]
        )

    def build(self, input_shape: Any) -> None:
        shared = self.shared_axes or ()
        shape = [1 if axis in shared else n for axis, n in enumerate(input_shape)][1:]
        self.alpha = self.add_weight(shape, self.alpha_initializer, name="alpha")

    def call(self, inputs: Any) -> Any:
        return np.where(inputs < 0, self.alpha * inputs, inputs)


class ELU(Layer):
    """Returns x where it is positive, alpha (e^x - 1) elsewhere (Clevert et al. 2016).

    Args:
        alpha: the scale.
        kwargs: as for `Layer`.

    Inputs ``(batch, ...)``, outputs of the same shape.

    >>> ELU(alpha=2.0)(np.array([-np.inf, 0.0, 2.0]))
    array([-2.,  0.,  2.], dtype=float32)
    """

    supports_masking = True
    config_keys = ("alpha",)

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = float(alpha)

    def call(self, inputs: Any) -> Any:
        y = _activations.get("elu")(inputs)
        return np.where(inputs < 0, inputs.dtype.type(self.alpha) * y, inputs)


class ThresholdedReLU(Layer):
    """Returns x where it is above a threshold, 0 elsewhere (Konda et al. 2015).

    Args:
        theta: the threshold.
        kwargs: as for `Layer`.

    Inputs ``(batch, ...)``, outputs of the same shape.

    >>> ThresholdedReLU(1.0)(np.array([0.5, 2.0]))
    array([0., 2.], dtype=float32)
    """

    supports_masking = True
    config_keys = ("theta",)

    def __init__(self, theta: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.theta = float(theta)

    def call(self, inputs: Any) -> Any:
        return np.where(inputs > self.theta, inputs, inputs.dtype.type(0))


class Softmax(Layer):
    """e^x over its sum.

    Args:
        axis: along which the sum goes; the last, or a list of axes.
        kwargs: as for `Layer`.

    Inputs ``(batch, ...)``, outputs of the same shape. Call argument `mask`: boolean, of the
    inputs' first axes; masked values get no share.

    >>> Softmax()(np.array([[0.0, 0.0]]))
    array([[0.5, 0.5]], dtype=float32)
    """

    supports_masking = True
    config_keys = ("axis",)

    def __init__(self, axis: Any = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Any, mask: Any = None) -> Any:
        axes = tuple(int(a) for a in np.atleast_1d(self.axis))
        if mask is not None:
            large = inputs.dtype.type(3e38 if inputs.itemsize == 4 else 1e300)
            inputs = np.where(np.reshape(mask, _aligned(mask, inputs)), inputs, -large)
        largest = inputs.max(axis=axes, keepdims=True, initial=-np.inf)
        shares = np.exp(inputs - largest)
        return shares / shares.sum(axis=axes, keepdims=True)


def _aligned(mask: Any, inputs: Array) -> tuple[int, ...]:
    shape = np.shape(mask)
    return (*shape, *(1,) * (inputs.ndim - len(shape)))
