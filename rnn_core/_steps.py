"""The time loop of cells that only Python can run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from rnn_core import _engine
from rnn_core._nest import axes_of, flatten, is_shape, listed, map_leaves, pack_like
from rnn_core._protocol import Step
from rnn_core._typing import Array


def run_steps(
    step: Step,
    inputs: Any,
    states: list[Any],
    mask: Array,
    recorder: Recorder,
    go_backwards: bool = False,
    zero_output_for_mask: bool = False,
) -> list[Any]:
    """Take a batch through all its time steps and return the last states.

    Args:
        step: computes (output, new states) from one step's inputs and the states.
        inputs: ``(batch, timesteps, ...)``, or a structure of such; a step gets views of them.
        states: arrays ``(batch, ...)``, which may be in lists, tuples or dicts themselves; the
            cell may change them.
        mask: boolean ``(batch, timesteps)``; a False step keeps the states of its row and the
            output before it. Steps that are False for every row are not computed at all.
        recorder: is given each step's output.
        go_backwards: take the steps from last to first.
        zero_output_for_mask: a masked step gives zeros.

    Raises:
        ValueError: the cell returns other states than it was given, or an output of another
            shape than before.
    """
    masks = np.ascontiguousarray((mask[:, ::-1] if go_backwards else mask).T)
    some: list[bool] = np.any(masks, axis=1).tolist()
    every: list[bool] = np.all(masks, axis=1).tolist()
    shapes = _shapes(states)
    # None stands for zeros: what a masked step gives before there is an output to repeat.
    output: Any = None
    kept: _engine.Kept | None = None
    for position, x in enumerate(_steps_of(inputs, go_backwards)):
        if some[position]:
            if every[position]:
                kept = None
            elif kept is None:
                kept = _engine.Kept(output, states)
            output, new_states = step(x, states)
            states = new_states if type(new_states) is list else listed(new_states)
            if output is None:
                raise ValueError("the cell returned None, expected its output")
            if recorder.outputs is None:
                _check_states(states, shapes)
            if kept is not None:
                output, states = kept.merge(masks[position], output, states, zero_output_for_mask)
        elif zero_output_for_mask:
            output = None
        recorder.put(position, output)
    recorder.finish(output)
    _check_states(states, shapes)
    return states


def _steps_of(inputs: Any, go_backwards: bool) -> Iterator[Any]:
    """Yield views of each step's inputs, in processing order; they cannot be written to."""
    order = slice(None, None, -1) if go_backwards else slice(None)
    leaves = [x.swapaxes(0, 1)[order] for x in flatten(inputs)]
    for leaf in leaves:
        leaf.flags.writeable = False
    if isinstance(inputs, np.ndarray):
        yield from leaves[0]
    else:
        for parts in zip(*leaves, strict=True):
            yield pack_like(inputs, parts)


def _shapes(states: list[Any]) -> list[tuple[int, ...]]:
    return [np.shape(leaf) for leaf in flatten(states)]


def _check_states(states: list[Any], expected: list[tuple[int, ...]]) -> None:
    """Raise ValueError unless a cell's new states have the shapes of the old ones."""
    given = _shapes(states)
    if given != expected:
        raise ValueError(f"the cell returned states of shapes {given}, expected {expected}")


class Recorder:
    """Collects the outputs of a cell's steps: all ``(batch, timesteps, ...)``, or only the last.

    Args:
        batch: number of rows.
        timesteps: number of steps; None to keep only the last output.
        size: gives the cell's output size, for a sequence without any step.
        dtype: of the outputs.
    """

    def __init__(
        self, batch: int, timesteps: int | None, size: Callable[[], Any], dtype: Any
    ) -> None:
        self._lead = (batch,) if timesteps is None else (batch, timesteps)
        self._size, self._dtype = size, dtype
        # The outputs with the steps in front; the only one of a step is also the single one.
        self._by_step: list[Array] = []
        self._single: Array | None = None
        self._shapes: list[tuple[int, ...]] = []
        self.outputs: Any = None

    def put(self, position: int, output: Any) -> None:
        """Keep a step's output; None stands for zeros."""
        if output is None:
            return
        if self.outputs is None:
            self._allocate(output)
        if self._single is not None and getattr(output, "shape", None) == self._shapes[0]:
            self._single[position] = output
        elif self._by_step:
            for by_step, leaf in zip(self._by_step, self._leaves(output), strict=True):
                by_step[position] = leaf

    def _leaves(self, output: Any) -> list[Any]:
        """Return an output's arrays, of the shapes that the first had."""
        leaves = flatten(output)
        given = [np.shape(leaf) for leaf in leaves]
        if given != self._shapes:
            raise ValueError(f"the cell returned outputs of shapes {given} after {self._shapes}")
        return leaves

    def finish(self, output: Any) -> None:
        """Keep the last step's output; None stands for zeros."""
        if self.outputs is None:
            sizes = map_leaves(axes_of, self._size())
            batch = self._lead[:1]
            self._allocate(map_leaves(lambda axes: np.zeros((*batch, *axes)), sizes, is_shape))
        if len(self._lead) == 1:
            targets = flatten(self.outputs)
            leaves = [0] * len(targets) if output is None else self._leaves(output)
            for target, leaf in zip(targets, leaves, strict=True):
                target[...] = leaf

    def _allocate(self, output: Any) -> None:
        """Make the arrays for outputs like this one, all zeros."""
        leaves = flatten(output)
        for leaf in leaves:
            if not isinstance(leaf, np.ndarray) or leaf.shape[:1] != self._lead[:1]:
                raise ValueError(
                    f"the cell returned an output of shape {np.shape(leaf)}, "
                    f"expected an array with a batch of {self._lead[0]}"
                )
            if leaf.dtype.kind not in "fiub":
                raise TypeError(f"the cell returned an output of {leaf.dtype}, expected numbers")
        self._shapes = [leaf.shape for leaf in leaves]
        self.outputs = map_leaves(
            lambda leaf: np.zeros((*self._lead, *leaf.shape[1:]), self._dtype), output
        )
        if len(self._lead) == 2:
            self._by_step = [array.swapaxes(0, 1) for array in flatten(self.outputs)]
            self._single = self._by_step[0] if isinstance(output, np.ndarray) else None
