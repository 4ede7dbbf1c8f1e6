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
# The layers that a file's config has named by a shared_object_id; None outside of files.
_shared: ContextVar[dict[int, Any] | None] = ContextVar("shared", default=None)


@contextmanager
def known_objects(objects: Mapping[str, Any] | None) -> Iterator[None]:
    """Let configs read within name these classes and functions too."""
    token = _custom.set({**_custom.get(), **(objects or {})})
    try:
        yield
    finally:
        _custom.reset(token)


@contextmanager
def shared_objects() -> Iterator[None]:
    """Let configs read within mean one layer by one shared_object_id, as Keras does in a file."""
    token = _shared.set({})
    try:
        yield
    finally:
        _shared.reset(token)


def custom_object(*names: Any) -> Any:
    """Return what users call by the first known of these names, or None.

    ``"package>Name"``, as Keras writes registered objects, is known by its last part as well.
    """
    objects = _custom.get()
    for name in names:
        for key in (str(name), str(name).rpartition(">")[2]):
            if key in objects:
                return objects[key]
    return None


def config_of(layer: Any) -> dict[str, Any]:
    """Return ``{"class_name", "config"}`` of a layer or cell, what `layer_from_config` reads."""
    return {"class_name": class_name_of(layer), "config": layer.get_config()}


def layer_from_config(config: Any) -> Any:
    """Return the layer that ``{"class_name", "config"}`` describes.

    Args:
        config: as Keras writes it; something else, such as a layer, is returned as it is.

    Raises:
        ValueError: no layer has this class name, or it is a Lambda.
    """
    if not isinstance(config, dict):
        return config
    shared, key = _shared.get(), config.get("shared_object_id")
    if shared is None or not isinstance(key, int):
        return _made(config)
    if key not in shared:
        shared[key] = _made(config)
    return shared[key]


def _made(config: dict[str, Any]) -> Any:
    class_name = str(config.get("class_name"))
    inner = config.get("config") or {}
    # Early Keras wrote a Sequential's layers as a bare list.
    inner = dict(inner) if isinstance(inner, dict) else inner
    name = inner.get("name") if isinstance(inner, dict) else None
    if class_name.rpartition(">")[2] == "Lambda":
        raise ValueError(
            f"layer {name!r} is a 'Lambda', a class that rnn_core refuses: "
            "it is code in a file, and a file can only be data here"
        )
    found = custom_object(class_name, config.get("registered_name"))
    if found is not None:
        return found.from_config(inner) if hasattr(found, "from_config") else found(**inner)
    operation: Any = LAYERS["Operation"]
    if operation.describes(config):
        return operation.from_keras(class_name, inner)
    if class_name not in LAYERS:
        raise ValueError(f"layer {name!r} is a {class_name!r}, a class that rnn_core does not have")
    return LAYERS[class_name].from_config(inner)


def activation_of(identifier: Any) -> _activations.Activation:
    """Return the activation for a name, a callable or a config; a layer's config is that layer."""
    function: _activations.Activation
    if isinstance(identifier, str):
        function = custom_object(identifier)
        return _activations.get(identifier) if function is None else function
    if not isinstance(identifier, dict):
        return _activations.get(identifier)
    class_name, inner = identifier.get("class_name"), identifier.get("config")
    if class_name == "function":
        function = custom_object(identifier.get("registered_name"), inner)
        return _activations.get(inner) if function is None else function
    known = custom_object(class_name, identifier.get("registered_name"))
    if class_name in LAYERS or known is not None:
        function = layer_from_config(identifier)
        return function
    return _activations.get(identifier)
