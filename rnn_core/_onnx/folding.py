"""Which nodes of constants are computed at load: those whose result has a bound known before."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rnn_core._onnx import elementwise
from rnn_core._onnx.graph import Node
from rnn_core._onnx.shape import numbers
from rnn_core._typing import Array

Bound = Callable[..., int]
# Values may become 8 bytes each, and functions have arrays of their own beside the result.
_WIDEST, _AT_ONCE = 8, 4
# More than any budget.
_UNKNOWN = 1 << 62


def _whole(*inputs: Array, **attributes: Any) -> int:
    """Bound of what is at most all inputs, in their dtypes."""
    return sum(x.nbytes for x in inputs)


def _values(count: float) -> int:
    return _WIDEST * _AT_ONCE * int(min(max(count, 0), _UNKNOWN))


def _widened(*inputs: Array, **attributes: Any) -> int:
    """Bound of what has at most as many values as the inputs."""
    return _values(sum(x.size for x in inputs))


def _broadcast(*inputs: Array, **attributes: Any) -> int:
    return _values(math.prod(np.broadcast_shapes(*(x.shape for x in inputs))))


def _filled(shape: Array, **attributes: Any) -> int:
    return _values(abs(math.prod(numbers(shape) or ())))


def _expanded(x: Array, shape: Array, **attributes: Any) -> int:
    return _values(x.size) + _filled(shape)


def _tiled(x: Array, repeats: Array, axis: Array | None = None, **attributes: Any) -> int:
    return _values(x.size * abs(math.prod(numbers(repeats) or ())))


def _gathered(x: Array, indices: Array, axis: int = 0, **attributes: Any) -> int:
    return _values(indices.size * (x.size // max(x.shape[axis], 1)))


def _ranged(start: Array, limit: Array, delta: Array, **attributes: Any) -> int:
    first, end, step = (float(value.reshape(-1)[0]) for value in (start, limit, delta))
    return _values((end - first) / step + 1) if step else _UNKNOWN


_BOUNDS: dict[str, Bound] = {
    **dict.fromkeys(elementwise.OPERATORS, _broadcast),
    **dict.fromkeys(
        [
            "Concat",
            "Flatten",
            "Identity",
            "Reshape",
            "Shape",
            "Size",
            "Slice",
            "Split",
            "Squeeze",
            "Transpose",
            "Unsqueeze",
        ],
        _whole,
    ),
    **dict.fromkeys(
        [
            "Cast",
            "CastLike",
            "DequantizeLinear",
            "QuantizeLinear",
            "ReduceMax",
            "ReduceMean",
            "ReduceMin",
            "ReduceProd",
            "ReduceSum",
            "Trilu",
        ],
        _widened,
    ),
    "ConstantOfShape": _filled,
    "Expand": _expanded,
    "Gather": _gathered,
    "Range": _ranged,
    "Tile": _tiled,
}


def bound_of(node: Node, inputs: Sequence[Array | None]) -> int:
    """Return the bytes that computing a node takes at most; very many if that is not known."""
    if node.kind not in _BOUNDS:
        return _UNKNOWN
    try:
        given = [x for x in inputs if x is not None]
        return _BOUNDS[node.kind](*given, **node.attributes)
    except (ValueError, TypeError, IndexError, ArithmeticError):
        return _UNKNOWN
