"""Operators that work value by value."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from rnn_core import _activations
from rnn_core._typing import Array

_GELU_SLOPE = 0.7978845608028654  # sqrt(2 / pi)


def _built_in(name: str) -> Callable[[Array], Array]:
    """Return an activation of the engine; integers, which it does not have, are refused."""
    activation = _activations.get(name)

    def apply(x: Array, /) -> Array:
        if x.dtype.kind != "f":
            raise ValueError(f"got {x.dtype}, expected floating numbers")
        result: Array = activation(x)
        return result

    return apply


def _unary(function: Callable[[Any], Any]) -> Callable[[Array], Array]:
    """Return an operator of one input whose result has the input's dtype."""

    def apply(x: Array, /) -> Array:
        return np.asarray(function(x)).astype(x.dtype, copy=False)

    return apply


def _test(function: Callable[[Any], Any]) -> Callable[[Array], Array]:
    """Return an operator of one input whose result is boolean."""

    def apply(x: Array, /) -> Array:
        return np.asarray(function(x))

    return apply


def _erf(x: Array) -> Array:
    from scipy.special import erf

    return np.asarray(erf(x))


def _softplus(x: Array) -> Array:
    return np.asarray(np.logaddexp(x, 0))


def leaky_relu(x: Array, /, *, alpha: float = 0.01) -> Array:
    """Return x, or alpha x below zero."""
    return np.where(x < 0, x * x.dtype.type(alpha), x)


def elu(x: Array, /, *, alpha: float = 1.0) -> Array:
    """Return x, or alpha (exp(x) - 1) below zero."""
    return np.where(x < 0, x.dtype.type(alpha) * np.expm1(x), x)


def celu(x: Array, /, *, alpha: float = 1.0) -> Array:
    """Return x, or alpha (exp(x / alpha) - 1) below zero."""
    scale = x.dtype.type(alpha)
    return np.where(x < 0, scale * np.expm1(x / scale), x)


def selu(
    x: Array, /, *, alpha: float = 1.6732632423543772, gamma: float = 1.0507009873554805
) -> Array:
    """Return gamma x, or gamma alpha (exp(x) - 1) below zero."""
    kind = x.dtype.type
    return np.asarray(kind(gamma) * np.where(x < 0, kind(alpha) * np.expm1(x), x))


def hard_sigmoid(x: Array, /, *, alpha: float = 0.2, beta: float = 0.5) -> Array:
    """Return alpha x + beta within 0 and 1."""
    return np.asarray(np.clip(x.dtype.type(alpha) * x + x.dtype.type(beta), 0, 1))


def hard_swish(x: Array, /) -> Array:
    """Return x times the hard sigmoid of slope 1/6."""
    return x * hard_sigmoid(x, alpha=1 / 6)


def thresholded_relu(x: Array, /, *, alpha: float = 1.0) -> Array:
    """Return x, or zero up to alpha."""
    return np.where(x > alpha, x, x.dtype.type(0))


def prelu(x: Array, slope: Array, /) -> Array:
    """Return x, or slope x below zero."""
    return np.where(x < 0, slope * x, x)


def gelu(x: Array, /, *, approximate: str = "none") -> Array:
    """Return x times the normal distribution's share below x, exactly or by tanh."""
    kind = x.dtype.type
    if approximate == "tanh":
        share = np.tanh(kind(_GELU_SLOPE) * (x + kind(0.044715) * x**3))
    else:
        share = _erf(x * kind(0.5**0.5))
    return np.asarray(kind(0.5) * x * (1 + share)).astype(x.dtype, copy=False)


def shrink(x: Array, /, *, bias: float = 0.0, lambd: float = 0.5) -> Array:
    """Return x moved towards zero by bias, or zero within lambd of it."""
    kind = x.dtype.type
    above = np.where(x > lambd, x - kind(bias), kind(0))
    shrunk = np.where(x < -lambd, x + kind(bias), above)
    return np.asarray(shrunk, x.dtype)


# Two inputs


def _aligned(a: Array, b: Array, axis: int | None, broadcast: int) -> Array:
    """Return b so that its axes begin at `axis` of a, as operators before opset 7 have it."""
    if not broadcast or axis is None:
        return b
    first = axis % max(a.ndim, 1)
    return b.reshape(b.shape + (1,) * (a.ndim - first - b.ndim))


def _binary(function: Callable[[Any, Any], Any]) -> Callable[..., Array]:
    def apply(a: Array, b: Array, /, *, axis: int | None = None, broadcast: int = 0) -> Array:
        return np.asarray(function(a, _aligned(a, b, axis, broadcast)))

    return apply


def _divide(a: Array, b: Array) -> Array:
    if a.dtype.kind == "f":
        return np.asarray(a / b)
    # Integers: towards zero. By zero NumPy gives 0.
    quotient = np.asarray(a // b)
    if a.dtype.kind == "u":
        return quotient
    inexact = (b != 0) & (quotient * b != a) & ((a < 0) != (b < 0))
    return np.asarray(quotient + inexact.astype(a.dtype))


def _power(a: Array, b: Array) -> Array:
    """Return a to the power of b, in a's dtype; a power of 2 is a product, as compilers have it."""
    if b.size == 1 and b.reshape(-1)[0] == 2 and b.ndim <= a.ndim:
        return np.asarray(a * a)
    if a.dtype.kind in "iu" and b.dtype.kind in "iu" and (b < 0).any():
        return np.asarray(a.astype(np.float64) ** b).astype(a.dtype)
    return np.asarray(np.power(a, b)).astype(a.dtype, copy=False)


def mod(a: Array, b: Array, /, *, fmod: int = 0) -> Array:
    """Return the remainder with b's sign, or with `fmod` with a's."""
    return np.asarray(np.fmod(a, b) if fmod else np.mod(a, b))


def _variadic(function: Callable[[Any, Any], Any]) -> Callable[..., Array]:
    def apply(x: Array, /, *more: Array) -> Array:
        return np.asarray(reduce(function, more, x))

    return apply


def mean(x: Array, /, *more: Array) -> Array:
    """Return the mean of the inputs."""
    return np.asarray(reduce(np.add, more, x) / x.dtype.type(1 + len(more)))


def clip(
    x: Array,
    low: Array | None = None,
    high: Array | None = None,
    /,
    *,
    min: float | None = None,
    max: float | None = None,
) -> Array:
    """Return x within bounds; the upper one wins."""
    for bound, value, limit in ((low, min, np.maximum), (high, max, np.minimum)):
        end = value if bound is None else bound
        x = x if end is None else limit(x, np.asarray(end, x.dtype))
    return np.asarray(x)


def where(condition: Array, x: Array, y: Array, /) -> Array:
    """Return x where the condition is true, y elsewhere."""
    return np.where(condition, x, y)


def is_inf(x: Array, /, *, detect_negative: int = 1, detect_positive: int = 1) -> Array:
    """Return where x is infinite."""
    return np.asarray(np.isinf(x) & (((x < 0) & detect_negative) | ((x > 0) & detect_positive)) > 0)


OPERATORS: dict[str, Callable[..., Any]] = {
    "Abs": _unary(np.abs),
    "Acos": _unary(np.arccos),
    "Acosh": _unary(np.arccosh),
    "Asin": _unary(np.arcsin),
    "Asinh": _unary(np.arcsinh),
    "Atan": _unary(np.arctan),
    "Atanh": _unary(np.arctanh),
    "Ceil": _unary(np.ceil),
    "Cos": _unary(np.cos),
    "Cosh": _unary(np.cosh),
    "Erf": _unary(_erf),
    "Exp": _unary(np.exp),
    "Floor": _unary(np.floor),
    "IsNaN": _test(np.isnan),
    "Log": _unary(np.log),
    "Neg": _unary(np.negative),
    "Not": _test(np.logical_not),
    "Reciprocal": _unary(lambda x: 1 / x),
    "Relu": _unary(lambda x: np.maximum(x, x.dtype.type(0))),
    "Round": _unary(np.rint),
    "Sigmoid": _built_in("sigmoid"),
    "Sign": _unary(np.sign),
    "Sin": _unary(np.sin),
    "Sinh": _unary(np.sinh),
    "Softplus": _unary(_softplus),
    "Softsign": _unary(lambda x: x / (1 + np.abs(x))),
    "Sqrt": _unary(np.sqrt),
    "Tan": _unary(np.tan),
    "Tanh": _built_in("tanh"),
    "Mish": _unary(lambda x: x * np.tanh(_softplus(x))),
    "Celu": celu,
    "Elu": elu,
    "Gelu": gelu,
    "HardSigmoid": hard_sigmoid,
    "HardSwish": hard_swish,
    "IsInf": is_inf,
    "LeakyRelu": leaky_relu,
    "PRelu": prelu,
    "Selu": selu,
    "Shrink": shrink,
    "ThresholdedRelu": thresholded_relu,
    "Add": _binary(np.add),
    "And": _binary(np.logical_and),
    "Div": _binary(_divide),
    "Equal": _binary(np.equal),
    "Greater": _binary(np.greater),
    "GreaterOrEqual": _binary(np.greater_equal),
    "Less": _binary(np.less),
    "LessOrEqual": _binary(np.less_equal),
    "Mod": mod,
    "Mul": _binary(np.multiply),
    "Or": _binary(np.logical_or),
    "Pow": _binary(_power),
    "Sub": _binary(np.subtract),
    "Xor": _binary(np.logical_xor),
    "Max": _variadic(np.maximum),
    "Mean": mean,
    "Min": _variadic(np.minimum),
    "Sum": _variadic(np.add),
    "Clip": clip,
    "Where": where,
}
