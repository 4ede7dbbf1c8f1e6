"""Where the flow of a model begins with sequences of ids that can share the steps of beginnings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnn_core._bidirectional import MERGE, Bidirectional
from rnn_core._duplicates import is_packed
from rnn_core._folding import FOLDED, TRAINING_ONLY, FoldedEmbedding
from rnn_core._graph import Flow, Node, SymbolicTensor, Values
from rnn_core._input import InputLayer
from rnn_core._layers.embedding import Embedding
from rnn_core._nest import flatten
from rnn_core._typing import Array
from rnn_core._walk import Walk

# What does nothing to a value on its way.
_PASSED = (*TRAINING_ONLY, InputLayer)
# Different ids that sort as numbers of 32 bits.
_MOST_IDS = 1 << 31


@dataclass
class Beginning:
    """Where a flow begins: an embedding of an input, and the recurrent layers above it.

    Args:
        ids: the input.
        checks: input layers passed on the way, of models within the model, and the features there.
        embedding: the embedding.
        folded: the embedding and the lowest layer as one, if they run so.
        stack: the recurrent layers from the lowest, which may be bidirectional, then alone; all but
            the last return sequences.
        outputs: of the last.
    """

    ids: SymbolicTensor
    checks: list[tuple[InputLayer, tuple[int, ...]]]
    embedding: Any
    folded: FoldedEmbedding | None
    stack: list[Any]
    outputs: list[SymbolicTensor]

    def directions(self) -> Sequence[Any]:
        """Return the lowest layer, both if it is bidirectional."""
        lowest = self.stack[0]
        return lowest._directions() if type(lowest) is Bidirectional else [lowest]

    def walks(self, x: Any, lengths: Array | None = None) -> list[Walk]:
        """Return one walk for each direction over ids ``(rows, timesteps)``, if there are any.

        Args:
            x: the ids.
            lengths: of the rows, if they are padded.
        """
        for layer, features in self.checks:
            layer._check_shape((*np.shape(x), *features))
        ids = self.embedding._cast(x)
        if ids.ndim != 2 or ids.size == 0 or self.embedding.input_dim > _MOST_IDS:
            return []
        mask = self.embedding.compute_mask(ids)
        if lengths is not None:
            inside = np.arange(ids.shape[1]) < lengths[:, None]
            mask = inside if mask is None else mask & inside
        embeddings = np.ascontiguousarray(self.embedding.embeddings)
        directions, upper = self.directions(), self.stack[1:]
        tables = self.folded._current_table() if self.folded else None
        tables = tables if isinstance(tables, list) else [tables] * len(directions)
        return [
            Walk(ids, mask, [layer, *upper], embeddings, table)
            for layer, table in zip(directions, tables, strict=True)
        ]

    def row_bytes(self, x: Array) -> int:
        """Return what the walks of a row of ids and their outputs take."""
        # Ids, and where they are masked, the mask and what moves them.
        each = 32 if self.embedding.mask_zero else 8
        total = each * x[:1].size * len(self.directions())
        for layer in self.directions():
            last = self.stack[-1] if len(self.stack) > 1 else layer
            steps = x.shape[1] if last.return_sequences and x.ndim > 1 else 1
            total += (steps + 2 * last.return_state) * last.cell.units * last.dtype.itemsize
        return total

    def take(self, walks: list[Walk], x: Any, batch: slice) -> Values:
        """Return the outputs for a batch of rows that the walks have kept, and their masks."""
        return self.values([walk.outputs(batch) for walk in walks], x, batch)

    def values(self, parts: list[list[Array]], x: Any, rows: slice | Array) -> Values:
        """Return the outputs and their masks.

        Args:
            parts: for each walk, what the last layer returned for some rows.
            x: the ids.
            rows: which of them.
        """
        top = self.stack[-1]
        arrays = parts[0]
        if type(top) is Bidirectional:
            pair = [part[0] for part in parts]
            if top.return_sequences:
                pair[1] = pair[1][:, ::-1]
            merged = pair if top.merge_mode is None else [MERGE[top.merge_mode](*pair)]
            arrays = [*merged, *parts[0][1:], *parts[1][1:]]
        counted = self.embedding.compute_mask(x[rows]) if self.embedding.mask_zero else None
        mask = top.compute_mask(None, counted)
        if len(self.outputs) == 1:
            return {self.outputs[0]: (arrays if len(arrays) > 1 else arrays[0], mask)}
        return dict(zip(self.outputs, zip(arrays, flatten(mask), strict=True), strict=True))


def beginnings_of(flow: Flow) -> Iterator[Beginning]:
    """Yield the parts of a flow whose steps sequences of ids can share."""
    made_by = {tensor: node for node in flow.nodes for tensor in flatten(node.outputs)}
    taken_by = {tensor: node for node in flow.nodes for tensor in node.sources()}
    uses = Counter(tensor for node in flow.nodes for tensor in node.sources())
    uses.update(flatten(flow.outputs))

    def below(tensor: SymbolicTensor, *kinds: type) -> list[Node]:
        """Return the calls of some kinds that lead to a value, from the last."""
        found: list[Node] = []
        while (node := made_by.get(tensor)) and type(node.layer) in kinds and _is_bare(node):
            found.append(node)
            tensor = node.inputs
        return found

    def above(top: Node, beginning: Beginning) -> None:
        """Put the layers above a call that can be walked with it into its beginning."""
        stack = beginning.stack
        # Of a layer that goes backwards, the outputs are turned but the mask is not.
        turned = stack[0].go_backwards and beginning.embedding.mask_zero
        while stack[-1].return_sequences and not stack[-1].return_state:
            if uses[top.outputs] > 1:
                break
            node = taken_by.get(top.outputs)
            if node is None or not _is_bare(node):
                break
            layer = node.layer
            if type(layer) in _PASSED:
                beginning.checks += _checks([node], stack[-1].cell.units)
            elif turned or not _is_walked(layer) or layer.go_backwards:
                break
            else:
                stack.append(layer)
            top = node
        beginning.outputs = flatten(top.outputs)

    for node in flow.nodes:
        folded = node.layer if type(node.layer) is FoldedEmbedding else None
        layer = folded.layer if folded else node.layer
        if not _is_bare(node) or not _begins(layer):
            continue
        between = [] if folded else below(node.inputs, *_PASSED)
        lookup = node if folded else made_by.get(between[-1].inputs if between else node.inputs)
        embedding = folded.embedding if folded else lookup and lookup.layer
        if lookup is None or type(embedding) is not Embedding or not _is_bare(lookup):
            continue
        passed = below(lookup.inputs, InputLayer)
        ids = passed[-1].inputs if passed else lookup.inputs
        if ids in flow.inputs and embedding.dtype == layer.dtype:
            checks = _checks(passed) + _checks(between, embedding.output_dim)
            found = Beginning(ids, checks, embedding, folded, [layer], flatten(node.outputs))
            if type(layer) is not Bidirectional:
                above(node, found)
            yield found


def _checks(nodes: list[Node], *features: int) -> list[tuple[InputLayer, tuple[int, ...]]]:
    return [(node.layer, features) for node in nodes if type(node.layer) is InputLayer]


def _is_bare(node: Node) -> bool:
    """Return whether a call has one input, and nothing else."""
    return isinstance(node.inputs, SymbolicTensor) and not node.args and not node.kwargs


def _begins(layer: Any) -> bool:
    """Return whether the engine can run a recurrent layer, or both its halves, step by step."""
    halves = layer._directions() if type(layer) is Bidirectional else [layer]
    return all(map(_is_walked, halves))


def _is_walked(layer: Any) -> bool:
    return type(layer) in FOLDED and is_packed(layer) and hasattr(layer.cell, "units")
