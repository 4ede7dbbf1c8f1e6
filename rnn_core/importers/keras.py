"""Models that Keras saved, or has in memory: configs to layers, arrays to their weights."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rnn_core._keras_weights import (
    Source,
    assign_by_layer,
    assign_by_path,
    assign_layers,
    order_of,
)
from rnn_core._model import Model
from rnn_core._registry import known_objects, layer_from_config, shared_objects
from rnn_core.formats import keras_h5, keras_zip
from rnn_core.formats.json_text import parse
from rnn_core.importers.building import budget, build, reading_config
from rnn_core.importers.keras_config import upgrade

# Weights of a model without any in its file may take this more.
_SLACK = 64 << 20
# The packages whose objects `from_live` takes.
_KERASES = ("keras", "tf_keras", "tensorflow")


def load_h5(path: Path) -> Model:
    """Return the model of a legacy HDF5 file."""
    config, weights = keras_h5.read(path)
    source = Source.of(weights.version, weights.backend)
    model = _build(path, config, source, budget(path))
    model.origin = f"Keras {weights.version}, HDF5"
    try:
        assign_by_layer(model, weights.layers, source, adopt=True)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return model


def load_zip(path: Path) -> Model:
    """Return the model of a ``.keras`` archive."""
    config, version, arrays = keras_zip.read(path)
    model = _build(path, config, Source.of(version), budget(path))
    model.origin = f"Keras {version}, .keras archive"
    try:
        assign_by_path(model, arrays, adopt=True)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return model


def load_json(path: Path, weights: Path | None = None) -> Model:
    """Return the model of a text of `to_json`, with initial weights.

    Args:
        path: of the text.
        weights: the file that the model's weights will come from, which says how large they are.
    """
    text = path.read_bytes()
    config = parse(text, str(path))
    if not isinstance(config, dict) or "class_name" not in config:
        raise ValueError(f"{path} has no class_name: it is no architecture of Keras")
    # Keras 3 names modules and, from 3.4 on, policies, but no version.
    guess = "3.4" if b'"DTypePolicy"' in text else "3" if "module" in config else "1"
    version = config.get("keras_version") or guess
    weight_bytes = budget(path, *([] if weights is None else [weights])) + _SLACK
    source = Source.of(str(version))
    try:
        model = _build(path, config, source, weight_bytes, zeros=weights is not None)
    except ValueError as error:
        hint = " (an architecture alone: give the file of its weights as weights=)"
        raise ValueError(f"{error}{hint if weights is None else ''}") from error
    model.origin = f"Keras {version}, architecture alone"
    return model


def _build(path: Path, config: Any, source: Source, weight_bytes: int, zeros: bool = True) -> Model:
    with reading_config(path):
        config = upgrade(config, source)
    model = build(path, config, weight_bytes, zeros)
    if not isinstance(model, Model):
        raise ValueError(f"{path} is of a {type(model).__name__}, expected a model")
    return model


# Objects in memory


def from_live(model: Any, custom_objects: dict[str, Any] | None) -> Any:
    """Return what an object of Keras is here; see `rnn_core.from_keras`."""
    source = _source_of(model)
    if hasattr(model, "to_json"):
        config = json.loads(model.to_json())
    else:
        config = {"class_name": type(model).__name__, "config": model.get_config()}
    with known_objects(custom_objects), shared_objects():
        layer = layer_from_config(upgrade(config, source))
    if not layer.built:
        layer._ensure_built(_built_shape(model))
    pairs = [(layer, model)]
    if isinstance(layer, Model):
        # Operations are no layers to Keras 3.
        theirs = {each.name: each for each in model.layers}
        pairs = [(mine, theirs[mine.name]) for mine in layer.layers if mine.name in theirs]
    parts = [(mine, order_of(mine, source), its.get_weights()) for mine, its in pairs]
    assign_layers([part for part in parts if part[1] or part[2]], source)
    return layer


def _source_of(model: Any) -> Source:
    """Return the Keras that an object's class, or one it derives from, is of."""
    roots = [base.__module__.partition(".")[0] for base in type(model).__mro__]
    root = next((root for root in roots if root in _KERASES), None)
    if root == "tensorflow":
        return Source.of("2.4.0-tf")
    return Source.of(str(getattr(sys.modules.get(str(root)), "__version__", "3")))


def _built_shape(model: Any) -> Any:
    """Return the shape of the inputs that an object of Keras is built for."""
    config = model.get_build_config() if hasattr(model, "get_build_config") else None
    shape = (config or {}).get("input_shape") or getattr(model, "_build_input_shape", None)
    shapes = (config or {}).get("shapes_dict") or {}
    shape = shape or next(iter(shapes.values()), None)
    if shape is None:
        name = getattr(model, "name", type(model).__name__)
        raise ValueError(f"{name!r} is not built, expected a layer that has weights")
    return tuple(shape)
