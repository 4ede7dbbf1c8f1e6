"""Initial values of weights, by Keras's names."""

from __future__ import annotations

import contextvars
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnn_core._names import snake_case, unknown
from rnn_core._numbers import seed_of
from rnn_core._typing import Array

Shape = tuple[int, ...]
Draw = Callable[..., Array]


@dataclass
class Budget:
    """The bytes of weights that a model's file may still ask for, and whether they are zeros."""

    left: int
    zeros: bool


_budget: contextvars.ContextVar[Budget | None] = contextvars.ContextVar("budget", default=None)


def _fans(shape: Shape) -> tuple[float, float]:
    if len(shape) < 2:
        size = float(np.prod(shape))
        return size, size
    receptive = float(np.prod(shape[:-2]))
    return shape[-2] * receptive, shape[-1] * receptive


def _truncated_normal(rng: np.random.Generator, shape: Shape, mean: float, stddev: float) -> Array:
    values = rng.standard_normal(shape)
    while (outside := np.abs(values) > 2).any():
        values[outside] = rng.standard_normal(int(outside.sum()))
    return mean + stddev * values


def _variance_scaling(
    rng: np.random.Generator, shape: Shape, scale: float, mode: str, distribution: str
) -> Array:
    """Glorot and Bengio 2010 (fan_avg), He et al. 2015 (scale 2, fan_in), LeCun et al. 1998."""
    fan_in, fan_out = _fans(shape)
    fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]
    variance = scale / max(1.0, fan)
    if distribution == "uniform":
        limit = np.sqrt(3 * variance)
        return rng.uniform(-limit, limit, shape)
    if distribution == "untruncated_normal":
        return rng.normal(0, np.sqrt(variance), shape)
    # The standard deviation of a normal distribution cut off at two of its own.
    return _truncated_normal(rng, shape, 0, np.sqrt(variance) / 0.87962566103423978)


def _orthogonal(rng: np.random.Generator, shape: Shape, gain: float) -> Array:
    """Saxe et al. 2013: the Q of a QR decomposition, signs fixed by R's diagonal."""
    rows, columns = int(np.prod(shape[:-1])), shape[-1]
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q = q * np.sign(np.diag(r))
    values: Array = (q.T if rows < columns else q).reshape(shape)
    return gain * values


def _scaled(scale: float, mode: str, distribution: str) -> tuple[Draw, dict[str, Any]]:
    def draw(rng: np.random.Generator, shape: Shape) -> Array:
        return _variance_scaling(rng, shape, scale, mode, distribution)

    return draw, {}


_TABLE: dict[str, tuple[Draw, dict[str, Any]]] = {
    "Zeros": (lambda rng, shape: np.zeros(shape), {}),
    "Ones": (lambda rng, shape: np.ones(shape), {}),
    "Constant": (lambda rng, shape, value: np.full(shape, value), {"value": 0.0}),
    "RandomNormal": (
        lambda rng, shape, mean, stddev: rng.normal(mean, stddev, shape),
        {"mean": 0.0, "stddev": 0.05},
    ),
    "RandomUniform": (
        lambda rng, shape, minval, maxval: rng.uniform(minval, maxval, shape),
        {"minval": -0.05, "maxval": 0.05},
    ),
    "TruncatedNormal": (_truncated_normal, {"mean": 0.0, "stddev": 0.05}),
    "VarianceScaling": (
        _variance_scaling,
        {"scale": 1.0, "mode": "fan_in", "distribution": "truncated_normal"},
    ),
    "GlorotUniform": _scaled(1, "fan_avg", "uniform"),
    "GlorotNormal": _scaled(1, "fan_avg", "truncated_normal"),
    "HeUniform": _scaled(2, "fan_in", "uniform"),
    "HeNormal": _scaled(2, "fan_in", "truncated_normal"),
    "LecunUniform": _scaled(1, "fan_in", "uniform"),
    "LecunNormal": _scaled(1, "fan_in", "truncated_normal"),
    "Orthogonal": (_orthogonal, {"gain": 1.0}),
    "Identity": (lambda rng, shape, gain: gain * np.eye(*shape), {"gain": 1.0}),
}
_ALIASES = {
    "uniform": "RandomUniform",
    "normal": "RandomNormal",
    "orthogonal_initializer": "Orthogonal",
    "zero": "Zeros",
    "one": "Ones",
    "random_uniform_initializer": "RandomUniform",
    "random_normal_initializer": "RandomNormal",
}
NAMES = tuple(_TABLE)
_BY_SNAKE_CASE = {snake_case(name): name for name in _TABLE}


def _plain(value: Any) -> Any:
    """Return an argument without the wrapping that Keras gives arrays in a config."""
    if isinstance(value, dict) and "config" in value:
        return value["config"].get("value")
    return value.tolist() if isinstance(value, np.ndarray) else value


class Initializer:
    """Draws a weight's initial values.

    Args:
        name: the class name that Keras gives it, such as ``"GlorotUniform"``.
        config: its arguments, ``seed`` among them; the rest have Keras's defaults.
    """

    def __init__(self, name: str, config: dict[str, Any] | None = None) -> None:
        self.name = name
        self.seed = seed_of((config or {}).get("seed"))
        defaults = _TABLE[name][1]
        given = {key: (config or {}).get(key, value) for key, value in defaults.items()}
        self.arguments = {key: _plain(value) for key, value in given.items()}

    def __call__(self, shape: Shape, dtype: Any = np.float32) -> Array:
        """Return an array of `shape`, drawn anew at each call unless there is a seed."""
        rng = np.random.default_rng(self.seed)
        values = _TABLE[self.name][0](rng, shape, **self.arguments)
        return np.asarray(values, dtype, order="C")

    def get_config(self) -> dict[str, Any]:
        """Return what a Keras config says of it."""
        seed = {} if self.name in ("Zeros", "Ones", "Constant", "Identity") else {"seed": self.seed}
        return {"class_name": self.name, "config": {**self.arguments, **seed}}


class _Function(Initializer):
    """A function of the user's that takes a shape and a dtype."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.name = getattr(function, "__name__", type(function).__name__)

    def __call__(self, shape: Shape, dtype: Any = np.float32) -> Array:
        values = np.array(self._function(shape, dtype=dtype), dtype, order="C")
        if values.shape != shape:
            raise ValueError(f"{self.name} returned shape {values.shape}, expected {shape}")
        return values

    def get_config(self) -> dict[str, Any]:
        return {"class_name": self.name, "config": {}}


def get(identifier: Any) -> Initializer:
    """Return the initializer that a name, a Keras config or a function stands for.

    Raises:
        ValueError: no initializer has this name.
    """
    config = None
    if isinstance(identifier, Initializer):
        return identifier
    if isinstance(identifier, dict):
        identifier, config = identifier.get("class_name"), identifier.get("config")
    if callable(identifier):
        return _Function(identifier)
    name = str(identifier)
    name = name if name in _TABLE else snake_case(name)
    name = _ALIASES.get(name, _BY_SNAKE_CASE.get(name, name))
    if name not in _TABLE:
        raise unknown("initializer", identifier, [*_BY_SNAKE_CASE, *_ALIASES])
    return Initializer(name, config)


@contextmanager
def within(budget_bytes: int, zeros: bool = True) -> Iterator[None]:
    """Make no more weights than the budget, as zeros if their values will be replaced."""
    token = _budget.set(Budget(budget_bytes, zeros))
    try:
        yield
    finally:
        _budget.reset(token)


def make(identifier: Any, shape: Shape, dtype: Any) -> Array:
    """Return a new weight's values.

    Raises:
        ValueError: the weight is larger than what is left of the budget of `within`.
    """
    budget = _budget.get()
    if budget is not None:
        size = math.prod(shape, start=np.dtype(dtype).itemsize)
        if size > budget.left:
            raise ValueError(
                f"weight of shape {shape} does not fit the {budget.left} bytes left to the model"
            )
        budget.left -= size
        if budget.zeros:
            return np.zeros(shape, dtype)
    return get(identifier)(shape, dtype)
