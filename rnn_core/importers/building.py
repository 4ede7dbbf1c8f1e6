"""Models from configs, and arrays to their weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rnn_core import _initializers
from rnn_core._layer import Layer
from rnn_core._registry import layer_from_config
from rnn_core._sequential import Sequential
from rnn_core._typing import Array
from rnn_core._weight_paths import weights_by_path
from rnn_core._weights import Weight

# Layers' weights may take this many times the file: float16 in a file is float32 here, or float64.
_EXPANSION = 4
# What a config of wrong or missing parts can raise on its way through the layers.
_MISMADE = (
    *(KeyError, IndexError, TypeError, AttributeError, ValueError),
    *(ArithmeticError, RecursionError, MemoryError),
)


def build(path: Path, config: Any) -> Any:
    """Return the model of a config, built, its weights still zeros.

    Raises:
        ValueError: nothing that this package has, or weights larger than the file could fill.
    """
    try:
        with _initializers.zeros_within(_EXPANSION * path.stat().st_size):
            model = layer_from_config(config)
            if not isinstance(model, Layer):
                raise ValueError(f"it is of a {type(model).__name__}, expected a model")
            if isinstance(model, Sequential):
                _build_chain(model)
    except _MISMADE as error:
        raise ValueError(f"{path}: cannot make the model of its config: {error}") from error
    return model


def _build_chain(model: Sequential) -> None:
    if not model.input_layers:
        raise ValueError(f"model {model.name!r} does not say what shape its inputs have")
    model._ensure_built(model.input_layers[0].batch_shape)


def fill(path: Path, model: Any, arrays: dict[str, Array]) -> None:
    """Give a model the arrays at its weights' paths.

    Raises:
        ValueError: one is missing, or of another shape.
    """
    found: dict[Weight, Array] = {}
    for name, weight in weights_by_path(model):
        if weight in found:
            continue
        if name not in arrays:
            raise ValueError(
                f"{path}: layer {weight.owner.name!r} needs {name}, which is not in the file"
            )
        found[weight] = arrays[name]
    try:
        model._assign_weights(list(found), list(found.values()), adopt=True)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error
