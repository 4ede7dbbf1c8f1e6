"""The weights of recurrent operators made ready, one direction at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnn_core._onnx.cells import Activation, Settings, activation_of
from rnn_core._onnx.graph import Node
from rnn_core._onnx.quantization import QuantizedKernel
from rnn_core._rnn import RNN
from rnn_core._rnn_layers import GRU, LSTM, SimpleRNN
from rnn_core._typing import Array

_DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
_DEFAULTS = {
    "LSTM": ["Sigmoid", "Tanh", "Tanh"],
    "GRU": ["Sigmoid", "Tanh"],
    "RNN": ["Tanh"],
}
# ONNX's gates in the order of rnn_core's: i o f c to i f g o; z r h are the same.
_GATES = {"LSTM": [0, 2, 3, 1], "GRU": [0, 1, 2], "RNN": [0]}
_LAYERS: dict[str, type[RNN]] = {"LSTM": LSTM, "GRU": GRU, "RNN": SimpleRNN}
QUANTIZED_LSTM = "com.microsoft.DynamicQuantizeLSTM"
# A layer keeps its weights and, in whole panels of this many units, the packed ones.
_PANEL = 16
# A quantized kernel is kept as floating numbers of up to this many bytes.
_WIDEST = 8


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
        weights: constants W, R, B, P, and if W and R are quantized, the scale and zero point of
            each; None for those left out.
        budget: the bytes that may be taken.

    Raises:
        ValueError: weights or activations that do not fit the node.
    """
    w, r = weights[:2]
    if w is None or r is None or w.ndim != 3 or r.ndim != 3:
        raise ValueError(f"{node.describe()} has no weights of three axes")
    size = _room(w, r, node.op)
    if size > budget.left:
        return None
    budget.left -= size
    try:
        attributes = {**node.attributes, "sequences": bool(node.outputs[0])}
        return directions_of(node.kind, weights, attributes)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{node.describe()}: {error}") from error


def _room(w: Array, r: Array, op: str) -> int:
    """Return the bytes that weights made ready take at most."""
    if op not in _GATES:
        return _WIDEST * (w.size + r.size)
    directions, rows, features = w.shape
    gates = len(_GATES[op])
    units = -(-rows // gates // _PANEL) * _PANEL
    size: int = w.itemsize * directions * gates * units * (features + units)
    return 3 * size


def directions_of(
    op: str, weights: Sequence[Array | None], attributes: dict[str, Any]
) -> list[Direction]:
    """Return the directions of an LSTM, GRU or RNN; arguments and errors as for `prepare`."""
    w, r, b, p, *scales = (*weights, *[None] * 8)[:8]
    assert w is not None
    assert r is not None
    quantized = op == QUANTIZED_LSTM
    if quantized:
        op = "LSTM"
    name = attributes.get("direction", "forward")
    if name not in _DIRECTIONS:
        raise ValueError(f"direction is {name!r}, expected one of {', '.join(_DIRECTIONS)}")
    turns = _DIRECTIONS[name]
    if w.ndim != 3 or r.ndim != 3:
        raise ValueError(f"W and R have shapes {w.shape} and {r.shape}, expected three axes")
    if quantized:
        # They are stored as they are multiplied, the gates last.
        w, r = w.swapaxes(1, 2), r.swapaxes(1, 2)
    units, gates = r.shape[-1], len(_GATES[op])
    kind = "iu" if quantized else "f"
    expected = {
        "W": (w, (len(turns), gates * units, w.shape[-1]), kind),
        "R": (r, (len(turns), gates * units, units), kind),
        "B": (b, (len(turns), 2 * gates * units), "f"),
        "P": (p, (len(turns), 3 * units), "f"),
    }
    for key, (given, shape, kinds) in expected.items():
        if given is not None and (given.shape != shape or given.dtype.kind not in kinds):
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
        kernels = _quantized(w, r, scales, place) if quantized else None
        made.append(_direction(op, reverse, mine, parts, kernels, attributes))
    return made


def _direction(
    op: str,
    reverse: bool,
    activations: list[Activation],
    parts: list[Any],
    kernels: list[QuantizedKernel] | None,
    attributes: dict[str, Any],
) -> Direction:
    """Return a direction of weights W, R, B, P, the first two in `kernels` if quantized."""
    w, r, b, p = parts
    units, features = r.shape[-1], w.shape[-1]
    # Gates i and f bound together, clipped sums, peepholes: what layers do not have.
    special = [attributes.get("clip"), attributes.get("input_forget"), p is not None]
    after = bool(attributes.get("linear_before_reset"))
    own_names = [activation.layer_name for activation in activations]
    same = op != "LSTM" or activations[1:2] == activations[2:3]
    dtype = np.dtype(np.float32) if kernels else w.dtype
    layer = settings = None
    if not kernels and features and same and all(own_names) and not any(special):
        layer = _layer(op, reverse, own_names, w, r, b, after, attributes["sequences"])
    else:
        bias = np.zeros(2 * len(w), dtype) if b is None else b
        if kernels:
            # ONNX Runtime adds it last; another order would round some of h to other steps.
            bias = np.concatenate([np.zeros(len(w), dtype), bias[: len(w)] + bias[len(w) :]])
        clip, coupled = attributes.get("clip"), bool(attributes.get("input_forget"))
        kernel, recurrent_kernel = kernels or (w.T, r.T)
        settings = Settings(
            op, kernel, recurrent_kernel, bias, p, activations, clip, coupled, after
        )
    return Direction(reverse, units, features, dtype, layer, settings)


def _quantized(w: Array, r: Array, scales: list[Array | None], place: int) -> list[QuantizedKernel]:
    """Return the kernels of W and R for one direction.

    Args:
        w, r: ``(directions, gates units, features or units)``.
        scales: W's scale and zero point and R's, each ``(directions,)`` or ``(directions, gates
            units)``.
        place: of the direction.
    """
    names = {"W_scale": "f", "W_zero_point": "iu", "R_scale": "f", "R_zero_point": "iu"}
    known = []
    for (name, kinds), given in zip(names.items(), scales, strict=True):
        shapes = w.shape[:1], w.shape[:2]
        if given is None or given.shape not in shapes or given.dtype.kind not in kinds:
            found = None if given is None else f"{given.dtype} {given.shape}"
            raise ValueError(f"{name} is {found}, expected {shapes[0]} or {shapes[1]}")
        known.append(given[place])
    return [
        QuantizedKernel.of(w[place].T, *known[:2]),
        QuantizedKernel.of(r[place].T, *known[2:]),
    ]


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
