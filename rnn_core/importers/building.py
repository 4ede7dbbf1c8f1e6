"""Models from configs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rnn_core import _initializers
from rnn_core._layer import Layer
from rnn_core._registry import layer_from_config, shared_objects
from rnn_core._sequential import Sequential

# Layers' weights may take this many times the file: float16 in a file is float32 here, or float64.
_EXPANSION = 4
# What a config of wrong or missing parts can raise on its way through the layers.
_MISMADE = (
    *(KeyError, IndexError, TypeError, AttributeError, ValueError),
    *(ArithmeticError, RecursionError, MemoryError),
)


@contextmanager
def reading_config(path: Path) -> Iterator[None]:
    """Turn what a config of wrong or missing parts raises into a ValueError."""
    try:
        yield
    except _MISMADE as error:
        raise ValueError(f"{path}: cannot make the model of its config: {error}") from error


def budget(*paths: Path) -> int:
    """Return how many bytes the weights may take that some files hold."""
    return _EXPANSION * sum(path.stat().st_size for path in paths)


def build(path: Path, config: Any, weight_bytes: int, zeros: bool = True) -> Any:
    """Return the model or layer of a config, built.

    Args:
        path: named in errors.
        config: with class names and arguments of this package.
        weight_bytes: what its weights may take.
        zeros: whether they are zeros, for values that will be assigned, or as initializers have it.

    Raises:
        ValueError: nothing that this package has, or weights that are larger.
    """
    with reading_config(path), _initializers.within(weight_bytes, zeros), shared_objects():
        model = layer_from_config(config)
        if not isinstance(model, Layer):
            raise ValueError(f"it is of a {type(model).__name__}, expected a model")
        if isinstance(model, Sequential):
            _build_chain(model)
    return model


def _build_chain(model: Sequential) -> None:
    if not model.input_layers:
        raise ValueError(f"model {model.name!r} does not say what shape its inputs have")
    model._ensure_built(model.input_layers[0].batch_shape)
