"""A layer applied to each time step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rnn_core._layer import Layer
from rnn_core._nest import flatten, is_shape, map_leaves, pack_like
from rnn_core._registry import config_of, known_objects, layer_from_config
from rnn_core._signatures import takes
from rnn_core._states import Together


class TimeDistributed(Layer):
    """Applies a layer to each step alike.

    Args:
        layer: takes one step's inputs ``(batch, ...)``.
        keras_version: 2 to let the layer make a mask of the steps' inputs, as Keras 2 does.
        kwargs: as for `Layer`.

    Call arguments:
        inputs: ``(batch, timesteps, ...)``.
        mask: ``(batch, timesteps)``, or with axes more, which the layer gets step by step.
        training: passed on if the layer takes it.

    Returns ``(batch, timesteps, ...)`` with the layer's axes after the first two, for each output
    of the layer. Their mask is ``(batch, timesteps)``: a step counts if any of its values does.

    Raises:
        ValueError: `layer` is no layer; inputs of fewer than 3 axes; a mask of another batch or
            number of steps.

    >>> from rnn_core import Dense
    >>> TimeDistributed(Dense(4))(np.zeros((2, 3, 5))).shape
    (2, 3, 4)
    """

    supports_masking = True

    config_keys = ("keras_version",)

    def __init__(self, layer: Any, *, keras_version: int = 3, **kwargs: Any) -> None:
        if not isinstance(layer, Layer):
            raise ValueError(f"TimeDistributed wraps a layer, was given {layer!r}")
        super().__init__(**kwargs)
        self.layer = layer
        self.keras_version = keras_version

    def build(self, input_shape: Any) -> None:
        if len(input_shape) < 3:
            raise ValueError(
                f"{self.name}: inputs have shape {tuple(input_shape)}, "
                "expected at least 3 axes (batch, timesteps, ...)"
            )
        self.layer._ensure_built((input_shape[0], *input_shape[2:]))

    def _cast(self, inputs: Any) -> Any:
        self._refuse_lists(inputs)
        return np.asarray(inputs)

    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        lead = inputs.shape[:2]
        if mask is not None and np.shape(mask)[:2] != lead:
            raise ValueError(
                f"{self.name}: mask has shape {np.shape(mask)}, expected {lead} or more axes "
                f"for inputs {inputs.shape}"
            )
        kwargs = {"training": training} if takes(self.layer.call, "training") else {}
        inner_mask = mask if np.ndim(mask) > 2 and takes(self.layer.call, "mask") else None
        if any(getattr(layer, "stateful", False) for layer in self.layer._walk_layers()):
            with Together():
                return self._step_by_step(inputs, inner_mask, kwargs)

        def as_rows(x: Any) -> Any:
            return np.reshape(x, (math.prod(lead), *np.shape(x)[2:]))

        # All steps as rows of one batch: no layer here looks from one row at another.
        if inner_mask is not None:
            kwargs["mask"] = as_rows(inner_mask)
        outputs = self.layer(as_rows(inputs), **kwargs)
        return map_leaves(lambda y: y.reshape(*lead, *y.shape[1:]), outputs)

    def _step_by_step(self, inputs: Any, mask: Any, kwargs: dict[str, Any]) -> Any:
        """Call a layer that remembers, one step after the other."""
        steps = []
        for t in range(inputs.shape[1]):
            masked = {} if mask is None else {"mask": np.asarray(mask)[:, t]}
            steps.append(self.layer(inputs[:, t], **kwargs, **masked))
        if not steps:
            return np.zeros(self.compute_output_shape(inputs.shape), self.dtype)
        leaves = zip(*map(flatten, steps), strict=True)
        return pack_like(steps[0], [np.stack(leaf, axis=1) for leaf in leaves])

    def compute_output_shape(self, input_shape: Any) -> Any:
        batch, timesteps, *rest = input_shape
        shapes = self.layer.compute_output_shape((batch, *rest))
        return map_leaves(lambda shape: (batch, timesteps, *shape[1:]), shapes, is_shape)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        if self.keras_version == 2:
            rows = np.reshape(inputs, (-1, *np.shape(inputs)[2:]))
            made = self.layer.compute_mask(rows)
            if made is not None:
                return np.reshape(made, (*np.shape(inputs)[:2], *np.shape(made)[1:]))
        if mask is None or np.ndim(mask) <= 2:
            return mask
        return np.any(mask, axis=tuple(range(2, np.ndim(mask))))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "layer": config_of(self.layer)}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> TimeDistributed:
        with known_objects(custom_objects):
            config = dict(config)
            return cls(layer_from_config(config.pop("layer")), **config)
