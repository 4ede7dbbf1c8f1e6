"""Normalization by moving or by own statistics."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnn_core import _initializers
from rnn_core._layer import Layer
from rnn_core._typing import Array


class BatchNormalization(Layer):
    """gamma (x - moving_mean) / sqrt(moving_variance + epsilon) + beta.

    See Ioffe and Szegedy 2015.

    Args:
        axis: the features' axis.
        momentum: kept in the config.
        epsilon: added to the variance.
        center, scale: whether there are beta and gamma.
        beta_initializer, gamma_initializer, moving_mean_initializer,
        moving_variance_initializer: names or configs.
        kwargs: as for `Layer`.

    Weights: gamma, beta, moving_mean, moving_variance, each ``(features,)``. Inputs
    ``(batch, ..., features)``, outputs of the same shape.

    Raises:
        ValueError: inputs of other features; ``renorm=True``.

    >>> layer = BatchNormalization(epsilon=0.0, moving_mean_initializer="ones")
    >>> layer(np.array([[1.0, 2.0]]))
    array([[0., 1.]], dtype=float32)
    """

    supports_masking = True
    config_keys = (
        "axis",
        "momentum",
        "epsilon",
        "center",
        "scale",
        "beta_initializer",
        "gamma_initializer",
        "moving_mean_initializer",
        "moving_variance_initializer",
    )

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        **kwargs: Any,
    ) -> None:
        if kwargs.pop("renorm", False):
            raise ValueError("renorm is True, expected False: its statistics are not supported")
        for key in ("renorm_clipping", "renorm_momentum", "synchronized", "virtual_batch_size"):
            kwargs.pop(key, None)
        super().__init__(**kwargs)
        self.axis = int(np.ravel(axis)[0])
        self.momentum = momentum
        self.epsilon = epsilon
        self.center = center
        self.scale = scale
        self.beta_initializer = _initializers.get(beta_initializer)
        self.gamma_initializer = _initializers.get(gamma_initializer)
        self.moving_mean_initializer = _initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = _initializers.get(moving_variance_initializer)
        self._affine: tuple[Array, Array] | None = None

    def build(self, input_shape: Any) -> None:
        shape = (input_shape[self.axis],)
        if self.scale:
            self.gamma = self.add_weight(shape, self.gamma_initializer, name="gamma")
        if self.center:
            self.beta = self.add_weight(shape, self.beta_initializer, name="beta")
        self.moving_mean = self.add_weight(
            shape, self.moving_mean_initializer, trainable=False, name="moving_mean"
        )
        self.moving_variance = self.add_weight(
            shape, self.moving_variance_initializer, trainable=False, name="moving_variance"
        )

    def _weights_changed(self) -> None:
        super()._weights_changed()
        self._affine = None

    def _scale_and_shift(self) -> tuple[Array, Array]:
        if self._affine is None:
            scale = 1 / np.sqrt(self.moving_variance.astype(np.float64) + self.epsilon)
            if self.scale:
                scale *= self.gamma
            shift = -self.moving_mean * scale + (self.beta if self.center else 0)
            self._affine = scale.astype(self.dtype), shift.astype(self.dtype)
        return self._affine

    def call(self, inputs: Any) -> Any:
        shape = [1] * inputs.ndim
        shape[self.axis] = -1
        scale, shift = self._scale_and_shift()
        if inputs.shape[self.axis] != scale.size:
            raise ValueError(
                f"{self.name}: inputs have shape {inputs.shape}, "
                f"expected {scale.size} on axis {self.axis}"
            )
        return inputs * scale.reshape(shape) + shift.reshape(shape)


class LayerNormalization(Layer):
    """gamma (x - mean) / sqrt(variance + epsilon) + beta, by each row's own (Ba et al. 2016).

    Args:
        axis: the axes that mean and variance go over.
        epsilon: added to the variance.
        center, scale: whether there are beta and gamma.
        beta_initializer, gamma_initializer: names or configs.
        rms_scaling: gamma x / sqrt(variance + epsilon), without beta.
        kwargs: as for `Layer`.

    Weights: gamma, beta, of the axes' lengths: ``(features,)``. Inputs ``(batch, ..., features)``,
    outputs of the same shape.

    >>> LayerNormalization(epsilon=0.0)(np.array([[1.0, 3.0]]))
    array([[-1.,  1.]], dtype=float32)
    """

    supports_masking = True
    config_keys = (
        "axis",
        "epsilon",
        "center",
        "scale",
        "beta_initializer",
        "gamma_initializer",
        "rms_scaling",
    )

    def __init__(
        self,
        axis: Any = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        rms_scaling: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis = axis
        self.epsilon = epsilon
        self.center = center
        self.scale = scale
        self.beta_initializer = _initializers.get(beta_initializer)
        self.gamma_initializer = _initializers.get(gamma_initializer)
        self.rms_scaling = rms_scaling

    def build(self, input_shape: Any) -> None:
        shape = tuple(input_shape[int(axis)] for axis in np.atleast_1d(self.axis))
        if self.scale or self.rms_scaling:
            self.gamma = self.add_weight(shape, self.gamma_initializer, name="gamma")
        if self.center and not self.rms_scaling:
            self.beta = self.add_weight(shape, self.beta_initializer, name="beta")

    def call(self, inputs: Any) -> Any:
        axes = tuple(int(a) % inputs.ndim for a in np.atleast_1d(self.axis))
        shape = [n if axis in axes else 1 for axis, n in enumerate(inputs.shape)]
        variance = inputs.var(axis=axes, keepdims=True)
        deviation = np.sqrt(variance + inputs.dtype.type(self.epsilon))
        if self.rms_scaling:
            return inputs / deviation * self.gamma.reshape(shape)
        y = (inputs - inputs.mean(axis=axes, keepdims=True)) / deviation
        if self.scale:
            y = y * self.gamma.reshape(shape)
        return y + self.beta.reshape(shape) if self.center else y
