"""PyTorch's modules in a row, as a chain of layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from rnn_core._input import Input
from rnn_core._layer import Layer
from rnn_core._layers.activation import Activation, Softmax
from rnn_core._layers.convolution import Conv1D
from rnn_core._layers.dense import Dense
from rnn_core._layers.embedding import Embedding
from rnn_core._layers.normalization import BatchNormalization, LayerNormalization
from rnn_core._layers.op import Operation
from rnn_core._layers.reshape import Flatten, Permute, ZeroPadding1D
from rnn_core._rnn import RNN
from rnn_core._sequential import Sequential
from rnn_core._typing import Array
from rnn_core.importers.torch_parts import EITHER, LAST, RECURRENT, Part, dtype_of
from rnn_core.importers.torch_recurrent import Recurrent, made


class Setting(NamedTuple):
    """What holds for all layers of a chain."""

    dtype: str
    channels_first: bool


Converter = Callable[[Part, Setting], list[Layer]]


def _weights(part: Part, *names: str) -> list[Array]:
    """Return a module's weights of these names, as far as it has them."""
    return [part.arrays[name] for name in names if name in part.arrays]


def _arguments(part: Part, setting: Setting) -> dict[str, Any]:
    return {"name": part.name or None, "dtype": setting.dtype}


def _recurrent(part: Part, setting: Setting) -> list[Layer]:
    return Recurrent(part, setting.dtype).for_chain()


def _embedding(part: Part, setting: Setting) -> list[Layer]:
    if part.options["max_norm"] is not None:
        raise ValueError(f"Embedding {part.name!r} has max_norm, expected None")
    (table,) = _weights(part, "weight")
    return [made(Embedding(*table.shape, **_arguments(part, setting)), (None, None), [table])]


def _linear(part: Part, setting: Setting) -> list[Layer]:
    kernel, *bias = _weights(part, "weight", "bias")
    layer = Dense(len(kernel), use_bias=bool(bias), **_arguments(part, setting))
    return [made(layer, (None, kernel.shape[1]), [kernel.T, *bias])]


def _layer_norm(part: Part, setting: Setting) -> list[Layer]:
    weights = _weights(part, "weight", "bias")
    shape = tuple(part.options["normalized_shape"] or weights[0].shape)
    layer = LayerNormalization(
        [*range(-len(shape), 0)] if len(shape) > 1 else -1,
        part.options["eps"],
        center="bias" in part.arrays,
        scale="weight" in part.arrays,
        **_arguments(part, setting),
    )
    return [made(layer, (None, *shape), weights)]


def _batch_norm(part: Part, setting: Setting) -> list[Layer]:
    weights = _weights(part, "weight", "bias", "running_mean", "running_var")
    if "running_mean" not in part.arrays:
        raise ValueError(f"BatchNorm1d {part.name!r} has no running_mean")
    layer = BatchNormalization(
        1 if setting.channels_first else -1,
        epsilon=part.options["eps"],
        center="bias" in part.arrays,
        scale="weight" in part.arrays,
        **_arguments(part, setting),
    )
    return [made(layer, (None, weights[-1].size), weights)]


def _conv(part: Part, setting: Setting) -> list[Layer]:
    kernel, *bias = _weights(part, "weight", "bias")
    filters, channels, window = kernel.shape
    stride, dilation = (int(np.ravel(part.options[key])[0]) for key in ("stride", "dilation"))
    padding, groups = part.options["padding"], int(part.options["groups"])
    if part.options["padding_mode"] != "zeros":
        raise ValueError(f"Conv1d {part.name!r} pads by {part.options['padding_mode']!r}")
    is_named = isinstance(padding, str)
    steps = 0 if is_named else int(np.ravel(padding)[0])
    # Layers that pad take the channels last.
    last = not setting.channels_first or steps > 0
    layer = Conv1D(
        *(filters, window, stride),
        padding if is_named else "valid",
        None if last else "channels_first",
        dilation,
        groups,
        use_bias=bool(bias),
        **_arguments(part, setting),
    )
    features = channels * groups
    shape = (None, None, features) if last else (None, features, None)
    convolution = made(layer, shape, [kernel.transpose(2, 1, 0), *bias])
    if not steps:
        return [convolution]
    padded = [ZeroPadding1D(steps, dtype=setting.dtype), convolution]
    if not setting.channels_first:
        return padded
    return [_swap(setting), *padded, _swap(setting)]


def _swap(setting: Setting) -> Layer:
    return Permute((2, 1), dtype=setting.dtype)


def _flatten(part: Part, setting: Setting) -> list[Layer]:
    axes = part.options["start_dim"], part.options["end_dim"]
    if axes != (1, -1):
        raise ValueError(f"Flatten {part.name!r} has dims {axes}, expected (1, -1)")
    return [Flatten(dtype=setting.dtype)]


def _dim(part: Part) -> int:
    if part.options["dim"] is None:
        raise ValueError(f"{part.kind} {part.name!r} has dim=None, expected a number")
    return int(part.options["dim"])


def _softmax(part: Part, setting: Setting) -> list[Layer]:
    return [Softmax(_dim(part), dtype=setting.dtype)]


def _log_softmax(part: Part, setting: Setting) -> list[Layer]:
    return [Operation("LogSoftmax", {"axis": _dim(part)}, dtype=setting.dtype)]


def _activation(name: str) -> Converter:
    return lambda part, setting: [Activation(name, dtype=setting.dtype)]


def _nothing(part: Part, setting: Setting) -> list[Layer]:
    return []


def _last(part: Part, setting: Setting) -> list[Layer]:
    return [Operation("Take", {"indices": -1, "axis": 1}, dtype=setting.dtype)]


_CONVERTERS: dict[str, Converter] = {
    **dict.fromkeys(RECURRENT, _recurrent),
    "Embedding": _embedding,
    "Linear": _linear,
    "LayerNorm": _layer_norm,
    "BatchNorm1d": _batch_norm,
    "Conv1d": _conv,
    "ReLU": _activation("relu"),
    "Tanh": _activation("tanh"),
    "Sigmoid": _activation("sigmoid"),
    "Softmax": _softmax,
    "LogSoftmax": _log_softmax,
    "Dropout": _nothing,
    "Identity": _nothing,
    "Flatten": _flatten,
    LAST: _last,
}


def chain(parts: Sequence[Part], channels_first: bool = False) -> Sequential:
    """Return a chain of modules.

    Args:
        parts: in order of application.
        channels_first: convolutions and batch normalization take ``(batch, channels, timesteps)``.

    Raises:
        ValueError: a module that no layer is like; one that does not take what comes before it.
    """
    setting = Setting(dtype_of(parts), channels_first)
    settled: list[Part] = []
    layers: list[Layer] = []
    features: int | None = None
    for index, each in enumerate(parts):
        part = _settled(each, parts[index + 1 :]) if not layers else each.as_kind("Linear")
        if part.kind not in _CONVERTERS:
            raise ValueError(
                f"{part} is of a kind that is not known, expected one of {', '.join(_CONVERTERS)}"
            )
        taken, given = part.features()
        # torch checks a Sequential's; channels that come first are not the features of the next.
        if not (channels_first or None in (taken, features) or taken == features):
            raise ValueError(f"{part} takes {taken} features, gets {features}")
        features = None if part.kind == "Flatten" else given or features
        settled.append(part)
        layers += _joined(layers, part, setting)
    if not layers:
        raise ValueError("there are no modules to make a chain of")
    model = Sequential([*_inputs(settled, channels_first), *layers], dtype=setting.dtype)
    if model.input_layers:
        model._ensure_built(model.input_layers[0].batch_shape)
    return model


def _settled(first: Part, following: Sequence[Part]) -> Part:
    """Return the first module of a chain as an embedding if it may be one, and fits the next."""
    if first.kind != EITHER:
        return first
    rows, columns = first.arrays["weight"].shape
    taken = next((n for n, _ in (part.features() for part in following) if n is not None), columns)
    return first.as_kind("Linear" if taken == rows != columns else "Embedding")


def _joined(layers: list[Layer], part: Part, setting: Setting) -> list[Layer]:
    """Return the layers to put after those there are."""
    if part.kind == LAST and layers and isinstance(layers[-1], RNN):
        # It need not write the others.
        layers[-1].return_sequences = False
        return []
    return _CONVERTERS[part.kind](part, setting)


def _inputs(parts: Sequence[Part], channels_first: bool) -> list[Any]:
    """Return what is known of the inputs' shape: ids, or the features of sequences."""
    kinds = {part.kind for part in parts}
    if not kinds & {*RECURRENT, "Conv1d"}:
        return []
    if "Embedding" in kinds:
        return [Input((None,))]
    taken = ((part.kind, part.features()[0]) for part in parts)
    kind, features = next((kind, n) for kind, n in taken if n is not None)
    if not channels_first:
        return [Input((None, features))]
    return [Input((features, None))] if kind == "Conv1d" else []
