"""Model files to models: a file's first bytes choose its importer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rnn_core._keras_weights import refuse_checkpoints
from rnn_core._registry import known_objects
from rnn_core.formats import hdf5, keras_zip
from rnn_core.formats.safetensors import looks_like_one
from rnn_core.importers import keras
from rnn_core.importers.safetensors import load_safetensors

# What a file begins with, what it is, and what loads it.
_IMPORTERS = (
    (hdf5.SIGNATURE, "Keras HDF5 (.h5)", keras.load_h5),
    (keras_zip.SIGNATURE, "Keras archive (.keras)", keras.load_zip),
    (b"{", "Keras architecture (.json)", keras.load_json),
)


def load_model(
    path: Path, custom_objects: dict[str, Any] | None = None, weights: Path | None = None
) -> Any:
    """Return the model in a file; see `rnn_core.load`."""
    refuse_checkpoints(path)
    with known_objects(custom_objects):
        model = _import(path, weights)
    if weights is not None:
        model.load_weights(weights)
    return model


def _import(path: Path, weights: Path | None) -> Any:
    with open(path, "rb") as file:
        head = file.read(16)
    if looks_like_one(head):
        return load_safetensors(path)
    for signature, _, importer in _IMPORTERS:
        if head.startswith(signature):
            # An architecture alone says how large its weights are; they have to fit their file.
            apart = importer is keras.load_json and weights is not None
            return keras.load_json(path, weights) if apart else importer(path)
    kinds = " or ".join(kind for _, kind, _ in _IMPORTERS)
    what = f"begins with {head[:8]!r}" if head else "is empty"
    raise ValueError(f"{path} {what}, expected a model file: {kinds}")
