"""Keras 3's operations in NumPy, and the shapes of what they return."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np

from rnn_core import _activations
from rnn_core._layers.merge import broadcast
from rnn_core._typing import Array

Function = Callable[..., Any]
# Shapes are tuples with None for any length. An argument that is no tensor is itself.
Shape = tuple[Any, ...]

_MOST_PARTS = 1 << 16

# Shapes


def common(*shapes: Any, **_: Any) -> Shape:
    """Return the shape that all arguments broadcast to."""
    known = [shape if isinstance(shape, tuple) else np.shape(shape) for shape in shapes]
    axes = max(map(len, known))
    return tuple(reduce(broadcast, ((*(1,) * (axes - len(shape)), *shape) for shape in known)))


def same(shape: Shape, *_: Any, **__: Any) -> Shape:
    """Return the first argument's shape."""
    return shape


def reduced(shape: Shape, axis: Any = None, keepdims: bool = False, **_: Any) -> Shape:
    """Return a shape without some axes, or all."""
    axes = range(len(shape)) if axis is None else np.atleast_1d(axis)
    gone = {int(a) % len(shape) for a in axes}
    if keepdims:
        return tuple(1 if a in gone else n for a, n in enumerate(shape))
    return tuple(n for a, n in enumerate(shape) if a not in gone)


def viewed(function: Function) -> Function:
    """Return the shape of a function that only looks at its argument in another way.

    It is asked twice, with two lengths in place of those unknown: what differs is unknown.
    """

    def shape_of(shape: Shape, *args: Any, **arguments: Any) -> Shape:
        seen = [
            function(_of_shape([n if m is None else m for m in shape]), *args, **arguments).shape
            for n in (5, 7)
        ]
        return tuple(m if m == n else None for m, n in zip(*seen, strict=True))

    return shape_of


def _of_shape(shape: list[int]) -> Array:
    """Return an array of a shape that takes no memory."""
    return np.broadcast_to(np.float32(0), shape)


def _joined(shapes: list[Shape], axis: int = 0) -> Shape:
    lengths = [shape[axis] for shape in shapes]
    place = axis % len(shapes[0])
    total = None if None in lengths else sum(lengths)
    return (*shapes[0][:place], total, *shapes[0][place + 1 :])


def _stacked(shapes: list[Shape], axis: int = 0) -> Shape:
    shape = common(*shapes)
    place = axis % (len(shape) + 1)
    return (*shape[:place], len(shapes), *shape[place:])


def _resized(shape: Shape, axis: int, length: int | None) -> Shape:
    place = axis % len(shape)
    return (*shape[:place], length, *shape[place + 1 :])


def _check_count(count: int, length: int | None) -> None:
    """Raise ValueError for more parts than an axis has, or a graph should."""
    most = _MOST_PARTS if length is None else min(length, _MOST_PARTS)
    if not 0 < count <= most:
        raise ValueError(f"an axis of length {length} makes {count} parts, expected 1 to {most}")


def _split_shapes(shape: Shape, indices_or_sections: Any, axis: int = 0) -> list[Shape]:
    length = shape[axis]
    if isinstance(indices_or_sections, int):
        _check_count(indices_or_sections, length)
        part = None if length is None else length // indices_or_sections
        return [_resized(shape, axis, part)] * indices_or_sections
    ends = [0, *indices_or_sections, length]
    return [_resized(shape, axis, None if b is None else b - a) for a, b in pairwise(ends)]


def _unstacked_shapes(shape: Shape, num: int | None = None, axis: int = 0) -> list[Shape]:
    count = num or shape[axis]
    if count is None:
        raise ValueError(f"cannot unstack axis {axis} of {shape}, whose length is not known")
    _check_count(count, shape[axis])
    return [reduced(shape, axis)] * count


def _reshaped(shape: Shape, newshape: Any) -> Shape:
    new = tuple(None if n == -1 else n for n in newshape)
    if None in shape or new.count(None) != 1:
        return new
    known = math.prod(n for n in new if n is not None)
    return tuple(math.prod(shape) // known if n is None else n for n in new)


def _multiplied(a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False) -> Shape:
    a, b = (x if isinstance(x, tuple) else np.shape(x) for x in (a, b))
    a = (*a[:-2], a[-1], a[-2]) if transpose_a else a
    b = (*b[:-2], b[-1], b[-2]) if transpose_b else b
    if len(a) == 1 or len(b) == 1:
        return (*a[:-1], *b[:-2], *b[-1:]) if len(b) > 1 else a[:-1]
    return (*common(a[:-2], b[:-2]), a[-2], b[-1]) if len(a) + len(b) > 4 else (a[0], b[1])


def _dotted(a: Any, b: Any) -> Shape:
    a, b = (x if isinstance(x, tuple) else np.shape(x) for x in (a, b))
    return (*a[:-1], *b[:-2], *b[-1:]) if len(b) > 1 else a[:-1]


def _summed(*shapes: Any, subscripts: str) -> Shape:
    given, _, result = subscripts.replace(" ", "").partition("->")
    terms = given.split(",")
    if "..." in subscripts or "->" not in subscripts or len(terms) != len(shapes):
        raise ValueError(f"einsum is {subscripts!r}, expected a letter for each axis and '->'")
    length: dict[str, Any] = {}
    for term, shape in zip(terms, shapes, strict=True):
        axes = shape if isinstance(shape, tuple) else np.shape(shape)
        length.update((a, n) for a, n in zip(term, axes, strict=True) if n or a not in length)
    return tuple(length[letter] for letter in result)


def _repeated(shape: Shape, repeats: int, axis: int) -> Shape:
    return _resized(shape, axis, None if shape[axis] is None else shape[axis] * repeats)


def _tiled(shape: Shape, repeats: Any) -> Shape:
    counts = np.atleast_1d(repeats).tolist()
    axes = max(len(shape), len(counts))
    shape = (*(1,) * (axes - len(shape)), *shape)
    counts = [*(1,) * (axes - len(counts)), *counts]
    return tuple(None if n is None else n * c for n, c in zip(shape, counts, strict=True))


def _taken(shape: Shape, indices: Any, axis: int = 0) -> Shape:
    place = axis % len(shape)
    found = indices if isinstance(indices, tuple) else np.shape(indices)
    return (*shape[:place], *found, *shape[place + 1 :])


def _padded(shape: Shape, *_: Any, pad_width: Any, **__: Any) -> Shape:
    widths = np.broadcast_to(pad_width, (len(shape), 2)).sum(axis=1).tolist()
    return tuple(None if n is None else n + w for n, w in zip(shape, widths, strict=True))


# Functions


def _over_axes(function: Function) -> Function:
    def reduction(x: Any, axis: Any = None, keepdims: bool = False, **_: Any) -> Any:
        return function(x, axis=tuple(axis) if isinstance(axis, list) else axis, keepdims=keepdims)

    return reduction


def _of_scalars(function: Function) -> Function:
    """Take lists of numbers in the dtype of the tensors."""

    def elementwise(*xs: Any) -> Any:
        dtype = next((x.dtype for x in xs if isinstance(x, np.ndarray)), None)
        return function(*(np.asarray(x, dtype) if isinstance(x, list) else x for x in xs))

    return elementwise


def _matmul(a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False) -> Any:
    a = np.swapaxes(a, -1, -2) if transpose_a else a
    return np.matmul(a, np.swapaxes(b, -1, -2) if transpose_b else b)


def _named(name: str) -> Function:
    function = _activations.get(name)

    def activation(x: Any, dtype: Any = None, **parameters: Any) -> Any:
        return function(x, **parameters)

    return activation


def get_item(x: Array, key: Any) -> Array:
    """Return a part of an array, for a key of numbers, slices, None and ``...``, or a list."""
    keys = tuple(key) if isinstance(key, list) else (key,)
    if not all(k is None or k is ... or isinstance(k, (int, slice)) for k in keys):
        raise ValueError(f"a key of an array is {key!r}, expected numbers and slices")
    part: Array = np.asarray(x)[keys]
    return part


def _softmax(x: Array, axis: Any = -1) -> Array:
    axes = tuple(axis) if isinstance(axis, list) else axis
    shares = np.exp(x - x.max(axis=axes, keepdims=True))
    y: Array = shares / shares.sum(axis=axes, keepdims=True)
    return y


def _log_sum_exp(x: Array, axis: Any = None, keepdims: bool = False) -> Any:
    axes = tuple(axis) if isinstance(axis, list) else axis
    largest = x.max(axis=axes, keepdims=True)
    y = np.log(np.exp(x - largest).sum(axis=axes, keepdims=True)) + largest
    return y if keepdims else np.squeeze(y, axis=axes)


def _norm(x: Array, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    if ord not in (None, 2, "euclidean", "fro"):
        return np.linalg.norm(x, ord=ord, axis=axis, keepdims=bool(keepdims))
    axes = tuple(axis) if isinstance(axis, list) else axis
    return np.sqrt(np.square(x).sum(axis=axes, keepdims=bool(keepdims)))


def _normalize(x: Array, axis: int = -1, order: int = 2, epsilon: float | None = None) -> Array:
    if order != 2:
        raise ValueError(f"normalize has order {order}, expected 2")
    square = np.square(x).sum(axis=axis, keepdims=True)
    y: Array = x / np.sqrt(np.maximum(square, x.dtype.type(1e-12 if not epsilon else epsilon**2)))
    return y


def _one_hot(
    x: Array, num_classes: int, axis: int = -1, dtype: Any = None, sparse: bool = False
) -> Array:
    hot = np.asarray(x)[..., None] == np.arange(num_classes)
    return np.moveaxis(hot.astype(np.float32), -1, axis)


def _one_hot_shape(shape: Shape, num_classes: int, axis: int = -1, **_: Any) -> Shape:
    place = axis % (len(shape) + 1)
    return (*shape[:place], num_classes, *shape[place:])


_NUMBERS = ("bool", "int8", "uint8", "int16", "int32", "int64", "float32", "float64")


def _cast(x: Any, dtype: str) -> Array:
    dtype = {"float16": "float32", "bfloat16": "float32"}.get(dtype, dtype)
    if dtype not in _NUMBERS:
        raise ValueError(f"cast to {dtype!r}, expected one of {_NUMBERS}")
    return np.asarray(x).astype(dtype)


def _unstack(x: Array, num: int | None = None, axis: int = 0) -> list[Array]:
    return [np.take(x, index, axis=axis) for index in range(x.shape[axis])]


def _top_k(x: Array, k: int, sorted: bool = True) -> list[Array]:
    places = np.argsort(-x, axis=-1, kind="stable")[..., :k]
    return [np.take_along_axis(x, places, axis=-1), places]


def _pad(x: Array, *values: Any, pad_width: Any, mode: str = "constant") -> Array:
    fill = {"constant_values": values[0] or 0} if mode == "constant" and values else {}
    return np.pad(x, pad_width, mode=mode, **fill)  # type: ignore[call-overload,no-any-return]


def _gelu(x: Array, approximate: bool = True) -> Array:
    if not approximate:
        return _activations.get("gelu")(x)  # type: ignore[no-any-return]
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    y: Array = 0.5 * x * (1 + np.tanh(inner))
    return y


def _leaky_relu(x: Array, negative_slope: float = 0.2) -> Array:
    return np.where(x < 0, x * x.dtype.type(negative_slope), x)


def _elu(x: Array, alpha: float = 1.0) -> Array:
    return np.where(x > 0, x, x.dtype.type(alpha) * np.expm1(np.minimum(x, 0)))


def _glu_shape(shape: Shape, axis: int = -1) -> Shape:
    return _resized(shape, axis, None if shape[axis] is None else shape[axis] // 2)


def _glu(x: Array, axis: int = -1) -> Array:
    a, b = np.split(x, 2, axis=axis)
    y: Array = a * _activations.get("sigmoid")(b)
    return y


def _itself(x: Any, **_: Any) -> Any:
    return x


_UNARY = "ceil cos exp expm1 floor log log1p log2 log10 isfinite isinf isnan sign sin sqrt tan tanh"
_ELEMENTWISE: dict[str, Function] = {
    "Absolute": np.abs,
    "Abs": np.abs,
    "Add": np.add,
    "Divide": np.true_divide,
    "Equal": np.equal,
    "FloorDivide": np.floor_divide,
    "Greater": np.greater,
    "GreaterEqual": np.greater_equal,
    "Less": np.less,
    "LessEqual": np.less_equal,
    "LogicalAnd": np.logical_and,
    "LogicalNot": np.logical_not,
    "LogicalOr": np.logical_or,
    "LogicalXor": np.logical_xor,
    "Maximum": np.maximum,
    "Minimum": np.minimum,
    "Mod": np.mod,
    "Multiply": np.multiply,
    "Negative": np.negative,
    "NotEqual": np.not_equal,
    "Power": np.power,
    "Reciprocal": np.reciprocal,
    "Rsqrt": lambda x: 1 / np.sqrt(x),
    "Square": np.square,
    "SquaredDifference": lambda x, y: np.square(x - y),
    "Subtract": np.subtract,
    "TrueDivide": np.true_divide,
    "Where": np.where,
    **{name.capitalize(): getattr(np, name) for name in _UNARY.split()},
}
_ACTIVATIONS = {
    "Celu": "celu",
    "HardShrink": "hard_shrink",
    "HardSigmoid": "hard_sigmoid",
    "HardSilu": "hard_silu",
    "HardTanh": "hard_tanh",
    "LogSigmoid": "log_sigmoid",
    "LogSoftmax": "log_softmax",
    "Relu": "relu",
    "Relu6": "relu6",
    "Selu": "selu",
    "Sigmoid": "sigmoid",
    "Silu": "silu",
    "SoftShrink": "soft_shrink",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Sparsemax": "sparsemax",
    "SparsePlus": "sparse_plus",
    "SparseSigmoid": "sparse_sigmoid",
    "Squareplus": "squareplus",
    "TanhShrink": "tanh_shrink",
}
_REDUCTIONS: dict[str, Function] = {
    "All": np.all,
    "Amax": np.max,
    "Amin": np.min,
    "Any": np.any,
    "Max": np.max,
    "Mean": np.mean,
    "Median": np.median,
    "Min": np.min,
    "Prod": np.prod,
    "Std": np.std,
    "Sum": np.sum,
    "Var": np.var,
}
_VIEWS: dict[str, Function] = {
    "ExpandDims": np.expand_dims,
    "Flip": lambda x, axis=None: np.flip(x, tuple(axis) if isinstance(axis, list) else axis),
    "GetItem": get_item,
    "Moveaxis": np.moveaxis,
    "Squeeze": lambda x, axis=None: np.squeeze(x, tuple(axis) if isinstance(axis, list) else axis),
    "Swapaxes": np.swapaxes,
    "Transpose": np.transpose,
}
# What each computes, and its outcome's shape.
OPERATIONS: dict[str, tuple[Function, Function]] = {
    **{name: (_of_scalars(function), common) for name, function in _ELEMENTWISE.items()},
    **{name: (_named(activation), same) for name, activation in _ACTIVATIONS.items()},
    **{name: (_over_axes(function), reduced) for name, function in _REDUCTIONS.items()},
    **{name: (function, viewed(function)) for name, function in _VIEWS.items()},
    "Argmax": (_over_axes(np.argmax), reduced),
    "Argmin": (_over_axes(np.argmin), reduced),
    "BroadcastTo": (np.broadcast_to, lambda _, shape: tuple(shape)),
    "Cast": (_cast, same),
    "Clip": (lambda x, x_min, x_max: np.clip(x, x_min, x_max), same),
    "Concatenate": (np.concatenate, _joined),
    "ConvertToTensor": (_itself, same),
    "Cumprod": (lambda x, axis=None, dtype=None: np.cumprod(x, axis), same),
    "Cumsum": (lambda x, axis=None, dtype=None: np.cumsum(x, axis), same),
    "Dot": (np.dot, _dotted),
    "Einsum": (lambda *xs, subscripts: np.einsum(subscripts, *xs, optimize=True), _summed),
    "Elu": (_elu, same),
    "Gelu": (_gelu, same),
    "Glu": (_glu, _glu_shape),
    "LeakyRelu": (_leaky_relu, same),
    "Logsumexp": (_log_sum_exp, reduced),
    "Matmul": (_matmul, _multiplied),
    "Norm": (_norm, reduced),
    "Normalize": (_normalize, same),
    "OneHot": (_one_hot, _one_hot_shape),
    "OnesLike": (lambda x, **_: np.ones_like(x), same),
    "Pad": (_pad, _padded),
    "Repeat": (lambda x, repeats, axis: np.repeat(x, repeats, axis), _repeated),
    "Reshape": (lambda x, newshape: np.reshape(x, newshape), _reshaped),
    "Roll": (np.roll, same),
    "Softmax": (_softmax, same),
    "Split": (np.split, _split_shapes),
    "Stack": (np.stack, _stacked),
    "StopGradient": (_itself, same),
    "Take": (lambda x, indices, axis=None: np.take(x, np.asarray(indices), axis), _taken),
    "Tile": (lambda x, repeats: np.tile(x, repeats), _tiled),
    "TopK": (_top_k, lambda shape, k, **_: [(*shape[:-1], k)] * 2),
    "Unstack": (_unstack, _unstacked_shapes),
    "ZerosLike": (lambda x, **_: np.zeros_like(x), same),
}
