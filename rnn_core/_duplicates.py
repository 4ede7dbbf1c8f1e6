"""Rows that are alike, byte for byte, and the part of a model that need run only once for them.

That part has nothing but exact layers: of those, a row's outputs are the same to the last bit
whatever rows are beside it. One with a product of BLAS is not: in another place of a batch BLAS may
add in another order.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from rnn_core._activations import BuiltIn
from rnn_core._bidirectional import Bidirectional
from rnn_core._folding import FOLDED, TRAINING_ONLY, FoldedEmbedding
from rnn_core._graph import Flow, Node, SymbolicTensor, Values, run
from rnn_core._input import InputLayer
from rnn_core._kept import Kept, row_bytes
from rnn_core._layers.activation import Activation, LeakyReLU, ReLU
from rnn_core._layers.dense import Dense
from rnn_core._layers.embedding import Embedding
from rnn_core._layers.masking import Masking
from rnn_core._layers.merge import (
    Add,
    Average,
    Concatenate,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
)
from rnn_core._layers.normalization import BatchNormalization
from rnn_core._layers.pooling import GlobalMaxPooling1D, MaxPooling1D
from rnn_core._layers.reshape import (
    Cropping1D,
    Flatten,
    Permute,
    RepeatVector,
    Reshape,
    UpSampling1D,
    ZeroPadding1D,
)
from rnn_core._layers.scaling import Normalization, Rescaling
from rnn_core._layers.time_distributed import TimeDistributed
from rnn_core._nest import flatten
from rnn_core._typing import Array
from rnn_core._walk import WORTHWHILE

# Exactly these: a subclass may compute something else.
EXACT = {
    *TRAINING_ONLY,
    Add,
    Average,
    BatchNormalization,
    Concatenate,
    Cropping1D,
    Embedding,
    Flatten,
    GlobalMaxPooling1D,
    InputLayer,
    LeakyReLU,
    Masking,
    MaxPooling1D,
    Maximum,
    Minimum,
    Multiply,
    Normalization,
    Permute,
    ReLU,
    RepeatVector,
    Rescaling,
    Reshape,
    Subtract,
    UpSampling1D,
    ZeroPadding1D,
}
_RECURRENT = (*FOLDED, Bidirectional)
# The products of a row that take as long as to find the rows that are like it.
_LEAST_FLOPS = 10_000
# Rows of a sample that are alike before all rows are compared.
_FEWEST_PAIRS = 2
# Rows to hash or compare at once, and their bytes.
_BLOCK, _BLOCK_BYTES = 4096, 16 << 20


@dataclass
class Bottom:
    """The part of a flow that rows which are alike share.

    Args:
        nodes: its calls, all exact.
        flow_inputs: all inputs of the flow.
        inputs: those that it needs.
        outputs: what the rest of the flow takes of it.
        recurrent: the recurrent layers in it.
    """

    nodes: list[Node]
    flow_inputs: list[SymbolicTensor]
    inputs: list[SymbolicTensor]
    outputs: list[SymbolicTensor]
    recurrent: list[Any]

    def _values(self, leaves: list[Array]) -> list[Any]:
        """Return the array and the mask of each output for some rows of the flow's inputs."""
        values: Values = {
            tensor: (leaf, None) for tensor, leaf in zip(self.flow_inputs, leaves, strict=True)
        }
        run(self.nodes, values)
        return [values[tensor] for tensor in self.outputs]

    def row_bytes(self, leaves: list[Array]) -> int:
        """Return what a row's outputs, hash and places take, by the outputs for one row."""
        return 32 + row_bytes(self._values(leaves))

    def is_cheap(self, leaves: list[Array]) -> bool:
        """Return whether rows of the flow's inputs are computed as fast as they are compared."""
        steps = max((leaf.shape[1] for leaf in leaves if leaf.ndim > 1), default=1)
        flops: int = steps * sum(_unfolded(node.layer)._flops_per_step() for node in self.nodes)
        return flops < _LEAST_FLOPS

    def run(
        self,
        leaves: list[Array],
        rows: Array,
        batch_size: int,
        each: Callable[[list[Callable[[], None]]], None],
    ) -> None:
        """Compute and keep the outputs for some rows of the flow's inputs."""
        self._kept = Kept(self._values([leaf[:1] for leaf in leaves]), len(rows))

        def keep(start: int) -> None:
            batch = rows[start : start + batch_size]
            self._kept.put(
                slice(start, start + batch_size), self._values([leaf[batch] for leaf in leaves])
            )

        each([partial(keep, start) for start in range(0, len(rows), batch_size)])

    def take(self, groups: Array, batch: slice) -> Values:
        """Return the outputs for a batch of rows, each of which is like a row of `run`."""
        return dict(zip(self.outputs, self._kept.take(groups[batch]), strict=True))


def bottom_of(flow: Flow) -> Bottom | None:
    """Return the part of a flow that rows which are alike share, if it has a recurrent layer."""
    exact = set(flow.inputs)
    # What comes from a recurrent layer: nothing else is worth keeping.
    worth: set[SymbolicTensor] = set()
    recurrent = []
    for node in flow.nodes:
        if not (exact.issuperset(node.sources()) and is_exact(node)):
            continue
        exact.update(flatten(node.outputs))
        layer = _unfolded(node.layer)
        if type(layer) in _RECURRENT:
            recurrent.append(layer)
        if type(layer) in _RECURRENT or not worth.isdisjoint(node.sources()):
            worth.update(flatten(node.outputs))
    rest = [node for node in flow.nodes if worth.isdisjoint(flatten(node.outputs))]
    used = {tensor for node in rest for tensor in node.sources()} | {*flatten(flow.outputs)}
    made = [tensor for node in flow.nodes for tensor in flatten(node.outputs)]
    outputs = [tensor for tensor in made if tensor in worth & used]
    nodes = flow.between(flow.inputs, outputs)
    needed = {tensor for node in nodes for tensor in node.sources()}
    inputs = [tensor for tensor in flow.inputs if tensor in needed]
    return Bottom(nodes, flow.inputs, inputs, outputs, recurrent) if outputs else None


def _unfolded(layer: Any) -> Any:
    """Return the recurrent layer of a folded embedding, or the layer itself."""
    return layer.layer if type(layer) is FoldedEmbedding else layer


def is_packed(layer: Any) -> bool:
    """Return whether a recurrent layer runs on the packed backend, without a memory of its own."""
    if layer.stateful or layer.time_major:
        return False
    plans = layer._plans(None)
    return bool(plans) and all(plan.backend == "packed" for plan in plans)


def is_exact(node: Node, recurrent: bool = True) -> bool:
    """Return whether a call's outputs for a row do not depend on the rows beside it.

    Args:
        node: the call.
        recurrent: whether it may be one of a recurrent layer.
    """
    for leaf in flatten((node.inputs, node.args, node.kwargs)):
        if not isinstance(leaf, SymbolicTensor) and leaf is not None and leaf is not False:
            return False  # training, or an array for rows in their order
    layer = _unfolded(node.layer)
    if type(layer) in _RECURRENT and not recurrent:
        return False
    if type(layer) is Bidirectional:
        return all(type(half) in FOLDED and is_packed(half) for half in layer._directions())
    if type(layer) in FOLDED:
        return is_packed(layer)
    return _looks_at_rows_alone(layer)


def _looks_at_rows_alone(layer: Any) -> bool:
    """Return whether a layer that is not recurrent is exact."""
    if type(layer) is TimeDistributed:
        return _looks_at_rows_alone(layer.layer)
    if type(layer) is Activation:
        return type(layer.activation) is BuiltIn
    if type(layer) is Dense:
        return type(layer.activation) is BuiltIn and layer._is_packed()
    return type(layer) in EXACT


def alike(arrays: list[Array]) -> tuple[Array, Array] | None:
    """Return a row of each kind, and which kind each row is of.

    Args:
        arrays: ``(rows, ...)``; rows are alike if they are byte for byte in all of them.

    Returns None if too few of a sample are alike, or too few of all.
    """
    rows = len(arrays[0])
    sample = np.unique(np.random.default_rng(0).integers(0, rows, 4 * math.isqrt(rows)))
    pairs = len(sample) - len(np.unique(_hashes(arrays, sample)))
    if pairs < _FEWEST_PAIRS:
        return None
    hashes = _hashes(arrays, np.arange(rows))
    order = np.argsort(hashes)
    again = np.zeros(rows, bool)
    again[1:] = hashes[order[1:]] == hashes[order[:-1]]
    block = _block_rows(arrays)
    for start in range(0, rows, block):
        places = start + np.flatnonzero(again[start : start + block])
        for array in arrays:
            one, other = (_bytes(array.take(order[p], axis=0)) for p in (places - 1, places))
            again[places] &= (one == other).all(axis=1)
    groups = np.empty(rows, np.intp)
    groups[order] = np.cumsum(~again) - 1
    kinds = order[~again]
    return (kinds, groups) if len(kinds) <= (1 - WORTHWHILE) * rows else None


def _bytes(rows: Array) -> Array:
    """Return the bytes of each row, as whole numbers as long as fit."""
    rows = np.ascontiguousarray(rows).reshape(len(rows), math.prod(rows.shape[1:]))
    length = rows[:1].nbytes
    size = max(n for n in (1, 2, 4, 8) if length % n == 0)
    return rows.view(f"u{size}") if length else np.zeros((len(rows), 0), np.uint8)


def _block_rows(arrays: list[Array]) -> int:
    """Return how many rows are looked at together."""
    size = sum(array[:1].nbytes for array in arrays)
    return max(1, min(_BLOCK, _BLOCK_BYTES // max(1, size)))


def _hashes(arrays: list[Array], places: Array) -> Array:
    """Return a number for each of some rows, which is hardly the same unless they are alike."""
    hashes = np.zeros(len(places), np.uint64)
    block = _block_rows(arrays)
    rng = np.random.default_rng(1)
    for array in arrays:
        count = _bytes(array[:1]).shape[1]
        factors = rng.integers(0, 1 << 63, count, np.uint64) * np.uint64(2) + np.uint64(1)
        for start in range(0, len(places), block):
            some = array.take(places[start : start + block], axis=0)
            hashes[start : start + block] += _bytes(some).astype(np.uint64, copy=False) @ factors
    return hashes
