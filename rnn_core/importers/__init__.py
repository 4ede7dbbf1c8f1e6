"""Model files to models: a file's first bytes choose its importer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rnn_core.formats import hdf5, keras_zip
from rnn_core.importers import keras

if TYPE_CHECKING:
    from rnn_core._model import Model

# What a file begins with, what it is, and what loads it.
_IMPORTERS = (
    (hdf5.SIGNATURE, "Keras HDF5 (.h5)", keras.load_h5),
    (keras_zip.SIGNATURE, "Keras archive (.keras)", keras.load_zip),
)


def load_model(path: Path) -> Model:
    """Return the model in a file; see `rnn_core.load`."""
    with open(path, "rb") as file:
        head = file.read(16)
    for signature, _, importer in _IMPORTERS:
        if head.startswith(signature):
            return importer(path)
    kinds = " or ".join(kind for _, kind, _ in _IMPORTERS)
    what = f"begins with {head[:8]!r}" if head else "is empty"
    raise ValueError(f"{path} {what}, expected a model file: {kinds}")
