"""A mask from values."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnn_core._layer import Layer
from rnn_core._typing import Array


class Masking(Layer):
    """Masks the steps whose features all equal a value, and zeroes them.

    Args:
        mask_value: the value.
        kwargs: as for `Layer`.

    Inputs ``(batch, timesteps, features)``, outputs of the same shape. The mask
    ``(batch, timesteps)`` is True where any feature differs from the value.

    >>> Masking(-1.0)([[[1.0, -1.0], [-1.0, -1.0]]])
    array([[[ 1., -1.],
            [ 0.,  0.]]], dtype=float32)
    """

    supports_masking = True
    config_keys = ("mask_value",)

    def __init__(self, mask_value: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(mask_value, dict):  # as Keras 3 writes an array
            mask_value = mask_value["config"]["value"]
        self.mask_value = mask_value

    def call(self, inputs: Any) -> Array:
        kept: Array = np.where(self.compute_mask(inputs)[..., None], inputs, 0)
        return kept.astype(inputs.dtype, copy=False)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Array:
        # Keras compares what it computes with: the inputs cast to the layer's dtype.
        value: Array = np.any(np.not_equal(self._cast(inputs), self.mask_value), axis=-1)
        return value
