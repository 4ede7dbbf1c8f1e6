"""Means and maxima over steps."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from rnn_core._convolution import one, output_steps, padding_of
from rnn_core._layer import Layer
from rnn_core._typing import Array


class _Pooling1D(Layer):
    """A window over the steps; see `MaxPooling1D`."""

    input_axes = "(batch, timesteps, features)"
    config_keys = ("pool_size", "strides", "padding")

    def __init__(
        self, pool_size: Any = 2, strides: Any = None, padding: str = "valid", **kwargs: Any
    ) -> None:
        if kwargs.pop("data_format", None) == "channels_first":
            raise ValueError("data_format is 'channels_first', expected 'channels_last'")
        super().__init__(**kwargs)
        self.pool_size = one(pool_size)
        self.strides = self.pool_size if strides is None else one(strides)
        self.padding = padding_of(padding, ("valid", "same"))

    def _windows(self, x: Array, fill: float) -> Array:
        """Return ``(batch, windows, features, pool_size)``, `fill` beyond the steps."""
        steps = output_steps(x.shape[1], self.pool_size, self.strides, self.padding) or 0
        if steps == 0:
            return np.empty((x.shape[0], 0, x.shape[2], self.pool_size), x.dtype)
        beyond = max((steps - 1) * self.strides + self.pool_size - x.shape[1], 0)
        if self.padding == "same":
            x = np.pad(
                x, ((0, 0), (beyond // 2, beyond - beyond // 2), (0, 0)), constant_values=fill
            )
        windows = np.lib.stride_tricks.sliding_window_view(x, self.pool_size, axis=1)
        return windows[:, :: self.strides][:, :steps]

    def compute_output_shape(self, input_shape: Any) -> Any:
        steps = output_steps(input_shape[1], self.pool_size, self.strides, self.padding)
        return (input_shape[0], steps, input_shape[2])


class MaxPooling1D(_Pooling1D):
    """The maximum of each window over the steps.

    Args:
        pool_size: steps in a window.
        strides: steps from one window to the next; `pool_size` if not given.
        padding: ``"valid"`` or ``"same"``.
        kwargs: as for `Layer`.

    Inputs ``(batch, timesteps, features)``, outputs ``(batch, windows, features)``.

    Raises:
        ValueError: a number below 1; an unknown padding; ``data_format="channels_first"``.

    >>> MaxPooling1D()([[[1.0], [2.0], [3.0], [4.0]]]).tolist()
    [[[2.0], [4.0]]]
    """

    def call(self, inputs: Any) -> Any:
        return self._windows(inputs, -np.inf).max(axis=-1)


class AveragePooling1D(_Pooling1D):
    """The mean of each window over the steps, of the steps that exist.

    Args:
        pool_size: steps in a window.
        strides: steps from one window to the next; `pool_size` if not given.
        padding: ``"valid"`` or ``"same"``.
        kwargs: as for `Layer`.

    Inputs ``(batch, timesteps, features)``, outputs ``(batch, windows, features)``.

    Raises:
        ValueError: a number below 1; an unknown padding; ``data_format="channels_first"``.

    >>> AveragePooling1D()([[[1.0], [2.0], [3.0], [4.0]]]).tolist()
    [[[1.5], [3.5]]]
    """

    def call(self, inputs: Any) -> Any:
        count = self._windows(np.ones((1, inputs.shape[1], 1), self.dtype), 0.0).sum(axis=-1)
        return self._windows(inputs, 0.0).sum(axis=-1) / count


class _GlobalPooling1D(Layer):
    """All steps made one; see `GlobalMaxPooling1D`."""

    input_axes = "(batch, timesteps, features)"
    config_keys: ClassVar[tuple[str, ...]] = ("keepdims",)

    def __init__(self, keepdims: bool = False, **kwargs: Any) -> None:
        if kwargs.pop("data_format", None) == "channels_first":
            raise ValueError("data_format is 'channels_first', expected 'channels_last'")
        super().__init__(**kwargs)
        self.keepdims = keepdims

    def compute_output_shape(self, input_shape: Any) -> Any:
        batch, _, features = input_shape
        return (batch, 1, features) if self.keepdims else (batch, features)


class GlobalAveragePooling1D(_GlobalPooling1D):
    """The mean of all steps that count.

    Args:
        keepdims: keep an axis of one step.
        kwargs: as for `Layer`.

    Inputs ``(batch, timesteps, features)``, outputs ``(batch, features)``, or
    ``(batch, 1, features)`` with `keepdims`. Call argument `mask`: ``(batch, timesteps)``.

    Raises:
        ValueError: inputs of another number of axes; ``data_format="channels_first"``.

    >>> GlobalAveragePooling1D()([[[1.0], [2.0], [3.0]]]).tolist()
    [[2.0]]
    """

    supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        counts = np.ones((1, inputs.shape[1], 1), bool)
        if mask is not None:
            counts = np.asarray(mask, bool)[..., None]
        total = np.where(counts, inputs, 0).sum(axis=1, keepdims=True)
        with np.errstate(invalid="ignore"):
            # Of no steps at all, 0 / 0: NaN, as in Keras.
            mean = total / counts.sum(axis=1, keepdims=True, dtype=self.dtype)
        return mean if self.keepdims else mean[:, 0]

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """Return None: there are no steps left."""


class GlobalMaxPooling1D(_GlobalPooling1D):
    """The maximum of all steps, as in Keras also of those that are masked.

    Args:
        keepdims: keep an axis of one step.
        kwargs: as for `Layer`.

    Inputs ``(batch, timesteps, features)``, outputs ``(batch, features)``, or
    ``(batch, 1, features)`` with `keepdims`.

    Raises:
        ValueError: inputs of another number of axes; ``data_format="channels_first"``.

    >>> GlobalMaxPooling1D()([[[1.0], [2.0], [3.0]]]).tolist()
    [[3.0]]
    """

    def call(self, inputs: Any) -> Any:
        return inputs.max(axis=1, keepdims=self.keepdims, initial=-np.inf)
