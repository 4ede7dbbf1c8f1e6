"""ONNX's operators. golden/make_onnx_operators.py makes the cases and ONNX Runtime's outputs."""

from pathlib import Path

import numpy as np
import pytest

import rnn_core as rc

GOLDEN = Path(__file__).parent / "golden/onnx"


def cases(name):
    """Return the cases of a file: each a model's bytes, inputs by name and expected outputs."""
    found = {}
    with np.load(GOLDEN / name) as content:
        for key in content.files:
            case, way, *rest = key.split("/")
            parts = found.setdefault(case, {"in": {}, "out": {}})
            if way == "model":
                parts["model"] = content[key].tobytes()
            else:
                parts[way][rest[0]] = content[key]
    return found


OPERATORS, NODE_TESTS = cases("operators.npz"), cases("node_tests.npz")


def run(case, tmp_path):
    path = tmp_path / "case.onnx"
    path.write_bytes(case["model"])
    model = rc.load(path)
    outputs = model(case["in"])
    outputs = outputs if isinstance(outputs, list) else [outputs]
    return model, dict(zip(model.output_names, outputs, strict=True))


def assert_same(outputs, expected, atol):
    assert outputs.keys() == expected.keys()
    for name, value in expected.items():
        assert outputs[name].dtype == value.dtype
        assert outputs[name].shape == value.shape
        np.testing.assert_allclose(outputs[name], value, rtol=2e-6, atol=atol)


@pytest.mark.parametrize("name", OPERATORS)
def test_onnx_runtime_gives_the_same(name, tmp_path):
    case = OPERATORS[name]
    assert_same(run(case, tmp_path)[1], {f"out{n}": y for n, y in case["out"].items()}, 1e-6)


@pytest.mark.parametrize("name", NODE_TESTS)
def test_the_standard_says_the_same(name, tmp_path):
    assert_same(run(NODE_TESTS[name], tmp_path)[1], NODE_TESTS[name]["out"], 1e-6)


def test_all_node_tests_of_recurrent_operators_are_there():
    assert len(NODE_TESTS) >= 18
    kinds = {op: sum(op in name for name in NODE_TESTS) for op in ("lstm", "gru", "rnn")}
    assert min(kinds.values()) >= 5


def one(op, inputs, opset=17, outputs=1, **attributes):
    """Return the outputs of one node, which are not in a file."""
    names = [f"x{n}" for n in range(len(inputs))]
    results = [f"y{n}" for n in range(outputs)]
    node = {"op": op, "name": "", "inputs": names, "outputs": results, "domain": ""}
    node["attributes"] = {key: {"value": value} for key, value in attributes.items()}
    graph = {
        "inputs": [{"name": name, "dtype": None, "shape": None} for name in names],
        "outputs": [{"name": name, "dtype": None, "shape": None} for name in results],
        "nodes": [node],
        "constants": {},
    }
    model = rc.OnnxModel.from_parts({"opset": opset, "graph": graph}, {})
    return model([np.asarray(x) for x in inputs])


# Axes of b begin at an axis of a: what Add, Mul and others did before opset 7.
def test_broadcasting_of_old():
    a, b = np.arange(24.0).reshape(2, 3, 4), np.arange(3.0)
    result = one("Mul", [a, b], opset=6, broadcast=1, axis=1)
    np.testing.assert_array_equal(result, a * b[:, None])


def test_integers_divide_towards_zero_and_mod_follows_the_divisor():
    a, b = np.array([7, -7, 7, -7, -6]), np.array([2, 2, -2, -2, 3])
    assert one("Div", [a, b]).tolist() == [3, -3, -3, 3, -2]
    assert one("Mod", [a, b]).tolist() == [1, 1, -1, -1, 0]
    assert one("Mod", [a, b], fmod=1).tolist() == [1, -1, 1, -1, 0]


def test_reshape_keeps_zero_axes():
    x = np.arange(6.0).reshape(2, 3)
    assert one("Reshape", [x, np.array([0, 3, -1])]).tolist() == x.reshape(2, 3, 1).tolist()
    with pytest.raises(ValueError, match=r"Reshape 'y0': .*cannot reshape.*\(2, 3\)"):
        one("Reshape", [x, np.array([4, -1])])


def test_softmax_of_large_numbers_and_of_nothing():
    probabilities = one("Softmax", [np.array([[1e4, 0, -np.inf]], np.float32)])
    assert probabilities.tolist() == [[1.0, 0.0, 0.0]]
    assert one("Softmax", [np.zeros((0, 3), np.float32)]).shape == (0, 3)


def test_reductions_of_nothing():
    nothing = np.zeros((2, 0), np.float32)
    expected = {"ReduceMax": -np.inf, "ReduceMin": np.inf, "ReduceSum": 0, "ReduceProd": 1}
    for op, value in expected.items():
        result = one(op, [nothing, np.array([1])], opset=20, keepdims=0)
        assert result.tolist() == [value, value]


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "message"),
    [
        ("Gather", [np.zeros(3), np.array([3])], {}, "indices from 3 to 3, expected -3 to 2"),
        ("GatherND", [np.zeros(3), np.array([[-4]])], {}, "indices from -4 to -4"),
        ("Expand", [np.zeros((2, 3)), np.array([4, 3])], {}, "shape mismatch"),
        ("Conv", [np.zeros((1, 2, 5)), np.zeros((3, 2, 2))], {"strides": [0]}, "strides is"),
        ("Conv", [np.zeros((1, 2, 5)), np.zeros((3, 2, 2))], {"dilations": [-1]}, "dilations is"),
        ("Conv", [np.zeros((1, 2, 5)), np.zeros((3, 2, 2))], {"pads": [-9, 0]}, "pads are"),
        ("Conv", [np.zeros((1, 2, 5)), np.zeros((3, 2, 2))], {"group": 2}, "group is 2"),
        ("MaxPool", [np.zeros((1, 2, 5))], {"kernel_shape": [9]}, "smaller than a window"),
        ("Sigmoid", [np.zeros(3, np.int64)], {}, "got int64, expected floating numbers"),
        ("Split", [np.zeros(5), np.array([2, 2])], {}, r"split is \[2, 2\]"),
        ("Pad", [np.zeros(5), np.array([1])], {}, "expected two for each of 1 axes"),
        ("TopK", [np.zeros(5), np.array([6])], {}, "k is 6, expected up to 5"),
    ],
)
def test_inputs_that_do_not_fit(op, inputs, attributes, message):
    with pytest.raises(ValueError, match=f"{op} 'y0.*{message}"):
        one(op, inputs, outputs=1 if op != "Split" else 2, **attributes)


@pytest.mark.parametrize(
    ("op", "attributes", "message"),
    [
        ("Softmax", {"axis": "last"}, "attribute 'axis' is str, expected int"),
        ("Softmax", {"axes": [1]}, "attribute 'axes', which is not known"),
        ("MaxPool", {}, "lacks attribute 'kernel_shape'"),
        ("Add", {}, "needs its first 2 inputs"),
        ("LSTM", {}, "needs its first 3 inputs"),
    ],
)
def test_nodes_that_are_not_of_their_operator(op, attributes, message):
    with pytest.raises(ValueError, match=message):
        one(op, [np.zeros((1, 2, 3))], **attributes)
