"""Where a graph of layers begins."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnn_core import _graph
from rnn_core._layer import Layer


class InputLayer(Layer):
    """A model's input; `Input` makes one and returns its symbolic tensor.

    Args:
        batch_shape: such as ``(batch, timesteps, features)``, with None for any length.
        dtype: kept in the config; inputs of any numeric dtype are taken.
        name: to give this input by when a model takes a dict.
        kwargs: as for `Layer`.

    Raises:
        ValueError: no `batch_shape`.

    >>> InputLayer((None, 7, 3)).output.shape
    (None, 7, 3)
    """

    supports_masking = True

    def __init__(
        self, batch_shape: Any = None, dtype: Any = None, name: str | None = None, **kwargs: Any
    ) -> None:
        for key in ("sparse", "ragged", "optional", "input_tensor"):
            kwargs.pop(key, None)
        shape = batch_shape if batch_shape is not None else kwargs.pop("batch_input_shape", None)
        super().__init__(name=name, **kwargs)
        if shape is None:
            raise ValueError(f"{self.name}: no batch_shape")
        self.batch_shape = tuple(shape)
        self.input_dtype = str(dtype or "float32")
        node = _graph.Node(self, [])
        node.outputs = self.output = _graph.SymbolicTensor(self.batch_shape, node, 0)

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        """Raise ValueError if an array of this shape is no input of this one."""
        expected = self.batch_shape
        fits = len(shape) == len(expected) and all(
            want is None or want == have for want, have in zip(expected[1:], shape[1:], strict=True)
        )
        if not fits:
            raise ValueError(f"{self.name}: input has shape {shape}, expected {expected}")

    def _call_with_mask(
        self,
        inputs: Any,
        mask: Any = None,
        training: bool | None = None,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> tuple[Any, Any]:
        self._check_shape(np.shape(inputs))
        return inputs, mask

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "batch_shape": self.batch_shape, "dtype": self.input_dtype}


def Input(
    shape: Any = None,
    batch_size: int | None = None,
    dtype: Any = None,
    name: str | None = None,
    batch_shape: Any = None,
) -> _graph.SymbolicTensor:
    """Return a symbolic tensor: call layers on it, then make a `Model` of it and the result.

    Args:
        shape: of one row, such as ``(timesteps, features)``, with None for any length.
        batch_size: None for any.
        dtype: kept in the config.
        name: to give this input by when a model takes a dict.
        batch_shape: the shape with the batch first, in place of `shape` and `batch_size`.

    Raises:
        ValueError: neither `shape` nor `batch_shape` is given.

    >>> Input((None, 3)).shape
    (None, None, 3)
    """
    if batch_shape is None:
        if shape is None:
            raise ValueError("Input needs shape or batch_shape, got neither")
        batch_shape = (batch_size, *np.atleast_1d(np.asarray(shape, dtype=object)).tolist())
    return InputLayer(batch_shape=batch_shape, dtype=dtype, name=name).output
