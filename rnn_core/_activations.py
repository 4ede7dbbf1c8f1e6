"""Activations: the built-in ones by name, computed by the engine, or a callable of the user's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rnn_core import _engine
from rnn_core._names import unknown
from rnn_core._typing import Array

Activation = Callable[[Any], Any]

_ALIASES = {"swish": "silu", "exp": "exponential"}


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
        config = identifier.get("config")
        identifier = config if isinstance(config, str) else identifier.get("class_name")
    if isinstance(identifier, str):
        name = _ALIASES.get(identifier, identifier)
        if name not in _BUILT_IN:
            raise unknown("activation", identifier, [*_BUILT_IN, *_ALIASES])
        return _BUILT_IN[name]
    if callable(identifier):
        return identifier  # type: ignore[no-any-return]
    raise TypeError(f"activation is {identifier!r}, expected a name or a callable")


def serialize(activation: Activation) -> str:
    """Return the name that stands for an activation in a config."""
    return activation.name if isinstance(activation, BuiltIn) else activation.__name__
