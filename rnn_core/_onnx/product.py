"""Operators that multiply matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rnn_core._typing import Array


def matmul(a: Array, b: Array, /) -> Array:
    """Return a.b over the last two axes; many rows times one matrix are one product."""
    if a.ndim > 2 and b.ndim == 2 and a.size and a.shape[-1] == len(b):
        return (a.reshape(-1, a.shape[-1]) @ b).reshape(*a.shape[:-1], b.shape[1])
    return np.asarray(a @ b)


def gemm(
    a: Array,
    b: Array,
    c: Array | None = None,
    /,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
    broadcast: int = 0,
) -> Array:
    """Return alpha a.b + beta c, either matrix transposed first."""
    kind = a.dtype.type
    y = (a.T if transA else a) @ (b.T if transB else b)
    if alpha != 1:
        y = y * kind(alpha)
    if c is not None and beta:
        y = y + (c if beta == 1 else c * kind(beta))
    return np.asarray(y)


def einsum(*operands: Array, equation: str) -> Array:
    """Return the sum of products that an equation such as ``bij,bjk->bik`` describes."""
    return np.asarray(np.einsum(equation, *operands)).astype(operands[0].dtype, copy=False)


OPERATORS: dict[str, Callable[..., Any]] = {"Einsum": einsum, "Gemm": gemm, "MatMul": matmul}
