"""Quantized ONNX models. golden/make_onnx_quantized.py makes them and ONNX Runtime's outputs."""

import numpy as np
import pytest
from test_onnx_operators import GOLDEN, assert_same, cases, run

import rnn_core as rc

QUANTIZED = cases("quantized.npz")


@pytest.mark.parametrize("name", QUANTIZED)
def test_onnx_runtime_gives_the_same(name, tmp_path):
    case = QUANTIZED[name]
    assert_same(run(case, tmp_path)[1], {f"out{n}": y for n, y in case["out"].items()}, 2e-6)


@pytest.mark.parametrize("name", ["int8", "uint8", "int8_columns"])
def test_dynamically_quantized_models_are_saved(name, tmp_path):
    path = GOLDEN / f"quantized_lstm_{name}.onnx"
    model, saved = rc.load(path), tmp_path / "saved.safetensors"
    assert {"DynamicQuantizeLSTM", "MatMulInteger"} <= {row[1] for row in model.describe()}
    model.save(saved)
    with np.load(path.with_suffix(".npz")) as stored:
        y = rc.load(saved)(stored["in_x"])
        np.testing.assert_allclose(y, stored["out_0"], rtol=0, atol=2e-6)


def one(op, *inputs, domain="", opset=17, **attributes):
    """Return the output of one node, which is not in a file; None stands for no input."""
    names = ["" if x is None else f"x{n}" for n, x in enumerate(inputs)]
    given = {name: np.asarray(x) for name, x in zip(names, inputs, strict=True) if name}
    node = {"op": op, "name": "", "inputs": names, "outputs": ["y"], "domain": domain}
    node["attributes"] = {key: {"value": value} for key, value in attributes.items()}
    graph = {
        "inputs": [{"name": name, "dtype": None, "shape": None} for name in given],
        "outputs": [{"name": "y", "dtype": None, "shape": None}],
        "nodes": [node],
        "constants": {},
    }
    return rc.OnnxModel.from_parts({"opset": opset, "graph": graph}, {})(given)


# The depths around which products of 255 by 255 leave float32's whole numbers.
@pytest.mark.parametrize("depth", [1, 258, 259, 2000])
def test_integer_products_are_exact(depth):
    a, b = np.full((1, depth), 255, np.uint8), np.full((depth, 1), 255, np.uint8)
    a[0, 0] = 254
    assert one("MatMulInteger", a, b).tolist() == [[depth * 65025 - 255]]
    x, w = a.reshape(1, 1, depth), b.reshape(1, 1, depth)
    assert one("ConvInteger", x, w).tolist() == [[[depth * 65025 - 255]]]


# W and R are all 100 with a scale, so that each step's sums can be told by hand.
def test_lstm_quantizes_x_over_all_steps_and_h_at_each():
    x = np.float32([0.3, -0.1]).reshape(2, 1, 1)
    w = np.full((1, 1, 4), 100, np.int8)
    scale, zero = np.float32([0.01]), np.zeros(1, np.int8)
    weights = w, w, None, None, None, None, None, scale, zero, scale, zero
    y = one("DynamicQuantizeLSTM", x, *weights, domain="com.microsoft")
    step = 0.4 / 255
    h = c = 0.0
    for t, value in enumerate([round(0.3 / step), round(-0.1 / step)]):
        z = value * step + h  # 255 steps of h's range, 0 to h, end at h.
        gate = 1 / (1 + np.exp(-z))
        c = gate * c + gate * np.tanh(z)
        h = gate * np.tanh(c)
        np.testing.assert_allclose(y[t, 0, 0, 0], h, rtol=1e-6)


def test_rows_without_steps_or_no_rows():
    nothing = np.zeros((0, 2, 1), np.float32)
    w = np.full((1, 1, 4), 100, np.int8)
    scale, zero = np.float32([0.01]), np.zeros(1, np.int8)
    weights = w, w, None, None, None, None, None, scale, zero, scale, zero
    for x in (nothing, nothing.swapaxes(0, 1)):
        y = one("DynamicQuantizeLSTM", x, *weights, domain="com.microsoft")
        assert y.shape == (len(x), 1, x.shape[1], 1)


W = np.zeros((1, 3, 8), np.int8)
R = np.zeros((1, 2, 8), np.int8)
SCALE, ZERO = np.ones(1, np.float32), np.zeros(1, np.int8)
LSTM = [None] * 5


@pytest.mark.parametrize(
    ("op", "inputs", "message"),
    [
        ("QuantizeLinear", [np.ones((2, 3)), np.ones(4)], r"shape \(4,\), expected \(3,\)"),
        ("QuantizeLinear", [np.ones(3), np.ones(2)], "axis is 1 for shape"),
        ("DequantizeLinear", [np.ones((2, 3), np.int8), np.ones((1, 2))], r"shape \(1, 2\)"),
        ("MatMulInteger", [np.ones((2, 3), np.int32), np.ones((3, 2), np.int8)], "8 bit numbers"),
        ("MatMulInteger", [np.ones((2, 3), np.int8), np.ones((4, 2), np.int8)], "matmul"),
        ("LSTM", [W, R, *LSTM, SCALE, ZERO, SCALE], "R_zero_point is None"),
        ("LSTM", [W, R, *LSTM, np.ones(3, np.float32), ZERO, SCALE, ZERO], "W_scale is float32"),
        ("LSTM", [W, R, *LSTM, SCALE, np.ones(1), SCALE, ZERO], "W_zero_point is float64"),
        ("LSTM", [W * 1.0, R, *LSTM, SCALE, ZERO, SCALE, ZERO], "W is float64"),
        ("LSTM", [W[0], R, *LSTM, SCALE, ZERO, SCALE, ZERO], "expected three axes"),
        ("LSTM", [W, R[..., 1:], *LSTM, SCALE, ZERO, SCALE, ZERO], "R is int8"),
    ],
)
def test_inputs_that_do_not_fit(op, inputs, message):
    domain = ""
    if op == "LSTM":
        op, domain = "DynamicQuantizeLSTM", "com.microsoft"
        inputs = [np.zeros((4, 1, 3), np.float32), *inputs]
    with pytest.raises(ValueError, match=f"{op} 'y'.*{message}"):
        one(op, *inputs, domain=domain)


def test_operators_are_of_their_domain():
    x = np.ones((2, 2), np.float32)
    for op, domain, named in (
        ("DynamicQuantizeMatMul", "", "DynamicQuantizeMatMul"),
        ("MatMul", "com.microsoft", "com.microsoft.MatMul"),
        ("Gelu", "com.example", "com.example.Gelu"),
    ):
        with pytest.raises(ValueError, match=rf"rnn_core does not have: {named} \(y\)"):
            one(op, x, x, domain=domain)


def test_constants_are_dequantized_at_load():
    model = rc.OnnxModel.from_parts(
        {
            "opset": 13,
            "graph": {
                "inputs": [{"name": "x", "dtype": "float32", "shape": [1, 2]}],
                "outputs": [{"name": "y", "dtype": "float32", "shape": [1, 2]}],
                "constants": {"w": "w", "scale": "scale"},
                "nodes": [
                    {"op": op, "name": "", "inputs": inputs, "outputs": outputs, "domain": ""}
                    | {"attributes": {}}
                    for op, inputs, outputs in (
                        ("DequantizeLinear", ["w", "scale"], ["weights"]),
                        ("MatMul", ["x", "weights"], ["y"]),
                    )
                ],
            },
        },
        {"w": np.int8([[1, 2], [3, -4]]), "scale": np.float32(0.5)},
    )
    assert [step.node.op for step in model._plan.steps] == ["MatMul"]
    assert model([[2.0, 4.0]]).tolist() == [[7.0, -6.0]]
