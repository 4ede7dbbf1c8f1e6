"""A recurrent layer run forwards and backwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rnn_core import _engine
from rnn_core._arguments import first_mask
from rnn_core._nest import flatten
from rnn_core._protocol import output_size_of
from rnn_core._recurrent import _Recurrent
from rnn_core._registry import config_of, known_objects, layer_from_config
from rnn_core._rnn import RNN
from rnn_core._typing import Array

MERGE: dict[str, Callable[[Array, Array], Array]] = {
    "concat": lambda forward, backward: np.concatenate([forward, backward], axis=-1),
    "sum": lambda forward, backward: forward + backward,
    "mul": lambda forward, backward: forward * backward,
    "ave": lambda forward, backward: (forward + backward) / 2,
}


class Bidirectional(_Recurrent):
    """Runs one layer forwards and a second, of the same form, backwards, and merges the outputs.

    See Schuster and Paliwal 1997.

    Args:
        layer: a recurrent layer; it is copied from its config, with new weights.
        merge_mode: ``"concat"``, ``"sum"``, ``"mul"``, ``"ave"``, or None for both outputs.
        weights: values to begin with, the forward layer's first, as for `set_weights`.
        backward_layer: for the other direction, with the opposite `go_backwards`; made from
            `layer` if not given.
        zero_output_for_mask: masked steps of returned sequences give zeros; False for the output
            before them, as Keras before 2.4 has it.
        kwargs: as for `Layer`.

    Call arguments are those of `RNN`; the first half of `initial_state` goes forwards. Inputs
    ``(batch, timesteps, features)``, outputs ``(batch, units)``, or ``(batch, timesteps, units)``
    with `return_sequences`; of both layers' units with ``"concat"``, two such arrays with None.
    Outputs of the backward layer are put back in time order before merging. With `return_state`
    the result is ``[output, *forward_states, *backward_states]``. Returned sequences have the
    inputs' mask.

    Raises:
        ValueError: no recurrent layer, unknown merge mode, directions that do not fit together.

    >>> from rnn_core import LSTM
    >>> Bidirectional(LSTM(4, return_sequences=True))(np.zeros((2, 3, 5))).shape
    (2, 3, 8)
    """

    stateful: bool
    return_sequences: bool
    return_state: bool
    time_major: bool
    _shared = ("stateful", "return_sequences", "return_state", "time_major")

    def __init__(
        self,
        layer: Any,
        merge_mode: str | None = "concat",
        weights: Any = None,
        backward_layer: Any = None,
        zero_output_for_mask: bool = True,
        **kwargs: Any,
    ) -> None:
        for given in (layer, backward_layer):
            if given is not None and not isinstance(given, RNN):
                raise ValueError(f"Bidirectional wraps a recurrent layer, was given {given!r}")
        if merge_mode not in (*MERGE, None):
            raise ValueError(f"merge_mode is {merge_mode!r}, expected one of {[*MERGE, None]}")
        kwargs.setdefault("dtype", layer.dtype)
        kwargs.setdefault("batch_input_shape", layer.batch_input_shape)
        super().__init__(weights=weights, **kwargs)
        self.merge_mode = merge_mode
        name = layer.name.removeprefix("forward_")
        self.forward_layer = _recreated(layer, name=f"forward_{name}")
        if backward_layer is None:
            flipped = not layer.go_backwards
            self.backward_layer = _recreated(layer, name=f"backward_{name}", go_backwards=flipped)
        else:
            self.backward_layer = _recreated(backward_layer)
        if self.forward_layer.go_backwards == self.backward_layer.go_backwards:
            raise ValueError(f"{self.name}: both layers have go_backwards={layer.go_backwards}")
        sizes = [flatten(output_size_of(child.cell)) for child in self._directions()]
        if merge_mode in ("sum", "mul", "ave") and sizes[0] != sizes[1]:
            raise ValueError(
                f"{self.name}: merge_mode is {merge_mode!r}, but the layers' outputs are of sizes "
                f"{sizes[0]} and {sizes[1]}"
            )
        for key in self._shared:
            there, back = getattr(self.forward_layer, key), getattr(self.backward_layer, key)
            if there != back:
                raise ValueError(f"{self.name}: {key} is {there} forwards but {back} backwards")
            setattr(self, key, there)
        self.zero_output_for_mask = zero_output_for_mask
        for child in self._directions():
            child.zero_output_for_mask = child.return_sequences and zero_output_for_mask
            if self.batch_input_shape is not None:
                child._declare_batch(self.batch_input_shape)

    def build(self, input_shape: Any) -> None:
        for layer in self._directions():
            layer._ensure_built(input_shape, self._building_for_call)

    def _directions(self) -> tuple[RNN, RNN]:
        return self.forward_layer, self.backward_layer

    def _check_graph_call(self, initial_state: Any, constants: Any) -> None:
        for layer, half in zip(self._directions(), self._halves(initial_state), strict=True):
            layer._check_graph_call(half, constants)

    def _cast(self, inputs: Any) -> Any:
        return self.forward_layer._cast(inputs)

    def _check(self, inputs: Any) -> None:
        self.forward_layer._check(inputs)

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        training: bool | None = None,
        initial_state: Any = None,
        constants: Any = None,
    ) -> Any:
        halves = self._halves(initial_state)
        return self._run_both(inputs, mask, training, halves, constants, [None, None])

    def _projection_table(self, embeddings: Array) -> list[Any] | None:
        """Return each layer's table, or None if only steps can run."""
        tables = [layer._projection_table(embeddings) for layer in self._directions()]
        return None if any(table is None for table in tables) else tables

    def _call_on_ids(self, ids: Array, mask: Any, training: bool | None, tables: Any) -> Any:
        """Return what a call returns, for ids and what `_projection_table` returned."""
        return self._run_both(ids, mask, training, [None, None], None, tables)

    def _run_both(
        self,
        inputs: Any,
        mask: Any,
        training: bool | None,
        initial_states: list[Any],
        constants: Any,
        tables: list[Any],
    ) -> Any:
        layers = self._directions()
        merged, targets = self._targets(inputs, training)
        outputs, last_states = [], []
        jobs: list[_engine.Job] = []
        each = zip(layers, initial_states, targets, tables, strict=True)
        for layer, first, target, table in each:
            arguments = inputs, mask, training, first, constants, target, table
            output, states = layer._scan(*arguments, jobs=jobs)
            outputs.append(output)
            last_states.append(states)
        _engine.run_together(jobs)
        for layer, states in zip(layers, last_states, strict=True):
            layer._record(states)
        if merged is None:
            if self.return_sequences:
                outputs[1] = np.flip(outputs[1], 0 if self.time_major else 1)
            merged = outputs if self.merge_mode is None else MERGE[self.merge_mode](*outputs)
        if not self.return_state:
            return merged
        pairs = zip(layers, last_states, strict=True)
        states = [state for layer, half in pairs for state in layer._handed_out(half)]
        return [*(merged if self.merge_mode is None else [merged]), *states]

    def _halves(self, states: Any) -> list[Any]:
        """Return the forward and the backward layer's part of a list of states."""
        if states is None:
            return [None, None]
        if not isinstance(states, (list, tuple)) or len(states) % 2:
            given = len(states) if isinstance(states, (list, tuple)) else type(states).__name__
            raise ValueError(
                f"{self.name}: states are {given}, expected a list of as many for each direction"
            )
        return [states[: len(states) // 2], states[len(states) // 2 :]]

    def _targets(self, inputs: Any, training: bool | None) -> tuple[Any, list[Any]]:
        """Return the concatenated output and, within it, where each layer writes its own.

        None for all if the outputs have to be merged afterwards.
        """
        layers = self._directions()
        if self.merge_mode != "concat" or not all(x._writes_in_place(training) for x in layers):
            return None, [None, None]
        shapes = [_first_shape(layer.compute_output_shape(inputs.shape)) for layer in layers]
        units = shapes[0][-1]
        merged = np.empty((*shapes[0][:-1], units + shapes[1][-1]), self.dtype)
        forward, backward = merged[..., :units], merged[..., units:]
        if self.return_sequences:
            backward = np.flip(backward, 0 if self.time_major else 1)
        return merged, [forward, backward]

    def reset_states(self, states: Any = None) -> None:
        """Reset both layers' states.

        Args:
            states: the forward layer's, then the backward one's, each ``(batch, size)``; zeros if
                not given.

        Raises:
            AttributeError: the layers are not stateful.
            ValueError: `states` is no list, or not of both layers' states.

        >>> from rnn_core import GRU
        >>> layer = Bidirectional(GRU(2, stateful=True, batch_input_shape=(1, None, 3)))
        >>> layer.reset_states([np.ones((1, 2)), np.zeros((1, 2))])
        >>> [state.tolist() for state in layer.states]
        [[[1.0, 1.0]], [[0.0, 0.0]]]
        """
        if not self.stateful:
            raise AttributeError(f"{self.name}: layer must be stateful to reset its states")
        pairs = list(zip(self._directions(), self._halves(states), strict=True))
        after = [layer._states_after_reset(half) for layer, half in pairs]
        for layer, values in zip(self._directions(), after, strict=True):
            layer._set_states(values)

    reset_state = reset_states

    @property
    def states(self) -> list[Any]:
        """The recorded states of both layers, the forward one's first; see `RNN.states`.

        >>> from rnn_core import LSTM
        >>> Bidirectional(LSTM(4, stateful=True)).states
        [None, None, None, None]
        """
        return [*self.forward_layer.states, *self.backward_layer.states]

    def _symbolic_shape(self, input_shape: Any, args: tuple[Any, ...]) -> Any:
        for layer in self._directions():
            layer._symbolic_shape(input_shape, args)
        return super()._symbolic_shape(input_shape, args)

    def compute_output_shape(self, input_shape: Any) -> Any:
        forward = self.forward_layer.compute_output_shape(input_shape)
        backward = self.backward_layer.compute_output_shape(input_shape)
        there, back = _first_shape(forward), _first_shape(backward)
        if self.merge_mode is None:
            outputs = [there, back]
        elif self.merge_mode == "concat":
            outputs = [(*there[:-1], there[-1] + back[-1])]
        else:
            outputs = [there]
        if self.return_state:
            outputs += [*forward[1:], *backward[1:]]
        return outputs if len(outputs) > 1 else outputs[0]

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        mask = first_mask(mask) if self.return_sequences else None
        masks = [mask, mask] if self.merge_mode is None else [mask]
        if self.return_state:
            sizes = [layer.cell.state_size for layer in self._directions()]
            masks += [None] * len(flatten(sizes))
        return masks if len(masks) > 1 else masks[0]

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "merge_mode": self.merge_mode}
        if not self.zero_output_for_mask:
            config["zero_output_for_mask"] = False
        for key, layer in (("layer", self.forward_layer), ("backward_layer", self.backward_layer)):
            config[key] = config_of(layer)
        return config

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Bidirectional:
        with known_objects(custom_objects):
            config = dict(config)
            layer = layer_from_config(config.pop("layer"))
            backward_layer = layer_from_config(config.pop("backward_layer", None))
            return cls(layer, backward_layer=backward_layer, **config)


def _recreated(layer: RNN, **changes: Any) -> RNN:
    """Return a layer with the config of another, but for some changes."""
    classes = {type(part).__name__: type(part) for part in _cells_within(layer.cell)}
    with known_objects(classes):
        new: RNN = type(layer).from_config({**layer.get_config(), **changes})
    return new


def _cells_within(cell: Any) -> list[Any]:
    """Return a cell and, if it is a stack, all cells in it."""
    within = [_cells_within(inner) for inner in getattr(cell, "cells", [])]
    return [cell, *(part for parts in within for part in parts)]


def _first_shape(shape: Any) -> Any:
    """Return the first shape of a list of shapes, or the shape itself."""
    return shape[0] if isinstance(shape, list) else shape
