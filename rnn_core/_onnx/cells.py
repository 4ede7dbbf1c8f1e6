"""One step of LSTM, GRU and RNN with all that ONNX allows, and the loop over time around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from rnn_core._onnx.quantization import QuantizedKernel
from rnn_core._typing import Array

# f(x, alpha, beta), the default alpha and beta (None if it has no such argument), and what
# rnn_core's layers call it with these defaults.
_ACTIVATIONS: dict[
    str, tuple[Callable[[Any, Any, Any], Any], float | None, float | None, str | None]
] = {
    "affine": (lambda x, a, b: a * x + b, 1.0, 0.0, "linear"),
    "elu": (lambda x, a, b: np.where(x < 0, a * np.expm1(x), x), 1.0, None, "elu"),
    "hardsigmoid": (lambda x, a, b: np.clip(a * x + b, 0, 1), 0.2, 0.5, "hard_sigmoid_legacy"),
    "leakyrelu": (lambda x, a, b: np.where(x < 0, a * x, x), 0.01, None, None),
    "relu": (lambda x, a, b: np.maximum(x, 0), None, None, "relu"),
    "scaledtanh": (lambda x, a, b: a * np.tanh(b * x), 1.0, 1.0, "tanh"),
    "sigmoid": (lambda x, a, b: 0.5 * (1 + np.tanh(0.5 * x)), None, None, "sigmoid"),
    "softplus": (lambda x, a, b: np.logaddexp(x, 0), None, None, "softplus"),
    "softsign": (lambda x, a, b: x / (1 + np.abs(x)), None, None, "softsign"),
    "tanh": (lambda x, a, b: np.tanh(x), None, None, "tanh"),
    "thresholdedrelu": (lambda x, a, b: np.where(x > a, x, 0), 1.0, None, None),
}


class Activation(NamedTuple):
    """An activation with its arguments; `layer_name` is what layers call it, if they have it."""

    name: str
    alpha: float | None
    beta: float | None
    layer_name: str | None

    def __call__(self, x: Array) -> Array:
        """Return the activation of x, in its dtype."""
        y = _ACTIVATIONS[self.name][0](x, self.alpha, self.beta)
        return np.asarray(y).astype(x.dtype, copy=False)


def activation_of(name: str, alphas: Iterator[float], betas: Iterator[float]) -> Activation:
    """Return an activation by its ONNX name, with the next alpha and beta if it has such.

    Raises:
        ValueError: an unknown name.
    """
    key = name.lower()
    if key not in _ACTIVATIONS:
        raise ValueError(f"activation is {name!r}, expected one of {', '.join(_ACTIVATIONS)}")
    _, alpha, beta, layer_name = _ACTIVATIONS[key]
    given = (
        alpha if alpha is None else next(alphas, alpha),
        beta if beta is None else next(betas, beta),
    )
    # Attributes are float32, in which 0.2 is not what it is in float64.
    default = all(
        x == y or (x is not None and y is not None and np.float32(x) == np.float32(y))
        for x, y in zip(given, (alpha, beta), strict=True)
    )
    return Activation(key, *given, layer_name if default else None)


@dataclass(frozen=True)
class Settings:
    """A cell: its weights as ONNX has them, and its options.

    The kernel is ``(features, gates units)``, the recurrent kernel ``(units, gates units)``, the
    bias ``(2 gates units,)``, the peepholes ``(3 units,)`` for i, o, f.
    """

    op: str
    kernel: Array | QuantizedKernel
    recurrent_kernel: Any
    bias: Array
    peepholes: Array | None
    activations: list[Activation]
    clip: float | None
    input_forget: bool
    linear_before_reset: bool

    @property
    def recurrent_bias(self) -> Array:
        """The half of the bias that goes with the recurrent kernel."""
        return self.bias[len(self.bias) // 2 :]

    def clipped(self, x: Array) -> Array:
        """Return what goes into an activation."""
        return np.clip(x, -self.clip, self.clip) if self.clip else x


def run_cell(
    cell: Settings,
    x: Array,
    mask: Array | None,
    states: list[Array],
    out: Array | None,
    reverse: bool,
) -> list[Array]:
    """Run a cell over time, fill `out` with its outputs, and return the last states.

    Args:
        cell: what to run.
        x: ``(batch, timesteps, features)``.
        mask: ``(batch, timesteps)``, True up to each row's length; a False step gives zeros and
            keeps the states.
        states: the first ones, ``(batch, units)``.
        out: ``(batch, timesteps, units)``, or None.
        reverse: whether to begin with the last step of each row.
    """
    lengths = np.full(len(x), x.shape[1]) if mask is None else mask.sum(axis=1)
    longest = lengths.max(initial=0)
    y = None if out is None else np.zeros_like(out)
    x = _reversed(x, lengths) if reverse else x
    # Steps after all ends are left out: they would widen the range of what is quantized.
    inputs = x[:, :longest] @ cell.kernel + cell.bias[: len(cell.bias) // 2]
    for t in range(longest):
        # ONNX Runtime takes an ended row's output, zeros, into the range of the next step.
        h = states[0] if y is None or not t else y[:, t - 1]
        new = _STEPS[cell.op](cell, inputs[:, t], [h, *states[1:]])
        valid = (t < lengths)[:, None]
        states = [np.where(valid, n, old) for n, old in zip(new, states, strict=True)]
        if y is not None:
            y[:, t] = np.where(valid, new[0], 0)
    if out is not None and y is not None:
        out[...] = _reversed(y, lengths) if reverse else y
    return states


def _reversed(x: Array, lengths: Array) -> Array:
    """Return x ``(batch, timesteps, ...)`` with each row backwards up to its length."""
    t = np.arange(x.shape[1])
    order = np.where(t < lengths[:, None], lengths[:, None] - 1 - t, t)
    return np.take_along_axis(x, order[:, :, None], axis=1)


def _rnn_step(cell: Settings, x: Array, states: list[Array]) -> list[Array]:
    """Return h = f(x.W + b + h.R + c), x.W + b being given."""
    (h,) = states
    (f,) = cell.activations
    return [f(cell.clipped(x + h @ cell.recurrent_kernel + cell.recurrent_bias))]


def _gru_step(cell: Settings, x: Array, states: list[Array]) -> list[Array]:
    """Return h = (1 - z) g(...) + z h; gates z r h."""
    (h,) = states
    f, g = cell.activations
    n = h.shape[1]
    bias = cell.recurrent_bias
    gates = f(cell.clipped(x[:, : 2 * n] + h @ cell.recurrent_kernel[:, : 2 * n] + bias[: 2 * n]))
    z, r = gates[:, :n], gates[:, n:]
    if cell.linear_before_reset:
        candidate = r * (h @ cell.recurrent_kernel[:, 2 * n :] + bias[2 * n :])
    else:
        candidate = (r * h) @ cell.recurrent_kernel[:, 2 * n :] + bias[2 * n :]
    return [(1 - z) * g(cell.clipped(x[:, 2 * n :] + candidate)) + z * h]


def _lstm_step(cell: Settings, x: Array, states: list[Array]) -> list[Array]:
    """Return h = o activation(c) and c = f c + i g; gates i o f c, of which all but c may peep."""
    h, c = states
    f, g, activation = cell.activations
    sums = x + h @ cell.recurrent_kernel + cell.recurrent_bias
    i, o, forget, candidate = np.split(sums, 4, axis=1)
    peep_i = peep_o = peep_f = np.zeros((), x.dtype)
    if cell.peepholes is not None:
        peep_i, peep_o, peep_f = np.split(cell.peepholes, 3)
    i = f(cell.clipped(i + peep_i * c))
    forget = 1 - i if cell.input_forget else f(cell.clipped(forget + peep_f * c))
    c = forget * c + i * g(cell.clipped(candidate))
    o = f(cell.clipped(o + peep_o * c))
    return [o * activation(c), c]


_STEPS = {"RNN": _rnn_step, "GRU": _gru_step, "LSTM": _lstm_step}
