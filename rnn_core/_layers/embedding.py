"""Ids to vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnn_core import _initializers
from rnn_core._layer import Layer
from rnn_core._numbers import positive
from rnn_core._typing import Array


class Embedding(Layer):
    """Looks up a row of a table for each id.

    Args:
        input_dim: number of rows; ids are 0 to ``input_dim - 1``.
        output_dim: length of a row.
        embeddings_initializer: a name or a config.
        mask_zero: mask the steps whose id is 0; the mask has the ids' shape.
        input_length: the number of steps, if it is fixed.
        kwargs: as for `Layer`.

    Weights: embeddings ``(input_dim, output_dim)``. Inputs: whole numbers of any shape and of any
    numeric dtype. Outputs: one axis more, ``(batch, timesteps, output_dim)`` for ids
    ``(batch, timesteps)``.

    Raises:
        ValueError: `input_dim` or `output_dim` below 1; an id that is no whole number, or outside
            the table.
        TypeError: ids that are not numbers.

    >>> Embedding(10, 4)([[1, 2, 0]]).shape
    (1, 3, 4)
    """

    supports_masking = True
    config_keys = ("input_dim", "output_dim", "embeddings_initializer", "mask_zero")

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        *,
        mask_zero: bool = False,
        input_length: int | None = None,
        **kwargs: Any,
    ) -> None:
        sparse = kwargs.pop("sparse", False)
        super().__init__(**kwargs)
        if sparse and mask_zero:
            raise ValueError(f"{self.name}: mask_zero and sparse are both given, expected one")
        if input_length is not None and self.batch_input_shape is None:
            self.batch_input_shape = (None, input_length)
        self.input_dim = positive(input_dim, "input_dim")
        self.output_dim = positive(output_dim, "output_dim")
        self.embeddings_initializer = _initializers.get(embeddings_initializer)
        self.mask_zero = mask_zero

    def build(self, input_shape: Any) -> None:
        self.embeddings = self.add_weight(
            (self.input_dim, self.output_dim), self.embeddings_initializer, name="embeddings"
        )

    def _cast(self, inputs: Any) -> Array:
        self._refuse_lists(inputs)
        ids = np.asarray(inputs)
        if ids.dtype.kind not in "fiub":
            raise TypeError(f"{self.name}: ids are {ids.dtype}, expected whole numbers")
        if ids.dtype.kind == "f":
            self._refuse(ids, ~(np.floor(ids) == ids) | np.isinf(ids), "a whole number")
            # Before the cast: what int64 cannot hold would turn into something else.
            self._refuse(ids, ids >= self.input_dim, f"below {self.input_dim}")
            self._refuse(ids, ids < 0, "at least 0")
            ids = ids.astype(np.int64)
        self._refuse(ids, ids >= self.input_dim, f"below {self.input_dim}")
        if ids.dtype.kind == "i":
            self._refuse(ids, ids < 0, "at least 0")
        return ids.astype(np.int64) if ids.dtype.kind == "b" else ids

    def _refuse(self, ids: Array, wrong: Array, expected: str) -> None:
        if wrong.any():
            place = tuple(int(axis[0]) for axis in np.nonzero(wrong))
            raise ValueError(f"{self.name}: id at {place} is {ids[place]}, expected {expected}")

    def call(self, inputs: Any) -> Array:
        vectors: Array = self.embeddings.take(inputs, axis=0)
        return vectors

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape, self.output_dim)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return np.not_equal(inputs, 0) if self.mask_zero else None
