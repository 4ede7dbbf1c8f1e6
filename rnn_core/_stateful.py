"""Recurrent layers' states: the first ones, and those that a stateful layer keeps."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnn_core import _protocol
from rnn_core._arguments import check_count, fit_states
from rnn_core._dtypes import as_real
from rnn_core._nest import flatten, listed, map_leaves
from rnn_core._recurrent import _Recurrent
from rnn_core._signatures import accepted
from rnn_core._states import StateBuffers
from rnn_core._typing import Array


class _Stateful(_Recurrent):
    """A layer around a cell, with the cell's states."""

    cell: Any
    stateful: bool
    time_major: bool
    # The batch size that the layer was declared with, or None.
    _fixed_batch: int | None = None
    _buffers: StateBuffers | None = None

    def get_initial_state(self, inputs: Any = None, batch_size: int | None = None) -> list[Any]:
        """Return the states a sequence begins with: the cell's own, or zeros.

        Args:
            inputs: ``(batch, timesteps, ...)``, or the number of rows, as in Keras 3.
            batch_size: the number of rows, if there are no inputs.

        Raises:
            ValueError: neither is given.

        >>> from rnn_core import RNN, LSTMCell
        >>> [state.shape for state in RNN(LSTMCell(4)).get_initial_state(batch_size=2)]
        [(2, 4), (2, 4)]
        """
        if isinstance(inputs, (int, np.integer)):
            inputs, batch_size = None, int(inputs)
        if inputs is not None:
            inputs = self._cast(inputs)
            if self.time_major:
                inputs = map_leaves(lambda x: x.swapaxes(0, 1), inputs)
            batch_size = flatten(inputs)[0].shape[0]
        if batch_size is None:
            raise ValueError(f"{self.name}: get_initial_state needs inputs or batch_size")
        return self._zero_states(inputs, batch_size)

    def _own_states(self, inputs: Any, batch: int) -> list[Any]:
        """Return the first states, a subclass's if it has a `get_initial_state` of its own."""
        make = self.get_initial_state
        if type(self).get_initial_state is _Stateful.get_initial_state or inputs is None:
            return self._zero_states(inputs, batch)
        states = make(**accepted(make, {"inputs": inputs, "batch_size": batch}))

        def own(state: Any) -> Array:
            return np.array(state, self.dtype, order="C")

        return [map_leaves(own, state) for state in listed(states)]

    def _zero_states(self, inputs: Any, batch: int) -> list[Any]:
        """Return the cell's own first states; `inputs` are batch-major, or None if not known."""
        state = _protocol.initial_state_of(self.cell, batch, self.dtype)
        return [map_leaves(lambda s: as_real(s, self.dtype, self.name), s) for s in listed(state)]

    def _first_states(
        self, initial_state: Any, inputs: Any
    ) -> tuple[list[Any], StateBuffers | None]:
        """Return the states to begin with, and a stateful layer's buffers."""
        batch = flatten(inputs)[0].shape[0]
        buffers = self._buffers_for(batch, inputs) if self.stateful else None
        like = self._own_states(inputs, batch) if buffers is None else buffers.current
        if initial_state is None:
            return like, buffers
        check_count(listed(initial_state), like, self.name)
        states = fit_states(initial_state, like, "initial_state", self.dtype, self.name)
        return states, buffers

    def _room_for(
        self, first_states: list[Any], buffers: StateBuffers | None, initial_state: Any
    ) -> list[Any]:
        """Return arrays for the last states: buffers, or zeros that need not be kept."""
        if buffers is not None:
            scratch: list[Any] = buffers.scratch
            return scratch
        if initial_state is None:
            return first_states
        return [map_leaves(lambda s: np.empty_like(s, order="C"), state) for state in first_states]

    def _buffers_for(self, batch: int, inputs: Any) -> StateBuffers:
        """Return the layer's buffers, new ones at first."""
        buffers, expected = self._buffers, self._fixed_batch
        if buffers is not None and buffers.live:
            expected = buffers.batch
        if expected not in (None, batch):
            raise ValueError(
                f"{self.name}: a stateful layer with states of batch {expected} "
                f"was given a batch of {batch}"
            )
        if buffers is None or buffers.batch != batch:
            buffers = self._buffers = StateBuffers(self._own_states(inputs, batch), batch)
        return buffers

    def _record(self, states: list[Any]) -> None:
        """Keep the states for the next call, if the layer is stateful."""
        if self.stateful and self._buffers is not None:
            self._buffers.record(states)

    def _handed_out(self, states: list[Any]) -> list[Any]:
        """Return states that are the caller's: copies of a stateful layer's own."""
        return [map_leaves(np.array, state) for state in states] if self.stateful else states

    @property
    def states(self) -> list[Any]:
        """The recorded states of a stateful layer; None for each before the first call.

        Each is ``(batch, size)``. The arrays are the layer's own, which the next call changes:
        `reset_states` sets them.

        >>> from rnn_core import GRU
        >>> layer = GRU(4, stateful=True)
        >>> layer.states
        [None]
        >>> output = layer(np.zeros((2, 3, 5)))
        >>> layer.states[0].shape, np.array_equal(layer.states[0], output)
        ((2, 4), True)
        """
        if self._buffers is not None and self._buffers.live:
            recorded: list[Any] = self._buffers.states
            return recorded
        return [None for _ in listed(self.cell.state_size)]

    def reset_states(self, states: Any = None) -> None:
        """Set the recorded states of a stateful layer.

        Args:
            states: arrays of the states' shapes ``(batch, size)``; zeros if not given.

        Raises:
            AttributeError: the layer is not stateful.
            ValueError: the batch size is unknown; another number or shape of states.

        >>> from rnn_core import RNN, GRUCell
        >>> layer = RNN(GRUCell(4), stateful=True, batch_input_shape=(2, None, 3))
        >>> layer.reset_states(np.ones((2, 4)))
        >>> layer.states[0].tolist()
        [[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]]
        """
        self._set_states(self._states_after_reset(states))

    reset_state = reset_states

    def _states_after_reset(self, states: Any = None) -> list[Any]:
        """Return what `reset_states` would set; arguments and errors are its own."""
        if not self.stateful:
            raise AttributeError(f"{self.name}: layer must be stateful to reset its states")
        if self._buffers is not None and self._buffers.live:
            like, first = self._buffers.states, map_leaves(np.zeros_like, self._buffers.states)
        elif self._fixed_batch is not None:
            like = first = self._own_states(None, self._fixed_batch)
        else:
            raise ValueError(
                f"{self.name}: a stateful layer must know its batch size to reset its states: "
                "give it batch_input_shape, or call it first"
            )
        if states is None:
            return list(first)
        return fit_states(states, like, "reset_states", self.dtype, self.name)

    def _set_states(self, states: list[Any]) -> None:
        """Set the recorded states to what `_states_after_reset` returned."""
        if self._buffers is None or not self._buffers.live:
            batch = flatten(states)[0].shape[0] if flatten(states) else 0
            self._buffers = StateBuffers(states, batch)
        self._buffers.set(states)

    def _has_states(self) -> bool:
        """Return whether there are states to reset: the layer is stateful and knows its batch."""
        recorded = self._buffers is not None and self._buffers.live
        return self.stateful and (recorded or self._fixed_batch is not None)
