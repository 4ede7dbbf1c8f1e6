"""This package's configs to what Keras 3 takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnn_core import _initializers
from rnn_core._graph import Node, SymbolicTensor
from rnn_core._layer import Layer
from rnn_core._nest import flatten
from rnn_core._registry import LAYERS
from rnn_core._signatures import takes
from rnn_core._typing import Array
from rnn_core._weights import Weight

# Its function is another than the hard_sigmoid of Keras 3.
LEGACY = "hard_sigmoid_legacy"
# Arguments that Keras 3 does not have, and what it does without them; any value if None.
_UNKNOWN = {
    "time_major": False,
    "num_constants": 0,
    "rms_scaling": False,
    "implementation": None,
    "keras_version": None,
    "batch_input_shape": None,
}
_UNKNOWN_TO: dict[str, dict[str, Any]] = {
    "Bidirectional": {"zero_output_for_mask": True},
    "AdditiveAttention": {"causal": False},
    "Attention": {"causal": False},
    "SimpleRNN": {"seed": None},
    "SimpleRNNCell": {"seed": None},
    "SpatialDropout1D": {"trainable": None},
    "SpatialDropout2D": {"trainable": None},
    "Matmul": {"transpose_a": False, "transpose_b": False},
}
# Values that its arguments cannot have. An LSTM's activation acts on c too, so that no weights
# would make up for another.
_LSTMS = ("LSTM", "LSTMCell", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
_IMPOSSIBLE = (
    *((name, "activation", LEGACY) for name in ("Activation", *_LSTMS)),
    ("DepthwiseConv1D", "padding", "causal"),
    ("SeparableConv1D", "padding", "causal"),
)
_ABSENT = ("ThresholdedReLU", "ConvLSTMCell", "SquaredDifference")
# Where Keras 3 has its classes, if not with the layers.
_MODULES = {
    "Sequential": "keras",
    "Functional": "keras.src.models.functional",
    **dict.fromkeys(_initializers.NAMES, "keras.initializers"),
}
# And its operations, if not with those of NumPy.
_OPERATIONS = {
    "core": "Cast ConvertToTensor StopGradient Unstack",
    "linalg": "Norm",
    "math": "Logsumexp Rsqrt TopK",
    "nn": (
        "Celu Elu Gelu Glu HardShrink HardSigmoid HardSilu HardTanh LeakyRelu LogSigmoid "
        "LogSoftmax Normalize OneHot Relu Relu6 Selu Sigmoid Silu SoftShrink Softmax Softplus "
        "Softsign SparsePlus SparseSigmoid Sparsemax Squareplus TanhShrink"
    ),
}
_OPERATION_MODULES = {
    name: module for module, names in _OPERATIONS.items() for name in names.split()
}


def to_keras3(part: Any) -> Any:
    """Return a config as Keras 3 would have written it.

    Raises:
        ValueError: it has something that Keras 3 lacks.
    """
    if isinstance(part, (list, tuple)):
        return [to_keras3(item) for item in part]
    if not isinstance(part, dict):
        return part
    if "class_name" not in part or "config" not in part or part["class_name"][:2] == "__":
        return {key: to_keras3(value) for key, value in part.items()}
    class_name, config = part["class_name"], part["config"]
    kind = config["function"] if class_name == "Operation" else class_name
    if kind in _ABSENT:
        raise _absent(config["name"], f"is a {kind}")
    rest = {k: to_keras3(v) for k, v in part.items() if k not in ("class_name", "config")}
    for node in rest.get("inbound_nodes", []):
        # A mask that is kept from a call: Keras 3 does so by itself.
        if node["kwargs"].get("mask") is False:
            del node["kwargs"]["mask"]
    if class_name == "Operation":
        return {**_operation(config), **rest}
    known = class_name in LAYERS or class_name in _MODULES
    return {
        "module": _MODULES.get(class_name, "keras.layers") if known else None,
        "class_name": class_name,
        "config": _arguments(class_name, config) if known else to_keras3(config),
        # Keras finds a class of the user's by this name among its custom objects.
        "registered_name": None if known else class_name,
        **rest,
    }


def _arguments(class_name: str, config: dict[str, Any]) -> dict[str, Any]:
    kept = {}
    unknown = _UNKNOWN | _UNKNOWN_TO.get(class_name, {})
    for key, value in config.items():
        other = unknown.get(key) is not None and value != unknown[key]
        if other or (class_name, key, value) in _IMPOSSIBLE:
            raise _absent(config.get("name", class_name), f"has {key}={value!r}")
        if key not in unknown:
            kept[key] = "hard_sigmoid" if value == LEGACY else to_keras3(value)
    return kept


def _operation(config: dict[str, Any]) -> dict[str, Any]:
    function = config["function"]
    return {
        "module": f"keras.src.ops.{_OPERATION_MODULES.get(function, 'numpy')}",
        "class_name": function,
        "config": {"name": config["name"], **_arguments(function, config["arguments"])},
        "registered_name": function,
    }


def _absent(name: str, what: str) -> ValueError:
    return ValueError(f"layer {name!r} {what}, which Keras 3 does not have: save as .safetensors")


def without_masks(part: Any) -> Any:
    """Return a config without what says how layers treat masked steps."""
    if isinstance(part, (list, tuple)):
        return [without_masks(item) for item in part]
    if not isinstance(part, dict):
        return part
    kept = {key: value for key, value in part.items() if key != "zero_output_for_mask"}
    return {key: without_masks(value) for key, value in kept.items()}


def makes_mask(layer: Any) -> bool:
    """Return whether a layer makes a mask, as far as can be known."""
    makes = getattr(layer, "mask_zero", False) or isinstance(layer, LAYERS["Masking"])
    return bool(makes or layer._is_users)


def check_masks(nodes: Sequence[Node]) -> None:
    """Raise ValueError for a mask that goes into a layer of itself where Keras 3 has another.

    It has none where the layer is called with states too. One of several masks it makes by
    operations that become part of the graph: they change the order of its layers, by which it finds
    their weights, and Keras 2 makes another mask. In a graph of Keras 3 they stand there, and
    layers are given their outcome.
    """
    # For each tensor with a mask, whether that is one made of several.
    joined: dict[SymbolicTensor, bool] = {}
    for node in nodes:
        layer, tensors = node.layer, flatten(node.inputs)
        inputs = [tensor for tensor in tensors if tensor in joined]
        mask = node.kwargs.get("mask")
        given = mask is not None and mask is not False
        uses_mask = takes(layer.call, "mask") and mask is None
        if uses_mask and inputs and node.kwargs.get("initial_state") is not None:
            raise ValueError(
                f"layer {layer.name!r} has initial states and a mask that comes with its inputs, "
                "which Keras 3 does not use then: save as .safetensors"
            )
        if uses_mask and any(joined[tensor] for tensor in inputs):
            raise ValueError(
                f"layer {layer.name!r} has a mask that a layer below makes of several, which does "
                "not fit into a file of Keras 3: save as .safetensors"
            )
        passes = layer.supports_masking and getattr(layer, "return_sequences", True)
        passes = passes and not _drops_masks(layer, len(inputs), len(tensors))
        if makes_mask(layer) or (passes and (inputs or given)):
            joins = _joins_masks(layer, len(inputs))
            joins = joins or any(joined[tensor] for tensor in inputs)
            joined.update(dict.fromkeys(flatten(node.outputs), joins and not given))


def _drops_masks(layer: Layer, masks: int, inputs: int) -> bool:
    """Return whether a layer gives no mask because not all its inputs have one."""
    version = getattr(layer, "keras_version", None)
    return version == 3 and masks < inputs and not isinstance(layer, LAYERS["Concatenate"])


def _joins_masks(layer: Layer, masks: int) -> bool:
    """Return whether a layer makes a mask of those that its inputs have."""
    version = getattr(layer, "keras_version", None)
    if version == 3 and isinstance(layer, LAYERS["TimeDistributed"]):
        return False
    return version is not None and masks > 0


def to_keras3_weight(weight: Weight) -> Array:
    """Return a weight's values as Keras 3 needs them.

    Keras 2's hard_sigmoid clips 0.2 x + 0.5, Keras 3's clips x / 6 + 0.5: so the first of x is the
    second of 1.2 x, and the factor goes into the columns of the gates that it acts on.
    """
    owner: Any = weight.owner
    acts, gates = (_is_legacy(owner, "activation"), _is_legacy(owner, "recurrent_activation"))
    if not acts and not gates:
        return weight.value
    of_gates = {1: [acts], 3: [gates, gates, acts], 4: [gates, gates, acts, gates]}
    legacy = np.array(of_gates[getattr(owner, "gates", 4 if gates else 1)])
    factors = np.where(legacy, 1.2, 1).astype(weight.value.dtype)
    scaled: Array = weight.value * np.repeat(factors, weight.value.shape[-1] // len(legacy))
    return scaled


def _is_legacy(owner: Any, activation: str) -> bool:
    return getattr(getattr(owner, activation, None), "name", None) == LEGACY
