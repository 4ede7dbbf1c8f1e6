"""Cells one above the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnn_core import _protocol
from rnn_core._layer import Layer
from rnn_core._nest import axes_of, flatten, map_leaves
from rnn_core._registry import config_of, known_objects, layer_from_config


class StackedRNNCells(Layer):
    """Cells one above the other, as a single cell.

    Args:
        cells: the lowest first; each has `call` and `state_size`.
        reverse_state_order: states are given and returned the highest cell's first, as in
            TensorFlow 1. Keras does not keep this in configs, so neither does this class.

    Call arguments are those of a cell: inputs ``(batch, features)``, and a list with an entry for
    each cell: its state ``(batch, size)``, or a list of its states. Returns the last cell's output
    ``(batch, units)`` and the new states, likewise.

    Raises:
        ValueError: there are no cells, or something in `cells` is none.

    >>> from rnn_core import GRUCell, LSTMCell
    >>> cell = StackedRNNCells([LSTMCell(4), GRUCell(3)])
    >>> output, states = cell(np.zeros((2, 5)), cell.get_initial_state(batch_size=2))
    >>> output.shape
    (2, 3)
    """

    def __init__(
        self, cells: Sequence[Any], *, reverse_state_order: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.cells = list(cells)
        if not self.cells:
            raise ValueError(f"{self.name}: no cells, expected at least one")
        for cell in self.cells:
            _protocol.check_cell(cell)
        self.reverse_state_order = reverse_state_order

    def _in_order(self, entries: Any) -> list[Any]:
        """Return one entry a cell from the states' order in the cells' order, or the reverse."""
        return list(entries)[::-1] if self.reverse_state_order else list(entries)

    @property
    def state_size(self) -> list[Any]:
        """The cells' state sizes, one entry a cell.

        >>> from rnn_core import GRUCell, LSTMCell
        >>> StackedRNNCells([LSTMCell(4), GRUCell(3)]).state_size
        [[4, 4], 3]
        """
        return self._in_order(cell.state_size for cell in self.cells)

    @property
    def output_size(self) -> Any:
        """The last cell's output size.

        >>> from rnn_core import GRUCell, LSTMCell
        >>> StackedRNNCells([LSTMCell(4), GRUCell(3)]).output_size
        3
        """
        return _protocol.output_size_of(self.cells[-1])

    def _children(self) -> Any:
        yield "cells", [cell for cell in self.cells if isinstance(cell, Layer)]

    def build(self, input_shape: Any) -> None:
        batch = flatten(input_shape)[0]
        for cell in self.cells:
            _protocol.build_cell(cell, input_shape)
            size = _protocol.output_size_of(cell)
            input_shape = map_leaves(lambda n: (batch, *axes_of(n)), size)

    def get_initial_state(
        self, inputs: Any = None, batch_size: int | None = None, dtype: Any = None
    ) -> list[Any]:
        """Return each cell's initial state, one entry a cell.

        Args:
            inputs: ``(batch, ...)``; its length stands in for `batch_size`.
            batch_size: number of rows.
            dtype: of the states; the stack's if not given.

        Raises:
            ValueError: neither `inputs` nor `batch_size` is given.

        >>> from rnn_core import GRUCell, LSTMCell
        >>> cell = StackedRNNCells([LSTMCell(4), GRUCell(3)])
        >>> (h, c), state = cell.get_initial_state(batch_size=2)
        >>> h.shape, c.shape, state.shape
        ((2, 4), (2, 4), (2, 3))
        """
        if inputs is not None:
            batch_size = np.shape(inputs)[0]
        if batch_size is None:
            raise ValueError(f"{self.name}: get_initial_state needs inputs or batch_size")
        dtype = dtype or self.dtype
        return self._in_order(
            _protocol.initial_state_of(cell, batch_size, dtype) for cell in self.cells
        )

    def call(
        self, inputs: Any, states: Any, training: bool | None = None, constants: Any = None
    ) -> tuple[Any, Any]:
        return self._bind(training, constants)(inputs, states)

    def _bind(self, training: bool | None, constants: Any) -> _protocol.Step:
        """Return `call` with `training` and `constants` bound, each for the cells that take it."""
        steps = [_protocol.step_of(cell, training, constants) for cell in self.cells]

        def step_all(inputs: Any, states: Any) -> tuple[Any, Any]:
            new_states = []
            for step, state in zip(steps, self._in_order(states), strict=True):
                # A cell gets its states in a list, one alone as well.
                single = not isinstance(state, (list, tuple, dict))
                inputs, new = step(inputs, [state] if single else state)
                if single and isinstance(new, (list, tuple)):
                    (new,) = new
                new_states.append(new)
            return inputs, self._in_order(new_states)

        return step_all

    def reset_dropout_mask(self) -> None:
        """Have each cell draw new dropout masks at its next training step.

        >>> from rnn_core import GRUCell
        >>> cell = StackedRNNCells([GRUCell(2, dropout=0.5, seed=1)])
        >>> x, states = np.ones((1, 64)), [np.zeros((1, 2))]
        >>> first, same = (cell(x, states, training=True)[0].tolist() for _ in range(2))
        >>> cell.reset_dropout_mask()
        >>> first == same, first == cell(x, states, training=True)[0].tolist()
        (True, False)
        """
        for cell in self.cells:
            if hasattr(cell, "reset_dropout_mask"):
                cell.reset_dropout_mask()

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "cells": [config_of(cell) for cell in self.cells]}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> StackedRNNCells:
        with known_objects(custom_objects):
            config = dict(config)
            return cls([layer_from_config(cell) for cell in config.pop("cells")], **config)
