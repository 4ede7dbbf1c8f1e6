"""TensorFlow's functions in graphs of Keras 2.4 to 2.15, as the operations of Keras 3."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

# A function, the operation it is, the arguments that are tensors, and the names of the others:
# "old>new", or one name if they are the same.
_TABLE = """
__operators__.add, math.add, add | Add | y
__operators__.getitem | GetItem | slice_spec
math.subtract, subtract | Subtract | y
math.multiply, multiply | Multiply | y
math.truediv, math.divide, truediv, divide | TrueDivide | y
math.floordiv | FloorDivide | y
math.floormod, math.mod | Mod | y
math.pow, pow | Power | y
math.maximum, maximum | Maximum | y
math.minimum, minimum | Minimum | y
math.squared_difference | SquaredDifference | y
math.equal, __operators__.eq, equal | Equal | y
math.not_equal, __operators__.ne, not_equal | NotEqual | y
math.greater, greater | Greater | y
math.greater_equal, greater_equal | GreaterEqual | y
math.less, less | Less | y
math.less_equal, less_equal | LessEqual | y
math.logical_and, logical_and, __operators__.logical_and | LogicalAnd | y
math.logical_or, logical_or, __operators__.logical_or | LogicalOr | y
math.logical_xor | LogicalXor | y
math.logical_not, logical_not, __operators__.logical_not | LogicalNot
where, compat.v1.where | Where | x y
math.abs, abs | Absolute
math.negative, negative | Negative
math.exp, exp | Exp
math.expm1 | Expm1
math.log | Log
math.log1p | Log1p
math.sqrt, sqrt | Sqrt
math.rsqrt | Rsqrt
math.square, square | Square
math.sin, sin | Sin
math.cos, cos | Cos
math.sign, sign | Sign
math.floor, floor | Floor
math.ceil | Ceil
math.reciprocal | Reciprocal
math.tanh, tanh, nn.tanh | Tanh
math.sigmoid, sigmoid, nn.sigmoid | Sigmoid
math.softplus, nn.softplus | Softplus
nn.relu | Relu
nn.relu6 | Relu6
nn.elu | Elu
nn.selu | Selu
nn.silu, nn.swish | Silu
nn.softsign, math.softsign | Softsign
nn.leaky_relu | LeakyRelu | | alpha>negative_slope
nn.gelu | Gelu | | approximate
nn.softmax | Softmax | | axis
nn.log_softmax | LogSoftmax | | axis
math.reduce_sum, reduce_sum | Sum | | axis keepdims
math.reduce_mean, reduce_mean | Mean | | axis keepdims
math.reduce_max, reduce_max | Max | | axis keepdims
math.reduce_min, reduce_min | Min | | axis keepdims
math.reduce_prod, reduce_prod | Prod | | axis keepdims
math.reduce_any, reduce_any | Any | | axis keepdims
math.reduce_all, reduce_all | All | | axis keepdims
math.reduce_std | Std | | axis keepdims
math.reduce_variance | Var | | axis keepdims
math.reduce_logsumexp, reduce_logsumexp | Logsumexp | | axis keepdims
math.argmax, argmax, compat.v1.argmax | Argmax | | axis
math.argmin, argmin, compat.v1.argmin | Argmin | | axis
math.cumsum, cumsum | Cumsum | | axis
math.l2_normalize, nn.l2_normalize | Normalize | | axis
math.top_k, nn.top_k | TopK | | k
compat.v1.norm, norm, linalg.norm | Norm | | ord axis keepdims
reshape | Reshape | | shape>newshape
transpose, compat.v1.transpose | Transpose | | perm>axes
expand_dims, compat.v1.expand_dims | ExpandDims | | axis
squeeze, compat.v1.squeeze | Squeeze | | axis
stack | Stack | | axis
concat | Concatenate | | axis
unstack | Unstack | | num axis
split | Split | | num_or_size_splits>indices_or_sections axis
tile, compat.v1.tile | Tile | | multiples>repeats
repeat | Repeat | | repeats axis
reverse | Flip | | axis
roll | Roll | | shift axis
pad, compat.v1.pad | Pad | constant_values | paddings>pad_width
gather, compat.v1.gather | Take | indices | axis
linalg.matmul, matmul | Matmul | b | transpose_a transpose_b
cast | Cast | | dtype
one_hot | OneHot | | depth>num_classes axis
clip_by_value | Clip | | clip_value_min>x_min clip_value_max>x_max
zeros_like, compat.v1.zeros_like | ZerosLike
ones_like, compat.v1.ones_like | OnesLike
identity, compat.v1.identity | ConvertToTensor
convert_to_tensor | ConvertToTensor
stop_gradient | StopGradient
"""
# What Keras 3 takes if an argument is left out, where it is not None.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "Argmax": {"axis": 0},
    "Argmin": {"axis": 0},
    "Concatenate": {"axis": 0},
    "Cumsum": {"axis": 0},
    "Gelu": {"approximate": False},
    "Take": {"axis": 0},
    "TopK": {"k": 1},
}
# Arguments without effect here, and values that change nothing.
_NO_EFFECT = ("name", "conjugate", "validate_indices", "out_type", "output_type", "dtype_hint")
_NOTHING = (None, False, 0, "CONSTANT", "constant")


def _rows() -> dict[str, tuple[str, list[str], dict[str, str]]]:
    rows = {}
    for line in _TABLE.strip().splitlines():
        functions, operation, *rest = (part.strip() for part in line.split("|"))
        tensors, arguments = [*rest, "", ""][:2]
        pairs = [name.split(">") for name in arguments.split()]
        names = {old: new[0] if new else old for old, *new in pairs}
        for function in functions.split(", "):
            rows[function] = operation, tensors.split(), names
    return rows


_FUNCTIONS = _rows()


def operation(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the entry of a TFOpLambda or SlicingOpLambda in a graph as one of an operation.

    Raises:
        ValueError: a function or an argument that no operation here has.
    """
    config = entry["config"]
    name, function = config.get("name"), config.get("function")
    if function not in _FUNCTIONS:
        raise ValueError(f"node {name!r} calls tf.{function}, which rnn_core does not have")
    kind, tensors, names = _FUNCTIONS[function]
    nodes = [_parts(node) for node in entry.get("inbound_nodes", [])]
    arguments: dict[str, Any] = dict(_DEFAULTS.get(kind, {}))
    for _, given in nodes[:1]:
        for key, value in given.items():
            if key in names:
                arguments[names[key]] = value
            elif key not in (*tensors, *_NO_EFFECT) and value not in _NOTHING:
                raise ValueError(
                    f"node {name!r} calls tf.{function} with {key}={value!r}, "
                    "which rnn_core does not have"
                )
    if kind == "Split" and isinstance(arguments.get("indices_or_sections"), list):
        # TensorFlow has sizes, NumPy places.
        arguments["indices_or_sections"] = [*accumulate(arguments["indices_or_sections"])][:-1]
    calls = [
        {"args": [first, *(given[t] for t in tensors if t in given)], "kwargs": {}}
        for first, given in nodes
    ]
    return {
        **entry,
        "module": "keras.src.ops",
        "class_name": kind,
        "config": {"name": name, **arguments},
        "inbound_nodes": calls,
    }


def _parts(node: Any) -> tuple[Any, dict[str, Any]]:
    """Return the first argument of a call, and the others by name."""
    several = bool(node) and isinstance(node[0], list)
    entries = node if several else [node]
    given = entries[0][3] if len(entries[0]) > 3 else {}
    firsts = [_value(entry[:3]) for entry in entries]
    return firsts if several else firsts[0], {key: _value(v) for key, v in given.items()}


def _value(value: Any) -> Any:
    """Return an argument as Keras 3 writes it."""
    if isinstance(value, dict) and {"start", "stop", "step"} <= value.keys():
        return {"class_name": "__slice__", "config": value}
    if not isinstance(value, list):
        return value
    if len(value) == 3 and isinstance(value[0], str) and isinstance(value[1], int):
        if value[0] == "_CONSTANT_VALUE":
            return value[2]
        return {"class_name": "__keras_tensor__", "config": {"keras_history": value}}
    return [_value(item) for item in value]
