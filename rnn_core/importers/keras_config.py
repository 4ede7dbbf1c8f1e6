"""Configs of all generations of Keras, in the terms of the newest."""

from __future__ import annotations

from typing import Any

from rnn_core._keras_weights import Source
from rnn_core._layers.op import Operation
from rnn_core._registry import LAYERS, custom_object
from rnn_core.importers.keras_functions import operation

# Classes of old, and what they are now.
_CLASSES = {
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "GRUV1": "GRU",
    "GRUV2": "GRU",
    "LSTMV1": "LSTM",
    "LSTMV2": "LSTM",
    "UnifiedGRU": "GRU",
    "UnifiedLSTM": "LSTM",
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "SeparableConvolution1D": "SeparableConv1D",
    "TimeDistributedDense": "Dense",
    "MaxPool1D": "MaxPooling1D",
    "AvgPool1D": "AveragePooling1D",
}
_MERGE_MODES = {
    "sum": "Add",
    "mul": "Multiply",
    "ave": "Average",
    "max": "Maximum",
    "concat": "Concatenate",
    "dot": "Dot",
}
_GRU = ("GRU", "GRUCell")
# When the gates' default activation changed from hard_sigmoid.
_SIGMOID_SINCE = {
    **dict.fromkeys((*_GRU, "LSTM", "LSTMCell"), (2, 3)),
    **dict.fromkeys(("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "ConvLSTMCell"), (3,)),
}
_MERGES = frozenset(["Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract"])
# Arguments of Keras 1: those of any layer, then those of some.
_RENAMED = {
    "W_constraint": "kernel_constraint",
    "W_regularizer": "kernel_regularizer",
    "U_constraint": "recurrent_constraint",
    "U_regularizer": "recurrent_regularizer",
    "b_constraint": "bias_constraint",
    "b_regularizer": "bias_regularizer",
    "bias": "use_bias",
    "border_mode": "padding",
    "dropout_U": "recurrent_dropout",
    "dropout_W": "dropout",
    "filter_length": "kernel_size",
    "init": "kernel_initializer",
    "inner_activation": "recurrent_activation",
    "inner_init": "recurrent_initializer",
    "nb_filter": "filters",
    "p": "rate",
    "pool_length": "pool_size",
    "sigma": "stddev",
    "stride": "strides",
    "subsample": "strides",
    "subsample_length": "strides",
    "atrous_rate": "dilation_rate",
}
_RENAMED_IN = {
    "Dense": {"output_dim": "units"},
    "Embedding": {
        "init": "embeddings_initializer",
        "W_constraint": "embeddings_constraint",
        "W_regularizer": "embeddings_regularizer",
    },
    "BatchNormalization": {"beta_init": "beta_initializer", "gamma_init": "gamma_initializer"},
    "PReLU": {"init": "alpha_initializer"},
    "UpSampling1D": {"length": "size"},
    "GRU": {"output_dim": "units"},
    "LSTM": {"output_dim": "units"},
    "SimpleRNN": {"output_dim": "units"},
}
# What says nothing today; Embedding's dropout was one of its own.
_DROPPED = ("input_dtype", "consume_less", "forget_bias_init")
_DROPPED_IN = {"Embedding": ("dropout",), "BatchNormalization": ("mode",)}
# The sides of a padding that is a dict.
_KERAS1_SIDES = {
    "ZeroPadding1D": ("left_pad", "right_pad"),
    "ZeroPadding2D": ("top_pad", "bottom_pad", "left_pad", "right_pad"),
}
_KERAS1_DATA_FORMATS = {"th": "channels_first", "tf": "channels_last"}

_INTEGERS = ("int", "uint", "bool", "string")
# Layers of text, of which a file holds tables of words rather than numbers.
_TEXT = ("StringLookup", "IntegerLookup", "TextVectorization", "Hashing", "Discretization")


def upgrade(config: Any, source: Source) -> Any:
    """Return a config with the names of today, and what its Keras meant by leaving things out.

    Raises:
        ValueError: something that no layer of today does.
    """
    if isinstance(config, list):
        return [upgrade(item, source) for item in config]
    if not isinstance(config, dict):
        return config
    config = {key: upgrade(value, source) for key, value in config.items()}
    inner, class_name = config.get("config"), config.get("class_name")
    if not isinstance(class_name, str):
        return config
    if isinstance(inner, list) and class_name == "Sequential":
        inner = {"layers": inner, "name": config.get("name")}
    if not isinstance(inner, dict):
        return config
    if custom_object(class_name, config.get("registered_name")) is not None:
        return config
    if class_name in ("TFOpLambda", "SlicingOpLambda"):
        return operation({**config, "config": inner})
    _check(class_name, inner)
    if source.is_before(2):
        class_name, inner = _from_keras1(class_name, inner)
    if source.is_before(3):
        class_name, inner = _from_keras2(class_name, inner, source)
    is_layer = not Operation.describes(config)
    if class_name in _MERGES and is_layer and source.is_before(3, 4):
        inner["keras_version"] = 2 if source.is_before(3) else 3.3
    if class_name in LAYERS and LAYERS[class_name]._keras3_arguments and not source.is_before(3):
        for node in config.get("inbound_nodes") or []:
            _heed_states(node)
    _supply(class_name, inner, config)
    return {**config, "class_name": class_name, "config": inner}


def _heed_states(node: Any) -> None:
    """Say of a recurrent layer's call that it has no mask, if it is given states and no mask.

    Keras 3 gives a layer its inputs' mask only where they are all the tensors it is called with.
    """
    if not isinstance(node, dict):
        return
    args, kwargs = node.get("args", []), node.get("kwargs", {})
    given = {**dict(zip(("inputs", "initial_state", "mask"), args, strict=False)), **kwargs}
    if given.get("initial_state") not in (None, []) and given.get("mask") is None:
        if len(args) > 2:
            args[2] = False
        else:
            node["kwargs"] = {**kwargs, "mask": False}


def _check(class_name: str, inner: dict[str, Any]) -> None:
    """Raise ValueError for what is known, and known not to run here."""
    name, policy = inner.get("name"), inner.get("dtype")
    kind = policy.get("class_name", "") if isinstance(policy, dict) else ""
    if "Quantized" in str(kind) or inner.get("quantization_config"):
        raise ValueError(f"layer {name!r} is quantized, expected weights of floating numbers")
    if class_name in _TEXT:
        raise ValueError(
            f"layer {name!r} is a {class_name!r}, a class that rnn_core does not have: "
            "prepare its outputs before, and save the model from there on"
        )


def _from_keras1(class_name: str, inner: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    name = inner.get("name")
    if class_name == "Merge":
        return _merge_of_keras1(inner)
    today = _CLASSES.get(class_name, class_name)
    if today == "BatchNormalization" and inner.get("mode") not in (None, 0):
        raise ValueError(f"layer {name!r} normalizes by mode {inner['mode']!r}, expected 0")
    renamed = {**_RENAMED, **_RENAMED_IN.get(today, {})}
    dropped = {*_DROPPED, *_DROPPED_IN.get(today, ())}
    inner = {renamed.get(key, key): value for key, value in inner.items() if key not in dropped}
    if "nb_row" in inner:
        inner["kernel_size"] = (inner.pop("nb_row"), inner.pop("nb_col"))
    if "dim_ordering" in inner:
        inner["data_format"] = _KERAS1_DATA_FORMATS.get(inner.pop("dim_ordering"))
    if today in _KERAS1_SIDES:
        inner["padding"] = _padding_of_keras1(today, inner.get("padding", 1))
    if today != "Embedding":
        # The shape of a first layer's inputs, which batch_input_shape says as well.
        for key in ("input_dim", "input_length"):
            if inner.get(key) is None or "batch_input_shape" in inner:
                inner.pop(key, None)
    return class_name, inner


def _padding_of_keras1(class_name: str, padding: Any) -> Any:
    """Return a padding of ``{side: number}`` or of all four sides as today's layers take it."""
    sides = _KERAS1_SIDES[class_name]
    if isinstance(padding, dict) and padding.keys() <= {*sides}:
        padding = [padding.get(side, 0) for side in sides]
    if isinstance(padding, list) and len(padding) == 4:
        return [padding[:2], padding[2:]]
    return padding


def _merge_of_keras1(inner: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    name, mode = inner.get("name"), inner.get("mode")
    if inner.get("mode_type", "raw") != "raw" or mode not in _MERGE_MODES or inner.get("layers"):
        raise ValueError(
            f"layer {name!r} merges by {mode!r}, expected one of {[*_MERGE_MODES]} in a graph"
        )
    arguments = {
        "concat": {"axis": inner.get("concat_axis", -1)},
        "dot": {"axes": inner.get("dot_axes", -1)},
    }
    return _MERGE_MODES[mode], {"name": name, "trainable": True, **arguments.get(mode, {})}


def _from_keras2(
    class_name: str, inner: dict[str, Any], source: Source
) -> tuple[str, dict[str, Any]]:
    class_name = _CLASSES.get(class_name, class_name)
    if class_name == "TimeDistributed":
        inner["keras_version"] = 2
    early = source.is_before(2, 4) and not source.is_tensorflows
    if early and class_name == "UpSampling2D" and inner.get("interpolation") == "bilinear":
        raise ValueError(
            f"layer {inner.get('name')!r} interpolates as Keras before 2.4 did, from corners: "
            "expected 'nearest', or a file of a newer Keras"
        )
    if class_name in _GRU:
        inner.setdefault("reset_after", False)
    if class_name in _SIGMOID_SINCE and source.is_before(*_SIGMOID_SINCE[class_name]):
        inner.setdefault("recurrent_activation", "hard_sigmoid")
    if class_name == "Bidirectional" and not source.zeroes_masked_steps:
        inner["zero_output_for_mask"] = False
    for key in ("activation", "recurrent_activation"):
        if _function_name(inner.get(key)) == "hard_sigmoid":
            inner[key] = "hard_sigmoid_legacy"
    return class_name, inner


def _function_name(activation: Any) -> Any:
    if isinstance(activation, dict) and activation.get("class_name") == "function":
        return activation.get("config")
    return activation


def _supply(class_name: str, inner: dict[str, Any], config: dict[str, Any]) -> None:
    """Fill in what other parts of the config say of a layer."""
    build = config.get("build_config")
    if class_name == "Sequential" and isinstance(build, dict) and build.get("input_shape"):
        inner.setdefault("build_input_shape", build["input_shape"])
    if class_name != "InputLayer" and str(inner.get("dtype")).startswith(_INTEGERS):
        # Reshapes of ids, and the like.
        del inner["dtype"]
    for key, value in inner.items():
        if key.endswith("_initializer") and isinstance(value, dict):
            made = custom_object(value.get("class_name"), value.get("registered_name"))
            inner[key] = value if made is None else made
