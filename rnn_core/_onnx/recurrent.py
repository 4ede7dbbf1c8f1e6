"""LSTM, GRU and RNN, on rnn_core's layers where these compute the same, else step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnn_core import _engine
from rnn_core._onnx.cells import Activation, Settings, activation_of, run_cell
from rnn_core._onnx.graph import Node
from rnn_core._rnn import RNN
from rnn_core._rnn_layers import GRU, LSTM, SimpleRNN
from rnn_core._typing import Array

Floats = list[float]
Strings = list[str]

# Which inputs are weights: W, R, B, P.
WEIGHTS = (1, 2, 3, 7)
_DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
_DEFAULTS = {
    "LSTM": ["Sigmoid", "Tanh", "Tanh"],
    "GRU": ["Sigmoid", "Tanh"],
    "RNN": ["Tanh"],
}
# ONNX's gates in the order of rnn_core's: i o f c to i f g o; z r h are the same.
_GATES = {"LSTM": [0, 2, 3, 1], "GRU": [0, 1, 2], "RNN": [0]}
_LAYERS: dict[str, type[RNN]] = {"LSTM": LSTM, "GRU": GRU, "RNN": SimpleRNN}
# A layer keeps its weights and, in whole panels of this many units, the packed ones.
_PANEL = 16


@dataclass(frozen=True)
class Direction:
    """One direction's weights, ready: a layer, or what `run_cell` takes."""

    reverse: bool
    units: int
    features: int
    dtype: Any
    layer: RNN | None
    settings: Settings | None


def prepare(node: Node, weights: Sequence[Array | None], budget: Any) -> list[Direction] | None:
    """Return a node's directions, or None if the memory for them is to be taken by the call.

    Args:
        node: whose attributes are checked.
        weights: constants W, R, B, P; None for those left out.
        budget: the bytes that may be taken.

    Raises:
        ValueError: weights or activations that do not fit the node.
    """
    w, r, b, p = (*weights, None, None)[:4]
    if w is None or r is None or w.ndim != 3 or r.ndim != 3:
        raise ValueError(f"{node.describe()} has no weights of three axes")
    directions, rows, features = w.shape
    gates = len(_GATES[node.op])
    units = -(-rows // gates // _PANEL) * _PANEL
    size = 3 * w.itemsize * directions * gates * units * (features + units)
    if size > budget.left:
        return None
    budget.left -= size
    try:
        attributes = {**node.attributes, "sequences": bool(node.outputs[0])}
        return _directions(node.op, w, r, b, p, attributes)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{node.describe()}: {error}") from error


def _directions(
    op: str,
    w: Array,
    r: Array,
    b: Array | None,
    p: Array | None,
    attributes: dict[str, Any],
) -> list[Direction]:
    name = attributes.get("direction", "forward")
    if name not in _DIRECTIONS:
        raise ValueError(f"direction is {name!r}, expected one of {', '.join(_DIRECTIONS)}")
    turns = _DIRECTIONS[name]
    if r.ndim != 3:
        raise ValueError(f"R has shape {r.shape}, expected three axes")
    units, gates = r.shape[-1], len(_GATES[op])
    expected = {
        "W": (w, (len(turns), gates * units, w.shape[-1])),
        "R": (r, (len(turns), gates * units, units)),
        "B": (b, (len(turns), 2 * gates * units)),
        "P": (p, (len(turns), 3 * units)),
    }
    for key, (given, shape) in expected.items():
        if given is not None and (given.shape != shape or given.dtype.kind != "f"):
            raise ValueError(f"{key} is {given.dtype} {given.shape}, expected {shape}")
    if attributes.get("hidden_size", units) != units:
        raise ValueError(f"hidden_size is {attributes['hidden_size']}, R is for {units} units")
    if not units:
        raise ValueError("there are no units")
    names = attributes.get("activations") or _DEFAULTS[op] * len(turns)
    each = len(_DEFAULTS[op])
    if len(names) != each * len(turns):
        raise ValueError(f"activations are {names}, expected {each} for each direction")
    # Only functions that have such an argument take the next of these.
    alphas = iter(attributes.get("activation_alpha") or ())
    betas = iter(attributes.get("activation_beta") or ())
    activations = [activation_of(name, alphas, betas) for name in names]
    made = []
    for place, reverse in enumerate(turns):
        mine = activations[each * place : each * (place + 1)]
        parts = [None if x is None else x[place] for x in (w, r, b, p)]
        made.append(_direction(op, reverse, mine, parts, attributes))
    return made


def _direction(
    op: str,
    reverse: bool,
    activations: list[Activation],
    parts: list[Any],
    attributes: dict[str, Any],
) -> Direction:
    w, r, b, p = parts
    units, features = r.shape[-1], w.shape[-1]
    # Gates i and f bound together, clipped sums, peepholes: what layers do not have.
    special = [attributes.get("clip"), attributes.get("input_forget"), p is not None]
    after = bool(attributes.get("linear_before_reset"))
    own_names = [activation.layer_name for activation in activations]
    same = op != "LSTM" or activations[1:2] == activations[2:3]
    layer = settings = None
    if features and same and all(own_names) and not any(special):
        layer = _layer(op, reverse, own_names, w, r, b, after, attributes["sequences"])
    else:
        bias = np.zeros(2 * len(w), w.dtype) if b is None else b
        clip, coupled = attributes.get("clip"), bool(attributes.get("input_forget"))
        settings = Settings(op, w, r, bias, p, activations, clip, coupled, after)
    return Direction(reverse, units, features, w.dtype, layer, settings)


def _layer(
    op: str,
    reverse: bool,
    activations: list[Any],
    w: Array,
    r: Array,
    b: Array | None,
    after: bool,
    sequences: bool,
) -> RNN:
    """Return a built layer with weights in rnn_core's order."""
    order, units = _GATES[op], r.shape[-1]

    def reordered(x: Array) -> Array:
        return np.concatenate([x[gate * units : (gate + 1) * units] for gate in order]).T

    weights = [reordered(w), reordered(r)]
    if b is not None:
        halves = [reordered(half) for half in np.split(b, 2)]
        separate = op == "GRU" and after
        weights.append(np.stack(halves) if separate else halves[0] + halves[1])
    names = activations[:1] if op == "RNN" else [activations[1], activations[0]]
    options: dict[str, Any] = {
        "use_bias": b is not None,
        "kernel_initializer": "zeros",
        "recurrent_initializer": "zeros",
        "return_sequences": sequences,
        "return_state": True,
        "go_backwards": reverse,
        "zero_output_for_mask": True,
        "dtype": w.dtype.name,
        "name": op.lower(),
        **({"reset_after": after} if op == "GRU" else {}),
    }
    layer = _LAYERS[op](units, *names, **options)
    layer.build((None, None, w.shape[-1]))
    layer.set_weights(weights)
    return layer


# Calls


def _run(
    op: str,
    x: Array,
    weights: tuple[Array, Array, Array | None, Array | None],
    lengths: Array | None,
    first: list[Array | None],
    prepared: list[Direction] | None,
    attributes: dict[str, Any],
) -> tuple[Array | None, ...]:
    """Return Y, None if it is not wanted, and the last states, in the operator's layout."""
    directions = prepared or _directions(op, *weights, attributes)
    batch_major = bool(attributes["layout"])
    if x.ndim != 3 or x.dtype != directions[0].dtype or x.shape[2] != directions[0].features:
        one = directions[0]
        raise ValueError(f"X is {x.dtype} {x.shape}, expected {one.dtype} (.., .., {one.features})")
    x = x if batch_major else x.swapaxes(0, 1)
    mask = _mask(lengths, *x.shape[:2])
    units = directions[0].units
    states = [_by_direction(s, batch_major, (len(directions), len(x), units)) for s in first]
    # In this order what follows, a Transpose and a Reshape as a rule, costs no copy.
    shape = (*x.shape[:2], len(directions), units)
    y = np.empty(shape, x.dtype) if attributes["sequences"] else None
    jobs: list[_engine.Job] = []
    lasts = []
    for place, direction in enumerate(directions):
        start = (
            None
            if states[0] is None and states[-1] is None
            else [np.zeros((len(x), units), x.dtype) if s is None else s[place] for s in states]
        )
        out = None if y is None else y[:, :, place]
        lasts.append(_scan(direction, x, mask, start, out, jobs, len(states)))
    _engine.run_together(jobs)
    ends = [np.stack(parts, 1 if batch_major else 0) for parts in zip(*lasts, strict=True)]
    return (y if y is None or batch_major else y.transpose(1, 2, 0, 3), *ends)


def _scan(
    direction: Direction,
    x: Array,
    mask: Array | None,
    first: list[Array] | None,
    out: Array | None,
    jobs: list[_engine.Job],
    count: int,
) -> list[Array]:
    """Fill `out`, if any, now or by a job, and return the last states, which may wait for it."""
    if direction.layer is not None:
        target = out[:, ::-1] if direction.reverse and out is not None else out
        _, states = direction.layer._scan(x, mask, None, first, None, target, None, jobs)
        return states
    assert direction.settings is not None
    zeros = [np.zeros((len(x), direction.units), x.dtype) for _ in range(count)]
    return run_cell(direction.settings, x, mask, first or zeros, out, direction.reverse)


def _mask(lengths: Array | None, batch: int, timesteps: int) -> Array | None:
    """Return which steps are within their sequence, None for all."""
    if lengths is None:
        return None
    if lengths.shape != (batch,):
        raise ValueError(f"sequence_lens has shape {lengths.shape}, expected {(batch,)}")
    if lengths.size and (lengths.min() < 0 or lengths.max() > timesteps):
        raise ValueError(f"sequence_lens is {lengths.tolist()}, expected 0 to {timesteps}")
    if (lengths == timesteps).all():
        return None
    return np.asarray(np.arange(timesteps) < lengths[:, None])


def _by_direction(state: Array | None, batch_major: bool, shape: tuple[int, ...]) -> Array | None:
    if state is None:
        return None
    state = state.swapaxes(0, 1) if batch_major and state.ndim == 3 else state
    if state.shape != shape:
        raise ValueError(f"an initial state has shape {state.shape} by direction, expected {shape}")
    return state


def lstm(
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    lengths: Array | None = None,
    h: Array | None = None,
    c: Array | None = None,
    p: Array | None = None,
    /,
    *,
    hidden_size: int | None = None,
    direction: str = "forward",
    activations: Strings | None = None,
    activation_alpha: Floats | None = None,
    activation_beta: Floats | None = None,
    clip: float | None = None,
    input_forget: int = 0,
    layout: int = 0,
    prepared: Any,
    sequences: bool,
) -> tuple[Array | None, ...]:
    """Return Y, Y_h, Y_c of long short-term memory."""
    attributes = {
        **_shared(hidden_size, direction, activations, activation_alpha, activation_beta, clip),
        "input_forget": input_forget,
        "layout": layout,
        "sequences": sequences,
    }
    return _run("LSTM", x, (w, r, b, p), lengths, [h, c], prepared, attributes)


def gru(
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    lengths: Array | None = None,
    h: Array | None = None,
    /,
    *,
    hidden_size: int | None = None,
    direction: str = "forward",
    activations: Strings | None = None,
    activation_alpha: Floats | None = None,
    activation_beta: Floats | None = None,
    clip: float | None = None,
    linear_before_reset: int = 0,
    layout: int = 0,
    prepared: Any,
    sequences: bool,
) -> tuple[Array | None, ...]:
    """Return Y and Y_h of gated recurrent units."""
    attributes = {
        **_shared(hidden_size, direction, activations, activation_alpha, activation_beta, clip),
        "linear_before_reset": linear_before_reset,
        "layout": layout,
        "sequences": sequences,
    }
    return _run("GRU", x, (w, r, b, None), lengths, [h], prepared, attributes)


def rnn(
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    lengths: Array | None = None,
    h: Array | None = None,
    /,
    *,
    hidden_size: int | None = None,
    direction: str = "forward",
    activations: Strings | None = None,
    activation_alpha: Floats | None = None,
    activation_beta: Floats | None = None,
    clip: float | None = None,
    layout: int = 0,
    prepared: Any,
    sequences: bool,
) -> tuple[Array | None, ...]:
    """Return Y and Y_h of a simple recurrent network."""
    attributes = {
        **_shared(hidden_size, direction, activations, activation_alpha, activation_beta, clip),
        "layout": layout,
        "sequences": sequences,
    }
    return _run("RNN", x, (w, r, b, None), lengths, [h], prepared, attributes)


def _shared(
    hidden_size: int | None,
    direction: str,
    activations: Strings | None,
    alpha: Floats | None,
    beta: Floats | None,
    clip: float | None,
) -> dict[str, Any]:
    given = {
        "hidden_size": hidden_size,
        "activations": activations,
        "activation_alpha": alpha,
        "activation_beta": beta,
        "clip": clip,
    }
    return {"direction": direction, **{k: v for k, v in given.items() if v is not None}}


OPERATORS: dict[str, Callable[..., Any]] = {"GRU": gru, "LSTM": lstm, "RNN": rnn}
