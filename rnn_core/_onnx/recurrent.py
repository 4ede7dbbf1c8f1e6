"""LSTM, GRU and RNN, on rnn_core's layers where these compute the same, else step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rnn_core import _engine
from rnn_core._onnx.cells import run_cell
from rnn_core._onnx.direction import QUANTIZED_LSTM, Direction, directions_of
from rnn_core._typing import Array

Floats = list[float]
Strings = list[str]

_WRBP = (1, 2, 3, 7)
# Which inputs are weights: W, R, B, P, and if W and R are quantized, their scales and zeros.
WEIGHTS = {
    **dict.fromkeys(["GRU", "LSTM", "RNN"], _WRBP),
    QUANTIZED_LSTM: (*_WRBP, 8, 9, 10, 11),
}


def _run(
    op: str,
    x: Array,
    weights: tuple[Array | None, ...],
    lengths: Array | None,
    first: list[Array | None],
    prepared: list[Direction] | None,
    attributes: dict[str, Any],
) -> tuple[Array | None, ...]:
    """Return Y, None if it is not wanted, and the last states, in the operator's layout."""
    directions = prepared or directions_of(op, weights, attributes)
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


def dynamic_quantize_lstm(
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    lengths: Array | None = None,
    h: Array | None = None,
    c: Array | None = None,
    p: Array | None = None,
    w_scale: Array | None = None,
    w_zero: Array | None = None,
    r_scale: Array | None = None,
    r_zero: Array | None = None,
    /,
    *,
    hidden_size: int | None = None,
    direction: str = "forward",
    activations: Strings | None = None,
    activation_alpha: Floats | None = None,
    activation_beta: Floats | None = None,
    clip: float | None = None,
    input_forget: int = 0,
    prepared: Any,
    sequences: bool,
) -> tuple[Array | None, ...]:
    """Return Y, Y_h, Y_c of `lstm` with W and R quantized, and x and each h as they come."""
    attributes = {
        **_shared(hidden_size, direction, activations, activation_alpha, activation_beta, clip),
        "input_forget": input_forget,
        "layout": 0,
        "sequences": sequences,
    }
    weights = (w, r, b, p, w_scale, w_zero, r_scale, r_zero)
    return _run(QUANTIZED_LSTM, x, weights, lengths, [h, c], prepared, attributes)


OPERATORS: dict[str, Callable[..., Any]] = {
    "GRU": gru,
    "LSTM": lstm,
    "RNN": rnn,
    QUANTIZED_LSTM: dynamic_quantize_lstm,
}
