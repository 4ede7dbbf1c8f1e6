"""Chains of layers that give a row of a padded batch what they give it alone, bit for bit.

Steps after a row's end are masked. Masked steps cost a recurrent layer nothing and change no state,
and the layers between look at each step alone. What lies above the last output knows no steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rnn_core._activations import BuiltIn, Formula
from rnn_core._bidirectional import Bidirectional
from rnn_core._folding import FOLDED, TRAINING_ONLY, FoldedEmbedding
from rnn_core._layers.activation import Activation, LeakyReLU, ReLU
from rnn_core._layers.dense import Dense
from rnn_core._layers.embedding import Embedding
from rnn_core._layers.masking import Masking
from rnn_core._layers.normalization import BatchNormalization, LayerNormalization
from rnn_core._layers.time_distributed import TimeDistributed
from rnn_core._typing import Array

# Layers that make a mask of their own, whatever they are given.
_MAKERS = (Embedding, Masking)
_BY_STEP = (*TRAINING_ONLY, *_MAKERS, LeakyReLU, ReLU)


def is_exact(steps: Sequence[Any]) -> bool:
    """Return whether padding changes no bit of a chain's outputs.

    Args:
        steps: layers, an embedding perhaps folded into the layer above it.
    """
    for step in steps:
        layer = step.layer if isinstance(step, FoldedEmbedding) else step
        if type(layer) is Bidirectional or type(layer) in FOLDED:
            if not _is_exact_recurrent(layer):
                return False
            if not layer.return_sequences:
                return True
        elif not _acts_by_step(layer):
            return False
    return True


def _is_exact_recurrent(layer: Any) -> bool:
    if layer.stateful or layer.return_state or layer.time_major:
        return False
    both = type(layer) is Bidirectional
    directions = layer._directions() if both else [layer]
    if both and not layer.merge_mode:
        return False
    # Going backwards alone leaves the outputs of a row's own steps behind those of the padding.
    if not both and layer.return_sequences and layer.go_backwards:
        return False
    plans = [direction._plans(None) for direction in directions]
    return all(own and all(plan.backend == "packed" for plan in own) for own in plans)


def _acts_by_step(layer: Any) -> bool:
    if type(layer) is TimeDistributed:
        return type(layer.layer) is Dense and _acts_by_step(layer.layer)
    if type(layer) in (BatchNormalization, LayerNormalization):
        return bool(layer.axis == -1)
    if type(layer) in (Activation, Dense):
        # A function of the user's may look from one step at another.
        return isinstance(layer.activation, (BuiltIn, Formula))
    return type(layer) in _BY_STEP


def call(steps: Sequence[Any], x: Array, inside: Array) -> Any:
    """Return a chain's outputs for padded rows.

    Args:
        steps: of the chain, for which `is_exact`.
        x: ``(rows, timesteps, ...)``.
        inside: which steps are those of a row, boolean ``(rows, timesteps)``.
    """
    mask: Any = inside
    for step in steps:
        if isinstance(step, FoldedEmbedding):
            x = step.embedding._cast(x)
            mask = _within(inside, step.embedding.compute_mask(x))
            x = step.layer._call_on_ids(x, mask, None, step._current_table())
            mask = step.layer.compute_mask(x, mask)
        else:
            x, mask = step._call_with_mask(x, mask)
            if type(step) in _MAKERS:
                mask = _within(inside, mask)
    return x


def _within(inside: Array, mask: Array | None) -> Array:
    return inside if mask is None else inside & mask
