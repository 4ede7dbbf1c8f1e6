"""Activations by name, computed by the engine or by NumPy, or a callable of the user's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rnn_core import _engine
from rnn_core._names import unknown
from rnn_core._typing import Array

Activation = Callable[..., Any]

_ALIASES = {"swish": "silu", "exp": "exponential", "hard_swish": "hard_silu"}


class BuiltIn:
    """A built-in activation; calling it returns a new array.

    Args:
        name: one of the engine's names, such as ``"tanh"``.
    """

    def __init__(self, name: str) -> None:
        self.name = self.__name__ = name

    def __call__(self, x: Any) -> Array:
        """Return the activation of `x`, value by value; softmax goes over the last axis."""
        x = np.asarray(x)
        dtype = np.float64 if x.dtype == np.float64 else np.float32
        y = np.array(x, dtype, order="C", copy=True, ndmin=1)
        # All values as one row: one call of the kernel. Only softmax needs the rows as they are.
        _engine.activate(self.name, y if self.name == "softmax" else y.reshape(-1))
        return y.reshape(x.shape)

    def __repr__(self) -> str:
        return f"<activation {self.name}>"


_BUILT_IN = {name: BuiltIn(name) for name in _engine.activations()}


class Formula:
    """An activation that only NumPy computes; calling it returns a new array.

    Args:
        name: Keras's.
        function: of an array ``(batch, ..., features)``, float32 or float64.
    """

    def __init__(self, name: str, function: Activation) -> None:
        self.name = self.__name__ = name
        self._function = function

    def __call__(self, x: Any, **parameters: Any) -> Array:
        """Return the activation of `x`, in float64 if `x` is, else in float32.

        Args:
            x: ``(batch, ..., features)``.
            parameters: as of Keras's function of this name.
        """
        x = np.asarray(x)
        x = x if x.dtype == np.float64 else x.astype(np.float32)
        y: Array = self._function(x, **parameters)
        return y

    def __repr__(self) -> str:
        return f"<activation {self.name}>"


def _softplus(x: Array) -> Array:
    return _BUILT_IN["softplus"](x)


def _celu(x: Array, alpha: float = 1.0) -> Array:
    """Barron 2017, Continuously Differentiable Exponential Linear Units."""
    scale = x.dtype.type(alpha)
    y: Array = np.maximum(x, 0) + scale * _BUILT_IN["elu"](np.minimum(x, 0) / scale)
    return y


def _hard_shrink(x: Array, threshold: float = 0.5) -> Array:
    return np.where(np.abs(x) > threshold, x, x.dtype.type(0))


def _soft_shrink(x: Array, threshold: float = 0.5) -> Array:
    y: Array = x - np.clip(x, -threshold, threshold)
    return y


def _squareplus(x: Array, b: float = 4) -> Array:
    y: Array = (x + np.sqrt(x * x + x.dtype.type(b))) / 2
    return y


def _log_softmax(x: Array, axis: int = -1) -> Array:
    x = x - x.max(axis=axis, keepdims=True)
    y: Array = x - np.log(np.exp(x).sum(axis=axis, keepdims=True))
    return y


def _glu(x: Array) -> Array:
    """Dauphin et al. 2017: one half of the features, gated by the other."""
    a, b = np.split(x, 2, axis=-1)
    y: Array = a * _BUILT_IN["sigmoid"](b)
    return y


def _sparsemax(x: Array, axis: int = -1) -> Array:
    """Martins and Astudillo 2016, as Keras has it.

    The threshold is of all sums of the support, where the paper takes the last.
    """
    x = np.moveaxis(x, axis, -1)
    ordered = -np.sort(-x, axis=-1)
    sums = np.cumsum(ordered, axis=-1)
    support = 1 + ordered * np.arange(1, x.shape[-1] + 1, dtype=x.dtype) > sums
    count = support.sum(axis=-1, keepdims=True, dtype=x.dtype)
    threshold = (np.where(support, sums, 0).sum(axis=-1, keepdims=True) - 1) / count
    return np.moveaxis(np.maximum(x - threshold, 0), -1, axis)


_FORMULAS = {
    "celu": _celu,
    "glu": _glu,
    "hard_shrink": _hard_shrink,
    "hard_silu": lambda x: x * _BUILT_IN["hard_sigmoid"](x),
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "leaky_relu": lambda x: np.where(x < 0, x * x.dtype.type(0.2), x),
    "log_sigmoid": lambda x: -_softplus(-x),
    "log_softmax": _log_softmax,
    "mish": lambda x: x * np.tanh(_softplus(x)),
    "relu6": lambda x: np.clip(x, 0, 6),
    "soft_shrink": _soft_shrink,
    "sparse_plus": lambda x: np.where(x < 1, np.square(np.maximum(x + 1, 0)) / 4, x),
    "sparse_sigmoid": lambda x: np.clip((x + 1) / 2, 0, 1),
    "sparsemax": _sparsemax,
    "squareplus": _squareplus,
    "tanh_shrink": lambda x: x - np.tanh(x),
}
_BY_NAME: dict[str, BuiltIn | Formula] = {
    **_BUILT_IN,
    **{name: Formula(name, function) for name, function in _FORMULAS.items()},
}


def get(identifier: Any) -> Activation:
    """Return the activation that a name, a Keras config or a callable stands for.

    Args:
        identifier: a name, None for ``"linear"``, a callable, or ``{"class_name", "config"}``.

    Raises:
        ValueError: no activation has this name.
    """
    if identifier is None:
        identifier = "linear"
    if isinstance(identifier, dict):
        config, given = identifier.get("config"), identifier
        identifier = config if isinstance(config, str) else identifier.get("class_name")
        if identifier is None:
            raise ValueError(f"activation is {given!r}, as a lambda is written: expected a name")
    if isinstance(identifier, str):
        name = _ALIASES.get(identifier, identifier)
        if name not in _BY_NAME:
            raise unknown("activation", identifier, [*_BY_NAME, *_ALIASES])
        return _BY_NAME[name]
    if callable(identifier):
        return identifier  # type: ignore[no-any-return]
    raise TypeError(f"activation is {identifier!r}, expected a name or a callable")


def serialize(activation: Activation) -> str:
    """Return the name that stands for an activation in a config."""
    return str(getattr(activation, "__name__", type(activation).__name__))
