"""Operators that normalize: softmax, batch, layer and instance normalization."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rnn_core._typing import Array

# Until this version, softmax went over all axes from its own onwards.
_SOFTMAX_OF_ONE_AXIS = 13


def _softmax(function: Callable[[Array], Array]) -> Callable[..., Array]:
    def apply(x: Array, /, *, axis: int | None = None, opset: int) -> Array:
        if opset >= _SOFTMAX_OF_ONE_AXIS:
            along = -1 if axis is None else axis
            return np.moveaxis(function(np.moveaxis(x, along, -1)), -1, along)
        along = (1 if axis is None else axis) % (x.ndim + 1)
        rows = int(np.prod(x.shape[:along], dtype=np.int64))
        return function(x.reshape(rows, -1) if x.size else x).reshape(x.shape)

    return apply


def _shifted(x: Array) -> Array:
    """Return x less its maximum on the last axis, so that its exponentials are at most 1."""
    return np.asarray(x - x.max(axis=-1, keepdims=True, initial=-np.inf))


def softmax(x: Array) -> Array:
    """Return exponentials that sum to 1 over the last axis."""
    y = np.exp(_shifted(x))
    return np.asarray(y / y.sum(axis=-1, keepdims=True))


def log_softmax(x: Array) -> Array:
    """Return the logarithm of `softmax`."""
    y = _shifted(x)
    return np.asarray(y - np.log(np.exp(y).sum(axis=-1, keepdims=True)))


def _hardmax(x: Array) -> Array:
    y = np.zeros_like(x)
    np.put_along_axis(y, x.argmax(axis=-1)[..., None], 1, -1)
    return y


def batch_normalization(
    x: Array,
    scale: Array,
    bias: Array,
    mean: Array,
    variance: Array,
    /,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    spatial: int = 1,
    is_test: int = 1,
    training_mode: int = 0,
) -> Array:
    """Return x normalized by stored statistics of each channel, which is on axis 1."""
    if training_mode or not spatial:
        raise ValueError("training_mode and spatial=0 are not supported")
    apart = (-1,) + (1,) * max(x.ndim - 2, 0)
    factor = scale / np.sqrt(variance + x.dtype.type(epsilon))
    y = (x - mean.reshape(apart)) * factor.reshape(apart) + bias.reshape(apart)
    return np.asarray(y).astype(x.dtype, copy=False)


def layer_normalization(
    x: Array,
    scale: Array,
    bias: Array | None = None,
    /,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> tuple[Array, Array, Array]:
    """Return x normalized over the axes from `axis` on, the mean and the inverse deviation."""
    over = tuple(range(axis % x.ndim, x.ndim))
    mean = x.mean(axis=over, keepdims=True)
    apart = x - mean
    inverse = 1 / np.sqrt((apart * apart).mean(axis=over, keepdims=True) + x.dtype.type(epsilon))
    y = apart * inverse * scale
    return y if bias is None else y + bias, mean, inverse


def instance_normalization(
    x: Array, scale: Array, bias: Array, /, *, epsilon: float = 1e-5
) -> Array:
    """Return x normalized over space, for each row and channel by itself."""
    over = tuple(range(2, x.ndim))
    apart = x - x.mean(axis=over, keepdims=True)
    variance = (apart * apart).mean(axis=over, keepdims=True)
    lead = (-1,) + (1,) * len(over)
    scaled = apart / np.sqrt(variance + x.dtype.type(epsilon)) * scale.reshape(lead)
    return np.asarray(scaled + bias.reshape(lead))


OPERATORS: dict[str, Callable[..., Any]] = {
    "BatchNormalization": batch_normalization,
    "Hardmax": _softmax(_hardmax),
    "InstanceNormalization": instance_normalization,
    "LayerNormalization": layer_normalization,
    "LogSoftmax": _softmax(log_softmax),
    "Softmax": _softmax(softmax),
}
