"""Recurrent layers that are called as PyTorch's modules are.

Shapes are those of torch.nn.LSTM, GRU and RNN: ``(timesteps, batch, features)``, the first two
axes exchanged with `batch_first`, or ``(timesteps, features)`` for one sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnn_core._bidirectional import Bidirectional
from rnn_core._dtypes import as_real
from rnn_core._rnn import RNN
from rnn_core._rnn_layers import LSTM
from rnn_core._typing import Array

# A layer's states as it returns them: h, or h and c; forwards, then backwards.
States = list[Array]


class Projected:
    """A layer of LSTM whose h is projected at every step (Sak et al. 2014).

    With p = o tanh(c) and h = p.P, the product h.U is p.(P.U): a layer that keeps p and has P.U
    for its recurrent kernel gives the p of all steps, and one product then gives their h. An
    initial h is not an initial p. It enters as more features of the first step, whose kernel is U.

    Args:
        layer: the LSTM of p, or a Bidirectional of two, with sequences and states. Its features are
            those of the inputs, then each direction's h.
        projections: P of each direction, ``(units, size)``.
    """

    def __init__(self, layer: LSTM | Bidirectional, projections: Sequence[Array]) -> None:
        self.layer = layer
        self.projections = list(projections)

    def __call__(self, x: Array, mask: Array | None, initial_state: States) -> States:
        """Return the outputs and the last states, as the layer called like this would."""
        hs, cs = initial_state[::2], initial_state[1::2]
        lengths = _lengths_of(x, mask, self.layer.time_major)
        x = np.concatenate([x, *self._first_features(x, hs, lengths)], axis=-1)
        firsts = [state for c in cs for state in (np.zeros_like(c), c)]
        p, *states = self.layer(x, mask=mask, initial_state=firsts)
        outputs = np.split(p, len(self.projections), axis=-1)
        output = np.concatenate(self._project(outputs), axis=-1)
        lasts = self._project(states[::2])
        # Without a step, h stays what it was.
        lasts = [np.where(lengths[:, None] > 0, *pair) for pair in zip(lasts, hs, strict=True)]
        return [output, *(s for pair in zip(lasts, states[1::2], strict=True) for s in pair)]

    def _project(self, ps: Sequence[Array]) -> list[Array]:
        return [p @ projection for p, projection in zip(ps, self.projections, strict=True)]

    def _first_features(self, x: Array, hs: States, lengths: Array) -> list[Array]:
        """Return each direction's h at the step that it takes first, zeros at all others."""
        firsts = [np.zeros_like(lengths), lengths - 1]
        found = []
        for h, first in zip(hs, firsts, strict=False):
            features = np.zeros((*x.shape[:2], h.shape[1]), h.dtype)
            rows = np.flatnonzero(lengths)
            by_row = features.swapaxes(0, 1) if self.layer.time_major else features
            by_row[rows, first[rows]] = h[rows]
            found.append(features)
        return found


def _lengths_of(x: Array, mask: Array | None, time_major: bool) -> Array:
    axis = 0 if time_major else 1
    if mask is None:
        return np.full(x.shape[1 - axis], x.shape[axis])
    return np.asarray(mask.sum(axis=axis))


class TorchRNN:
    """A torch.nn.LSTM, GRU or RNN made of this package's layers.

    Args:
        layers: from the lowest; each with `return_sequences`, `return_state` and
            `zero_output_for_mask`, and time-major unless `batch_first`.
        input_size: features of the inputs.
        batch_first: inputs and outputs are ``(batch, timesteps, features)``.

    Call arguments:
        x: ``(timesteps, batch, input_size)``, or ``(timesteps, input_size)``.
        hx: the initial h ``(layers * directions, batch, size)``, for an LSTM ``(h, c)``; zeros if
            not given. Without the batch if `x` has none.
        lengths: whole numbers ``(batch,)``: the steps that count of each sequence, as
            torch.nn.utils.rnn.pack_padded_sequence takes them.

    Returns the outputs of the last layer, ``(timesteps, batch, directions * size)``, zeros after a
    sequence's end, and the last states in the form of `hx`, the backward direction's at the begin.

    Raises:
        ValueError: arguments of other shapes, lengths beyond the sequence.
        TypeError: arguments that are not numbers.
    """

    def __init__(self, layers: Sequence[Any], input_size: int, batch_first: bool) -> None:
        self.layers = list(layers)
        self.input_size = input_size
        self.batch_first = batch_first
        inner = [getattr(layer, "layer", layer) for layer in self.layers]
        self.bidirectional = isinstance(inner[0], Bidirectional)
        lowest: RNN = inner[0].forward_layer if self.bidirectional else inner[0]
        self.dtype = lowest.dtype
        self.hidden_size = int(lowest.cell.units)
        projections = getattr(self.layers[0], "projections", None)
        self.proj_size = projections[0].shape[1] if projections else 0
        self.num_layers = len(self.layers)
        # The sizes of h, and of c if there is one.
        self._sizes = [self.proj_size or self.hidden_size]
        self._sizes += [self.hidden_size] * isinstance(lowest, LSTM)
        self._name = type(lowest).__name__

    def __repr__(self) -> str:
        extras = f", proj_size={self.proj_size}" if self.proj_size else ""
        extras += ", bidirectional=True" if self.bidirectional else ""
        return (
            f"<TorchRNN {self._name}({self.input_size}, {self.hidden_size}, "
            f"num_layers={self.num_layers}{extras})>"
        )

    def __call__(self, x: Any, hx: Any = None, lengths: Any = None) -> tuple[Array, Any]:
        """Return the outputs and the last states; arguments as for the class."""
        x = as_real(x, self.dtype, self._name)
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            raise ValueError(
                f"{self._name}: inputs have shape {x.shape}, "
                f"expected 2 or 3 axes, the last of {self.input_size} features"
            )
        alone = x.ndim == 2
        axis = 0 if self.batch_first else 1
        x = np.expand_dims(x, axis) if alone else x
        states = self._initial_states(hx, x.shape[axis], alone)
        mask = None if lengths is None else self._mask(lengths, x.shape)
        lasts: list[States] = []
        for layer, firsts in zip(self.layers, self._by_layer(states), strict=True):
            x, *last = layer(x, mask=mask, initial_state=firsts)
            lasts.append(last)
        ends = [np.stack(part) for part in self._by_kind(lasts)]
        if alone:
            x, ends = x.squeeze(axis), [end[:, 0] for end in ends]
        return x, tuple(ends) if len(ends) > 1 else ends[0]

    def _initial_states(self, hx: Any, batch: int, alone: bool) -> list[Array]:
        """Return h, or h and c, with a batch."""
        rows = self.num_layers * (2 if self.bidirectional else 1)
        if hx is None:
            return [np.zeros((rows, batch, size), self.dtype) for size in self._sizes]
        given = hx if len(self._sizes) > 1 else (hx,)
        if not isinstance(given, (list, tuple)) or len(given) != len(self._sizes):
            raise ValueError(f"{self._name}: hx is a {type(hx).__name__}, expected (h, c)")
        states = [as_real(state, self.dtype, self._name, "hx") for state in given]
        for state, size in zip(states, self._sizes, strict=True):
            expected = (rows, size) if alone else (rows, batch, size)
            if state.shape != expected:
                raise ValueError(
                    f"{self._name}: a state has shape {state.shape}, expected {expected}"
                )
        return [state[:, None] if alone else state for state in states]

    def _mask(self, lengths: Any, shape: tuple[int, ...]) -> Array:
        """Return which steps count, in the layout of the inputs."""
        batch, timesteps = shape[:2] if self.batch_first else shape[1::-1]
        given = np.asarray(lengths)
        if given.dtype.kind not in "iu":
            raise TypeError(f"{self._name}: lengths are {given.dtype}, expected whole numbers")
        if given.shape != (batch,):
            raise ValueError(f"{self._name}: lengths have shape {given.shape}, expected ({batch},)")
        if ((given < 0) | (given > timesteps)).any():
            raise ValueError(
                f"{self._name}: lengths are {given.min()} to {given.max()}, "
                f"expected 0 to {timesteps}"
            )
        mask = np.arange(timesteps) < given[:, None]
        return mask if self.batch_first else mask.T

    def _by_layer(self, states: list[Array]) -> list[States]:
        """Return each layer's states: h, or h and c, of each of its directions."""
        rows = [list(row) for row in zip(*states, strict=True)]
        if not self.bidirectional:
            return rows
        return [there + back for there, back in zip(rows[::2], rows[1::2], strict=True)]

    def _by_kind(self, lasts: list[States]) -> list[States]:
        """Return all h, or all h and all c, by layers and directions: what `_by_layer` took."""
        flat = [state for states in lasts for state in states]
        return [flat[kind :: len(self._sizes)] for kind in range(len(self._sizes))]


class TorchRNNCell:
    """A torch.nn.LSTMCell, GRUCell or RNNCell: one step of a `TorchRNN` of one layer.

    Args:
        rnn: the layer, one direction, time-major.

    Call arguments: x ``(batch, input_size)`` or ``(input_size,)``, and hx, h ``(batch, size)`` or
    for an LSTM ``(h, c)``; zeros if not given. Returns the new states in the form of hx.

    Raises:
        ValueError: arguments of other shapes.
        TypeError: arguments that are not numbers.
    """

    def __init__(self, rnn: TorchRNN) -> None:
        self._rnn = rnn
        self.input_size, self.hidden_size = rnn.input_size, rnn.hidden_size

    def __repr__(self) -> str:
        return f"<TorchRNNCell of {self._rnn!r}>"

    def __call__(self, x: Any, hx: Any = None) -> Any:
        """Return the states after one step; arguments as for the class."""
        if isinstance(hx, (list, tuple)):
            hx = [np.asarray(state)[None] for state in hx]
        elif hx is not None:
            hx = np.asarray(hx)[None]
        _, lasts = self._rnn(np.asarray(x)[None], hx)
        return tuple(last[0] for last in lasts) if isinstance(lasts, tuple) else lasts[0]
