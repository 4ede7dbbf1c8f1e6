"""What every layer must compute, formula by formula, in float64 NumPy."""

import numpy as np
from scipy.special import erf, expit, log1p

EXPM1 = np.expm1
SELU_SCALE, SELU_ALPHA = 1.0507009873554804934, 1.6732632423543772848


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


ACTIVATIONS = {
    "linear": lambda x: x,
    "tanh": np.tanh,
    "sigmoid": expit,
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "hard_sigmoid_legacy": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    "relu": lambda x: np.maximum(x, 0),
    "elu": lambda x: np.where(x > 0, x, EXPM1(np.minimum(x, 0))),
    "selu": lambda x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * EXPM1(np.minimum(x, 0))),
    "softplus": lambda x: np.maximum(x, 0) + log1p(np.exp(-np.abs(x))),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "exponential": np.exp,
    "silu": lambda x: x * expit(x),
    "gelu": lambda x: 0.5 * x * (1 + erf(x / np.sqrt(2))),
    "softmax": softmax,
}


def simple_rnn(x, states, w, act, rec):
    (h,) = states
    return (act(x @ w["kernel"] + w["bias"] + h @ w["recurrent_kernel"]),)


def lstm(x, states, w, act, rec):
    h, c = states
    i, f, g, o = np.split(x @ w["kernel"] + w["bias"] + h @ w["recurrent_kernel"], 4, axis=-1)
    c = rec(f) * c + rec(i) * act(g)
    return rec(o) * act(c), c


def gru_after(x, states, w, act, rec):
    (h,) = states
    xz, xr, xh = np.split(x @ w["kernel"] + w["bias"], 3, axis=-1)
    hz, hr, hh = np.split(h @ w["recurrent_kernel"] + w["recurrent_bias"], 3, axis=-1)
    z, r = rec(xz + hz), rec(xr + hr)
    return (z * h + (1 - z) * act(xh + r * hh),)


def gru_before(x, states, w, act, rec):
    (h,) = states
    xz, xr, xh = np.split(x @ w["kernel"] + w["bias"], 3, axis=-1)
    uz, ur, uh = np.split(w["recurrent_kernel"], 3, axis=-1)
    z, r = rec(xz + h @ uz), rec(xr + h @ ur)
    return (z * h + (1 - z) * act(xh + (r * h) @ uh),)


# The step, the number of gates, the number of states.
CELLS = {
    "simple_rnn": (simple_rnn, 1, 1),
    "lstm": (lstm, 4, 2),
    "gru_after": (gru_after, 3, 1),
    "gru_before": (gru_before, 3, 1),
}


def random_weights(rng, cell, features, units, scale=None):
    """Weights of ordinary size: products of about unit variance, halved by the recurrence."""
    gates = CELLS[cell][1]
    columns = gates * units
    weights = {
        "kernel": rng.standard_normal((features, columns)) / np.sqrt(max(features, 1)),
        "recurrent_kernel": rng.standard_normal((units, columns)) / np.sqrt(units) / 2,
        "bias": rng.standard_normal(columns) / 2,
        "recurrent_bias": rng.standard_normal(columns) / 2,
    }
    if cell != "gru_after":
        weights["recurrent_bias"][:] = 0
    return weights


def run(
    cell,
    weights,
    x,
    states=None,
    mask=None,
    go_backwards=False,
    zero_output=False,
    activation="tanh",
    recurrent_activation="sigmoid",
):
    """Return all outputs (batch, timesteps, units) in processing order, and the last states.

    A masked step keeps the states and emits the output before it, zeros at first or always.
    """
    step, _, state_count = CELLS[cell]
    weights = {name: np.asarray(value, np.float64) for name, value in weights.items()}
    x = np.asarray(x, np.float64)
    batch, timesteps = x.shape[:2]
    units = weights["recurrent_kernel"].shape[0]
    if states is None:
        states = [np.zeros((batch, units))] * state_count
    states = [np.asarray(state, np.float64) for state in states]
    mask = np.ones((batch, timesteps), bool) if mask is None else np.asarray(mask, bool)
    outputs = np.zeros((batch, timesteps, units))
    last = np.zeros((batch, units))
    order = range(timesteps - 1, -1, -1) if go_backwards else range(timesteps)
    act, rec = ACTIVATIONS[activation], ACTIVATIONS[recurrent_activation]
    for position, t in enumerate(order):
        keep = mask[:, t, None]
        x_t = np.where(keep, x[:, t], 0.0)
        new = step(x_t, states, weights, act, rec)
        states = [np.where(keep, n, old) for n, old in zip(new, states, strict=True)]
        last = np.where(keep, new[0], 0.0 if zero_output else last)
        outputs[:, position] = last
    return outputs, states
