"""The layers that a config may name, and layers from configs."""

from __future__ import annotations

from typing import Any

from rnn_core import _activations

# This package's layers, by class name.
LAYERS: dict[str, Any] = {}


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
    inner = config.get("config")
    operation: Any = LAYERS["Operation"]
    if operation.describes(config):
        return operation.from_keras(class_name, inner)
    if class_name not in LAYERS:
        name = inner.get("name") if isinstance(inner, dict) else None
        raise ValueError(f"layer {name!r} is a {class_name!r}, a class that rnn_core does not have")
    return LAYERS[class_name].from_config(dict(config.get("config", {})))


def activation_of(identifier: Any) -> _activations.Activation:
    """Return the activation for a name, a callable or a config; a layer's config is that layer."""
    if isinstance(identifier, dict) and identifier.get("class_name") in LAYERS:
        layer: _activations.Activation = layer_from_config(identifier)
        return layer
    return _activations.get(identifier)
