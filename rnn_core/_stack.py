"""Cells one above the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnn_core._layer import Layer
from rnn_core._protocol import (
    build_cell,
    check_cell,
    initial_state_of,
    output_size_of,
    step_cell,
)
from rnn_core._registry import layer_from_config


class StackedRNNCells(Layer):
    """Cells one above the other, as a single cell.

    Args:
        cells: the lowest first; each has `call` and `state_size`.

    Raises:
        ValueError: something in `cells` is no cell.

    >>> from rnn_core import GRUCell, LSTMCell
    >>> StackedRNNCells([LSTMCell(4), GRUCell(3)]).state_size
    [[4, 4], 3]
    """

    def __init__(self, cells: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for cell in cells:
            check_cell(cell)
        self.cells = list(cells)

    @property
    def state_size(self) -> list[Any]:
        """The cells' state sizes, one entry a cell."""
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> Any:
        """The last cell's output size."""
        return output_size_of(self.cells[-1])

    def children(self) -> Any:
        """Yield the cells that are layers."""
        yield "cells", [cell for cell in self.cells if isinstance(cell, Layer)]

    def build(self, input_shape: Any) -> None:
        """Build each cell for the output of the one below."""
        for cell in self.cells:
            build_cell(cell, input_shape)
            input_shape = (input_shape[0], output_size_of(cell))

    def get_initial_state(
        self, inputs: Any = None, batch_size: int | None = None, dtype: Any = None
    ) -> list[Any]:
        """Return each cell's initial state; arguments as for `AbstractRNNCell`."""
        if inputs is not None:
            batch_size = np.shape(inputs)[0]
        return [initial_state_of(cell, batch_size, dtype or self.dtype) for cell in self.cells]

    def call(
        self, inputs: Any, states: Any, training: bool | None = None, **kwargs: Any
    ) -> tuple[Any, Any]:
        """Return the last cell's output and each cell's new states."""
        new_states = []
        for cell, state in zip(self.cells, states, strict=True):
            inputs, state = step_cell(cell, inputs, state, training, **kwargs)
            new_states.append(state)
        return inputs, new_states

    def reset_dropout_mask(self) -> None:
        """Have each cell draw new dropout masks."""
        for cell in self.cells:
            if hasattr(cell, "reset_dropout_mask"):
                cell.reset_dropout_mask()

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        cells = [
            {"class_name": type(cell).__name__, "config": cell.get_config()} for cell in self.cells
        ]
        return {**super().get_config(), "cells": cells}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> StackedRNNCells:
        """Return a stack of new cells."""
        config = dict(config)
        return cls([layer_from_config(cell) for cell in config.pop("cells")], **config)
