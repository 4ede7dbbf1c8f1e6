"""ONNX models that frameworks exported, and how models are called. Made by golden/make_onnx.py."""

import itertools
import json
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import rnn_core as rc
from rnn_core import _cli
from rnn_core._onnx.graph import Graph, Node, Value
from rnn_core._onnx.model import OnnxModel

GOLDEN = Path(__file__).parent / "golden/onnx"
FILES = sorted(GOLDEN.glob("*.onnx"))


def reference(path):
    """Return inputs by name and ONNX Runtime's outputs."""
    with np.load(path.with_suffix(".npz")) as content:
        inputs = {key[3:]: content[key] for key in content.files if key.startswith("in_")}
        count = sum(key.startswith("out_") for key in content.files)
        return inputs, [content[f"out_{n}"] for n in range(count)]


def listed(outputs):
    return outputs if isinstance(outputs, list) else [outputs]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_onnx_runtime_gives_the_same(path):
    inputs, expected = reference(path)
    for output, answer in zip(listed(rc.load(path)(inputs)), expected, strict=True):
        assert output.shape == answer.shape
        np.testing.assert_allclose(output, answer, atol=2e-6)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_parts_make_the_same_model(path):
    inputs, _ = reference(path)
    model = rc.load(path)
    config = json.loads(json.dumps(model.config()))
    twin = OnnxModel.from_parts(config, {key: x.copy() for key, x in model.arrays().items()})
    assert (twin.inputs, twin.outputs) == (model.inputs, model.outputs)
    assert (twin.describe(), twin.count_params()) == (model.describe(), model.count_params())
    for output, same in zip(listed(twin(inputs)), listed(model(inputs)), strict=True):
        np.testing.assert_array_equal(output, same)


def names_of(*names, dtype="float32", shape=None):
    return [Value(name, dtype, shape) for name in names]


def graph_of(*nodes, inputs=("x",), outputs=("y",), **constants):
    arrays = {name: np.asarray(array) for name, array in constants.items()}
    return Graph(names_of(*inputs), names_of(*outputs), list(nodes), arrays)


def number(value):
    return np.array(value, np.float32)


# Calls

STREAM = GOLDEN / "torch_stream.onnx"


def test_inputs_in_order_by_name_and_as_keywords():
    inputs, expected = reference(STREAM)
    model = rc.load(STREAM)
    assert model.input_names == ["x", "h", "c"]
    x, h, c = inputs.values()
    for outputs in (model([x, h, c]), model((x, h, c)), model(x=x, h=h, c=c), model(x, h=h, c=c)):
        for output, answer in zip(outputs, expected, strict=True):
            np.testing.assert_allclose(output, answer, atol=2e-6)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda i: i.pop("h"), ValueError, r"input 'h' is missing, expected \['x', 'h', 'c'\]"),
        (lambda i: i.update(d=1), ValueError, "no input 'd' among"),
        (
            lambda i: i.update(h=i["h"][0]),
            ValueError,
            r"has shape \(6, 4\), expected \(1, 6, 4",
        ),
        (lambda i: i.update(c=i["c"][:, :5]), ValueError, r"'c' has shape \(1, 5, 4\), expected"),
        (lambda i: i.update(x=i["x"] + 1j), TypeError, "'x' is complex64, expected float32"),
        (lambda i: i.update(x=[["a"]]), TypeError, "'x' is <U1, expected float32"),
    ],
)
def test_inputs_that_do_not_fit(change, error, message):
    inputs, _ = reference(STREAM)
    change(inputs)
    with pytest.raises(error, match=message):
        rc.load(STREAM)(inputs)


def test_a_list_of_another_number():
    with pytest.raises(ValueError, match=r"2 inputs, expected 3: \['x', 'h', 'c'\]"):
        rc.load(STREAM)([np.zeros((1, 6, 3)), np.zeros((1, 6, 4))])
    with pytest.raises(ValueError, match="input 'x' is given twice"):
        rc.load(STREAM)({"x": 1}, x=1)


def test_casts_that_keep_the_values():
    path = GOLDEN / "torch_lstm_batch_first.onnx"
    inputs, (expected,) = reference(path)
    model, ids = rc.load(path), inputs["ids"]
    for given in (ids.astype(np.int8), ids.astype(np.uint64), ids.tolist(), [ids], [ids.tolist()]):
        np.testing.assert_allclose(model(given), expected, atol=2e-6)
    with pytest.raises(TypeError, match="'ids' is float64, expected int64"):
        model(ids.astype(float))
    with pytest.raises(ValueError, match="'ids' has values that do not fit int64"):
        model(np.full((1, 2), 2**63, np.uint64))
    doubled = OnnxModel(graph_of(Node("Add", "", ["x", "x"], ["y"])), 17)
    assert doubled(0.5).dtype == doubled(np.arange(2)).dtype == np.float32


def test_an_input_with_a_default_may_be_left_out():
    add = Node("Add", "", ["x", "b"], ["y"])
    model = OnnxModel(graph_of(add, inputs=("x", "b"), b=number([1, 2])), 17)
    x = number([10, 20])
    assert model(x).tolist() == model([x]).tolist() == model(x=x).tolist() == [11, 22]
    assert model([x, [3, 4]]).tolist() == model(x, b=[3, 4]).tolist() == [13, 24]


def test_outputs_are_the_callers_own():
    """What aliases a constant or an input would change with it."""
    nodes = Node("Identity", "", ["x"], ["y"]), Node("Identity", "", ["w"], ["z"])
    model = OnnxModel(graph_of(*nodes, outputs=("y", "z"), w=number([1, 2])), 17)
    x = number([3, 4])
    for output in model(x):
        output += 1
    assert x.tolist() == [3, 4]
    assert model(x)[1].tolist() == [1, 2]


def test_calls_from_many_threads():
    path = GOLDEN / "torch_lstm_batch_first.onnx"
    model, rng = rc.load(path), np.random.default_rng(0)
    batches = [rng.integers(0, 20, (n, 7)) for n in range(1, 9)]
    alone = [model(ids) for ids in batches]
    wrong = []

    def work(ids, expected):
        for _ in range(20):
            if not np.array_equal(model(ids), expected):
                wrong.append(ids)

    threads = [
        threading.Thread(target=work, args=pair) for pair in zip(batches, alone, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_predict_splits_what_can_be_split():
    path = GOLDEN / "tf2onnx_bidirectional.onnx"
    model = rc.load(path)
    x = np.random.default_rng(0).standard_normal((11, 4, 5))
    np.testing.assert_allclose(model.predict(x, batch_size=4), model(x), atol=1e-6)
    np.testing.assert_array_equal(model.predict(x), model(x))
    with pytest.raises(ValueError, match="batch_size is 0, expected at least 1"):
        model.predict(x, batch_size=0)


def test_predict_of_sequences_of_any_lengths(rng):
    model = rc.load(GOLDEN / "tf2onnx_bidirectional.onnx")
    rows = [rng.standard_normal((n, 5)).astype(np.float32) for n in (3, 5, 3, 1, 5, 2)]
    expected = np.concatenate([model(row[None]) for row in rows])
    np.testing.assert_allclose(model.predict(rows), expected, atol=1e-6)
    tagger = rc.load(GOLDEN / "torch_lstm_batch_first.onnx")
    ids = [[3, 1, 4], [1], [5, 9, 2], [6, 5]]
    for mine, row in zip(tagger.predict(tuple(ids)), ids, strict=True):
        np.testing.assert_allclose(mine, tagger([row])[0], atol=1e-6)
    with pytest.raises(ValueError, match=r"row 1 has shape \(2, 2\), expected \(timesteps, 5\)"):
        model.predict([np.ones((2, 5)), np.ones((2, 2))])


def test_predict_refuses_sequences_for_time_first_graphs():
    model = rc.load(GOLDEN / "quantized_lstm_uint8.onnx")
    with pytest.raises(ValueError, match="expected rows of timesteps"):
        model.predict([np.ones((3, 4)), np.ones((2, 4))])


def test_predict_does_not_split_what_is_fixed():
    inputs, expected = reference(STREAM)
    outputs = rc.load(STREAM).predict(list(inputs.values()), batch_size=1)
    for output, answer in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(output, answer, atol=2e-6)


def test_predict_refuses_to_split_what_mixes_rows():
    total = Node("ReduceSum", "", ["x"], ["y"])
    value = names_of("x", shape=("batch", 2)), names_of("y", shape=("n", 1))
    model = OnnxModel(Graph(*value, [total], {}), 17)
    with pytest.raises(ValueError, match="outputs have .* rows in batches of 2: call the model"):
        model.predict(np.ones((5, 2)), batch_size=2)


# Graphs


def test_operators_that_are_not_known_are_all_named():
    inner = graph_of(Node("Warp", "deep", ["x"], ["i"]), inputs=(), outputs=("i",))
    nodes = [
        Node("Swirl", "one", ["x"], ["a"]),
        Node("Swirl", "two", ["a"], ["b"]),
        Node("Add", "there", ["a", "b"], ["c"]),
        Node("Relu", "far", ["c"], ["d"], domain="com.example"),
        Node("If", "fork", ["d"], ["y"], {"then_branch": inner, "else_branch": inner}),
    ]
    with pytest.raises(ValueError, match="operators that rnn_core does not have") as caught:
        OnnxModel(graph_of(*nodes), 17)
    text = str(caught.value)
    assert "Swirl (one, two)" in text
    assert "com.example.Relu (far)" in text
    assert "Warp (If 'fork' then_branch deep, If 'fork' else_branch deep)" in text
    assert "there" not in text


def test_both_names_of_the_standard_domain_are_known():
    model = OnnxModel(graph_of(Node("Neg", "", ["x"], ["y"], domain="ai.onnx")), 17)
    assert model([1.0]).tolist() == [-1.0]
    with pytest.raises(ValueError, match="opset is 99, expected 1 to"):
        OnnxModel(graph_of(Node("Neg", "", ["x"], ["y"])), 99)
    body = graph_of(Node("Neg", "", ["x"], ["y"]))
    scan = Node("Scan", "old", ["x"], ["y"], {"body": body, "num_scan_inputs": 1})
    with pytest.raises(ValueError, match=r"Scan of opset 8 \(old\)"):
        OnnxModel(graph_of(scan), 8)


def test_nodes_may_be_in_any_order():
    nodes = [
        Node("Mul", "", ["b", "b"], ["y"]),
        Node("Add", "", ["a", "x"], ["b"]),
        Node("Neg", "", ["x"], ["a"]),
        Node("Exp", "unused", ["a"], ["e"]),
    ]
    model = OnnxModel(graph_of(*nodes, w=number([0.0])), 17)
    assert model([2.0, 3.0]).tolist() == [0.0, 0.0]
    assert [op for _, op, _, _ in model.describe()] == ["Neg", "Add", "Mul"]
    assert model.count_params() == 0


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([("Add", ["x", "y"], ["y"])], "Add 'y' needs its own output: the graph has a cycle"),
        ([("Neg", ["a"], ["y"]), ("Neg", ["y"], ["a"])], "the graph has a cycle"),
        ([("Neg", ["x"], ["y"]), ("Exp", ["x"], ["y"])], "value 'y' is defined 2 times"),
        ([("Neg", ["x"], ["x"])], "'y' is defined by nothing"),
        ([("Neg", ["nowhere"], ["y"])], "Neg 'y' needs 'nowhere', which nothing defines"),
    ],
)
def test_graphs_that_are_none(nodes, message):
    with pytest.raises(ValueError, match=message):
        OnnxModel(graph_of(*(Node(op, "", *names) for op, *names in nodes)), 17)


def test_constants_are_computed_once():
    nodes = [
        Node("Transpose", "", ["w"], ["a"]),
        Node("Exp", "", ["a"], ["b"]),
        Node("MatMul", "", ["x", "b"], ["y"]),
    ]
    w = np.arange(6, dtype=np.float32).reshape(2, 3)
    model = OnnxModel(graph_of(*nodes, w=w), 17)
    assert [step.node.op for step in model._plan.steps] == ["MatMul"]
    np.testing.assert_allclose(model(np.eye(3)), np.exp(w.T), rtol=1e-6)
    # The graph that is stored is the one that was read.
    assert [row[1] for row in model.describe()] == ["Transpose", "Exp", "MatMul"]


def test_values_are_freed_after_their_last_use():
    count, size = 40, 1 << 18
    names = ["x", *(f"v{n}" for n in range(count - 1)), "y"]
    pairs = itertools.pairwise(names)
    model = OnnxModel(graph_of(*(Node("Neg", "", [a], [b]) for a, b in pairs)), 17)
    x = np.ones(size, np.float32)
    tracemalloc.start()
    y = model(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert y[0] == 1.0
    assert peak < 5 * x.nbytes


def test_subgraphs_see_the_values_around_them_and_hide_them():
    """The branch uses x and w of the graph around it; its own b is not the one outside."""
    branch = graph_of(
        Node("Mul", "", ["x", "b"], ["scaled"]),
        Node("Add", "", ["scaled", "w"], ["inner"]),
        inputs=(),
        outputs=("inner",),
        b=number([3.0]),
    )
    other = graph_of(inputs=(), outputs=("w",))
    fork = Node("If", "", ["c"], ["y"], {"then_branch": branch, "else_branch": other})
    positive = [Node("ReduceSum", "", ["x"], ["s"], {"keepdims": 0})]
    positive.append(Node("Greater", "", ["s", "b"], ["c"]))
    model = OnnxModel(graph_of(*positive, fork, b=number(0.0), w=number([10.0, 20.0])), 17)
    assert model([1.0, 2.0]).tolist() == [13.0, 26.0]
    assert model([-1.0, -2.0]).tolist() == [10.0, 20.0]


@pytest.mark.parametrize("config", [None, [], {}, {"opset": 17, "graph": {"inputs": 3}}])
def test_configs_that_are_none(config):
    with pytest.raises(ValueError, match=r"config is no graph|expected"):
        OnnxModel.from_parts(config, {})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda config, arrays: arrays.clear(), "array .* is missing"),
        (lambda config, arrays: config.update(opset="x"), "opset is 'x', expected a number"),
        (lambda config, arrays: config["graph"].pop("nodes"), "config is no graph: KeyError"),
        (lambda config, arrays: config["graph"]["nodes"][0].update(op=3), "op is int, expected"),
        (lambda config, arrays: config["graph"]["nodes"][0].update(inputs="ab"), "inputs is str"),
        (
            lambda config, arrays: config["graph"]["inputs"][0].update(dtype="object"),
            "dtype is object, expected numbers",
        ),
    ],
)
def test_parts_that_do_not_belong_together(change, message):
    model = rc.load(STREAM)
    config, arrays = json.loads(json.dumps(model.config())), model.arrays()
    change(config, arrays)
    with pytest.raises(ValueError, match=message):
        OnnxModel.from_parts(config, arrays)


# The command


def test_inspect_and_score(tmp_path, capsys):
    path = GOLDEN / "torch_lstm_batch_first.onnx"
    assert _cli.main(["inspect", str(path)]) == 0
    text = capsys.readouterr().out
    assert "input 'ids', int64 (ids_0, ids_1)" in text
    assert "2x16x5 2x16x4 2x32" in text
    inputs, (expected,) = reference(path)
    source, target = tmp_path / "ids.npy", tmp_path / "scores.npy"
    np.save(source, inputs["ids"])
    assert _cli.main(["score", str(path), str(source), "-o", str(target)]) == 0
    np.testing.assert_allclose(np.load(target), expected, atol=2e-6)
