"""Model files to models: a file's first bytes choose its importer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rnn_core._keras_weights import refuse_checkpoints
from rnn_core._registry import known_objects
from rnn_core.formats import hdf5, keras_zip
from rnn_core.formats.safetensors import looks_like_one
from rnn_core.importers import keras
from rnn_core.importers.safetensors import load_safetensors


def _begins(signature: bytes) -> Callable[[bytes, str], bool]:
    return lambda head, suffix: head.startswith(signature)


def _is_onnx(head: bytes, suffix: str) -> bool:
    # ONNX's signature is but one byte, with which many files begin: the name has to say it too.
    return head.startswith(b"\x08") and suffix == ".onnx"


# What takes long to import is imported when it is needed.


def _load_onnx(path: Path) -> Any:
    from rnn_core.importers.onnx import load_onnx

    return load_onnx(path)


def _load_torch(path: Path) -> Any:
    from rnn_core.formats import torch_file

    return torch_file.read(path)


def _load_zip(path: Path) -> Any:
    from rnn_core.formats import torch_file

    return torch_file.read(path) if torch_file.is_archive(path) else keras.load_zip(path)


_LFS_POINTER = b"version https://"
# Whether a file that begins so, and whose name ends so, is of a kind; the kind, and what loads it.
_IMPORTERS: tuple[tuple[Callable[[bytes, str], bool], str, Callable[[Path], Any]], ...] = (
    # Before the others: the length that it begins with may look like one of their signatures.
    (looks_like_one, "safetensors", load_safetensors),
    (_begins(hdf5.SIGNATURE), "Keras HDF5 (.h5)", keras.load_h5),
    (_begins(keras_zip.SIGNATURE), "Keras archive (.keras), PyTorch (.pt, .pth)", _load_zip),
    (_begins(b"\x80"), "PyTorch before 1.6", _load_torch),
    (_begins(b"{"), "Keras architecture (.json)", keras.load_json),
    (_is_onnx, "ONNX (.onnx)", _load_onnx),
)


def load(
    path: Path, custom_objects: dict[str, Any] | None = None, weights: Path | None = None
) -> Any:
    """Return the model, or the data, in a file; see `rnn_core.load`."""
    refuse_checkpoints(path)
    with known_objects(custom_objects):
        loaded = _import(path, weights)
    if weights is not None:
        loaded.load_weights(weights)
    return loaded


def _import(path: Path, weights: Path | None) -> Any:
    with open(path, "rb") as file:
        head = file.read(16)
    for matches, _, importer in _IMPORTERS:
        if matches(head, path.suffix):
            # An architecture alone says how large its weights are; they have to fit their file.
            apart = importer is keras.load_json and weights is not None
            return keras.load_json(path, weights) if apart else importer(path)
    if head.startswith(_LFS_POINTER):
        raise ValueError(f"{path} is a pointer of Git LFS, not the file: run git lfs pull")
    kinds = " or ".join(kind for _, kind, _ in _IMPORTERS)
    what = f"begins with {head[:8]!r}" if head else "is empty"
    raise ValueError(f"{path} {what}, expected a model file: {kinds}")
