"""Models that Keras saved: configs to layers, arrays to their weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rnn_core import _initializers
from rnn_core._layer import Layer
from rnn_core._model import Model
from rnn_core._registry import layer_from_config
from rnn_core._sequential import Sequential
from rnn_core._weight_paths import weights_by_path
from rnn_core._weights import Weight
from rnn_core.formats import keras_h5, keras_zip

# Layers' weights may take this many times the file: float16 in a file is float32 here, or float64.
_EXPANSION = 4
# What a config of wrong or missing parts can raise on its way through the layers.
_MISMADE = (
    *(KeyError, IndexError, TypeError, AttributeError, ValueError),
    *(ArithmeticError, RecursionError, MemoryError),
)
_GRU = ("GRU", "GRUCell")
# When the gates' default activation changed from hard_sigmoid.
_SIGMOID_SINCE = {
    **dict.fromkeys((*_GRU, "LSTM", "LSTMCell"), (2, 3)),
    **dict.fromkeys(("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "ConvLSTMCell"), (3,)),
}
# Layers whose masks follow another rule in Keras 2.
_MASK_RULES = frozenset(
    [
        "Add",
        "Subtract",
        "Multiply",
        "Average",
        "Maximum",
        "Minimum",
        "Concatenate",
        "TimeDistributed",
    ]
)


def load_h5(path: Path) -> Model:
    """Return the model of a legacy HDF5 file."""
    config, version, arrays = keras_h5.read(path)
    model = _build(path, config, version)
    order = _keras2_order if _is_before(version, 3) else _keras3_order
    for layer in model.layers:
        targets = order(layer)
        values = arrays.pop(layer.name, [])
        if targets or values:
            layer._assign_weights(targets, values, adopt=True)
    _expect_none_left(path, [name for name, values in arrays.items() if values])
    return model


def load_zip(path: Path) -> Model:
    """Return the model of a ``.keras`` archive."""
    config, version, arrays = keras_zip.read(path)
    if any(name.startswith("_layer_checkpoint_dependencies/") for name in arrays):
        arrays = {
            name.replace("_layer_checkpoint_dependencies/", "layers/"): value
            for name, value in arrays.items()
        }
    model = _build(path, config, version)
    targets, values = [], []
    for name, weight in weights_by_path(model):
        if name not in arrays:
            raise ValueError(
                f"{path}: layer {weight.owner.name!r} needs {name}, which is not in the file"
            )
        targets.append(weight)
        values.append(arrays[name])
    model._assign_weights(targets, values, adopt=True)
    return model


def _build(path: Path, config: Any, version: str) -> Model:
    """Return the model of a config, built, its weights still zeros."""
    try:
        config = _upgrade(config, version)
        with _initializers.zeros_within(_EXPANSION * path.stat().st_size):
            model = layer_from_config(config)
            if not isinstance(model, Model):
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


def _upgrade(config: Any, version: str) -> Any:
    """Return a config with what its Keras meant by its defaults and names written out.

    Keras 2's hard_sigmoid is another function than Keras 3's, and arguments that an older version
    did not know yet have the value they had then.
    """
    if isinstance(config, list):
        return [_upgrade(item, version) for item in config]
    if not isinstance(config, dict):
        return config
    config = {key: _upgrade(value, version) for key, value in config.items()}
    inner, class_name = config.get("config"), config.get("class_name")
    if not isinstance(inner, dict) or not _is_before(version, 3):
        return config
    if class_name in _MASK_RULES:
        inner["keras_version"] = 2
    if class_name in _GRU:
        inner.setdefault("reset_after", False)
    if class_name in _SIGMOID_SINCE and _is_before(version, *_SIGMOID_SINCE[class_name]):
        inner.setdefault("recurrent_activation", "hard_sigmoid")
    for key in ("activation", "recurrent_activation"):
        if inner.get(key) == "hard_sigmoid":
            inner[key] = "hard_sigmoid_legacy"
    return config


def _is_before(version: str, *release: int) -> bool:
    numbers = [int(part) if part.isdecimal() else 0 for part in version.split(".")[:3]]
    return tuple(numbers) < release


# The order of weights


def _keras3_order(layer: Layer) -> list[Weight]:
    weights = layer._walk_weights()
    if layer.trainable:
        # A stable sort: those that Keras would train come first.
        weights.sort(key=lambda weight: not (weight.trainable and weight.owner.trainable))
    return weights


def _keras2_order(layer: Layer) -> list[Weight]:
    return [*layer._trainable(), *layer._non_trainable()]


def _expect_none_left(path: Path, names: list[str]) -> None:
    if names:
        raise ValueError(f"{path}: weights of layer {names[0]!r} belong to no layer of the model")
