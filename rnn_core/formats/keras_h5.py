"""Keras's legacy HDF5 files: a config and, for each layer, a list of arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from rnn_core._typing import Array
from rnn_core.formats import hdf5
from rnn_core.formats.budget import Budget
from rnn_core.formats.json_text import parse


class Legacy(NamedTuple):
    """What such a file holds: each layer's arrays in the layer's order, and who wrote them."""

    layers: dict[str, list[Array]]
    version: str
    backend: str | None


def read(path: Path) -> tuple[Any, Legacy]:
    """Return the model's config and its weights.

    Raises:
        ValueError: the file is corrupt, or holds weights without a model.
    """
    budget = Budget(path.stat().st_size)
    with hdf5.open_file(path, str(path)) as file:
        text = hdf5.attribute(file, "model_config")
        if text is None:
            raise ValueError(
                "it holds no model_config, only weights: save the whole model, "
                "or make the model and call its load_weights"
            )
        legacy = _legacy(file, hdf5.child(file, "model_weights"), budget)
    return parse(text, f"{path}: model_config"), legacy


def read_weights(path: Path) -> Legacy | None:
    """Return the weights of such a file, with or without a model; None for another HDF5 file.

    Raises:
        ValueError: the file is corrupt.
    """
    budget = Budget(path.stat().st_size)
    with hdf5.open_file(path, str(path)) as file:
        if hdf5.attribute(file, "model_config") is not None:
            return _legacy(file, hdf5.child(file, "model_weights"), budget)
        listed = (hdf5.attribute(file, name) for name in ("layer_names", "layer_names0"))
        return _legacy(file, file, budget) if any(names is not None for names in listed) else None


def _legacy(file: Any, group: Any, budget: Budget) -> Legacy:
    def said(name: str) -> Any:
        return hdf5.attribute(group, name) or hdf5.attribute(file, name)

    layers = {
        name: _arrays(hdf5.child(group, name), budget) for name in hdf5.names(group, "layer_names")
    }
    backend = said("backend")
    return Legacy(layers, str(said("keras_version") or "1"), backend and str(backend))


def _arrays(group: Any, budget: Budget) -> list[Array]:
    weights = hdf5.names(group, "weight_names")
    return [hdf5.read(hdf5.child(group, name), budget) for name in weights]
