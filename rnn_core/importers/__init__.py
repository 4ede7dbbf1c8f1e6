"""Model files to models: a file's first bytes choose its importer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rnn_core.formats import hdf5, keras_zip
from rnn_core.formats.safetensors import looks_like_one
from rnn_core.importers import keras
from rnn_core.importers.safetensors import load_safetensors

# What a file begins with, what it is, and what loads it.
_IMPORTERS = (
    (hdf5.SIGNATURE, "Keras HDF5 (.h5)", keras.load_h5),
    (keras_zip.SIGNATURE, "Keras archive (.keras)", keras.load_zip),
)


def load_model(path: Path) -> Any:
    """Return the model in a file; see `rnn_core.load`."""
    with open(path, "rb") as file:
        head = file.read(16)
    if looks_like_one(head):
        return load_safetensors(path)
    for signature, _, importer in _IMPORTERS:
        if head.startswith(signature):
            return importer(path)
    kinds = " or ".join(kind for _, kind, _ in _IMPORTERS)
    what = f"begins with {head[:8]!r}" if head else "is empty"
    raise ValueError(f"{path} {what}, expected a model file: {kinds}")
