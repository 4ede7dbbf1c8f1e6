"""The layers that a config may name, and layers from configs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

from rnn_core import _activations
from rnn_core._names import class_name_of

# This package's layers, by class name.
LAYERS: dict[str, Any] = {}
# What users add to them, for as long as a config is read.
_custom: ContextVar[Mapping[str, Any]] = ContextVar("custom", default=MappingProxyType({}))


@contextmanager
def known_objects(objects: Mapping[str, Any] | None) -> Iterator[None]:
    """Let configs read within name these classes and functions too."""
    token = _custom.set({**_custom.get(), **(objects or {})})
    try:
        yield
    finally:
        _custom.reset(token)


def config_of(layer: Any) -> dict[str, Any]:
    """Return ``{"class_name", "config"}`` of a layer or cell, what `layer_from_config` reads."""
    return {"class_name": class_name_of(layer), "config": layer.get_config()}


def layer_from_config(config: Any) -> Any:
    """Return the layer that ``{"class_name", "config"}`` describes.

    Args:
        config: as Keras writes it; something else, such as a layer, is returned as it is.

    Raises:
        ValueError: no layer has this class name.
    """
    if not isinstance(config, dict):
        return config
    class_name = str(config.get("class_name"))
    inner = config.get("config") or {}
    found = _custom.get().get(class_name, _custom.get().get(str(config.get("registered_name"))))
    if found is not None:
        return found.from_config(dict(inner)) if hasattr(found, "from_config") else found(**inner)
    operation: Any = LAYERS["Operation"]
    if operation.describes(config):
        return operation.from_keras(class_name, inner)
    if class_name not in LAYERS:
        name = inner.get("name") if isinstance(inner, dict) else None
        raise ValueError(f"layer {name!r} is a {class_name!r}, a class that rnn_core does not have")
    return LAYERS[class_name].from_config(dict(config.get("config", {})))


def activation_of(identifier: Any) -> _activations.Activation:
    """Return the activation for a name, a callable or a config; a layer's config is that layer."""
    if isinstance(identifier, str) and identifier in _custom.get():
        function: _activations.Activation = _custom.get()[identifier]
        return function
    if isinstance(identifier, dict) and identifier.get("class_name") in LAYERS:
        layer: _activations.Activation = layer_from_config(identifier)
        return layer
    return _activations.get(identifier)
