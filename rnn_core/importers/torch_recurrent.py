"""PyTorch's recurrent modules as layers: weights transposed, gates in this package's order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from rnn_core import _initializers
from rnn_core._bidirectional import Bidirectional
from rnn_core._dtypes import as_real
from rnn_core._layer import Layer
from rnn_core._layers.dense import Dense
from rnn_core._rnn_layers import GRU, LSTM, SimpleRNN
from rnn_core._torch import Projected, TorchRNN, TorchRNNCell
from rnn_core._typing import Array
from rnn_core.importers.torch_parts import CELLS, Part

# Each kind's layer, and which of PyTorch's gates (i f g o; r z n) are the layer's, in its order.
_LAYERS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "LSTM": (LSTM, (0, 1, 2, 3)),
    "GRU": (GRU, (1, 0, 2)),
    "RNN": (SimpleRNN, (0,)),
}
_NONLINEARITIES = ("tanh", "relu")


def made(layer: Any, input_shape: tuple[Any, ...], weights: Sequence[Array]) -> Any:
    """Return a layer built for inputs of this shape, with these weights."""
    # No more than the weights: nothing is drawn that they replace.
    with _initializers.within(8 * sum(weight.size for weight in weights)):
        layer._ensure_built(input_shape)
    layer.set_weights(weights)
    return layer


class _Direction(NamedTuple):
    """One direction of one layer: W ``(features, gates * units)``, U, b if there is one, P."""

    kernel: Array
    recurrent_kernel: Array
    bias: list[Array]
    projection: Array | None

    @property
    def size(self) -> int:
        """Size of h."""
        return len(self.recurrent_kernel)

    def weights(self, before: int = 0, extra: int = 0) -> list[Array]:
        """Return a layer's kernel, recurrent kernel and bias.

        With P the recurrent kernel is P.U; U itself is the kernel of some of `extra` more
        features, `before` of which come first. See `Projected`.
        """
        kernel, recurrent_kernel, bias, projection = self
        if extra:
            rows = np.zeros((extra, kernel.shape[1]), kernel.dtype)
            rows[before : before + self.size] = recurrent_kernel
            kernel = np.concatenate([kernel, rows])
        if projection is not None:
            recurrent_kernel = projection.astype(np.float64) @ recurrent_kernel.astype(np.float64)
        return [kernel, recurrent_kernel, *bias]


class Recurrent:
    """A recurrent module's weights.

    Args:
        part: the module; it may be a cell.
        dtype: to compute in.

    Raises:
        ValueError: weights are missing, too many or of shapes that do not fit; an unknown
            nonlinearity.
    """

    def __init__(self, part: Part, dtype: str) -> None:
        self.part = part
        self.dtype = dtype
        self.kind = part.kind.removesuffix("Cell")
        self.is_cell = part.kind in CELLS
        end = "_l0" if self.is_cell else ""
        left = {
            key + end: as_real(value, np.dtype(dtype), repr(part.name), key)
            for key, value in part.arrays.items()
        }
        ends = ["", "_reverse"] if "weight_ih_l0_reverse" in left else [""]
        self.layers: list[list[_Direction]] = []
        while f"weight_ih_l{len(self.layers)}" in left:
            layer = f"_l{len(self.layers)}"
            self.layers.append([self._take_direction(left, layer + end) for end in ends])
        if left or not self.layers:
            raise self._wrong(f"{min(left, default='weight_ih_l0')!r} has no place, or is missing")
        self._check_features()
        nonlinearity = part.options["nonlinearity"]
        if self.kind == "RNN" and nonlinearity not in _NONLINEARITIES:
            raise self._wrong(f"nonlinearity is {nonlinearity!r}, expected one of tanh, relu")

    @property
    def input_size(self) -> int:
        """Features of the inputs."""
        return len(self.layers[0][0].kernel)

    def _wrong(self, what: str) -> ValueError:
        return ValueError(f"{self.kind} {self.part.name!r}: {what}")

    def _take_direction(self, left: dict[str, Array], end: str) -> _Direction:
        """Take the weights whose names end so out of those that are left."""
        names = ["weight_ih", "weight_hh"]
        names += ["bias_ih", "bias_hh"] if f"bias_ih{end}" in left else []
        names += ["weight_hr"] if f"weight_hr{end}" in left else []
        missing = [name + end for name in names if name + end not in left]
        if missing:
            raise self._wrong(f"{missing[0]!r} is missing")
        arrays = {name: left.pop(name + end) for name in names}
        order = _LAYERS[self.kind][1]
        self._check_shapes(arrays, len(order), end)
        rows = {name: _in_order(w, order) for name, w in arrays.items() if name != "weight_hr"}
        projection = arrays.get("weight_hr")
        return _Direction(
            rows["weight_ih"].T,
            rows["weight_hh"].T,
            [self._bias(rows["bias_ih"], rows["bias_hh"])] if "bias_ih" in rows else [],
            None if projection is None else projection.T,
        )

    def _check_shapes(self, arrays: dict[str, Array], gates: int, end: str) -> None:
        """Raise ValueError unless the shapes of a direction's weights fit together."""
        for name, array in arrays.items():
            axes = 2 if name.startswith("weight") else 1
            if array.ndim != axes or not array.size:
                raise self._wrong(f"{name + end} has shape {array.shape}, expected {axes} axes")
        size = arrays["weight_hh"].shape[1]
        units = arrays["weight_hr"].shape[1] if "weight_hr" in arrays else size
        expected = {
            "weight_ih": (gates * units, arrays["weight_ih"].shape[1]),
            "weight_hh": (gates * units, size),
            "weight_hr": (size, units),
        }
        for name, array in arrays.items():
            shape = expected.get(name, (gates * units,))
            if array.shape != shape:
                raise self._wrong(f"{name + end} has shape {array.shape}, expected {shape}")

    def _bias(self, b_ih: Array, b_hh: Array) -> Array:
        """Return the sum; a GRU's reset gate acts on b_hh of the candidate, which stays apart."""
        if self.kind != "GRU":
            return np.asarray(b_ih + b_hh)
        summed, apart = b_hh.copy(), b_hh.copy()
        gates = 2 * len(b_hh) // 3
        summed[gates:] = apart[:gates] = 0
        return np.stack([b_ih + summed, apart])

    def _check_features(self) -> None:
        """Raise ValueError unless each layer takes what the one below it gives."""
        features = self.input_size
        for index, directions in enumerate(self.layers):
            for direction in directions:
                if len(direction.kernel) != features:
                    given = len(direction.kernel)
                    raise self._wrong(f"layer {index} takes {given} features, gets {features}")
            features = sum(direction.size for direction in directions)

    def _layer(self, directions: list[_Direction], extra: int, **flags: Any) -> Any:
        """Return a layer of one or two directions, for `extra` more features than they take."""
        layer_class, order = _LAYERS[self.kind]
        if self.kind == "RNN":
            flags["activation"] = self.part.options["nonlinearity"]
        layer = layer_class(
            directions[0].recurrent_kernel.shape[1] // len(order),
            use_bias=bool(directions[0].bias),
            return_sequences=True,
            dtype=self.dtype,
            **flags,
        )
        if len(directions) > 1:
            layer = Bidirectional(layer, name=flags.get("name"))
        weights, before = [], 0
        for direction in directions:
            weights += direction.weights(before, extra)
            before += direction.size
        return made(layer, (None, None, len(weights[0])), weights)

    def for_chain(self) -> list[Layer]:
        """Return layers that pass their outputs on; a projection is a layer of its own."""
        layers: list[Layer] = []
        for index, directions in enumerate(self.layers):
            name = f"{self.part.name}_l{index}" if self.part.name else None
            layers.append(self._layer(directions, 0, name=name))
            projections = self._projections(directions)
            if projections:
                kernel = _block_diagonal(projections)
                dense = Dense(kernel.shape[1], use_bias=False, dtype=self.dtype)
                layers.append(made(dense, (None, len(kernel)), [kernel]))
        return layers

    def _projections(self, directions: list[_Direction]) -> list[Array]:
        found = (each.projection for each in directions)
        return [np.array(p, self.dtype, order="C") for p in found if p is not None]

    def as_torch(self) -> TorchRNN | TorchRNNCell:
        """Return what is called as the module is."""
        batch_first = not self.is_cell and bool(self.part.options["batch_first"])
        flags = {
            "return_state": True,
            "zero_output_for_mask": True,
            "time_major": not batch_first,
        }
        layers: list[Any] = []
        for directions in self.layers:
            projections = self._projections(directions)
            extra = sum(projection.shape[1] for projection in projections)
            layer = self._layer(directions, extra, **flags)
            layers.append(Projected(layer, projections) if projections else layer)
        rnn = TorchRNN(layers, self.input_size, batch_first)
        return TorchRNNCell(rnn) if self.is_cell else rnn


def _in_order(weights: Array, order: Sequence[int]) -> Array:
    """Return the gates' rows in another order."""
    gates = np.split(weights, len(order))
    return np.concatenate([gates[gate] for gate in order])


def _block_diagonal(blocks: Sequence[Array]) -> Array:
    rows, columns = np.sum([block.shape for block in blocks], axis=0)
    whole = np.zeros((rows, columns), blocks[0].dtype)
    row = column = 0
    for block in blocks:
        whole[row : row + len(block), column : column + block.shape[1]] = block
        row, column = row + len(block), column + block.shape[1]
    return whole
