"""An embedding folded into the recurrent layer above it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rnn_core._bidirectional import Bidirectional
from rnn_core._graph import Node, SymbolicTensor
from rnn_core._layer import Layer
from rnn_core._layers.dropout import Dropout, SpatialDropout1D
from rnn_core._layers.embedding import Embedding
from rnn_core._rnn import RNN
from rnn_core._rnn_layers import GRU, LSTM, CuDNNGRU, CuDNNLSTM, SimpleRNN

# A larger table costs more to make and to keep in cache than it saves.
TABLE_BYTES = 16 << 20
FOLDED = (RNN, SimpleRNN, GRU, LSTM, CuDNNGRU, CuDNNLSTM)
TRAINING_ONLY = (Dropout, SpatialDropout1D)


class FoldedEmbedding:
    """Runs an embedding and a recurrent layer as one.

    The layer's input projection of an id is always the same, so all of them are computed once:
    ``embeddings.W + b``, and the projection of a step becomes a look-up.

    Args:
        embedding: an `Embedding`, which gives the ids' vectors.
        between: layers that act on them in training only.
        layer: a recurrent layer, which takes them.
    """

    def __init__(self, embedding: Any, between: Sequence[Layer], layer: Any) -> None:
        self.embedding = embedding
        self.between = between
        self.layer = layer
        # The weights' revisions, and the table made of them.
        self._made: tuple[tuple[int, ...], Any] = (), None

    def _call_with_mask(
        self, inputs: Any, mask: Any = None, training: Any = None, *_: Any
    ) -> tuple[Any, Any]:
        """Return the recurrent layer's outputs and mask for ids ``(batch, timesteps)``."""
        ids = self.embedding._cast(inputs)
        table = self._current_table() if ids.ndim == 2 and not training else None
        if table is None:
            inner: Any = ids
            for layer in (self.embedding, *self.between, self.layer):
                inner, mask = layer._call_with_mask(inner, mask, training)
            return inner, mask
        mask = self.embedding.compute_mask(ids)
        result = self.layer._call_on_ids(ids, mask, training, table)
        return result, self.layer.compute_mask(ids, mask)

    def _current_table(self) -> Any:
        """Return the table, made anew if weights have changed since."""
        made_of = (
            self.embedding.revision,
            *(layer.revision for layer in self.layer._walk_layers()),
        )
        made = self._made
        if made[0] != made_of:
            table = self.layer._projection_table(self.embedding.embeddings)
            self._made = made = made_of, table
        return made[1]


def fold(layers: Sequence[Any]) -> list[Any]:
    """Return a chain of layers with each small embedding folded into the recurrent layer above it.

    Args:
        layers: built, in order; there may be dropout between the two.
    """
    steps: list[Any] = []
    for layer in layers:
        below = len(steps) - 1
        while below >= 0 and type(steps[below]) in TRAINING_ONLY:
            below -= 1
        if below >= 0 and _fit(steps[below], layer):
            steps[below:] = [FoldedEmbedding(steps[below], steps[below + 1 :], layer)]
        else:
            steps.append(layer)
    return steps


def fold_nodes(nodes: Sequence[Node], outputs: Sequence[Any]) -> list[Node]:
    """Return a graph's calls, each small embedding folded into the recurrent layer above it.

    Args:
        nodes: the calls, each after those it needs.
        outputs: the graph's symbolic tensors.
    """
    uses = Counter(source for node in nodes for source in node.sources())
    uses.update(outputs)
    calls: dict[Node, Node] = {}
    for node in nodes:
        chain = _chain_below(node, uses)
        below = chain[-1]
        if (
            len(chain) > 1
            and not below.args + tuple(below.kwargs)
            and _fit(below.layer, node.layer)
        ):
            for folded in chain[1:]:
                calls.pop(folded, None)
            between = [each.layer for each in reversed(chain[1:-1])]
            step = FoldedEmbedding(below.layer, between, node.layer)
            calls[node] = Node(step, below.inputs, outputs=node.outputs)
        else:
            calls[node] = node
    return list(calls.values())


def _chain_below(node: Node, uses: Counter[Any]) -> list[Node]:
    """Return a call and those below it, down to the first that acts without training.

    None of them has other arguments than its inputs, or feeds anything else.
    """
    chain = [node]
    while chain[-1] is node or type(chain[-1].layer) in TRAINING_ONLY:
        top = chain[-1]
        if top.args or top.kwargs or not isinstance(top.inputs, SymbolicTensor):
            break
        if uses[top.inputs] > 1:
            break
        chain.append(top.inputs.node)
    return chain


def _fit(embedding: Any, layer: Any) -> bool:
    # Exactly these: a subclass may compute something else.
    if type(embedding) is not Embedding:
        return False
    layers = layer._directions() if type(layer) is Bidirectional else (layer,)
    if any(type(each) not in FOLDED for each in layers):
        return False
    columns = max((weight.shape[-1] for weight in layer.weights), default=0)
    small: bool = embedding.input_dim * columns * layer.dtype.itemsize <= TABLE_BYTES
    return small and embedding.dtype == layer.dtype
