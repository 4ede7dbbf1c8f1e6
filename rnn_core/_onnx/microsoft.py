"""Operators of the domain com.microsoft, which ONNX Runtime makes; for its LSTM see `recurrent`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rnn_core._onnx.elementwise import gelu
from rnn_core._onnx.normalization import layer_normalization
from rnn_core._onnx.product import matmul
from rnn_core._onnx.quantization import dynamic_quantize_linear, whole_matmul
from rnn_core._typing import Array


def matmul_integer_to_float(
    a: Array,
    b: Array,
    a_scale: Array,
    b_scale: Array,
    a_zero: Array | None = None,
    b_zero: Array | None = None,
    bias: Array | None = None,
    /,
) -> Array:
    """Return a.b + bias of quantized a and b."""
    whole = whole_matmul(a, b, a_zero, b_zero).astype(b_scale.dtype, copy=False)
    y = whole * (a_scale * b_scale)
    return np.asarray(y if bias is None else y + bias)


def dynamic_quantize_matmul(
    a: Array,
    b: Array,
    b_scale: Array,
    b_zero: Array | None = None,
    bias: Array | None = None,
    /,
) -> Array:
    """Return a.b + bias, where b is quantized and a is by its own range."""
    whole, a_scale, a_zero = dynamic_quantize_linear(a)
    return matmul_integer_to_float(whole, b, a_scale, b_scale, a_zero, b_zero, bias)


def fused_matmul(
    a: Array,
    b: Array,
    /,
    *,
    alpha: float = 1.0,
    transA: int = 0,
    transB: int = 0,
    transBatchA: int = 0,
    transBatchB: int = 0,
) -> Array:
    """Return alpha a.b, either transposed first."""
    a = _transposed(a, transA, transBatchA)
    b = _transposed(b, transB, transBatchB)
    return np.asarray(matmul(a, b) * a.dtype.type(alpha))


def _transposed(x: Array, last: int, batch: int) -> Array:
    """Return x with its first axis moved before the last if `batch`, then the last two swapped."""
    x = np.moveaxis(x, 0, -2) if batch and x.ndim > 1 else x
    return x.swapaxes(-1, -2) if last and x.ndim > 1 else x


def fast_gelu(x: Array, bias: Array | None = None, /) -> Array:
    """Return `gelu` of x + bias by tanh."""
    return gelu(x if bias is None else x + bias, approximate="tanh")


def exact_gelu(x: Array, /) -> Array:
    """Return `gelu` of x."""
    return gelu(x)


def skip_layer_normalization(
    x: Array,
    skip: Array,
    scale: Array,
    beta: Array | None = None,
    bias: Array | None = None,
    /,
    *,
    epsilon: float = 1e-12,
) -> tuple[Array, Array, Array, Array]:
    """Return x + skip + bias normalized over the last axis, mean, inverse deviation, the sum."""
    x = x + skip if bias is None else x + skip + bias
    return *layer_normalization(x, scale, beta, epsilon=epsilon), x


OPERATORS: dict[str, Callable[..., Any]] = {
    "com.microsoft.DynamicQuantizeMatMul": dynamic_quantize_matmul,
    "com.microsoft.FastGelu": fast_gelu,
    "com.microsoft.FusedMatMul": fused_matmul,
    "com.microsoft.Gelu": exact_gelu,
    "com.microsoft.MatMulIntegerToFloat": matmul_integer_to_float,
    "com.microsoft.SkipLayerNormalization": skip_layer_normalization,
}
