"""Other engines, each computing the same recurrent layer from the same weights.

Each of `PEERS` makes the calls to time from a `Problem` and a number of threads, by the name of
how it is called; a call returns ``(timesteps, batch, units)``, as its inputs are, with or without
an axis of length 1. Time-major is the layout in which no engine here has to transpose anything.
"""

import importlib.util
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np


class Shape(NamedTuple):
    cell: str
    batch: int
    timesteps: int
    units: int

    def __str__(self):
        return f"{self.cell} {self.batch}·{self.timesteps}·{self.units}"


@dataclass
class Problem:
    """A layer with as many features as units: random weights in Keras's layout, and inputs.

    The gates' columns are in the order i f g o (LSTM) or z r h (GRU).
    """

    shape: Shape

    def __post_init__(self):
        cell, batch, timesteps, units = self.shape
        rng = np.random.default_rng(0)

        def normal(*axes):
            return rng.standard_normal(axes, np.float32)

        columns = GATES[cell] * units
        scale = np.float32(units**-0.5)
        self.inputs = normal(timesteps, batch, units)
        self.kernel = scale * normal(units, columns)
        self.recurrent_kernel = scale * normal(units, columns)
        self.bias = scale * normal(columns)
        # Only the GRU's two biases differ from their sum.
        self.recurrent_bias = scale * normal(columns) * (cell == "gru")

    @cached_property
    def weights(self):
        """What Keras's `set_weights` takes."""
        bias = np.stack([self.bias, self.recurrent_bias]) if self.shape.cell == "gru" else self.bias
        return [self.kernel, self.recurrent_kernel, bias]

    def by_gate(self, order):
        """Return W and U transposed, b and c, with their gates in another order."""
        arrays = self.kernel.T, self.recurrent_kernel.T, self.bias, self.recurrent_bias
        gates = [np.split(array, len(order)) for array in arrays]
        return [np.concatenate([each[gate] for gate in order]) for each in gates]

    @cached_property
    def onnx(self):
        """The layer as an ONNX model of one node."""
        from onnx import TensorProto, helper, numpy_helper

        cell, batch, timesteps, units = self.shape
        kind, order, attributes = {
            "lstm": ("LSTM", (0, 3, 1, 2), {}),
            "gru": ("GRU", (0, 1, 2), {"linear_before_reset": 1}),
            "rnn": ("RNN", (0,), {}),
        }[cell]
        kernel, recurrent_kernel, *biases = self.by_gate(order)
        weights = {"W": kernel, "R": recurrent_kernel, "B": np.concatenate(biases)}
        node = helper.make_node(
            kind, ["X", *weights], ["Y"], hidden_size=units, layout=0, **attributes
        )
        x, y = (
            helper.make_tensor_value_info(name, TensorProto.FLOAT, axes)
            for name, axes in (
                ("X", (timesteps, batch, units)),
                ("Y", (timesteps, 1, batch, units)),
            )
        )
        initializers = [numpy_helper.from_array(w[None], name) for name, w in weights.items()]
        graph = helper.make_graph([node], cell, [x], [y], initializers)
        opsets = [helper.make_opsetid("", 14)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def lstm_step(xp, sigmoid, z, u, states):
    h, c = states
    n = h.shape[-1]
    z = z + h @ u
    i, f = sigmoid(z[..., :n]), sigmoid(z[..., n : 2 * n])
    c = f * c + i * xp.tanh(z[..., 2 * n : 3 * n])
    h = sigmoid(z[..., 3 * n :]) * xp.tanh(c)
    return (h, c), h


def gru_step(xp, sigmoid, x, u, bias, states):
    (h,) = states
    n = h.shape[-1]
    u = h @ u + bias
    gates = sigmoid(x[..., : 2 * n] + u[..., : 2 * n])
    z, r = gates[..., :n], gates[..., n:]
    h = z * h + (1 - z) * xp.tanh(x[..., 2 * n :] + r * u[..., 2 * n :])
    return (h,), h


def rnn_step(xp, sigmoid, z, u, states):
    h = xp.tanh(z + states[0] @ u)
    return (h,), h


GATES = {"lstm": 4, "gru": 3, "rnn": 1}
STATES = {"lstm": 2, "gru": 1, "rnn": 1}


def stepper(problem, xp, sigmoid):
    """Return the equations of one step, of x.W + b and the states, and the first states."""
    cell, batch, _, units = problem.shape
    recurrent = [xp.asarray(problem.recurrent_kernel)]
    if cell == "gru":
        recurrent.append(xp.asarray(problem.recurrent_bias))
    equations = {"lstm": lstm_step, "gru": gru_step, "rnn": rnn_step}[cell]

    def step(states, projected):
        return equations(xp, sigmoid, projected, *recurrent, states)

    return step, (xp.zeros((batch, units), xp.float32),) * STATES[cell]


def numpy_calls(problem, threads):
    step, first = stepper(problem, np, lambda x: 0.5 * (np.tanh(0.5 * x) + 1))
    x, kernel, bias = problem.inputs, problem.kernel, problem.bias

    def run():
        states, outputs = first, np.empty_like(x)
        projections = x.reshape(-1, x.shape[2]) @ kernel + bias
        for t, projected in enumerate(projections.reshape(*x.shape[:2], -1)):
            states, outputs[t] = step(states, projected)
        return outputs

    return {"loop": run}


def jax_calls(problem, threads):
    import jax

    step, first = stepper(problem, jax.numpy, jax.nn.sigmoid)
    x, kernel, bias = map(jax.numpy.asarray, (problem.inputs, problem.kernel, problem.bias))

    layouts = {"": (x, first)}
    if problem.shape.batch == 1:
        layouts[", no batch axis"] = x[:, 0], tuple(state[0] for state in first)

    def project(x):
        return x @ kernel + bias

    def before(x, first, unroll):
        return jax.lax.scan(step, first, project(x), unroll=unroll)[1]

    def inside(x, first, unroll):
        return jax.lax.scan(lambda s, x: step(s, project(x)), first, x, unroll=unroll)[1]

    def call(scan, x, first, unroll):
        compiled = jax.jit(lambda x: scan(x, first, unroll))
        return lambda: compiled(x).block_until_ready()

    return {
        f"x.W {scan.__name__} the scan, unroll {unroll}{layout}": call(scan, *arguments, unroll)
        for scan in (before, inside)
        for layout, arguments in layouts.items()
        for unroll in (1, 4)
        if unroll <= problem.shape.timesteps
    }


def torch_calls(problem, threads):
    import torch

    torch.set_num_threads(threads)
    kind, order = {
        "lstm": (torch.nn.LSTM, (0, 1, 2, 3)),
        "gru": (torch.nn.GRU, (1, 0, 2)),
        "rnn": (torch.nn.RNN, (0,)),
    }[problem.shape.cell]
    layer = kind(problem.shape.units, problem.shape.units).eval()
    with torch.no_grad():
        for parameter, values in zip(layer.parameters(), problem.by_gate(order), strict=True):
            parameter.copy_(torch.from_numpy(values))
    x = torch.from_numpy(problem.inputs)

    @torch.inference_mode()
    def run():
        return layer(x)[0]

    return {"time-major": run}


def onnx_runtime_calls(problem, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.spin_duration_us", "2000")
    session = onnxruntime.InferenceSession(
        problem.onnx, options, providers=["CPUExecutionProvider"]
    )
    _, batch, timesteps, units = problem.shape
    output = np.empty((timesteps, 1, batch, units), np.float32)
    binding = session.io_binding()
    for bind, name, array in (
        (binding.bind_input, "X", problem.inputs),
        (binding.bind_output, "Y", output),
    ):
        bind(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)

    output = output[:, 0]

    def run():
        session.run_with_iobinding(binding)
        return output

    return {"io binding": run}


def openvino_calls(problem, threads):
    import openvino

    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    compiled = core.compile_model(core.read_model(problem.onnx), "CPU", settings)
    request = compiled.create_infer_request()
    request.set_input_tensor(openvino.Tensor(problem.inputs, shared_memory=True))
    output = request.get_output_tensor().data[:, 0]

    def run():
        request.infer(share_outputs=True)
        return output

    return {"preset tensors": run}


PEERS = {
    "NumPy": (numpy_calls, ["numpy"]),
    "torch": (torch_calls, ["torch"]),
    "ONNX Runtime": (onnx_runtime_calls, ["onnx", "onnxruntime"]),
    "OpenVINO": (openvino_calls, ["onnx", "openvino"]),
    "JAX": (jax_calls, ["jax"]),
}


def installed():
    """Return the names of the peers whose packages are there, and name the others."""
    found = []
    for name, (_, packages) in PEERS.items():
        missing = [package for package in packages if not importlib.util.find_spec(package)]
        if missing:
            print(f"{name} is left out: {missing[0]} is not installed")
        else:
            found.append(name)
    return found
