"""LSTM, GRU and RNN of ONNX against the formulas in float64, with all their options."""

import numpy as np
import onnx_oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnn_core._onnx.graph import Graph, Node, Value
from rnn_core._onnx.model import OnnxModel

TIMESTEPS, BATCH, FEATURES, UNITS = 5, 3, 4, 3
DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}
TOLERANCE = {"float32": 3e-6, "float64": 1e-10}
# With others values grow from step to step, and float32's errors with them.
BOUNDED = ["HardSigmoid", "ScaledTanh", "Sigmoid", "Softsign", "Tanh"]


def model_of(op, arrays, attributes, constants, wanted=None):
    """Return a model of one recurrent node; `arrays` not among `constants` are its inputs."""
    names = [name if array is not None else "" for name, array in arrays.items()]
    outputs = ["Y", "Y_h", "Y_c"][: 3 if op == "LSTM" else 2]
    shown = wanted or outputs
    node = Node(op, "cell", names, [x if x in shown else "" for x in outputs], attributes)
    given = {name: array for name, array in arrays.items() if array is not None}
    held = {name: array for name, array in given.items() if name in constants}
    inputs = [Value(name) for name in given if name not in held]
    return OnnxModel(Graph(inputs, [Value(x) for x in shown], [node], held), 14)


def draw_arrays(op, directions, rng, dtype="float32", layout=0, lengths=None, parts=("B",)):
    """Return arrays by the names of the operator's inputs; None for what is not in `parts`."""
    rows = onnx_oracle.GATES[op] * UNITS

    def normal(*shape):
        return rng.standard_normal(shape).astype(dtype)

    state = (BATCH, directions, UNITS) if layout else (directions, BATCH, UNITS)
    arrays = {
        "X": normal(*((BATCH, TIMESTEPS) if layout else (TIMESTEPS, BATCH)), FEATURES),
        "W": normal(directions, rows, FEATURES) * 0.6,
        "R": normal(directions, rows, UNITS) * 0.6,
        "B": normal(directions, 2 * rows) if "B" in parts else None,
        "lengths": None if lengths is None else np.array(lengths, np.int32),
        "h": normal(*state) if "h" in parts else None,
    }
    if op == "LSTM":
        arrays["c"] = normal(*state) if "c" in parts else None
        arrays["P"] = normal(directions, 3 * UNITS) if "P" in parts else None
    return {key: x if x is None else x.astype(x.dtype, copy=False) for key, x in arrays.items()}


def expected(op, arrays, attributes):
    states = [arrays["h"], *([arrays["c"]] if op == "LSTM" else [])]
    weights = [arrays[key] for key in ("X", "W", "R", "B", "lengths")]
    return onnx_oracle.recurrent(op, *weights, states, arrays.get("P"), **attributes)


def assert_equal(outputs, answers, tolerance):
    for output, answer in zip(outputs, answers, strict=True):
        assert output.shape == answer.shape
        np.testing.assert_allclose(output, answer, rtol=tolerance, atol=tolerance)


@st.composite
def cells(draw):
    op = draw(st.sampled_from(["LSTM", "GRU", "RNN"]))
    dtype = draw(st.sampled_from(["float32", "float64"]))
    direction = draw(st.sampled_from([*DIRECTIONS]))
    attributes = {"direction": direction, "hidden_size": UNITS}
    attributes["layout"] = draw(st.sampled_from([0, 1]))
    if draw(st.booleans()):
        each = len(onnx_oracle.DEFAULTS[op]) * DIRECTIONS[direction]
        known = BOUNDED if dtype == "float32" else [*onnx_oracle.ACTIVATIONS]
        names = st.sampled_from(known)
        chosen = draw(st.lists(names, min_size=each, max_size=each))
        attributes["activations"] = chosen
        if draw(st.booleans()):
            numbers = st.lists(st.sampled_from([0.3, 0.5, 0.9]), max_size=each)
            attributes["activation_alpha"] = draw(numbers)
            attributes["activation_beta"] = draw(numbers)
    if draw(st.booleans()):
        attributes["clip"] = 0.6
    if op == "LSTM":
        attributes["input_forget"] = draw(st.sampled_from([0, 1]))
    if op == "GRU":
        attributes["linear_before_reset"] = draw(st.sampled_from([0, 1]))
    lengths = draw(st.none() | st.lists(st.integers(0, TIMESTEPS), min_size=BATCH, max_size=BATCH))
    parts = draw(st.sets(st.sampled_from(["B", "h", "c", "P"])))
    return op, attributes, lengths, parts, dtype


@settings(max_examples=300, deadline=None, derandomize=True)
@given(cells())
def test_all_options_together(cell):
    op, attributes, lengths, parts, dtype = cell
    rng = np.random.default_rng(5)
    directions, layout = DIRECTIONS[attributes["direction"]], attributes["layout"]
    arrays = draw_arrays(op, directions, rng, dtype, layout, lengths, parts)
    answers = expected(op, arrays, attributes)
    model = model_of(op, arrays, attributes, constants=("W", "R", "B", "P"))
    outputs = model({name: arrays[name] for name in model.input_names})
    scale = max(1.0, *(np.abs(answer).max() for answer in answers))
    assert_equal(outputs, answers, TOLERANCE[dtype] * scale)


STANDARD = [
    ("LSTM", {}),
    ("LSTM", {"activations": ["HardSigmoid", "Softsign", "Softsign"]}),
    ("GRU", {}),
    ("GRU", {"linear_before_reset": 1}),
    ("RNN", {}),
    ("RNN", {"activations": ["Relu"]}),
]


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(("op", "options"), STANDARD)
def test_standard_cells_run_on_layers(op, options, direction, rng):
    directions = DIRECTIONS[direction]
    names = options.get("activations", onnx_oracle.DEFAULTS[op]) * directions
    attributes = {**options, "activations": names, "direction": direction}
    arrays = draw_arrays(op, directions, rng, lengths=[5, 2, 0], parts=("B", "h", "c"))
    model = model_of(op, arrays, attributes, constants=("W", "R", "B"))
    (step,) = model._plan.steps
    assert all(part.layer is not None for part in step.function.keywords["prepared"])
    outputs = model({name: arrays[name] for name in model.input_names})
    assert_equal(outputs, expected(op, arrays, attributes), 2e-6)


@pytest.mark.parametrize("op", ["LSTM", "GRU", "RNN"])
def test_weights_that_are_computed(op, rng):
    arrays = draw_arrays(op, 1, rng, parts=("B",))
    model = model_of(op, arrays, {}, constants=())
    outputs = model({name: arrays[name] for name in model.input_names})
    assert_equal(outputs, expected(op, arrays, {}), 2e-6)


@pytest.mark.parametrize("wanted", [["Y"], ["Y_h"], ["Y_c"], ["Y_c", "Y"]])
@pytest.mark.parametrize("options", [{}, {"clip": 0.5}])
def test_outputs_that_are_left_out(wanted, options, rng):
    arrays = draw_arrays("LSTM", 2, rng)
    attributes = {"direction": "bidirectional", **options}
    model = model_of("LSTM", arrays, attributes, ("W", "R", "B"), wanted)
    outputs = model(arrays["X"])
    outputs = outputs if len(wanted) > 1 else [outputs]
    answers = dict(zip(["Y", "Y_h", "Y_c"], expected("LSTM", arrays, attributes), strict=True))
    assert_equal(outputs, [answers[name] for name in wanted], 2e-6)


def test_outputs_that_nothing_uses_are_not_made(rng):
    """Exporters name all outputs; the steps' are not kept if only the last states are used."""
    arrays = draw_arrays("GRU", 1, rng)
    nodes = [
        Node("GRU", "cell", ["X", "W", "R", "B"], ["Y", "Y_h"]),
        Node("Squeeze", "", ["Y_h"], ["last"], {"axes": [0]}),
    ]
    held = {key: arrays[key] for key in ("W", "R", "B")}
    model = OnnxModel(Graph([Value("X")], [Value("last")], nodes, held), 12)
    (prepared,) = model._plan.steps[0].function.keywords["prepared"]
    assert not prepared.layer.return_sequences
    assert_equal([model(arrays["X"])], [expected("GRU", arrays, {})[1][0]], 2e-6)


@pytest.mark.parametrize("op", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize(("timesteps", "batch"), [(0, 2), (3, 0), (1, 1)])
def test_nothing_and_little(op, timesteps, batch, rng):
    arrays = draw_arrays(op, 2, rng, parts=("B",))
    arrays["X"] = arrays["X"][:timesteps, :batch]
    attributes = {"direction": "bidirectional"}
    outputs = model_of(op, arrays, attributes, ("W", "R", "B"))(arrays["X"])
    assert_equal(outputs, expected(op, arrays, attributes), 2e-6)


def test_transposes_around_a_layer_cost_no_copy(rng):
    """Batch-major data, as torch exports it: a view goes in, views of one array come out."""
    arrays = draw_arrays("LSTM", 2, rng)
    nodes = [
        Node("Transpose", "", ["batch_major"], ["X"], {"perm": [1, 0, 2]}),
        Node("LSTM", "", ["X", "W", "R", "B"], ["Y"], {"direction": "bidirectional"}),
        Node("Transpose", "", ["Y"], ["by_step"], {"perm": [0, 2, 1, 3]}),
        Node("Reshape", "", ["by_step", "shape"], ["joined"]),
        Node("Transpose", "", ["joined"], ["result"], {"perm": [1, 0, 2]}),
    ]
    held = {key: arrays[key] for key in ("W", "R", "B")} | {"shape": np.array([0, 0, -1])}
    outputs = [Value("result"), Value("Y")]
    model = OnnxModel(Graph([Value("batch_major")], outputs, nodes, held), 14)
    result, y = model(arrays["X"].swapaxes(0, 1))
    assert np.shares_memory(result, y)
    assert result.flags.c_contiguous
    attributes = {"direction": "bidirectional"}
    answer = expected("LSTM", arrays, attributes)[0].transpose(2, 0, 1, 3).reshape(BATCH, -1, 6)
    np.testing.assert_allclose(result, answer, atol=2e-6)


@pytest.mark.parametrize(
    ("changes", "attributes", "message"),
    [
        ({"W": np.zeros((2, 12, 4), "f")}, {}, r"W is float32 \(2, 12, 4\), expected \(1, 12, 4\)"),
        ({"R": np.zeros((1, 16, 3), "f")}, {}, r"R is float32 \(1, 16, 3\), expected \(1, 12, 3\)"),
        ({"B": np.zeros((1, 12), "f")}, {}, r"B is float32 \(1, 12\), expected \(1, 24\)"),
        ({"R": np.zeros((12, 3), "f")}, {}, "no weights of three axes"),
        ({}, {"hidden_size": 5}, "hidden_size is 5, R is for 3 units"),
        ({}, {"direction": "sideways"}, "direction is 'sideways', expected one of forward"),
        ({}, {"activations": ["Tanh"]}, "expected 3 for each direction"),
        ({}, {"activations": ["Tanh", "Tanh", "Sine"]}, "activation is 'Sine', expected one of"),
    ],
)
def test_weights_that_do_not_fit(changes, attributes, message, rng):
    arrays = {**draw_arrays("LSTM", 1, rng), **changes}
    with pytest.raises(ValueError, match=f"LSTM 'cell' has|LSTM 'cell': .*{message}") as caught:
        model_of("LSTM", arrays, attributes, constants=("W", "R", "B"))
    assert caught.match(message)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "X",
            np.zeros((5, 3, 7), "f"),
            r"X is float32 \(5, 3, 7\), expected .* 4\)",
        ),
        ("lengths", np.array([1, 2, 6], "i4"), r"sequence_lens is \[1, 2, 6\], expected 0 to 5"),
        ("lengths", np.array([1, 2], "i4"), r"sequence_lens has shape \(2,\), expected \(3,\)"),
        ("h", np.zeros((1, 3, 2), "f"), r"initial state has shape \(1, 3, 2\)"),
    ],
)
def test_calls_that_do_not_fit(name, value, message, rng):
    arrays = draw_arrays("LSTM", 1, rng, lengths=[1, 2, 3], parts=("B", "h", "c"))
    model = model_of("LSTM", arrays, {}, constants=("W", "R", "B"))
    inputs = {key: arrays[key] for key in model.input_names}
    with pytest.raises(ValueError, match=f"LSTM 'cell': .*{message}"):
        model({**inputs, name: value})
