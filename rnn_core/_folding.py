"""An embedding folded into the recurrent layer above it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rnn_core._layer import Layer
from rnn_core._layers.dropout import Dropout, SpatialDropout1D
from rnn_core._layers.embedding import Embedding
from rnn_core._rnn import RNN
from rnn_core._rnn_layers import GRU, LSTM, SimpleRNN
from rnn_core._typing import Array

# A larger table costs more to make and to keep in cache than it saves.
TABLE_BYTES = 16 << 20


class FoldedEmbedding:
    """Runs an embedding and a recurrent layer as one.

    The layer's input projection of an id is always the same, so all of them are computed once:
    ``embeddings.W + b``, and the projection of a step becomes a look-up.

    Args:
        embedding: gives the ids' vectors.
        between: layers that act on them in training only.
        layer: takes them.
    """

    def __init__(self, embedding: Embedding, between: Sequence[Layer], layer: RNN) -> None:
        self.embedding = embedding
        self.between = between
        self.layer = layer
        self._made_of: tuple[Any, ...] = ()
        self._table: Array | None = None

    def _call_with_mask(
        self, inputs: Any, mask: Any = None, training: Any = None
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
        output, states = self.layer._scan(ids, mask, training, table=table)
        result = self.layer._conclude(output, states)
        return result, self.layer.compute_mask(ids, mask)

    def _current_table(self) -> Array | None:
        """Return the table, made anew if weights have changed since."""
        made_of = (
            self.embedding.revision,
            *(layer.revision for layer in self.layer._walk_layers()),
        )
        if made_of != self._made_of:
            self._table = self.layer._projection_table(self.embedding.embeddings)
            self._made_of = made_of
        return self._table


def fold(layers: Sequence[Any]) -> list[Any]:
    """Return a chain of layers with each small embedding folded into the recurrent layer above it.

    Args:
        layers: built, in order; there may be dropout between the two.
    """
    steps: list[Any] = []
    for layer in layers:
        below = len(steps) - 1
        while below >= 0 and type(steps[below]) in (Dropout, SpatialDropout1D):
            below -= 1
        if below >= 0 and _fit(steps[below], layer):
            steps[below:] = [FoldedEmbedding(steps[below], steps[below + 1 :], layer)]
        else:
            steps.append(layer)
    return steps


def _fit(embedding: Any, layer: Any) -> bool:
    # Exactly these: a subclass may compute something else.
    if type(embedding) is not Embedding or type(layer) not in (RNN, SimpleRNN, GRU, LSTM):
        return False
    columns = max((weight.shape[-1] for weight in layer.weights), default=0)
    small: bool = embedding.input_dim * columns * layer.dtype.itemsize <= TABLE_BYTES
    return small and embedding.dtype == layer.dtype
