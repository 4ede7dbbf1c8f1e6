"""A layer applied to each time step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rnn_core._layer import Layer, call_takes
from rnn_core._registry import layer_from_config


class TimeDistributed(Layer):
    """Applies a layer to each step alike.

    Args:
        layer: takes one step's inputs ``(batch, ...)``.
        keras_version: 2 to let the layer make a mask of the steps' inputs, as Keras 2 does.
        kwargs: as for `Layer`.

    Inputs ``(batch, timesteps, ...)``; outputs have the layer's axes after the first two.

    Raises:
        ValueError: `layer` is no layer; inputs of fewer than 3 axes.

    >>> from rnn_core import Dense
    >>> TimeDistributed(Dense(4))(np.zeros((2, 3, 5))).shape
    (2, 3, 4)
    """

    supports_masking = True

    config_keys = ("keras_version",)

    def __init__(self, layer: Any, keras_version: int = 3, **kwargs: Any) -> None:
        if not isinstance(layer, Layer):
            raise ValueError(f"TimeDistributed wraps a layer, was given {layer!r}")
        super().__init__(**kwargs)
        self.layer = layer
        self.keras_version = keras_version

    def build(self, input_shape: Any) -> None:
        """Build the layer for one step's inputs."""
        if len(input_shape) < 3:
            raise ValueError(
                f"{self.name}: inputs have shape {tuple(input_shape)}, "
                "expected at least 3 axes (batch, timesteps, ...)"
            )
        self.layer._ensure_built((input_shape[0], *input_shape[2:]))

    def _cast(self, inputs: Any) -> Any:
        return np.asarray(inputs)

    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        """Return ``(batch, timesteps, ...)``."""
        batch, timesteps = inputs.shape[:2]
        kwargs: dict[str, Any] = (
            {"training": training} if call_takes(self.layer, "training") else {}
        )
        if mask is not None and np.ndim(mask) > 2 and call_takes(self.layer, "mask"):
            kwargs["mask"] = np.reshape(mask, (batch * timesteps, *np.shape(mask)[2:]))
        # All steps as rows of one batch: no layer here looks from one row at another.
        rows = inputs.reshape(math.prod(inputs.shape[:2]), *inputs.shape[2:])
        outputs = self.layer(rows, **kwargs)
        return outputs.reshape(batch, timesteps, *outputs.shape[1:])

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the layer's output shape with the steps after the batch."""
        batch, timesteps, *rest = input_shape
        shape = self.layer.compute_output_shape((batch, *rest))
        return (batch, timesteps, *shape[1:])

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Return the mask of the steps, or the layer's own for each with `keras_version` 2."""
        if self.keras_version == 2:
            rows = np.reshape(inputs, (-1, *np.shape(inputs)[2:]))
            made = self.layer.compute_mask(rows)
            if made is not None:
                return np.reshape(made, (*np.shape(inputs)[:2], *np.shape(made)[1:]))
        if mask is None or np.ndim(mask) <= 2:
            return mask
        return np.any(mask, axis=tuple(range(2, np.ndim(mask))))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, the layer as ``{"class_name", "config"}``."""
        layer = {"class_name": type(self.layer).__name__, "config": self.layer.get_config()}
        return {**super().get_config(), "layer": layer}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> TimeDistributed:
        """Return a new layer around a new layer."""
        config = dict(config)
        return cls(layer_from_config(config.pop("layer")), **config)
