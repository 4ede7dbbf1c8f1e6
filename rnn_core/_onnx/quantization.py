"""Operators of quantized tensors: whole numbers q that stand for scale (q - zero point)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from rnn_core._onnx.product import matmul
from rnn_core._onnx.shape import DTYPES
from rnn_core._onnx.window import conv
from rnn_core._typing import Array

Ints = list[int]

# Up to here all whole numbers are float32: IEEE 754.
_EXACT = 1 << 24
# The most that an 8 bit number and its zero point are apart.
_APART = 255


def exact_type(depth: int, largest: int = _APART) -> Any:
    """Return a type whose products are exact.

    Args:
        depth: how many products are added up, of one number up to 255 by another.
        largest: of the other numbers.
    """
    return np.float32 if depth * _APART * largest < _EXACT else np.float64


def saturated(x: Array, dtype: Any) -> Array:
    """Return the nearest of an integer type's numbers; what is halfway is rounded before."""
    limits = np.iinfo(dtype)
    return np.asarray(np.clip(x, limits.min, limits.max)).astype(dtype)


def range_of(x: Array) -> tuple[Array, Array]:
    """Return the scale and the zero point, a floating number, that fit x into uint8."""
    high, low = x.max(initial=0), x.min(initial=0)
    scale = (high - low) / x.dtype.type(255) or x.dtype.type(1)
    return scale, np.rint(np.clip(-low / scale, 0, 255))


def _stepped(x: Array, scale: Array, zero: Array) -> Array:
    """Return x as whole numbers of uint8, which are still floating numbers."""
    return np.asarray(np.clip(np.rint(x / scale) + zero, 0, 255))


@dataclass(frozen=True)
class QuantizedKernel:
    """A kernel of whole numbers: ``x @ kernel`` quantizes x by its own range, as uint8.

    `values` are ``(rows, columns)``, less their zero point, in a floating type whose products are
    exact; the scale is one for all or ``(columns,)``.
    """

    values: Array
    scale: Array
    # Leaves ``array @ kernel`` to the kernel.
    __array_ufunc__: ClassVar[None] = None

    @classmethod
    def of(cls, values: Array, scale: Array, zero: Array) -> QuantizedKernel:
        """Return a kernel of 8 bit numbers and their zero points, one or ``(columns,)``."""
        largest = max((abs(int(q) - int(z)) for q, z in _extremes(values, zero)), default=0)
        kind = exact_type(len(values), largest)
        whole = np.ascontiguousarray(values, kind)
        whole -= np.asarray(zero, kind)
        return cls(whole, scale)

    def __rmatmul__(self, x: Array) -> Array:
        """Return x.kernel, ``(..., columns)`` for x ``(..., rows)``."""
        scale, zero = range_of(x)
        whole = (_stepped(x, scale, zero) - zero).astype(self.values.dtype, copy=False)
        y = matmul(whole, self.values).astype(x.dtype, copy=False)
        return np.asarray(y * (scale * self.scale))


def _extremes(values: Array, zero: Array) -> list[tuple[Any, Any]]:
    """Return pairs of a value and a zero point that are the farthest apart."""
    if not values.size:
        return []
    return [(values.min(), zero.max()), (values.max(), zero.min())]


def _along(scale: Array, x: Array, axis: int, block_size: int = 0) -> Array:
    """Return scales or zero points to go with x: one, one for each place of an axis, or blocks."""
    if scale.size == 1 and not block_size:
        return scale.reshape(())
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"axis is {axis} for shape {x.shape}")
    n = x.shape[axis]
    if block_size:
        blocks = [*x.shape]
        blocks[axis] = -(-n // block_size)
        if block_size < 0 or scale.shape != tuple(blocks):
            raise ValueError(f"blocks of {block_size} have scales {scale.shape} for {x.shape}")
        return scale.take(np.arange(n) // block_size, axis)
    if scale.shape != (n,):
        raise ValueError(f"scales have shape {scale.shape}, expected {(n,)} for axis {axis}")
    shape = [1] * x.ndim
    shape[axis] = n
    return scale.reshape(shape)


def _dtype(code: int, kinds: str) -> Any:
    """Return the type that an attribute names."""
    dtype = np.dtype(DTYPES.get(code, "bool"))
    if dtype.kind not in kinds:
        raise ValueError(f"output_dtype is {code}, which is not supported")
    return dtype


def quantize_linear(
    x: Array,
    scale: Array,
    zero: Array | None = None,
    /,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
    precision: int = 0,
    saturate: int = 1,
) -> Array:
    """Return round(x / scale) + zero point, saturated; halfway values to the even number."""
    dtype = np.dtype(np.uint8) if zero is None else zero.dtype
    if output_dtype:
        dtype = _dtype(output_dtype, "iu")
    y = np.rint(x / _along(scale, x, axis, block_size))
    if zero is not None:
        y = y + _along(zero, x, axis, block_size).astype(y.dtype)
    return saturated(y, dtype)


def dequantize_linear(
    x: Array,
    scale: Array,
    zero: Array | None = None,
    /,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
) -> Array:
    """Return (x - zero point) scale."""
    dtype = _dtype(output_dtype, "f") if output_dtype else scale.dtype
    if zero is not None:
        x = x.astype(np.int32) - _along(zero, x, axis, block_size).astype(np.int32)
    y = x.astype(scale.dtype) * _along(scale, x, axis, block_size)
    return np.asarray(y).astype(dtype, copy=False)


def dynamic_quantize_linear(x: Array, /) -> tuple[Array, Array, Array]:
    """Return x quantized by its own range, which takes in zero, the scale and the zero point."""
    scale, zero = range_of(x)
    return _stepped(x, scale, zero).astype(np.uint8), scale, zero.astype(np.uint8)


def whole_matmul(
    a: Array, b: Array, a_zero: Array | None = None, b_zero: Array | None = None
) -> Array:
    """Return (a - zero).(b - zero), exactly, in a floating type.

    The zero points are one for all, for each row of a, or for each column of b.
    """
    if a.ndim and a_zero is not None and a_zero.ndim == 1 and a_zero.size > 1:
        a_zero = a_zero[:, None]
    kind = exact_type(a.shape[-1] if a.ndim else 1)
    return matmul(_less(a, a_zero, kind), _less(b, b_zero, kind))


def _less(x: Array, zero: Array | None, kind: Any) -> Array:
    if x.dtype.itemsize != 1:
        raise ValueError(f"got {x.dtype}, expected 8 bit numbers")
    whole = x.astype(kind)
    return whole if zero is None else whole - zero.astype(kind)


def _wrapped(x: Array) -> Array:
    """Return whole numbers as int32, which begins anew beyond its limits."""
    return x.astype(np.int64).astype(np.int32)


def matmul_integer(
    a: Array, b: Array, a_zero: Array | None = None, b_zero: Array | None = None, /
) -> Array:
    """Return (a - zero).(b - zero) as int32."""
    return _wrapped(whole_matmul(a, b, a_zero, b_zero))


def qlinear_matmul(
    a: Array,
    a_scale: Array,
    a_zero: Array,
    b: Array,
    b_scale: Array,
    b_zero: Array,
    y_scale: Array,
    y_zero: Array,
    /,
) -> Array:
    """Return a.b, all three of them quantized."""
    if a_scale.ndim == 1 and a_scale.size > 1:
        a_scale = a_scale[:, None]
    whole = whole_matmul(a, b, a_zero, b_zero).astype(y_scale.dtype)
    return saturated(np.rint(whole * (a_scale * b_scale / y_scale)) + y_zero, y_zero.dtype)


def _whole_conv(
    x: Array, w: Array, x_zero: Array | None, w_zero: Array | None, **windows: Any
) -> Array:
    """Return the convolution of x - zero with w - zero, exactly, in a floating type."""
    kind = exact_type(w[0].size if len(w) else 1)
    if w_zero is not None:
        w_zero = _along(w_zero, w, 0)
    return conv(_less(x, x_zero, kind), _less(w, w_zero, kind), **windows)


def conv_integer(
    x: Array,
    w: Array,
    x_zero: Array | None = None,
    w_zero: Array | None = None,
    /,
    *,
    kernel_shape: Ints | None = None,
    strides: Ints | None = None,
    dilations: Ints | None = None,
    pads: Ints | None = None,
    auto_pad: str = "NOTSET",
    group: int = 1,
) -> Array:
    """Return the convolution of x - zero with w - zero as int32; padding is of zero points."""
    windows: dict[str, Any] = {
        "kernel_shape": kernel_shape,
        "strides": strides,
        "dilations": dilations,
        "pads": pads,
        "auto_pad": auto_pad,
        "group": group,
    }
    return _wrapped(_whole_conv(x, w, x_zero, w_zero, **windows))


def qlinear_conv(
    x: Array,
    x_scale: Array,
    x_zero: Array,
    w: Array,
    w_scale: Array,
    w_zero: Array,
    y_scale: Array,
    y_zero: Array,
    bias: Array | None = None,
    /,
    *,
    kernel_shape: Ints | None = None,
    strides: Ints | None = None,
    dilations: Ints | None = None,
    pads: Ints | None = None,
    auto_pad: str = "NOTSET",
    group: int = 1,
) -> Array:
    """Return the convolution of x with w plus a bias of scale x_scale w_scale, all quantized."""
    windows: dict[str, Any] = {
        "kernel_shape": kernel_shape,
        "strides": strides,
        "dilations": dilations,
        "pads": pads,
        "auto_pad": auto_pad,
        "group": group,
    }
    whole = _whole_conv(x, w, x_zero, w_zero, **windows).astype(np.float64)
    apart = (-1,) + (1,) * (x.ndim - 2)
    if bias is not None:
        whole = whole + bias.reshape(apart)
    factor = (x_scale * w_scale / y_scale).reshape(apart)
    return saturated(np.rint(whole.astype(y_scale.dtype) * factor) + y_zero, y_zero.dtype)


OPERATORS: dict[str, Callable[..., Any]] = {
    "ConvInteger": conv_integer,
    "DequantizeLinear": dequantize_linear,
    "DynamicQuantizeLinear": dynamic_quantize_linear,
    "MatMulInteger": matmul_integer,
    "QLinearConv": qlinear_conv,
    "QLinearMatMul": qlinear_matmul,
    "QuantizeLinear": quantize_linear,
}
