"""The functions that Keras cells call as ``K``, over NumPy arrays.

What NumPy has under the same name and with the same arguments is NumPy's own.

>>> from rnn_core import backend as K
>>> K.dot(K.ones((2, 3)), K.ones((3, 4))).shape
(2, 4)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import (
    abs,
    clip,
    cos,
    exp,
    eye,
    log,
    max,
    maximum,
    mean,
    min,
    minimum,
    ndim,
    ones_like,
    prod,
    reshape,
    round,
    sign,
    sin,
    sqrt,
    square,
    squeeze,
    stack,
    std,
    sum,
    tile,
    transpose,
    where,
    zeros_like,
)

from rnn_core import _activations
from rnn_core._typing import Array

elu = _activations.get("elu")
gelu = _activations.get("gelu")
hard_sigmoid = _activations.get("hard_sigmoid")
relu = _activations.get("relu")
sigmoid = _activations.get("sigmoid")
softplus = _activations.get("softplus")
softsign = _activations.get("softsign")
tanh = _activations.get("tanh")


def floatx() -> str:
    """Return the dtype of layers that say nothing else.

    >>> floatx()
    'float32'
    """
    return "float32"


def epsilon() -> float:
    """Return the small number that keeps divisions from zero.

    >>> epsilon()
    1e-07
    """
    return 1e-7


def zeros(shape: Any, dtype: Any = None) -> Array:
    """Return zeros of a shape such as ``(batch, units)``, in `floatx` if no dtype is given.

    >>> zeros((2,))
    array([0., 0.], dtype=float32)
    """
    return np.zeros(shape, dtype or floatx())


def ones(shape: Any, dtype: Any = None) -> Array:
    """Return ones of a shape such as ``(batch, units)``, in `floatx` if no dtype is given.

    >>> ones((2,))
    array([1., 1.], dtype=float32)
    """
    return np.ones(shape, dtype or floatx())


def dot(x: Any, y: Any) -> Array:
    """Return the product over the last axis of `x` and the last but one of `y`.

    Args:
        x: ``(..., features)``.
        y: ``(features, units)``, or ``(..., features, units)``.

    Returns ``(..., units)``.

    Raises:
        ValueError: other features in `y` than in `x`.

    >>> dot(np.ones((2, 5, 3)), np.ones((3, 4))).shape
    (2, 5, 4)
    """
    product: Array = np.dot(x, y)
    return product


def batch_dot(x: Any, y: Any) -> Array:
    """Return row by row the product ``(batch, n, m)`` of ``(batch, n, k)`` and ``(batch, k, m)``.

    >>> batch_dot(np.ones((7, 2, 3)), np.ones((7, 3, 4))).shape
    (7, 2, 4)
    """
    product: Array = np.matmul(x, y)
    return product


def bias_add(x: Any, bias: Any) -> Array:
    """Return `x` ``(..., units)`` plus `bias` ``(units,)``.

    >>> bias_add(np.zeros((1, 2)), [1.0, 2.0])
    array([[1., 2.]])
    """
    total: Array = np.add(x, bias)
    return total


def cast(x: Any, dtype: Any) -> Array:
    """Return `x`, of any shape, as an array of `dtype`.

    >>> cast([True, False], "float32")
    array([1., 0.], dtype=float32)
    """
    result: Array = np.asarray(x).astype(dtype, copy=False)
    return result


def concatenate(tensors: Any, axis: int = -1) -> Array:
    """Return arrays ``(batch, ..., units)`` joined along an axis, the last if not given.

    Raises:
        ValueError: arrays that differ on another axis.

    >>> concatenate([np.ones((2, 3)), np.ones((2, 4))]).shape
    (2, 7)
    """
    return np.concatenate(tensors, axis=axis)


def expand_dims(x: Any, axis: int = -1) -> Array:
    """Return `x` ``(batch, ...)`` with an axis of length 1 more, the last if not given.

    >>> expand_dims(np.ones((2, 3))).shape
    (2, 3, 1)
    """
    return np.expand_dims(x, axis)


def permute_dimensions(x: Any, pattern: Any) -> Array:
    """Return `x` ``(batch, ...)`` with its axes in the order of `pattern`.

    >>> permute_dimensions(np.ones((2, 3, 4)), (1, 0, 2)).shape
    (3, 2, 4)
    """
    return np.transpose(x, pattern)


def softmax(x: Any, axis: int = -1) -> Array:
    """Return exp(x) over its sum along an axis, the last of ``(batch, units)`` if not given.

    >>> softmax(np.zeros((1, 4)))
    array([[0.25, 0.25, 0.25, 0.25]])
    """
    moved = _activations.get("softmax")(np.moveaxis(np.asarray(x), axis, -1))
    result: Array = np.moveaxis(moved, -1, axis)
    return result


def int_shape(x: Any) -> tuple[int, ...]:
    """Return the shape of `x`, of an array or of a symbolic tensor.

    >>> int_shape(np.zeros((2, 3)))
    (2, 3)
    """
    return tuple(x.shape)


shape = int_shape

__all__ = [
    "abs",
    "batch_dot",
    "bias_add",
    "cast",
    "clip",
    "concatenate",
    "cos",
    "dot",
    "elu",
    "epsilon",
    "exp",
    "expand_dims",
    "eye",
    "floatx",
    "gelu",
    "hard_sigmoid",
    "int_shape",
    "log",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "ndim",
    "ones",
    "ones_like",
    "permute_dimensions",
    "prod",
    "relu",
    "reshape",
    "round",
    "shape",
    "sigmoid",
    "sign",
    "sin",
    "softmax",
    "softplus",
    "softsign",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "sum",
    "tanh",
    "tile",
    "transpose",
    "where",
    "zeros",
    "zeros_like",
]
