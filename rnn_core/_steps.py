"""The time loop of cells that only Python can run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from rnn_core import _engine
from rnn_core._nest import axes_of, flatten, is_shape, map_leaves, pack_like
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
        states: arrays ``(batch, ...)``, which may be in lists, tuples or dicts themselves.
        mask: boolean ``(batch, timesteps)``; a False step keeps the states of its row and the
            output before it. Steps that are False for every row are not computed at all.
        recorder: is given each step's output.
        go_backwards: take the steps from last to first.
        zero_output_for_mask: a masked step gives zeros.

    Raises:
        ValueError: the cell returns another number of states than it was given.
    """
    masks = np.ascontiguousarray((mask[:, ::-1] if go_backwards else mask).T)
    some: list[bool] = np.any(masks, axis=1).tolist()
    every: list[bool] = np.all(masks, axis=1).tolist()
    count = len(flatten(states))
    # None stands for zeros: what a masked step gives before there is an output to repeat.
    output: Any = None
    for position, x in enumerate(_steps_of(inputs, go_backwards)):
        if not some[position]:
            output = None if zero_output_for_mask else output
        else:
            new, new_states = step(x, states)
            if not isinstance(new_states, (list, tuple)):
                new_states = [new_states]
            if position == 0 and len(flatten(new_states)) != count:
                given = len(flatten(new_states))
                raise ValueError(f"the cell returned {given} states, expected {count}")
            if not every[position]:
                last = None if zero_output_for_mask else output
                new = _engine.select_rows(masks, position, new, last)
                new_states = _engine.select_rows(masks, position, new_states, states)
            output, states = new, new_states
        recorder.put(position, output)
    recorder.finish(output)
    return list(states)


def _steps_of(inputs: Any, go_backwards: bool) -> Iterator[Any]:
    """Yield views of each step's inputs, in processing order."""
    order = slice(None, None, -1) if go_backwards else slice(None)
    if isinstance(inputs, np.ndarray):
        yield from inputs.swapaxes(0, 1)[order]
        return
    for leaves in zip(*(x.swapaxes(0, 1)[order] for x in flatten(inputs)), strict=True):
        yield pack_like(inputs, leaves)


class Recorder:
    """Collects the outputs of a cell's steps: all ``(batch, timesteps, ...)``, or only the last.

    Args:
        batch: number of rows.
        timesteps: number of steps; None to keep only the last output.
        size: gives the cell's output size, for a sequence without any step.
        dtype: of the outputs.
        out: where to write them, if a step has one output; of the shape they will have.
    """

    def __init__(
        self,
        batch: int,
        timesteps: int | None,
        size: Callable[[], Any],
        dtype: Any,
        out: Array | None = None,
    ) -> None:
        self._batch, self._timesteps, self._dtype = batch, timesteps, dtype
        self._size, self._out = size, out
        # The outputs with the steps in front; the only one of a step is also the single one.
        self._by_step: list[Array] = []
        self._single: Array | None = None
        self.outputs: Any = None

    def put(self, position: int, output: Any) -> None:
        """Keep a step's output; None stands for zeros."""
        if output is None:
            return
        if self.outputs is None:
            self._allocate(output)
        if self._single is not None:
            self._single[position] = output
        elif self._by_step:
            for by_step, leaf in zip(self._by_step, flatten(output), strict=True):
                by_step[position] = leaf

    def finish(self, output: Any) -> None:
        """Keep the last step's output; None stands for zeros."""
        if self.outputs is None:
            sizes = map_leaves(axes_of, self._size())
            self._allocate(map_leaves(self._zeros, sizes, is_shape))
        if self._timesteps is None:
            leaves = flatten(self.outputs)
            lasts = [0] * len(leaves) if output is None else flatten(output)
            for target, leaf in zip(leaves, lasts, strict=True):
                target[...] = leaf

    def _zeros(self, axes: tuple[int, ...]) -> Array:
        return np.zeros((self._batch, *axes), self._dtype)

    def _allocate(self, output: Any) -> None:
        """Make the arrays for outputs like this one, all zeros."""
        for leaf in flatten(output):
            if np.shape(leaf)[:1] != (self._batch,):
                raise ValueError(
                    f"the cell returned an output of shape {np.shape(leaf)}, "
                    f"expected a batch of {self._batch}"
                )
        steps = () if self._timesteps is None else (self._timesteps,)
        if self._out is not None:
            self._out[...] = 0
            self.outputs = self._out
        else:
            self.outputs = map_leaves(
                lambda leaf: np.zeros((self._batch, *steps, *leaf.shape[1:]), self._dtype), output
            )
        if steps:
            self._by_step = [array.swapaxes(0, 1) for array in flatten(self.outputs)]
            self._single = self._by_step[0] if isinstance(output, np.ndarray) else None
