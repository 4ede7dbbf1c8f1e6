"""Weights in Keras's files: which array belongs to which weight, and how it is laid out there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np

from rnn_core._cells import GRUCell, LSTMCell
from rnn_core._conv_lstm import ConvLSTMCell
from rnn_core._layer import Layer
from rnn_core._layers.convolution import _Convolution
from rnn_core._typing import Array
from rnn_core._weight_paths import weights_by_path
from rnn_core._weights import Weight, assign
from rnn_core.formats import hdf5, keras_h5, keras_zip

_KINDS = ".h5, .weights.h5, .keras or .weights.json"


@dataclass(frozen=True)
class Source:
    """The Keras that wrote a file: its version, as numbers, and its backend."""

    version: tuple[int, ...]
    backend: str = "tensorflow"
    # TensorFlow's own Keras, as opposed to the package of the same age.
    is_tensorflows: bool = False

    @classmethod
    def of(cls, version: str, backend: str | None = None) -> Source:
        """Return the source for a version such as ``"2.2.4-tf"``."""
        numbers = (part.partition("-")[0] for part in version.split(".")[:3])
        release = tuple(int(n) if n.isdecimal() else 0 for n in numbers)
        return cls(release, backend or "tensorflow", "-tf" in version)

    def is_before(self, *release: int) -> bool:
        """Return whether this is an earlier version than `release`."""
        return self.version < release

    @property
    def zeroes_masked_steps(self) -> bool:
        """Whether Bidirectional gives zeros at masked steps, or the output before them."""
        return not self.is_before(2, 2, 4) if self.is_tensorflows else not self.is_before(2, 4)


def load(model: Any, path: Path) -> None:
    """Give a built model the weights of a file; see `Model.load_weights`."""
    with open(path, "rb") as file:
        head = file.read(16)
    try:
        if head.startswith(keras_zip.SIGNATURE):
            assign_by_path(model, keras_zip.read(path)[2])
        elif head.startswith(b"{"):
            assign_by_path(model, keras_zip.read_shards(path))
        elif not head.startswith(hdf5.SIGNATURE):
            raise ValueError(f"it begins with {head[:8]!r}, expected weights of Keras: {_KINDS}")
        elif (legacy := keras_h5.read_weights(path)) is not None:
            assign_by_layer(model, legacy.layers, Source.of(legacy.version, legacy.backend))
        else:
            assign_by_path(model, keras_zip.read_weights(path))
    except ValueError as error:
        text = str(error)
        raise ValueError(text if text.startswith(str(path)) else f"{path}: {text}") from error


def refuse_checkpoints(path: Path) -> None:
    """Raise ValueError if a path is of a TensorFlow checkpoint or SavedModel."""
    index = path.with_name(path.name + ".index")
    if path.is_dir() or index.is_file() or path.suffix == ".index" or path.name == "checkpoint":
        raise ValueError(
            f"{path} is a checkpoint or SavedModel of TensorFlow, which only TensorFlow reads: "
            "load it there, then save the model to 'model.h5' or 'model.keras'"
        )


# Legacy files: a list of arrays for each layer


def assign_by_layer(
    model: Any, arrays: dict[str, list[Array]], source: Source, adopt: bool = False
) -> None:
    """Give a model's layers the arrays of a legacy file, all or none.

    Args:
        model: built.
        arrays: each layer's, by name, in the file's order. Names that differ do not matter if the
            layers with weights are as many.
        source: who wrote the file.
        adopt: whether the model may keep the arrays, which nobody else holds.

    Raises:
        ValueError: another number of layers, of arrays, or an array of another shape.
    """
    order = _keras2_order if source.is_before(3) else _keras3_order
    layers = _flattened(model) if source.is_before(2) else model.layers
    targets = {layer: weights for layer in layers if (weights := order(layer))}
    given = {name: values for name, values in arrays.items() if values}
    if {layer.name for layer in targets} == given.keys():
        pairs = [(layer, given[layer.name]) for layer in targets]
    elif len(targets) == len(given):
        pairs = list(zip(targets, given.values(), strict=True))
    else:
        raise ValueError(
            f"{len(given)} layers have weights in the file ({_some(given)}), "
            f"expected {len(targets)} ({_some(layer.name for layer in targets)})"
        )
    assign_layers([(layer, targets[layer], values) for layer, values in pairs], source, adopt)


def assign_layers(
    parts: list[tuple[Layer, list[Weight], list[Array]]], source: Source, adopt: bool = False
) -> None:
    """Give weights of layers arrays of a file's layout, all or none."""
    fitting = [
        (weights, layer._fitting(weights, _arranged(weights, values, source)))
        for layer, weights, values in parts
    ]
    for weights, arrays in fitting:
        assign(weights, arrays, adopt)


def order_of(layer: Layer, source: Source) -> list[Weight]:
    """Return a layer's weights in the order of Keras's `get_weights`."""
    return _keras2_order(layer) if source.is_before(3) else layer._walk_weights()


def _keras3_order(layer: Layer) -> list[Weight]:
    weights = layer._walk_weights()
    if layer.trainable:
        # A stable sort: those that Keras would train come first.
        weights.sort(key=lambda weight: not (weight.trainable and weight.owner.trainable))
    return weights


def _keras2_order(layer: Layer) -> list[Weight]:
    return [*layer._trainable(), *layer._non_trainable()]


def _flattened(model: Any) -> list[Layer]:
    """Return a model's layers as Keras 1 counts them: those of a chain in a chain one by one."""
    chain = type(model).__name__ == "Sequential"
    found: list[Layer] = []
    for layer in model.layers:
        found += _flattened(layer) if chain and hasattr(layer, "layers") else [layer]
    return found


def _some(names: Any) -> str:
    names = list(names)
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")


# Layouts of other versions, backends and devices


def _arranged(weights: list[Weight], arrays: list[Array], source: Source) -> list[Array]:
    """Return a file's arrays as the weights have them: as many, and laid out alike."""
    left = iter(arrays)
    found: list[Array] = []
    for owner, group in groupby(weights, key=lambda weight: weight.owner):
        count = len(list(group))
        layouts = [layout for kind, layout in _LAYOUTS if isinstance(owner, kind)]
        taken = list(islice(left, count))
        for layout in layouts:
            taken = layout(owner, taken, left, source)
        found += taken
    return [*found, *left]


def _of_gates(owner: Any, taken: list[Array], left: Iterator[Array], source: Source) -> list[Array]:
    """Join what Keras 1 has for each gate alone, W U b W U b …, into W U b."""
    gates = _KERAS1_GATES[type(owner)]
    alone = source.is_before(2) and len(taken) == 3 and taken[2].ndim == 1
    if not alone or taken[0].shape[-1] * len(gates) != owner._own_weights[0].value.shape[-1]:
        return taken
    arrays = [*taken, *islice(left, 3 * len(gates) - 3)]
    if len(arrays) < 3 * len(gates):
        return arrays
    return [
        np.concatenate([arrays[3 * gate + part] for gate in gates], axis=-1) for part in range(3)
    ]


# Where the gates are that this package has in this order: i f g o of i g f o, and z r h.
_KERAS1_GATES: dict[type[Any], tuple[int, ...]] = {
    LSTMCell: (0, 2, 1, 3),
    ConvLSTMCell: (0, 2, 1, 3),
    GRUCell: (0, 1, 2),
}


def _of_cudnn(owner: Any, taken: list[Array], left: Iterator[Array], source: Source) -> list[Array]:
    """Bring cuDNN's form, which shows by a bias twice as long, into that of Keras.

    Each gate's kernel is stored by columns, its recurrent kernel transposed. The two biases of an
    LSTM are added; a GRU keeps both.
    """
    if len(taken) != 3 or taken[2].shape != (2 * owner.gates * owner.units,):
        return taken
    kernel, recurrent_kernel, bias = taken
    return [
        np.hstack([k.T.reshape(k.shape, order="F") for k in np.hsplit(kernel, owner.gates)]),
        np.hstack([u.T for u in np.hsplit(recurrent_kernel, owner.gates)]),
        bias.reshape(2, -1).sum(axis=0) if isinstance(owner, LSTMCell) else bias.reshape(2, -1),
    ]


def _of_convolution(
    owner: Any, taken: list[Array], left: Iterator[Array], source: Source
) -> list[Array]:
    """Bring kernels of Keras 1, which all have two axes to convolve over, into today's form."""
    if not taken:
        return taken
    kernel, expected = taken[0], owner._own_weights[0].value.shape
    if source.is_before(2) and kernel.ndim == 4:
        filters_first = len(expected) == 4 and owner.data_format == "channels_first"
        if filters_first or kernel.shape[2:] != expected[-2:]:
            kernel = kernel.transpose(2, 3, 1, 0)
        kernel = kernel[:, 0] if len(expected) == 3 and kernel.shape[1] == 1 else kernel
    return [kernel, *taken[1:]]


def _of_theano(
    owner: Any, taken: list[Array], left: Iterator[Array], source: Source
) -> list[Array]:
    """Turn the kernels of Theano, which convolves backwards, around."""
    if source.backend != "theano":
        return taken
    return [np.flip(k, axis=tuple(range(k.ndim - 2))) if k.ndim > 2 else k for k in taken]


_Layout = Callable[[Any, list[Array], Iterator[Array], Source], list[Array]]
_LAYOUTS: tuple[tuple[Any, _Layout], ...] = (
    (tuple(_KERAS1_GATES), _of_gates),
    ((LSTMCell, GRUCell), _of_cudnn),
    (_Convolution, _of_convolution),
    ((_Convolution, ConvLSTMCell), _of_theano),
)


# Keras 3's files: arrays at the paths of attributes


def assign_by_path(model: Any, arrays: dict[str, Array], adopt: bool = False) -> None:
    """Give a model the arrays of a tree such as ``layers/lstm/cell/vars/0``, all or none.

    Raises:
        ValueError: a weight that the file lacks, or of another shape.
    """
    groups = {path[:end] for path in arrays for end, letter in enumerate(path) if letter == "/"}
    found = list(weights_by_path(model, groups))
    if any(path not in arrays for path, _ in found):
        # Keras 2.12 and 2.13 number a layer that has weights twice.
        twice = list(weights_by_path(model, groups, 2))
        found = twice if all(path in arrays for path, _ in twice) else found
    for path, weight in found:
        if path not in arrays:
            raise ValueError(f"layer {weight.owner.name!r} needs {path}, which is not in the file")
    parts = []
    for owner, group in groupby(found, key=lambda pair: pair[1].owner):
        paths, weights = zip(*group, strict=True)
        parts.append((owner, list(weights), [arrays[path] for path in paths]))
    assign_layers(parts, Source((3,)), adopt)
