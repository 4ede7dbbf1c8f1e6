"""ONNX's recurrent operators in float64, formula by formula (onnx/docs/Operators.md)."""

import numpy as np

ACTIVATIONS = {
    "Affine": lambda x, a=1.0, b=0.0: a * x + b,
    "Elu": lambda x, a=1.0: np.where(x < 0, a * (np.exp(x) - 1), x),
    "HardSigmoid": lambda x, a=0.2, b=0.5: np.minimum(np.maximum(a * x + b, 0), 1),
    "LeakyRelu": lambda x, a=0.01: np.where(x < 0, a * x, x),
    "Relu": lambda x: np.maximum(x, 0),
    "ScaledTanh": lambda x, a=1.0, b=1.0: a * np.tanh(b * x),
    "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "Softplus": lambda x: np.log(1 + np.exp(x)),
    "Softsign": lambda x: x / (1 + np.abs(x)),
    "Tanh": np.tanh,
    "ThresholdedRelu": lambda x, a=1.0: np.where(x > a, x, 0),
}
HAVE_ALPHA = ("Affine", "Elu", "HardSigmoid", "LeakyRelu", "ScaledTanh", "ThresholdedRelu")
HAVE_BETA = ("Affine", "HardSigmoid", "ScaledTanh")
DEFAULTS = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def functions(op, directions, activations=None, activation_alpha=(), activation_beta=()):
    """Return each direction's activations with their arguments taken in order."""
    alphas, betas = iter(activation_alpha), iter(activation_beta)
    made = []
    for name in activations or DEFAULTS[op] * directions:
        arguments = {}
        if name in HAVE_ALPHA and (alpha := next(alphas, None)) is not None:
            arguments["a"] = alpha
        if name in HAVE_BETA and (beta := next(betas, None)) is not None:
            arguments["b"] = beta
        made.append(lambda x, f=ACTIVATIONS[name], given=arguments: f(x, **given))
    each = len(DEFAULTS[op])
    return [made[each * d : each * (d + 1)] for d in range(directions)]


def step(op, f, x, states, w, r, wb, rb, p, clip, input_forget, linear_before_reset):
    """Return the new states of one row at one step; the first is the output."""

    def clipped(z):
        return np.clip(z, -clip, clip) if clip else z

    n = r.shape[1]
    W, R = np.split(w, GATES[op]), np.split(r, GATES[op])
    Wb, Rb = np.split(wb, GATES[op]), np.split(rb, GATES[op])
    h = states[0]
    if op == "RNN":
        return [f[0](clipped(W[0] @ x + R[0] @ h + Wb[0] + Rb[0]))]
    if op == "GRU":
        z, r_ = (f[0](clipped(W[k] @ x + R[k] @ h + Wb[k] + Rb[k])) for k in (0, 1))
        if linear_before_reset:
            candidate = W[2] @ x + r_ * (R[2] @ h + Rb[2]) + Wb[2]
        else:
            candidate = W[2] @ x + R[2] @ (r_ * h) + Rb[2] + Wb[2]
        return [(1 - z) * f[1](clipped(candidate)) + z * h]
    c = states[1]
    Pi, Po, Pf = np.split(np.zeros(3 * n) if p is None else p, 3)
    sums = [W[k] @ x + R[k] @ h + Wb[k] + Rb[k] for k in range(4)]
    i = f[0](clipped(sums[0] + Pi * c))
    forget = 1 - i if input_forget else f[0](clipped(sums[2] + Pf * c))
    c = forget * c + i * f[1](clipped(sums[3]))
    o = f[0](clipped(sums[1] + Po * c))
    return [o * f[2](c), c]


def recurrent(op, x, w, r, b=None, lengths=None, first=(), p=None, **attributes):
    """Return Y and the last states, x and the states in the operator's layout."""
    x, w, r = (np.asarray(a, np.float64) for a in (x, w, r))
    directions, rows, _ = w.shape
    n = r.shape[2]
    layout = attributes.pop("layout", 0)
    direction = attributes.pop("direction", "forward")
    assert attributes.pop("hidden_size", n) == n
    by_name = {
        key: attributes.pop(key)
        for key in ("activations", "activation_alpha", "activation_beta")
        if key in attributes
    }
    options = {
        key: attributes.pop(key, 0) for key in ("clip", "input_forget", "linear_before_reset")
    }
    assert not attributes
    b = np.zeros((directions, 2 * rows)) if b is None else np.asarray(b, np.float64)
    x = x.swapaxes(0, 1) if layout == 0 else x
    batch, timesteps, _ = x.shape
    count = 2 if op == "LSTM" else 1
    first = [*first, *[None] * (count - len(first))]
    states = [
        np.zeros((directions, batch, n))
        if s is None
        else np.array(s.swapaxes(0, 1) if layout else s, np.float64)
        for s in first
    ]
    y = np.zeros((batch, timesteps, directions, n))
    f = functions(op, directions, **by_name)
    for d in range(directions):
        reverse = direction == "reverse" or d == 1
        for row in range(batch):
            own = [s[d, row] for s in states]
            steps = range(timesteps if lengths is None else lengths[row])
            for t in reversed(steps) if reverse else steps:
                weights = w[d], r[d], b[d, :rows], b[d, rows:], None if p is None else p[d]
                own = step(op, f[d], x[row, t], own, *weights, **options)
                y[row, t, d] = own[0]
            for s, value in zip(states, own, strict=True):
                s[d, row] = value
    if layout:
        return [y, *(s.swapaxes(0, 1) for s in states)]
    return [y.transpose(1, 2, 0, 3), *states]
