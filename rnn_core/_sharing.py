"""Sequences of ids that begin alike share the steps of their beginnings, in `Model.predict`.

A recurrent layer's states after some steps depend on the ids so far alone. So the sequences are
sorted, and the trie of their beginnings is walked level by level: each step is a batch of different
beginnings, which take their states from those one id shorter. On the packed backend a row's result
does not depend on the rows beside it, and is the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from rnn_core import _engine
from rnn_core._bidirectional import MERGE, Bidirectional
from rnn_core._folding import FOLDED, TRAINING_ONLY, FoldedEmbedding
from rnn_core._layers.embedding import Embedding
from rnn_core._typing import Array

# Sorted sequences that are walked together: their states are alive at once.
WINDOW_ROWS = 4096
# Sharing has to spare this part of the steps to be worth the sorting and the copies of states.
WORTHWHILE = 0.15
_END = -1

States = tuple[Array, ...]  # of one layer


@dataclass
class Beginning:
    """The beginning of a chain of layers: an embedding, and the recurrent layers above it.

    Args:
        embedding: the first.
        lowest: the recurrent layer above it, which may be bidirectional.
        upper: the recurrent layers above that; all but the last return sequences.
        count: how many of the chain's steps they are.
        folded: the embedding and the lowest as one, if they run so.
    """

    embedding: Any
    lowest: Any
    upper: Sequence[Any]
    count: int
    folded: FoldedEmbedding | None

    def walks(self, x: Any) -> list[Walk]:
        """Return one walk for each direction over ids ``(rows, timesteps)``.

        There are none if sharing would not be exact: on another backend, or for ids that are wrong.
        """
        ids = self.embedding._cast(np.asarray(x))
        if ids.ndim != 2 or ids.size == 0 or ids.min() < 0 or ids.max() >= self.embedding.input_dim:
            return []
        both = type(self.lowest) is Bidirectional
        directions = _halves(self.lowest) if both else [self.lowest]
        stacks = [[layer, *self.upper] for layer in directions]
        if any(_plan_of(layer).backend != "packed" for stack in stacks for layer in stack):
            return []
        mask, embeddings = self.embedding.compute_mask(ids), self.embedding.embeddings
        return [
            Walk(_in_order(ids, mask, stack[0].go_backwards), stack, embeddings, table)
            for stack, table in zip(stacks, self._tables(len(stacks)), strict=True)
        ]

    def _tables(self, directions: int) -> list[Array | None]:
        """Return what stands for the lowest layer's input projection, in each direction."""
        if self.folded is None:
            return [None] * directions
        table = self.folded._current_table()
        return [table] if directions == 1 else table

    def merged(self, outputs: list[Array]) -> Array:
        """Return the layers' outputs from those of the walks."""
        if len(outputs) == 1:
            return outputs[0]
        merged: Array = MERGE[self.lowest.merge_mode](*outputs)
        return merged


def beginning_of(steps: Sequence[Any]) -> Beginning | None:
    """Return the part of a chain whose steps sequences can share, if it has one.

    Args:
        steps: layers, an embedding perhaps folded into the layer above it.
    """
    folded = steps[0] if steps and isinstance(steps[0], FoldedEmbedding) else None
    embedding = folded.embedding if folded else steps[0] if steps else None
    if type(embedding) is not Embedding:
        return None
    stack: list[Any] = []
    for count, step in enumerate(steps if folded else steps[1:], start=1 if folded else 2):
        layer = folded.layer if folded and step is folded else step
        if type(layer) in TRAINING_ONLY:
            continue
        if not stack and type(layer) is Bidirectional:
            fit = layer.merge_mode and not layer.return_state and all(map(_ends, _halves(layer)))
            return Beginning(embedding, layer, [], count, folded) if fit else None
        if not _is_plain(layer) or (stack and layer.go_backwards):
            return None
        stack.append(layer)
        if not layer.return_sequences:
            return Beginning(embedding, stack[0], stack[1:], count, folded)
    return None


def _halves(layer: Any) -> Sequence[Any]:
    halves: Sequence[Any] = layer._directions()
    return halves


def _ends(layer: Any) -> bool:
    return _is_plain(layer) and not layer.return_sequences


def _is_plain(layer: Any) -> bool:
    """Return whether a layer is one cell of the engine's, without a memory of its own."""
    if type(layer) not in FOLDED or layer.stateful or layer.return_state or layer.time_major:
        return False
    return len(layer._plans(None) or []) == 1


def _plan_of(layer: Any) -> Any:
    return layer._plans(None)[0]


def _in_order(ids: Array, mask: Array | None, backwards: bool) -> Array:
    """Return each row's ids that count, in the order of processing, then `_END`."""
    if backwards:
        ids, mask = ids[:, ::-1], None if mask is None else mask[:, ::-1]
    if mask is None or mask.all():
        return ids
    rows, columns = np.nonzero(mask)
    found = np.full_like(ids, _END)
    found[rows, (mask.cumsum(axis=1) - 1)[rows, columns]] = ids[rows, columns]
    return found


class Walk:
    """One direction of the recurrent layers, over sequences sorted by their beginnings.

    Args:
        ids: ``(rows, timesteps)``, `_END` after a row's end.
        layers: from the lowest.
        embeddings: each id's vector.
        table: what stands for the lowest layer's input projection of an id, or None.

    `steps` is how many steps the sequences have, `nodes` how many different beginnings; these are
    only counted if rows may have enough in common.
    """

    def __init__(
        self, ids: Array, layers: Sequence[Any], embeddings: Array, table: Array | None
    ) -> None:
        self.layers, self.embeddings, self.table = layers, embeddings, table
        self.steps = self.nodes = int((ids != _END).sum())
        self.output = np.empty((len(ids), layers[-1].cell.units), layers[-1].dtype)
        bits = max(1, int(ids.max() + 1).bit_length())
        words = _words(ids, bits)
        if _spared_at_most(words[0], bits, ids.shape[1]) < WORTHWHILE * self.steps:
            return
        self.order = np.lexsort(words[::-1])
        self.ids = ids[self.order]
        self.lengths = (self.ids != _END).sum(axis=1)
        # The level from which on a row is another than the row before it.
        different = self.ids[1:] != self.ids[:-1]
        self.own = np.zeros(len(ids), np.intp)
        self.own[1:] = np.where(different.any(axis=1), different.argmax(axis=1), ids.shape[1])
        self.nodes = int(np.maximum(self.lengths - self.own, 0).sum())

    def windows(self) -> list[slice]:
        """Return parts of the sorted rows."""
        starts = range(0, len(self.ids), WINDOW_ROWS)
        return [slice(start, start + WINDOW_ROWS) for start in starts]

    def run(self, window: slice) -> None:
        """Write the last outputs of a window's rows to their places in `output`."""
        ids, lengths, order = self.ids[window], self.lengths[window], self.order[window]
        own = self.own[window].copy()
        own[0] = 0
        self.output[order[lengths == 0]] = 0
        states = [_engine.first_states(_plan_of(layer)) for layer in self.layers]
        node_of = np.zeros(len(ids), np.intp)
        for level in range(int(lengths.max())):
            begins = (own <= level) & (lengths > level)
            states = self._step(ids[begins, level], states, node_of[begins])
            node_of = begins.cumsum() - 1
            ends = lengths == level + 1
            self.output[order[ends]] = states[-1][0][node_of[ends], : self.output.shape[1]]

    def _step(self, ids: Array, states: list[States], parents: Array) -> list[States]:
        """Return each layer's states after one id more than their parents' have had."""
        following = []
        projected = self.table is not None
        inputs: Array = self.table if projected else self.embeddings
        which: Array | None = ids
        for layer, before in zip(self.layers, states, strict=True):
            after = _engine.step_nodes(_plan_of(layer), inputs, which, parents, before, projected)
            following.append(after)
            inputs, which, projected = after[0], None, False
        return following


def run(beginning: Beginning, x: Any, each: Callable[[list[Callable[[], None]]], None]) -> Any:
    """Return the last outputs of the layers of a beginning, and what was shared.

    Args:
        beginning: of the model.
        x: ids ``(rows, timesteps)``.
        each: calls functions, perhaps side by side.

    Returns ``(outputs, nodes, steps)``; the outputs ``(rows, units)``, or None if sharing would not
    pay or not be exact.
    """
    walks = beginning.walks(x)
    nodes, steps = sum(walk.nodes for walk in walks), sum(walk.steps for walk in walks)
    if nodes > (1 - WORTHWHILE) * steps or not steps:
        return None, nodes, steps
    each([partial(walk.run, window) for walk in walks for window in walk.windows()])
    return beginning.merged([walk.output for walk in walks]), nodes, steps


def _words(ids: Array, bits: int) -> list[Array]:
    """Return words, the most significant first, that sort as the rows do."""
    each = 64 // bits
    words = []
    for start in range(0, ids.shape[1], each):
        word = np.zeros(len(ids), np.uint64)
        for column in ids.T[start : start + each]:
            word = word << np.uint64(bits) | (column + 1).astype(np.uint64)
        words.append(word)
    return words


def _spared_at_most(first: Array, bits: int, timesteps: int) -> int:
    """Return how many steps sharing could spare, from each row's first word."""
    columns = min(64 // bits, timesteps)
    ordered = np.sort(first)
    spared = 0
    for column in range(timesteps):
        # Rows that differ within the first word share nothing beyond it.
        if column < columns:
            beginning = ordered >> np.uint64(bits * (columns - 1 - column))
            alike = int((beginning[1:] == beginning[:-1]).sum())
        spared += alike
    return spared
