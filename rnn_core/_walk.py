"""The trie of the beginnings of many sequences of ids, walked level by level.

Each step is a batch of different beginnings, which take their states from those one id shorter. On
the packed backend a row's result does not depend on the rows beside it, and is the same to the last
bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnn_core import _engine
from rnn_core._nest import flatten
from rnn_core._typing import Array

# Sorted sequences that are walked together, or fewer: their states are alive at once.
WINDOW_ROWS = 4096
# What the returned sequences of a window take.
WINDOW_BYTES = 64 << 20
# Sharing has to spare this part of the steps to be worth the copies of states.
WORTHWHILE = 0.15

States = tuple[Array, ...]  # of one layer


def plan_of(layer: Any) -> Any:
    """Return the engine's plan of a recurrent layer of one cell."""
    return layer._plans(None)[0]


class Walk:
    """One direction of the recurrent layers, over sequences sorted by their beginnings.

    Args:
        ids: ``(rows, timesteps)``, checked.
        mask: of `ids`, or None.
        layers: from the lowest.
        embeddings: each id's vector.
        table: what stands for the lowest layer's input projection of an id, or None.

    `steps` is how many steps the sequences have, `nodes` how many different beginnings. To walk
    them, `run` each of `windows`; or `keep_all`, and `keep` each.
    """

    def __init__(
        self,
        ids: Array,
        mask: Array | None,
        layers: Sequence[Any],
        embeddings: Array,
        table: Array | None,
    ) -> None:
        self.layers, self.embeddings, self.table = layers, embeddings, table
        if layers[0].go_backwards:
            ids, mask = ids[:, ::-1], None if mask is None else mask[:, ::-1]
        self.mask = None if mask is None or mask.all() else mask
        self.steps = ids.size if self.mask is None else int(self.mask.sum())
        self.order, self.own = self._sorted(np.ascontiguousarray(ids, np.int32))
        self.nodes = int(np.maximum(self.lengths[self.order] - self.own, 0).sum())

    def _sorted(self, ids: Array) -> tuple[Array, Array]:
        """Sort the rows by the ids that count; return the order, and where rows part."""
        if self.mask is None:
            self.ids = ids
            self.lengths = np.full(len(ids), ids.shape[1], np.intp)
        else:
            rows, steps = np.nonzero(self.mask)
            self.ids = np.zeros_like(ids)
            self.ids[rows, (self.mask.cumsum(axis=1) - 1)[rows, steps]] = ids[rows, steps]
            self.lengths = self.mask.sum(axis=1, dtype=np.intp)
        return _engine.sort_sequences(self.ids, self.lengths, len(self.embeddings).bit_length())

    def windows(self) -> list[slice]:
        """Return parts of the sorted rows, to walk one after the other."""
        rows, timesteps = self.ids.shape
        top, size = self.layers[-1], WINDOW_ROWS
        if top.return_sequences:
            row_bytes = timesteps * top.cell.units * top.dtype.itemsize
            size = max(1, min(size, WINDOW_BYTES // row_bytes))
        return [slice(start, start + size) for start in range(0, rows, size)]

    def keep_all(self) -> None:
        """Take the memory for all rows' outputs, which `keep` then fills and `outputs` returns."""
        self._kept = self._room(len(self.ids))

    def _room(self, rows: int) -> tuple[list[Array], Array | None]:
        """Return memory for what rows end with, zeros where no step counts, and for sequences.

        They end with the last output or h, and the other states.
        """
        top = self.layers[-1]
        units, sequences = top.cell.units, top.return_sequences
        count = len(flatten(top.cell.state_size)) if top.return_state else 0 if sequences else 1
        last = [np.zeros((rows, units), top.dtype) for _ in range(count)]
        shape = rows, self.ids.shape[1], units
        return last, np.empty(shape, top.dtype) if sequences else None

    def keep(self, window: slice) -> None:
        """Walk a window, and write its rows' outputs to their places."""
        self._walk(window, self.order[window], *self._kept)

    def outputs(self, batch: slice) -> list[Array]:
        """Return what the last layer returns for rows that have been kept."""
        last, sequence = self._kept
        taken = [array[batch] for array in last]
        return self._returned(batch, taken, None if sequence is None else sequence[batch])

    def run(self, window: slice) -> tuple[Array, list[Array]]:
        """Walk a window; return which rows it has, and what the last layer returns for them."""
        rows = self.order[window]
        last, sequence = self._room(len(rows))
        self._walk(window, np.arange(len(rows)), last, sequence)
        return rows, self._returned(rows, last, sequence)

    def _returned(
        self, rows: slice | Array, last: list[Array], sequence: Array | None
    ) -> list[Array]:
        top = self.layers[-1]
        states = last if top.return_state else []
        if sequence is not None:
            return [sequence, *states]
        output = last[0]
        if top.zero_output_for_mask and self.mask is not None:
            output = np.where(self.mask[rows, -1:], output, 0)
        return [output, *states]

    def _walk(
        self, window: slice, places: Array, last: list[Array], sequence: Array | None
    ) -> None:
        """Run the steps of a window's rows.

        Args:
            window: of the sorted rows.
            places: of the rows in `last` and `sequence`.
            last, sequence: of `_room`; get what the rows end with, and their sequences.
        """
        rows = self.order[window]
        levels, lengths = np.ascontiguousarray(self.ids.take(rows, axis=0).T), self.lengths[rows]
        own = self.own[window].copy()
        own[0] = 0
        states = [_engine.first_states(plan_of(layer)) for layer in self.layers]
        node_of, which, parents = (np.zeros(len(places), np.intp) for _ in range(3))
        units = self.layers[-1].cell.units
        tops = [np.zeros((1, units), self.layers[-1].dtype)]
        numbers = [node_of.copy()]
        for level in range(int(lengths.max())):
            count = _engine.enter_level(levels[level], own, lengths, level, node_of, which, parents)
            states = self._step(which[:count], states, parents[:count])
            ends = lengths == level + 1
            for kept, state in zip(last, states[-1], strict=False):
                _engine.copy_nodes(state, node_of[ends], kept, places[ends])
            if sequence is not None:
                numbers.append(node_of + sum(map(len, tops)))
                tops.append(states[-1][0][:, :units])
        if sequence is not None:
            steps = self._places(rows, np.stack(numbers, axis=1))
            sequence[places] = np.concatenate(tops)[steps]

    def _places(self, rows: Array, numbers: Array) -> Array:
        """Return where the output of each step is, ``(rows, timesteps)``.

        Args:
            rows: which.
            numbers: of the outputs after 0, 1, 2 and more steps that count; 0 is that of zeros.
        """
        if self.mask is None:
            return numbers[:, 1:]
        mask = self.mask[rows]
        places = np.take_along_axis(numbers, mask.cumsum(axis=1), axis=1)
        return np.where(mask, places, 0) if self.layers[-1].zero_output_for_mask else places

    def _step(self, ids: Array, states: list[States], parents: Array) -> list[States]:
        """Return each layer's states after one id more than their parents' have had."""
        following = []
        projected = self.table is not None
        inputs: Array = self.embeddings if self.table is None else self.table
        which: Array | None = ids
        for layer, before in zip(self.layers, states, strict=True):
            after = _engine.step_nodes(plan_of(layer), inputs, which, parents, before, projected)
            following.append(after)
            inputs, which, projected = after[0], None, False
        return following
