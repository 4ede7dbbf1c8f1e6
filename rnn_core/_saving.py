"""Models to files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rnn_core._files import replacing
from rnn_core._keras_config import (
    check_masks,
    makes_mask,
    to_keras3,
    to_keras3_weight,
    without_masks,
)
from rnn_core._registry import config_of
from rnn_core._typing import Array
from rnn_core._weight_paths import weights_by_path
from rnn_core._weights import Weight
from rnn_core.formats import keras_zip, safetensors

_SUFFIXES = (".keras", ".safetensors")


def save(model: Any, path: Any) -> None:
    """Write a model to a file whose name says in which format; see `Model.save`."""
    path = Path(path)
    if path.suffix not in _SUFFIXES:
        expected = " or ".join(_SUFFIXES)
        raise ValueError(f"cannot save to {path}, expected a name that ends in {expected}")
    config, weights = config_of(model), _weights_of(model)
    if path.suffix == ".safetensors":
        arrays = {name: weight.value for name, weight in weights.items()}
        save_tensors(path, config, arrays, model.origin)
        return
    check_masks(getattr(model, "_nodes", []))
    if not any(map(makes_mask, model._walk_layers())):
        config = without_masks(config)
    content = to_keras3(config)
    arrays = {name: to_keras3_weight(weight) for name, weight in weights.items()}
    with replacing(path) as temporary:
        keras_zip.write(temporary, content, arrays)


def save_tensors(path: Path, config: Any, arrays: dict[str, Array], origin: str | None) -> None:
    """Write a config and arrays in the safetensors format."""
    text = json.dumps(config, separators=(",", ":"))
    metadata = {"format": "rnn_core", "origin": origin or "rnn_core", "config": text}
    with replacing(path) as temporary:
        safetensors.write(temporary, arrays, metadata)


def _weights_of(model: Any) -> dict[str, Weight]:
    """Return a built model's weights by their paths, each once.

    Raises:
        ValueError: the model has not been built.
    """
    if not model.built:
        raise ValueError(f"{model.name} has no weights yet: call or build it before saving")
    return dict(weights_by_path(model))
