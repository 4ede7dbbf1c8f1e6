"""What the rows of `Model.predict` have in common is computed once.

A recurrent layer's states after some steps depend on the ids so far alone: sequences of ids that
begin alike share the steps of their beginnings (`_walk.py`). Rows that are alike as a whole share
all of a model that does not depend on the rows beside them (`_duplicates.py`). The rest of the
model runs above either, on the same batches as without sharing: results are the same to the last
bit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from rnn_core._bidirectional import MERGE, Bidirectional
from rnn_core._duplicates import Bottom, alike, bottom_of, is_packed
from rnn_core._folding import FOLDED, TRAINING_ONLY, FoldedEmbedding
from rnn_core._graph import Flow, Node, SymbolicTensor, Values, run, taken
from rnn_core._input import InputLayer
from rnn_core._layers.embedding import Embedding
from rnn_core._nest import flatten
from rnn_core._states import Together
from rnn_core._typing import Array
from rnn_core._walk import WORTHWHILE, Walk

if TYPE_CHECKING:
    from rnn_core._model import Model

# Rows that are looked at together, or fewer: what is shared among them is kept at once.
WINDOW_ROWS = 1 << 18
WINDOW_BYTES = 256 << 20

# What does nothing to a value on its way.
_PASSED = (*TRAINING_ONLY, InputLayer)

Each = Callable[[list[Callable[[], None]]], None]
# The arrays and masks of a batch, a slice of the rows of a window.
Taking = Callable[[slice], Values]

States = tuple[Array, ...]  # of one layer


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
        if ids.ndim != 2 or ids.size == 0:
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
        total = 16 * x[:1].size * len(self.directions())  # ids, words, masks
        for layer in self.directions():
            last = self.stack[-1] if len(self.stack) > 1 else layer
            steps = x.shape[1] if last.return_sequences and x.ndim > 1 else 1
            total += (steps + 2 * last.return_state) * last.cell.units * last.dtype.itemsize
        return total

    def take(self, walks: list[Walk], x: Any, batch: slice) -> Values:
        """Return the outputs for a batch, and their masks."""
        top = self.stack[-1]
        parts = [walk.outputs(batch) for walk in walks]
        arrays = parts[0]
        if type(top) is Bidirectional:
            pair = [part[0] for part in parts]
            if top.return_sequences:
                pair[1] = pair[1][:, ::-1]
            merged = pair if top.merge_mode is None else [MERGE[top.merge_mode](*pair)]
            arrays = [*merged, *parts[0][1:], *parts[1][1:]]
        mask = top.compute_mask(None, self.embedding.compute_mask(x[batch]))
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


@dataclass
class Account:
    """What is shared so far, or why nothing is; its text says it."""

    counts: Counter[str] = field(default_factory=Counter)
    shares: bool = False
    why: str | None = "one batch"

    def __str__(self) -> str:
        counts, begin = self.counts, "shared" if self.shares else "nothing is shared"
        told = [
            f"{counts[what]:,} of {counts[f'all {what}']:,} {what} are different"
            for what in ("rows", "steps")
            if counts[f"all {what}"]
        ]
        return f"{begin}: {', '.join(told) or self.why or 'too few rows are alike'}"


class Plan:
    """What rows of a model's inputs share, decided window by window.

    Args:
        model: a model.
        x: its inputs, ``(rows, ...)`` each.
        account: gets what is shared.
        lengths: of the rows, if they are padded.
    """

    def __init__(
        self, model: Model, x: Any, account: Account, lengths: Array | None = None
    ) -> None:
        self.model, self.x, self.account, self.lengths = model, x, account, lengths
        self.beginnings: list[Beginning] = []
        self.bottom: Bottom | None = None
        self.why = _reason_against(model) or self._reason_against_all()
        account.why = self.why

    def _reason_against_all(self) -> str | None:
        """Find what rows may share; return why they may not."""
        self.leaves = flatten(self.x)
        self.flow = self.model._flow(self.x)
        self.beginnings = [*beginnings_of(self.flow)]
        if self.lengths is not None:
            return None if self._ends_padding() else "rows have lengths of their own"
        bottom = bottom_of(self.flow)
        walked = sum(len(beginning.stack) for beginning in self.beginnings)
        if bottom and len(bottom.recurrent) > walked and not bottom.is_cheap(self.leaves):
            self.bottom = bottom
        elif not self.beginnings and bottom:
            return "rows are computed as fast as they are compared"
        elif not self.beginnings:
            return "no recurrent layer of the packed backend is above exact layers alone"
        return None

    def _ends_padding(self) -> bool:
        """Return whether the beginnings are all that sees padding, and see no output of it."""
        given = [tensor for beginning in self.beginnings for tensor in beginning.outputs]
        above = self.flow.between(given, flatten(self.flow.outputs))
        tops = [layer for start in self.beginnings for layer in (*start.directions(), *start.stack)]
        return (
            bool(given)
            and not any(tensor in self.flow.inputs for node in above for tensor in node.sources())
            and not any(start.stack[-1].return_sequences for start in self.beginnings)
            and not any(getattr(layer, "zero_output_for_mask", False) for layer in tops)
        )

    def windows(self, rows: int, batch_size: int) -> list[slice]:
        """Return parts of the rows, each of whole batches."""
        count = rows
        if not self.why:
            each = sum(start.row_bytes(self._input(start.ids)) for start in self.beginnings)
            if self.bottom:
                each += self.bottom.row_bytes([leaf[:1] for leaf in self.leaves])
            count = min(WINDOW_ROWS, WINDOW_BYTES // max(1, each))
        count = max(1, count // batch_size) * batch_size
        return [slice(start, min(start + count, rows)) for start in range(0, rows, count)]

    def _input(self, tensor: SymbolicTensor) -> Array:
        leaf: Array = self.leaves[self.flow.inputs.index(tensor)]
        return leaf

    def share(self, window: slice, batch_size: int, each: Each) -> Callable[[slice], Any] | None:
        """Compute what rows of a window share; return what gives a batch's outputs.

        None is returned if they share nothing.

        Args:
            window: of `windows`.
            batch_size: rows to a batch.
            each: calls functions, perhaps side by side.
        """
        takings = [] if self.why else self._takings(window, batch_size, each)
        if not takings:
            return None
        self.account.shares = True
        inputs, outputs = self.flow.inputs, self.flow.outputs
        given = [tensor for tensors, _ in takings for tensor in tensors]
        nodes = self.flow.between([*inputs, *given], flatten(outputs))

        def call(batch: slice) -> Any:
            within = slice(batch.start - window.start, batch.stop - window.start)
            values: Values = {}
            for tensor, leaf in zip(inputs, self.leaves, strict=True):
                values[tensor] = leaf[batch], None
            for _, take in takings:
                values.update(take(within))
            with Together():
                run(nodes, values)
            return taken(values, outputs, 0)

        return call

    def _takings(
        self, window: slice, batch_size: int, each: Each
    ) -> list[tuple[list[SymbolicTensor], Taking]]:
        """Return what is shared: values of the flow, and what gives them for a batch."""
        if self.bottom:
            arrays = [leaf[window] for leaf in self.leaves]
            found = alike([arrays[self.flow.inputs.index(tensor)] for tensor in self.bottom.inputs])
            if found is not None:
                kinds, groups = found
                self.account.counts["rows"] += len(kinds)
                self.account.counts["all rows"] += len(groups)
                self.bottom.run(arrays, kinds, batch_size, each)
                return [(self.bottom.outputs, partial(self.bottom.take, groups))]
        takings: list[tuple[list[SymbolicTensor], Taking]] = []
        shared: list[Walk] = []
        lengths = None if self.lengths is None else self.lengths[window]
        for beginning in self.beginnings:
            x = self._input(beginning.ids)[window]
            walks = beginning.walks(x, lengths)
            nodes, steps = sum(walk.nodes for walk in walks), sum(walk.steps for walk in walks)
            self.account.counts["steps"] += nodes
            self.account.counts["all steps"] += steps
            if steps and nodes <= (1 - WORTHWHILE) * steps:
                shared += walks
                takings.append((beginning.outputs, partial(beginning.take, walks, x)))
        # What is not walked would see the padding.
        if lengths is not None and len(takings) < len(self.beginnings):
            return []
        for walk in shared:
            walk.begin()
        each([partial(walk.run, part) for walk in shared for part in walk.windows()])
        return takings


def _reason_against(model: Model) -> str | None:
    """Return why a model shares nothing, if it is clear without a look at its layers."""
    if not model.share_prefixes:
        return "share_prefixes is False"
    if model._is_users:
        return f"{type(model).__name__} is not a class of rnn_core"
    return "a layer is stateful" if model._is_stateful() else None
