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
# Sharing has to spare this part of the steps to be worth the sorting and the copies of states.
WORTHWHILE = 0.15
_END = -1

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

    `steps` is how many steps the sequences have, `nodes` how many different beginnings; these are
    only counted if rows may have enough in common. To run it, `begin`, then `run` all `windows`.
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
        self.steps = self.nodes = ids.size if self.mask is None else int(self.mask.sum())
        self._ids, self._bits = ids, len(embeddings).bit_length()
        self.order: Array | None = None
        first = self._levels(64 // self._bits)
        if _spared_at_most(first, self._bits, ids.shape[1]) >= WORTHWHILE * self.steps:
            self._sort()

    def _levels(self, count: int | None = None) -> Array:
        """Return each row's ids that count, then `_END`, ``(timesteps, rows)``.

        Args:
            count: how many of them; all if not given.
        """
        # Signed, and no wider than they need be to sort and gather.
        kind = np.int32 if self._bits < 32 else np.int64
        if self.mask is None:
            return np.ascontiguousarray(self._ids[:, :count].T, kind)
        rows, steps = np.nonzero(self.mask)
        found = np.full(self._ids.T.shape, _END, kind)
        found[(self.mask.cumsum(axis=1) - 1)[rows, steps], rows] = self._ids[rows, steps]
        return found[:count]

    def _sort(self) -> None:
        """Put rows that begin alike beside each other, and count the different beginnings."""
        self.levels = self._levels()
        # NumPy sorts numbers of 16 bits by their digits, which takes the least time.
        words = _words(self.levels, self._bits, np.uint16 if self._bits <= 16 else np.uint64)
        self.order = np.lexsort(words[::-1])
        self.levels = np.take(self.levels, self.order, axis=1)
        self.lengths = (self.levels != _END).sum(axis=0)
        # The level from which on a row is another than the row before it.
        self.own = np.full(len(self.order), len(self.levels), np.intp)
        self.own[0] = 0
        for level in reversed(range(len(self.levels))):
            ids = self.levels[level]
            np.copyto(self.own[1:], level, where=ids[1:] != ids[:-1])
        self.nodes = int(np.maximum(self.lengths - self.own, 0).sum())

    def begin(self) -> None:
        """Take the memory for the outputs, which are zeros where no step counts."""
        if self.order is None:
            self._sort()
        top = self.layers[-1]
        timesteps, rows = self.levels.shape
        units, sequences = top.cell.units, top.return_sequences
        # What rows end with: the last output or h, and the other states.
        kept = len(flatten(top.cell.state_size)) if top.return_state else 0 if sequences else 1
        self.last = [np.zeros((rows, units), top.dtype) for _ in range(kept)]
        self.sequence = np.empty((rows, timesteps, units), top.dtype) if sequences else None

    def outputs(self, batch: slice) -> list[Array]:
        """Return what the last layer returns for some rows."""
        top = self.layers[-1]
        last = [array[batch] for array in self.last]
        states = last if top.return_state else []
        if self.sequence is not None:
            return [self.sequence[batch], *states]
        output = last[0]
        if top.zero_output_for_mask and self.mask is not None:
            output = np.where(self.mask[batch, -1:], output, 0)
        return [output, *states]

    def windows(self) -> list[slice]:
        """Return parts of the sorted rows."""
        rows = WINDOW_ROWS
        if self.sequence is not None:
            rows = max(1, min(rows, WINDOW_BYTES // self.sequence[0].nbytes))
        return [slice(start, start + rows) for start in range(0, self.levels.shape[1], rows)]

    def run(self, window: slice) -> None:
        """Write the outputs of a window's rows to their places in `outputs`."""
        assert self.order is not None
        levels, lengths, order = self.levels[:, window], self.lengths[window], self.order[window]
        own = self.own[window].copy()
        own[0] = 0
        states = [_engine.first_states(plan_of(layer)) for layer in self.layers]
        node_of, which, parents = (np.zeros(len(order), np.intp) for _ in range(3))
        units = self.layers[-1].cell.units
        tops = [np.zeros((1, units), self.layers[-1].dtype)]
        numbers = [node_of.copy()]
        for level in range(int(lengths.max())):
            count = _engine.enter_level(levels[level], own, lengths, level, node_of, which, parents)
            states = self._step(which[:count], states, parents[:count])
            ends = lengths == level + 1
            for kept, state in zip(self.last, states[-1], strict=False):
                _engine.copy_nodes(state, node_of[ends], kept, order[ends])
            if self.sequence is not None:
                numbers.append(node_of + sum(map(len, tops)))
                tops.append(states[-1][0][:, :units])
        if self.sequence is not None:
            places = self._places(order, np.stack(numbers, axis=1))
            self.sequence[order] = np.concatenate(tops)[places]

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


def _words(levels: Array, bits: int, kind: type[np.unsignedinteger[Any]]) -> list[Array]:
    """Return words, the most significant first, that sort as the rows do.

    Args:
        levels: ids ``(timesteps, rows)``.
        bits: of an id.
        kind: of the words.
    """
    each = 8 * np.dtype(kind).itemsize // bits
    words = []
    for start in range(0, len(levels), each):
        word = np.zeros(levels.shape[1], kind)
        for ids in levels[start : start + each]:
            word = word << kind(bits) | (ids + 1).astype(kind)
        words.append(word)
    return words


def _spared_at_most(first: Array, bits: int, timesteps: int) -> int:
    """Return how many steps sharing could spare, from each row's first word.

    Args:
        first: the ids of the word, ``(as many as fit or there are, rows)``.
        bits: of an id.
        timesteps: of the rows.
    """
    count = len(first)
    ordered = np.sort(_words(first, bits, np.uint64)[0])
    spared = 0
    for level in range(timesteps):
        # Rows that differ within the first word share nothing beyond it.
        if level < count:
            beginning = ordered >> np.uint64(bits * (count - 1 - level))
            alike = int((beginning[1:] == beginning[:-1]).sum())
        spared += alike
    return spared
