"""Models by path or in memory, for the processes that score; and what their inputs are."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from rnn_core._layers.embedding import Embedding
from rnn_core._nest import flatten
from rnn_core._onnx.model import speaks_of_batch
from rnn_core.importers import load


@dataclass(frozen=True)
class ModelInput:
    """An input: its name, its shape from the axis after the rows, and the end of its ids' range."""

    name: str
    shape: tuple[int | None, ...]
    ids: int | None


def from_path(path: str) -> Any:
    """Return the model of a file, which a process loads once.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is corrupt, or holds no model.
    """
    status = Path(path).stat()
    return _from_path(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4)
def _from_path(path: str, size: int, mtime_ns: int) -> Any:
    return checked(load(Path(path)), path)


@lru_cache(maxsize=4)
def from_bytes(content: bytes) -> Any:
    """Return the model that `to_bytes` made bytes of."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "model.safetensors")
        path.write_bytes(content)
        return load(path)


def to_bytes(model: Any) -> bytes:
    """Return a model as the bytes of a ``.safetensors`` file."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "model.safetensors")
        model.save(path)
        return path.read_bytes()


def digest(content: bytes | Path) -> str:
    """Return the SHA-256 of bytes or of a file."""
    found = hashlib.sha256()
    if isinstance(content, bytes):
        found.update(content)
        return found.hexdigest()
    with open(content, "rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def checked(model: Any, name: Any) -> Any:
    """Return a model that can score rows in any order.

    Raises:
        ValueError: these are weights alone; a stateful model, whose rows depend on those before.
    """
    if not hasattr(model, "predict"):
        raise ValueError(f"{name} holds weights, expected a model: rnn_core.from_torch makes one")
    if hasattr(model, "_is_stateful") and model._is_stateful():
        raise ValueError(f"{name} is stateful, expected a model whose rows are independent")
    return model


def inputs_of(model: Any) -> list[ModelInput]:
    """Return a model's inputs.

    Raises:
        ValueError: their shapes are not known yet; the rows are not an input's first axis.
    """
    if not hasattr(model, "input_layers"):
        for name, _, axes in model.inputs:
            others = (axes or ())[1:]
            if any(map(speaks_of_batch, others)) and not speaks_of_batch(axes[0]):
                raise ValueError(f"input {name!r} has the axes {axes}, expected its rows first")
        return [ModelInput(name, _open(shape), None) for name, _, shape in model.inputs]
    layers = model.input_layers
    if not layers:
        raise ValueError(f"{model.name} is not built: call it once, or begin it with an Input")
    limits = [_id_limit(model, index) for index in range(len(layers))]
    names = model._input_keys() if len(layers) > 1 else [layers[0].name]
    shapes = [_open(layer.batch_shape) for layer in layers]
    return [ModelInput(*each) for each in zip(names, shapes, limits, strict=True)]


def _open(shape: Any) -> tuple[int | None, ...]:
    """Return a shape without its rows, lengths that are only named as None."""
    if shape is None:
        return (None,)
    return tuple(n if isinstance(n, int) else None for n in shape[1:])


def _id_limit(model: Any, index: int) -> int | None:
    """Return the number of an embedding's ids, if an input goes into one."""
    chain = getattr(model, "_chain", None)
    if chain is not None:
        first = [chain[0]] if chain else []
    else:
        tensor = flatten(model._inputs)[index]
        first = [node.layer for node in model._nodes if tensor in flatten(node.inputs)]
    limits = [layer.input_dim for layer in first if isinstance(layer, Embedding)]
    return min(limits, default=None)


def chosen_of_sequences(model: Any, outputs: Any, which: int | None) -> Any:
    """Return one of the outputs that `predict` gave for a list of rows, as `chosen` does.

    Of outputs that differ in length there is a list with one for each row.
    """
    several = len(model._own_lengths() if hasattr(model, "_own_lengths") else model.outputs) > 1
    return chosen(outputs if several else [outputs], which)


def chosen(outputs: Any, which: int | None) -> Any:
    """Return one of a model's outputs.

    Raises:
        ValueError: there are several and none is chosen, or not as many.
    """
    if isinstance(outputs, dict):
        outputs = list(outputs.values())
    if not isinstance(outputs, (list, tuple)):
        outputs = [outputs]
    if which is None and len(outputs) > 1:
        raise ValueError(f"the model has {len(outputs)} outputs: choose one with --which")
    if not 0 <= (which or 0) < len(outputs):
        raise ValueError(f"--which is {which}, expected 0 to {len(outputs) - 1}")
    return outputs[which or 0]
