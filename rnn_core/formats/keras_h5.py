"""Keras's legacy HDF5 files: a config and, for each layer, a list of arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rnn_core._typing import Array
from rnn_core.formats import hdf5
from rnn_core.formats.json_text import parse


def read(path: Path) -> tuple[Any, str, dict[str, list[Array]]]:
    """Return the model's config, Keras's version, and each layer's arrays in the layer's order.

    Raises:
        ValueError: the file is corrupt, or holds weights without a model.
    """
    budget = hdf5.Budget(path.stat().st_size)
    with hdf5.open_file(path, str(path)) as file:
        text = hdf5.attribute(file, "model_config")
        if text is None:
            raise ValueError("it holds no model_config, only weights: save the whole model")
        group = hdf5.child(file, "model_weights")
        version = hdf5.attribute(group, "keras_version") or hdf5.attribute(file, "keras_version")
        layers = {
            name: _arrays(hdf5.child(group, name), budget)
            for name in hdf5.names(group, "layer_names")
        }
    return parse(text, f"{path}: model_config"), str(version or "1"), layers


def _arrays(group: Any, budget: hdf5.Budget) -> list[Array]:
    weights = hdf5.names(group, "weight_names")
    return [hdf5.read(hdf5.child(group, name), budget) for name in weights]
