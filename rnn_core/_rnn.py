"""Recurrent layers: masks, states and shapes around a cell."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from rnn_core import _engine, _protocol
from rnn_core._arguments import (
    cast_constants,
    check_axes,
    check_mask,
    check_sequences,
    check_states,
    first_mask,
)
from rnn_core._cells import GRUCell, LSTMCell, SimpleRNNCell
from rnn_core._dtypes import as_real
from rnn_core._layer import Layer
from rnn_core._nest import axes_of, flatten, is_shape, map_leaves, shapes_of
from rnn_core._registry import config_of, known_objects, layer_from_config
from rnn_core._stack import StackedRNNCells
from rnn_core._stateful import _Stateful
from rnn_core._steps import Recorder, run_steps
from rnn_core._typing import Array

_NATIVE_CELLS = (SimpleRNNCell, GRUCell, LSTMCell)


class RNN(_Stateful):
    """Runs a cell over the time steps of a sequence.

    Args:
        cell: an object with `call` and `state_size`, or a list of such, stacked. It may have
            `output_size`, `get_initial_state` and `build`; its `call` may take `training` and
            `constants`. See `AbstractRNNCell`.
        return_sequences: return every step's output, not only the last.
        return_state: return a list of the output and the last states.
        go_backwards: take the steps from last to first; outputs stay in that order.
        stateful: begin each batch with the states that the one before ended with.
        unroll: accepted; it never changes a value.
        time_major: inputs and outputs are ``(timesteps, batch, ...)``.
        zero_output_for_mask: a masked step gives zeros, not the previous output.
        kwargs: as for `Layer`.

    Call arguments:
        inputs: ``(batch, timesteps, ...)``, a tuple or dict of such for a cell that takes several
            at a step, or a list ``[inputs, *states, *constants]``.
        mask: boolean ``(batch, timesteps)``; a False step leaves the states as they are and
            repeats the output before it, zeros at the beginning.
        training: True puts dropout in effect.
        initial_state: states, each ``(batch, size)``; the cell's own, or zeros, if not given. A
            stateful layer goes on from these, not from what it has recorded.
        constants: arrays passed on at every step to a cell that takes `constants`.

    Returns ``(batch, units)``, ``(batch, timesteps, units)`` with `return_sequences`, or a list
    ``[output, *states]`` with `return_state`. A returned sequence has the inputs' mask, a last
    output and states have none.

    Raises:
        ValueError: inputs, mask or states of another shape; no cell; constants that the cell
            does not take; a stateful layer called with another batch size, or in a graph without
            a batch size; `unroll` in a graph without timesteps.
        TypeError: inputs that are not real numbers.

    >>> layer = RNN([LSTMCell(4), LSTMCell(3)], return_sequences=True)
    >>> layer(np.zeros((2, 5, 6))).shape
    (2, 5, 3)
    >>> RNN(LSTMCell(4), return_state=True).compute_output_shape((None, 7, 3))
    [(None, 4), (None, 4), (None, 4)]
    """

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
            dtypes = [each.dtype for each in cell if isinstance(each, Layer)]
            cell = StackedRNNCells(cell, dtype=kwargs.get("dtype", *dtypes[:1]))
        _protocol.check_cell(cell)
        if "dtype" not in kwargs and isinstance(cell, Layer):
            kwargs["dtype"] = cell.dtype
        super().__init__(**kwargs)
        self.cell = cell
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards
        self.stateful = stateful
        self.unroll = unroll
        self.time_major = time_major
        self.zero_output_for_mask = zero_output_for_mask
        if self.batch_input_shape is not None:
            self._declare_batch(self.batch_input_shape)
        self._row_shapes: list[tuple[Any, ...]] | None = None

    def build(self, input_shape: Any) -> None:
        if isinstance(input_shape, list) and not is_shape(input_shape):
            input_shape = input_shape[0]
        for shape in shapes_of(input_shape):
            check_axes(shape, self._axes(), self.name)
        _protocol.build_cell(self.cell, map_leaves(self._step_shape, input_shape, is_shape))
        self._row_shapes = self._rows_of(shapes_of(input_shape))
        if self.stateful and not self._building_for_call:
            self._declare_batch(shapes_of(input_shape)[0])
            self._check_batch_known(input_shape)

    def _rows_of(self, shapes: list[Any]) -> list[tuple[Any, ...]]:
        """Return what must follow the first two axes of inputs, built for `shapes`."""
        return [shape[2:] for shape in shapes]

    def _axes(self) -> int | None:
        """Return how many axes inputs must have, None for any number from 3."""
        cell = self.cell
        while isinstance(cell, StackedRNNCells):
            cell = cell.cells[0]
        step_axes = getattr(cell, "input_axes", None)
        return step_axes.count(",") + 2 if step_axes else None

    def _lead(self, shape: Any) -> tuple[Any, Any]:
        """Return batch and timesteps of a shape."""
        first, second = tuple(shape)[:2]
        return (second, first) if self.time_major else (first, second)

    def _declare_batch(self, shape: Any) -> None:
        """Take the batch size of an input shape as that of the states: the first known."""
        self._fixed_batch = self._fixed_batch or self._lead(shape)[0]

    def _check_batch_known(self, input_shape: Any) -> None:
        if self._fixed_batch is None:
            raise ValueError(
                f"{self.name}: a stateful layer must know its batch size, "
                f"inputs have shape {input_shape}"
            )

    def _step_shape(self, shape: Any) -> tuple[Any, ...]:
        return (self._lead(shape)[0], *tuple(shape)[2:])

    def __setattr__(self, name: str, value: Any) -> None:
        # Whatever it is, the shorter way may not heed it.
        self.__dict__["_quick"] = None
        super().__setattr__(name, value)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_quick": None}

    # Calling

    def _quicken(self) -> None:
        plain = not (self.return_state or self.time_major or self.zero_output_for_mask)
        ours = type(self).__module__.startswith("rnn_core.") and type(self.cell) in _NATIVE_CELLS
        if plain and ours and self.cell._plan is not None and self.cell.dtype == self.dtype:
            buffers = self._buffers if self.stateful else None
            flags = self.return_sequences, self.go_backwards
            self.__dict__["_quick"] = _engine.Quick(self.cell, *flags, buffers)

    def _check_graph_call(self, initial_state: Any, constants: Any) -> None:
        _protocol.check_constants(self.cell, constants)
        if initial_state is not None:
            check_states(initial_state, self.cell.state_size, self.name)

    def _cast(self, inputs: Any) -> Any:
        if isinstance(inputs, (tuple, dict)):
            return map_leaves(lambda x: as_real(x, self.dtype, self.name), inputs)
        return super()._cast(inputs)

    def _check(self, inputs: Any) -> None:
        if isinstance(inputs, np.ndarray) and [inputs.shape[2:]] == self._row_shapes:
            return
        check_sequences(inputs, self._axes(), self._row_shapes, self.name)

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        training: bool | None = None,
        initial_state: Any = None,
        constants: Any = None,
    ) -> Any:
        output, states = self._scan(inputs, mask, training, initial_state, constants)
        return self._conclude(output, states)

    def _call_on_ids(self, ids: Array, mask: Any, training: bool | None, table: Any) -> Any:
        """Return what a call returns, for ids and what `_projection_table` returned."""
        return self._conclude(*self._scan(ids, mask, training, table=table))

    def _conclude(self, output: Any, states: list[Any]) -> Any:
        """Record the states that `_scan` returned, and return what a call returns."""
        self._record(states)
        if not self.return_state:
            return output
        states = self._handed_out(states)
        return [*(output if isinstance(output, list) else [output]), *states]

    def _scan(
        self,
        inputs: Any,
        mask: Any = None,
        training: bool | None = None,
        initial_state: Any = None,
        constants: Any = None,
        out: Array | None = None,
        table: Array | None = None,
        jobs: list[_engine.Job] | None = None,
    ) -> tuple[Any, list[Any]]:
        """Return the output and the last states; those of a stateful layer are not recorded yet.

        Args:
            inputs, mask, training, initial_state, constants: as for `call`.
            out: where to write the output, of the shape it will have; its units are contiguous.
            table: of `_projection_table`, with inputs that are ids ``(batch, timesteps)``.
            jobs: gets what the caller has to run to fill output and states, if that can wait.
        """
        mask = first_mask(mask)
        if mask is not None:
            first = flatten(inputs)[0]
            mask = check_mask(mask, first, first.shape[:2], self.name)
        if self.time_major:
            inputs = map_leaves(lambda x: x.swapaxes(0, 1), inputs)
            mask = mask if mask is None else mask.swapaxes(0, 1)
            out = out.swapaxes(0, 1) if out is not None and self.return_sequences else out
        _protocol.check_constants(self.cell, constants)
        first_states, buffers = self._first_states(initial_state, inputs)
        plans = self._plans(training)
        if plans:
            states = self._room_for(first_states, buffers, initial_state)
            arrays = first_states, states, out, table
            output = self._scan_native(plans, inputs, mask, *arrays, jobs)
        else:
            step = self._step(training, cast_constants(constants, self.dtype))
            output, states = self._scan_steps(step, inputs, mask, first_states)
        if self.time_major and self.return_sequences:
            output = map_leaves(lambda y: y.swapaxes(0, 1), output)
        return output, states

    def _step(self, training: bool | None, constants: Any) -> _protocol.Step:
        """Return the cell's `call` with what else it takes."""
        if type(self.cell) is StackedRNNCells:
            return self.cell._bind(training, constants)
        return _protocol.step_of(self.cell, training, constants)

    def _writes_in_place(self, training: bool | None) -> bool:
        """Return whether `_scan` takes an `out` of the shape that `compute_output_shape` says."""
        return bool(self._plans(training))

    def _plans(self, training: bool | None) -> list[Any]:
        """Return the cells' plans if the engine can run all of them, else nothing."""
        cells = self.cell.cells if type(self.cell) is StackedRNNCells else [self.cell]
        plans = []
        for cell in cells:
            if type(cell) not in _NATIVE_CELLS or cell.dtype != self.dtype:
                return []
            if training and (cell.dropout or cell.recurrent_dropout):
                return []
            plans.append(cell._ready_plan())
        return plans if all(plan is not None for plan in plans) else []

    def _projection_table(self, embeddings: Array) -> Array | None:
        """Return x.W + b for each row x of an embedding's table, or None if only steps can run."""
        plans = self._plans(training=None)
        table: Array | None = plans[0].project(embeddings) if plans else None
        return table

    def _scan_native(
        self,
        plans: list[Any],
        x: Array,
        mask: Array | None,
        first_states: list[Any],
        states: list[Any],
        out: Array | None,
        table: Array | None,
        jobs: list[_engine.Job] | None,
    ) -> Array:
        """Run the cells one above the other, each over the whole sequence; fill `states`."""
        entries, firsts = [states], [first_states]
        if type(self.cell) is StackedRNNCells:
            entries, firsts = self.cell._in_order(states), self.cell._in_order(first_states)
        backwards = self.go_backwards
        for floor, (plan, entry, initial) in enumerate(zip(plans, entries, firsts, strict=True)):
            top = floor == len(plans) - 1
            last = tuple(flatten(entry))
            target = out if top else None
            if target is None:
                shape = x.shape[:2] if self.return_sequences or not top else x.shape[:1]
                target = np.empty((*shape, last[0].shape[1]), self.dtype)
            zero = top and self.zero_output_for_mask
            first = tuple(flatten(initial))
            job = plan.bind(x, last, target, mask, backwards, zero, table, first)
            if jobs is not None and len(plans) == 1:
                jobs.append(job)
            else:
                _engine.run_together([job])
            if backwards and not top:
                # The outputs come in processing order: the next cell goes forwards through them.
                mask = mask if mask is None else mask[:, ::-1]
                backwards = False
            x, table = target, None
        return x

    def _scan_steps(
        self,
        step: _protocol.Step,
        inputs: Any,
        mask: Array | None,
        states: list[Any],
    ) -> tuple[Any, list[Any]]:
        """Run any cell, one Python call a time step."""
        batch, timesteps = flatten(inputs)[0].shape[:2]
        recorder = Recorder(
            batch,
            timesteps if self.return_sequences else None,
            lambda: _protocol.output_size_of(self.cell),
            self.dtype,
        )
        backwards, zero = self.go_backwards, self.zero_output_for_mask
        mask = np.ones((batch, timesteps), bool) if mask is None else mask
        reset_masks = getattr(self.cell, "reset_dropout_mask", lambda: None)
        reset_masks()
        # Copies: a cell may change what it is given, and may return it.
        states = map_leaves(np.array, states)
        states = run_steps(step, inputs, states, mask, recorder, backwards, zero)
        reset_masks()
        return recorder.outputs, map_leaves(lambda s: np.array(s, self.dtype), states)

    # Shapes

    def _symbolic_shape(self, input_shape: Any, args: tuple[Any, ...]) -> Any:
        timesteps = self._lead(shapes_of(input_shape)[0])[1]
        if self.unroll and timesteps is None:
            raise ValueError(
                f"{self.name}: cannot unroll without timesteps, inputs have shape {input_shape}"
            )
        if self.stateful:
            self._declare_batch(shapes_of(input_shape)[0])
            self._check_batch_known(input_shape)
        return super()._symbolic_shape(input_shape, args)

    def compute_output_shape(self, input_shape: Any) -> Any:
        batch, timesteps = self._lead(shapes_of(input_shape)[0])
        lead: tuple[Any, ...] = (batch,)
        if self.return_sequences:
            lead = (timesteps, batch) if self.time_major else (batch, timesteps)
        sizes = _protocol.output_size_of(self.cell)
        outputs = map_leaves(lambda size: (*lead, *axes_of(size)), sizes)
        if not self.return_state:
            return outputs
        states = [(batch, *axes_of(size)) for size in flatten(self.cell.state_size)]
        return [*(outputs if isinstance(outputs, list) else [outputs]), *states]

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        mask = first_mask(mask) if self.return_sequences else None
        if self.return_state:
            return [mask, *(None for _ in flatten(self.cell.state_size))]
        return mask

    # Configuration

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), **{key: getattr(self, key) for key in self.rnn_keys}}
        return {**config, "cell": config_of(self.cell)}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Any:
        """Return a new layer with a new cell, whose config is ``{"class_name", "config"}``.

        Args:
            config: as `get_config` returns it.
            custom_objects: your own classes by name, such as that of the cell.

        Raises:
            ValueError: a class that is in neither `custom_objects` nor this package.

        >>> layer = RNN.from_config(RNN(GRUCell(4), return_sequences=True).get_config())
        >>> layer.cell.units, layer.return_sequences
        (4, True)
        """
        with known_objects(custom_objects):
            config = dict(config)
            return cls(layer_from_config(config.pop("cell")), **config)
