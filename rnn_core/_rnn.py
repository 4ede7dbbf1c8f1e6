"""Recurrent layers: masks, states and shapes around a cell."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from rnn_core import _protocol
from rnn_core._cells import GRUCell, LSTMCell, SimpleRNNCell
from rnn_core._layer import Layer, as_real
from rnn_core._nest import flatten, map_leaves, pack_like
from rnn_core._registry import layer_from_config
from rnn_core._stack import StackedRNNCells
from rnn_core._typing import Array

_NATIVE_CELLS = (SimpleRNNCell, GRUCell, LSTMCell)


def check_mask(mask: Any, inputs: Array, shape: tuple[int, int], name: str) -> Array:
    """Return a mask as booleans of `shape`, True where a step counts.

    Args:
        mask: of `shape`, or with a last axis more: a step counts if any of its values is true.
        inputs: named in the error.
        shape: ``(batch, timesteps)``, or the reverse for a time-major layer.
        name: the layer's.

    Raises:
        ValueError: another shape.
    """
    mask = np.asarray(mask)
    if mask.ndim == 3:
        mask = mask.any(axis=-1)
    if mask.shape != shape:
        raise ValueError(
            f"{name}: mask has shape {mask.shape}, expected {shape} for inputs {inputs.shape}"
        )
    booleans: Array = mask.astype(bool, copy=False)
    return booleans


class RNN(Layer):
    """Runs a cell over the time steps of a sequence.

    Args:
        cell: an object with `call` and `state_size`, or a list of such, stacked.
        return_sequences: return every step's output, not only the last.
        return_state: return a list of the output and the last states.
        go_backwards: take the steps from last to first; outputs stay in that order.
        stateful: begin each batch with the states that the one before ended with.
        unroll: accepted; it never changes a value.
        time_major: inputs and outputs are ``(timesteps, batch, ...)``.
        zero_output_for_mask: a masked step gives zeros, not the previous output.
        kwargs: as for `Layer`.

    Call arguments:
        inputs: ``(batch, timesteps, features)``.
        mask: boolean ``(batch, timesteps)``; a False step leaves the states as they are and
            repeats the output before it, zeros at the beginning.
        training: True puts dropout in effect.
        initial_state: states, each ``(batch, size)``; zeros if not given.
        constants: arrays passed on to a cell that takes `constants`.

    Returns ``(batch, units)``, ``(batch, timesteps, units)`` with `return_sequences`, or a list
    ``[output, *states]`` with `return_state`.

    Raises:
        ValueError: inputs, mask or states of another shape; no cell.
        TypeError: inputs that are not real numbers.

    >>> layer = RNN([LSTMCell(4), LSTMCell(3)], return_sequences=True)
    >>> layer(np.zeros((2, 5, 6))).shape
    (2, 5, 3)
    """

    supports_masking = True
    input_axes = "(batch, timesteps, features)"
    rnn_keys: ClassVar[tuple[str, ...]] = (
        "return_sequences",
        "return_state",
        "go_backwards",
        "stateful",
        "unroll",
        "time_major",
        "zero_output_for_mask",
    )

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        time_major: bool = False,
        zero_output_for_mask: bool = False,
        **kwargs: Any,
    ) -> None:
        if isinstance(cell, (list, tuple)):
            cell = StackedRNNCells(cell, dtype=kwargs.get("dtype"))
        _protocol.check_cell(cell)
        if "dtype" not in kwargs and isinstance(cell, Layer):
            kwargs["dtype"] = cell.dtype
        self.num_constants = kwargs.pop("num_constants", None)
        super().__init__(**kwargs)
        self.cell = cell
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards
        self.stateful = stateful
        self.unroll = unroll
        self.time_major = time_major
        self.zero_output_for_mask = zero_output_for_mask
        self._states: list[Any] | None = None

    def build(self, input_shape: Any) -> None:
        """Build the cell for inputs ``(batch, timesteps, features)``."""
        if len(input_shape) != 3:
            raise ValueError(
                f"{self.name}: inputs have shape {input_shape}, expected 3 axes {self.input_axes}"
            )
        batch = input_shape[1] if self.time_major else input_shape[0]
        _protocol.build_cell(self.cell, (batch, *input_shape[2:]))
        self._features = input_shape[-1]

    # Calling

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        training: bool | None = None,
        initial_state: Any = None,
        constants: Any = None,
    ) -> Any:
        """Return the output, or ``[output, *states]``; arguments as for the class."""
        output, states = self.scan(inputs, mask, training, initial_state, constants)
        self.record(states)
        return [output, *states] if self.return_state else output

    def scan(
        self,
        inputs: Array,
        mask: Any = None,
        training: bool | None = None,
        initial_state: Any = None,
        constants: Any = None,
        out: Array | None = None,
        table: Array | None = None,
    ) -> tuple[Array, list[Any]]:
        """Return the output and the last states; those of a stateful layer are not recorded yet.

        Args:
            inputs, mask, training, initial_state, constants: as for `call`.
            table: of `projection_table`, with inputs that are ids ``(batch, timesteps)``.
            out: where to write the output, of the shape it will have; its units are contiguous.
        """
        if mask is not None:
            mask = check_mask(mask, inputs, inputs.shape[:2], self.name)
        if self.time_major:
            inputs = inputs.swapaxes(0, 1)
            mask = mask if mask is None else mask.swapaxes(0, 1)
            out = out.swapaxes(0, 1) if out is not None and self.return_sequences else out
        states = self._initial_states(initial_state, inputs.shape[0])
        plans = self._plans(training)
        if plans:
            output, states = self._scan_native(plans, inputs, mask, states, out, table)
        else:
            output, states = self._scan_steps(inputs, mask, states, training, constants, out)
        if self.time_major and self.return_sequences:
            output = output.swapaxes(0, 1)
        return output, states

    def _plans(self, training: bool | None) -> list[Any]:
        """Return the cells' plans if the engine can run all of them, else nothing."""
        cells = self.cell.cells if type(self.cell) is StackedRNNCells else [self.cell]
        plans = []
        for cell in cells:
            if type(cell) not in _NATIVE_CELLS or cell.dtype != self.dtype:
                return []
            if training and (cell.dropout or cell.recurrent_dropout):
                return []
            plans.append(cell.plan())
        return plans if all(plan is not None for plan in plans) else []

    def projection_table(self, embeddings: Array) -> Array | None:
        """Return x.W + b for each row x of an embedding's table, or None if only steps can run."""
        plans = self._plans(training=None)
        table: Array | None = plans[0].project(embeddings) if plans else None
        return table

    def _scan_native(
        self,
        plans: list[Any],
        x: Array,
        mask: Array | None,
        states: list[Any],
        out: Array | None,
        table: Array | None,
    ) -> tuple[Array, list[Any]]:
        """Run the cells one above the other, each over the whole sequence."""
        stacked = type(self.cell) is StackedRNNCells
        entries = [flatten(entry) for entry in (states if stacked else [states])]
        states = map_leaves(lambda s: np.array(s, self.dtype, order="C"), entries)
        backwards = self.go_backwards
        for floor, (plan, state) in enumerate(zip(plans, states, strict=True), start=1):
            top = floor == len(plans)
            shape = x.shape[:2] if self.return_sequences or not top else x.shape[:1]
            target = out if top else None
            if target is None:
                target = np.empty((*shape, state[0].shape[1]), self.dtype)
            zero = top and self.zero_output_for_mask
            plan.run(x, tuple(state), target, mask, backwards, zero, table)
            if backwards and not top:
                # The outputs come in processing order: the next cell goes forwards through them.
                mask = mask if mask is None else mask[:, ::-1]
                backwards = False
            x, table = target, None
        if not stacked:
            return x, states[0]
        return x, [s if len(s) > 1 else s[0] for s in states]

    def _scan_steps(
        self,
        inputs: Array,
        mask: Array | None,
        states: Any,
        training: bool | None,
        constants: Any,
        out: Any,
    ) -> tuple[Array, list[Any]]:
        """Run any cell, one Python call a time step."""
        batch, timesteps = inputs.shape[:2]
        size = _protocol.axes_of(_protocol.output_size_of(self.cell))
        shape = (batch, timesteps, *size) if self.return_sequences else (batch, *size)
        output = np.zeros(shape, self.dtype) if out is None else out
        last = np.zeros((batch, *size), self.dtype)
        if constants is not None and not isinstance(constants, (list, tuple)):
            constants = [constants]
        if hasattr(self.cell, "reset_dropout_mask"):
            self.cell.reset_dropout_mask()
        single = not isinstance(self.cell.state_size, (list, tuple))
        for step in range(timesteps):
            t = timesteps - 1 - step if self.go_backwards else step
            new, new_states = _protocol.step_cell(
                self.cell, inputs[:, t], states, training, constants=constants
            )
            if single and not isinstance(new_states, (list, tuple)):
                new_states = [new_states]
            if mask is None:
                last, states = new, new_states
            else:
                kept = 0 if self.zero_output_for_mask else last
                last = _where(mask[:, t], new, kept)
                states = _keep(mask[:, t], new_states, states)
            if self.return_sequences:
                output[:, step] = last
        if not self.return_sequences:
            output[...] = last
        return output, list(states)

    # States

    def get_initial_state(self, batch_size: int) -> list[Any]:
        """Return the states a sequence begins with: the cell's own, or zeros ``(batch, size)``."""
        state = _protocol.initial_state_of(self.cell, batch_size, self.dtype)
        return list(state) if isinstance(state, (list, tuple)) else [state]

    def _initial_states(self, initial_state: Any, batch: int) -> list[Any]:
        if initial_state is None and self.stateful and self._states is not None:
            recorded = flatten(self._states)[0].shape[0] if flatten(self._states) else batch
            if recorded != batch:
                raise ValueError(
                    f"{self.name}: a stateful layer with states of batch {recorded} "
                    f"was given a batch of {batch}; call reset_states first"
                )
            return self._states
        zeros = self.get_initial_state(batch)
        if initial_state is None:
            return zeros
        return self._fit_states(initial_state, zeros, "initial_state")

    def _fit_states(self, states: Any, like: list[Any], what: str) -> list[Any]:
        """Return `states` in the structure of `like`, shapes checked."""
        leaves, expected = flatten(states), flatten(like)
        if len(leaves) != len(expected):
            raise ValueError(
                f"{self.name}: layer has {len(expected)} states but was passed {len(leaves)}"
            )
        arrays = [as_real(leaf, self.dtype, self.name) for leaf in leaves]
        for array, zero in zip(arrays, expected, strict=True):
            if array.shape != zero.shape:
                raise ValueError(
                    f"{self.name}: {what} has shape {array.shape}, expected {zero.shape}"
                )
        fitted: list[Any] = pack_like(like, arrays)
        return fitted

    def record(self, states: list[Any]) -> None:
        """Keep copies of the states for the next call, if the layer is stateful."""
        if self.stateful:
            self._states = map_leaves(np.copy, list(states)) or None

    @property
    def states(self) -> list[Any]:
        """The recorded states of a stateful layer; None for each before the first call."""
        if self._states is None:
            sizes = self.cell.state_size
            return [None] * (len(sizes) if isinstance(sizes, (list, tuple)) else 1)
        return self._states

    def reset_states(self, states: Any = None) -> None:
        """Set the recorded states of a stateful layer.

        Args:
            states: arrays of the states' shapes; zeros if not given.

        Raises:
            AttributeError: the layer is not stateful.
            ValueError: the batch size is unknown; another number or shape of states.
        """
        self.record(self.states_after_reset(states))

    def states_after_reset(self, states: Any = None) -> list[Any]:
        """Return what `reset_states` would set; arguments and errors are its own."""
        if not self.stateful:
            raise AttributeError(f"{self.name}: layer must be stateful to reset its states")
        batch = (self.batch_input_shape or (None, None))[1 if self.time_major else 0]
        if self._states is not None:
            like = self._states
        elif batch is not None:
            like = self.get_initial_state(batch)
        elif states is None:
            return []
        else:
            raise ValueError(f"{self.name}: the batch size must be known to set states")
        if states is None:
            zeros: list[Any] = map_leaves(np.zeros_like, like)
            return zeros
        return self._fit_states(states, like, "reset_states")

    reset_state = reset_states

    # Shapes

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the output's shape, or a list with the states' shapes after it."""
        batch, timesteps = input_shape[:2][::-1] if self.time_major else input_shape[:2]
        size = _protocol.axes_of(_protocol.output_size_of(self.cell))
        output: Any = (batch, *size)
        if self.return_sequences:
            axes = (timesteps, batch) if self.time_major else (batch, timesteps)
            output = (*axes, *size)
        if not self.return_state:
            return output
        return [output, *((batch, *_protocol.axes_of(n)) for n in flatten(self.cell.state_size))]

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Return the mask of a returned sequence, None for a last output and for states."""
        mask = flatten(mask)[0] if mask is not None and not isinstance(mask, np.ndarray) else mask
        mask = mask if self.return_sequences else None
        if self.return_state:
            return [mask, *(None for _ in flatten(self.cell.state_size))]
        return mask

    # Configuration

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, the cell as ``{"class_name", "config"}``."""
        cell = {"class_name": type(self.cell).__name__, "config": self.cell.get_config()}
        return {
            **super().get_config(),
            **{k: getattr(self, k) for k in self.rnn_keys},
            "cell": cell,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Return a new layer with a new cell."""
        config = dict(config)
        return cls(layer_from_config(config.pop("cell")), **config)


def _where(mask: Array, new: Any, old: Any) -> Any:
    shape = mask.shape + (1,) * (np.ndim(new) - 1)
    return np.where(mask.reshape(shape), new, old)


def _keep(mask: Array, new: Any, old: Any) -> Any:
    leaves = [_where(mask, n, o) for n, o in zip(flatten(new), flatten(old), strict=True)]
    return pack_like(new, leaves)
