"""Makes operators.npz in tests/golden/onnx/: models of one node, inputs, ONNX Runtime's outputs.

And node_tests.npz: the ONNX standard's own tests of recurrent operators, with its outputs.
What ONNX Runtime does not run, because it is too old or of other types, onnx.reference does. Run in
an environment of ``onnx==1.23.* onnxruntime==1.31.*``:

    python tests/golden/make_onnx_operators.py
"""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnx.backend.test.case.node import collect_testcases
from onnx.reference import ReferenceEvaluator

HERE = Path(__file__).parent / "onnx"
RNG = np.random.default_rng(4)
X = RNG.standard_normal((2, 3, 4)).astype(np.float32)
Y = RNG.standard_normal((3, 1)).astype(np.float32)
POSITIVE = np.abs(X) + np.float32(0.1)
SPACE = RNG.standard_normal((2, 4, 7)).astype(np.float32)
IMAGE = RNG.standard_normal((1, 4, 5, 6)).astype(np.float32)
NUMBERS = np.array([[-7, -3, 0], [2, 5, 9]], np.int64)
DIVISORS = np.array([[2, -2, 3], [-4, 3, -5]], np.int64)
TRUE = NUMBERS > 0
CASES = []


def i(*values):
    return np.array(values, np.int64)


def f(*values):
    return np.array(values, np.float32)


def random(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def case(op, *inputs, opset=17, outputs=1, **attributes):
    """Add a case; None stands for an input that is left out."""
    CASES.append((op, inputs, opset, outputs, attributes))


def graph_of(nodes, inputs, outputs):
    """Return a subgraph; its inputs and outputs are names with data types, shapes if known."""
    infos = [
        [
            helper.make_tensor_value_info(name, kind, *shape or [None])
            for name, kind, *shape in values
        ]
        for values in (inputs, outputs)
    ]
    return helper.make_graph(nodes, "body", *infos)


def elementwise():
    for op in ("Abs", "Ceil", "Erf", "Exp", "Floor", "Neg", "Relu", "Round", "Sigmoid", "Sign"):
        case(op, X)
    for op in (
        "Asinh",
        "Atan",
        "Cos",
        "Cosh",
        "Sin",
        "Sinh",
        "Softplus",
        "Softsign",
        "Tan",
        "Tanh",
    ):
        case(op, X)
    for op in ["Log", "Reciprocal", "Sqrt"]:
        case(op, POSITIVE)
    for op in ["Elu", "LeakyRelu", "HardSigmoid", "Selu", "ThresholdedRelu"]:
        case(op, X)
        case(op, X, alpha=0.3)
    case("Celu", X, alpha=0.7)
    case("HardSwish", X)
    case("Mish", X, opset=18)
    case("Gelu", X, opset=20)
    case("Gelu", X, opset=20, approximate="tanh")
    case("PRelu", X, random(3, 1))
    case("Shrink", X, bias=0.2, lambd=0.3)
    case("Identity", X)
    case("Not", TRUE)
    case("IsNaN", f(1, np.nan, np.inf))
    case("IsInf", f(1, np.nan, np.inf, -np.inf), detect_negative=0)
    for op in ["Add", "Sub", "Mul", "Div", "Max", "Min", "Mean", "Sum"]:
        case(op, X, Y)
    case("Max", X, Y, f(0.5))
    case("Sum", X)
    case("Mean", X, Y, X)
    for op in ["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"]:
        case(op, NUMBERS, i(0, 5, 9))
        case(op, X, Y)
    for op in ["And", "Or", "Xor"]:
        case(op, TRUE, np.array([True, False, True]))
    case("Div", NUMBERS, DIVISORS)
    case("Div", NUMBERS.astype(np.int32), DIVISORS.astype(np.int32))
    case("Mod", NUMBERS, DIVISORS)
    case("Mod", NUMBERS, DIVISORS, fmod=1)
    case("Mod", X, np.abs(Y), fmod=1)
    for exponent in (2, 3, 0.5):
        case("Pow", POSITIVE, f(exponent))
    case("Pow", X, i(3))
    case("Pow", NUMBERS, i(2))
    case("Clip", X, f(-0.5).reshape(()), f(0.5).reshape(()))
    case("Clip", X, None, f(0.5).reshape(()))
    case("Clip", X, opset=6, min=-0.3, max=0.4)
    case("Clip", NUMBERS, np.array(-2), np.array(4))
    case("Where", X > 0, X, Y)
    case("Add", X, random(3, 4), opset=6, broadcast=1, axis=1)


def reductions():
    for op in ["L1", "L2", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare"]:
        name = f"Reduce{op}"
        case(
            name,
            X,
            *([i(1, 2)] if op == "Sum" else []),
            **({} if op == "Sum" else {"axes": [1, 2]}),
        )
        case(name, X, i(-1), opset=18, keepdims=0)
        case(name, X, opset=18)
    case("ReduceLogSum", POSITIVE, axes=[0])
    case("ReduceSum", X, axes=[0], opset=11)
    case("ReduceSum", X, opset=13, noop_with_empty_axes=1)
    case("ReduceSum", NUMBERS.astype(np.int32), i(0))
    case("ReduceMax", NUMBERS, axes=[1])
    for op in ("ArgMax", "ArgMin"):
        case(op, X, axis=1)
        case(op, f(1, 3, 3, 1), keepdims=0)
        case(op, f(1, 3, 3, 1), select_last_index=1)
    case("TopK", X, i(2), outputs=2)
    case("TopK", X, i(2), outputs=2, axis=1, largest=0)
    case("TopK", f(1, 3, 3, 1), i(3), outputs=2)
    case("TopK", X, i(3), opset=10, outputs=2)
    case("TopK", X, opset=9, outputs=2, k=2)
    case("CumSum", X, np.array(1))
    case("CumSum", X, np.array(-1), exclusive=1, reverse=1)


def shapes():
    for to in (TensorProto.INT32, TensorProto.DOUBLE, TensorProto.BOOL):
        case("Cast", X * 3, to=to)
    case("Cast", NUMBERS, to=TensorProto.FLOAT)
    case("CastLike", NUMBERS, X)
    case("Concat", X, X, axis=1)
    case("Concat", X, X, axis=-1)
    case("ConstantOfShape", i(2, 3))
    case("ConstantOfShape", i(2), value=helper.make_tensor("v", TensorProto.INT64, [1], [7]))
    case("Dropout", X, opset=12)
    case("Dropout", X, opset=10, ratio=0.3)
    case("Dropout", X, outputs=2)
    case("Expand", Y, i(2, 3, 4))
    case("Expand", X, i(1))
    case("EyeLike", NUMBERS, k=1, dtype=TensorProto.FLOAT)
    for axis in (0, 1, 2, -1):
        case("Flatten", X, axis=axis)
    case("Range", np.array(2), np.array(11), np.array(3))
    case("Range", np.float32(2), np.float32(-1), np.float32(-0.5))
    case("Reshape", X, i(0, -1))
    case("Reshape", X, i(4, 2, -1))
    case("Reshape", random(0, 3), i(3, 0), opset=14, allowzero=1)
    case("Shape", X)
    case("Shape", X, start=-2)
    case("Shape", X, start=0, end=-1)
    case("Size", X)
    case("Slice", X, i(1), i(3), i(2))
    case("Slice", X, i(-1, 0), i(-100, 2), i(2, 1), i(-1, 1))
    case("Slice", X, i(0, 1), i(1000, 3))
    case("Slice", X, i(-2), i(0), i(2), i(-1))
    case("Slice", X, i(100), i(-100), i(1), i(-2))
    case("Slice", X, opset=9, starts=[0, 1], ends=[-1, 9], axes=[1, 2])
    case("Split", X, i(1, 3), outputs=2, axis=2)
    case("Split", X, outputs=3, axis=1)
    case("Split", X, opset=11, outputs=2, axis=2, split=[3, 1])
    case("Split", f(1, 2, 3, 4, 5), opset=18, outputs=2, num_outputs=2)
    case("Squeeze", X[:, :1], i(1))
    case("Squeeze", X[:1, :, :1])
    case("Squeeze", X[:, :1], opset=11, axes=[1])
    case("Tile", Y, i(2, 3))
    case("Transpose", X)
    case("Transpose", X, perm=[1, 0, 2])
    case("Trilu", X)
    case("Trilu", X, np.array(-1), upper=0)
    case("Unsqueeze", X, i(0, -1))
    case("Unsqueeze", X, opset=11, axes=[1, 3])
    for mode in ("constant", "reflect", "edge"):
        case("Pad", X, i(0, 1, 2, 0, 1, 1), mode=mode)
    case("Pad", X, i(0, 0, -1, 0, 2, -1), np.float32(1.5))
    case("Pad", X, i(1, 2), np.float32(2), i(-1), opset=18)
    case("Pad", X, i(1, 2), None, i(-1), opset=19, mode="wrap")
    case("Pad", X, opset=10, pads=[0, 1, 0, 0, 0, 2], value=0.5)


def indices():
    case("Gather", X, i(0, -1, 2), axis=1)
    case("Gather", X, np.array(1))
    case("Gather", X, np.array(-1), axis=-1)
    case("Gather", X, np.array([[0, 1], [1, 1]]))
    case("GatherElements", X, np.array([[[1, 0, -1, 2]], [[0, 0, 1, 1]]]), axis=1)
    case("GatherND", X, np.array([[0, 1], [1, -1]]))
    case("GatherND", X, np.array([[[1]], [[2]]]), batch_dims=1)
    places, updates = np.array([[[0, 2, 1, 0]]]), random(1, 1, 4)
    case("ScatterElements", X, places, updates, axis=1)
    case("ScatterElements", f(1, 2, 3), i(1, 1), f(5, 7), opset=18, reduction="add")
    case("ScatterElements", f(1, 2, 3), i(1, 1), f(5, 7), opset=18, reduction="max")
    case("Scatter", X, places, updates, opset=10, axis=1)
    case("ScatterND", X, np.array([[0, 1], [1, -1]]), random(2, 4))
    case("ScatterND", X, np.array([[0], [0]]), random(2, 3, 4), opset=16, reduction="add")
    case("OneHot", NUMBERS, np.array(4), f(-1, 2))
    case("OneHot", i(0, 2, -1), np.array(3), f(0, 1), axis=0)
    case("NonZero", NUMBERS)
    case("Compress", X, np.array([True, False, True]), axis=1)
    case("Compress", X, np.array([False, True, True]))
    case("ReverseSequence", X, i(2, 4), batch_axis=0, time_axis=2, opset=10)
    case("ReverseSequence", X, i(1, 2, 1), batch_axis=1, time_axis=0, opset=10)


def layers():
    case("MatMul", X, random(4, 5))
    case("MatMul", X, random(2, 4, 5))
    case("MatMul", random(4), X.swapaxes(1, 2))
    case("Gemm", X[0], random(4, 5), random(5))
    case("Gemm", X[0], random(5, 3), random(4, 1), transA=1, transB=1, alpha=0.5, beta=2.0)
    case("Gemm", X[0], random(4, 5), opset=11)
    case("Einsum", X, random(2, 4, 5), equation="bij,bjk->bik")
    case("Einsum", X, random(3, 5), equation="...ij,ik->...kj")
    for opset in (11, 13):
        for axis in (0, 1, 2):
            case("Softmax", X, opset=opset, axis=axis)
            case("LogSoftmax", X, opset=opset, axis=axis)
        case("Softmax", X, opset=opset)
    statistics = random(4), random(4), random(4), np.abs(random(4))
    case("BatchNormalization", SPACE, *statistics, epsilon=1e-3)
    case("BatchNormalization", SPACE, *statistics, opset=9)
    case("BatchNormalization", IMAGE, *statistics, opset=7)
    case("LayerNormalization", X, random(4), random(4))
    case("LayerNormalization", X, random(3, 4), axis=1, epsilon=1e-2, outputs=3)
    case("InstanceNormalization", SPACE, random(4), random(4))
    case("Conv", SPACE, random(5, 4, 3), random(5), pads=[1, 2], strides=[2])
    case("Conv", SPACE, random(6, 2, 2), group=2, dilations=[2])
    case("Conv", SPACE, random(5, 4, 3), auto_pad="SAME_UPPER", strides=[2])
    case("Conv", SPACE, random(5, 4, 4), auto_pad="SAME_LOWER")
    case("Conv", SPACE, random(5, 4, 3), auto_pad="VALID", kernel_shape=[3])
    case("Conv", IMAGE, random(3, 4, 2, 3), random(3), pads=[1, 0, 0, 2], strides=[1, 2])
    case("Conv", IMAGE, random(4, 1, 3, 3), group=4, auto_pad="SAME_UPPER")
    for op in ("MaxPool", "AveragePool"):
        case(op, SPACE, kernel_shape=[3], strides=[2])
        case(op, SPACE, kernel_shape=[2], strides=[2], ceil_mode=1)
        case(op, SPACE, kernel_shape=[3], pads=[1, 1])
        case(op, IMAGE, kernel_shape=[2, 3], strides=[2, 1], auto_pad="SAME_UPPER")
        case(op, IMAGE, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1)
    case("MaxPool", SPACE, kernel_shape=[2], dilations=[2])
    case("AveragePool", SPACE, kernel_shape=[3], pads=[2, 1], count_include_pad=1)
    case("GlobalAveragePool", IMAGE)
    case("GlobalMaxPool", SPACE)


def subgraphs():
    number, flag = TensorProto.FLOAT, TensorProto.BOOL
    add = graph_of([helper.make_node("Add", ["a", "b"], ["s"])], [], [("s", number)])
    mul = graph_of([helper.make_node("Mul", ["a", "b"], ["m"])], [], [("m", number)])
    for condition in (True, False):
        nodes = [helper.make_node("If", ["c"], ["out0"], then_branch=add, else_branch=mul)]
        CASES.append((nodes, {"c": np.array(condition), "a": X, "b": Y}, 17, 1, {}))
    body = graph_of(
        [
            helper.make_node("Mul", ["h", "rate"], ["decayed"]),
            helper.make_node("Add", ["decayed", "x"], ["next"]),
            helper.make_node("Identity", ["next"], ["y"]),
        ],
        [("h", number), ("x", number)],
        [("next", number), ("y", number)],
    )
    for extra in (
        {},
        {"scan_input_axes": [1], "scan_output_axes": [-1]},
        {"scan_input_directions": [1], "scan_output_directions": [1]},
    ):
        nodes = [
            helper.make_node(
                "Scan", ["h0", "xs"], ["out0", "out1"], body=body, num_scan_inputs=1, **extra
            )
        ]
        given = {"h0": random(3), "xs": random(3, 3), "rate": f(0.5)}
        CASES.append((nodes, given, 17, 2, {}))
    body = graph_of(
        [
            helper.make_node("Add", ["h", "a"], ["next"]),
            helper.make_node("ReduceSum", ["next"], ["total"], keepdims=0),
            helper.make_node("Less", ["total", "limit"], ["again"]),
            helper.make_node("Identity", ["total"], ["y"]),
        ],
        [("step", TensorProto.INT64, []), ("going", flag, []), ("h", number, [2])],
        [("again", flag, []), ("next", number, [2]), ("y", number, [])],
    )
    for most, going in ((i(4), None), (None, np.array(True)), (i(2), np.array(True)), (i(0), None)):
        names = ["" if most is None else "most", "" if going is None else "going", "h0"]
        nodes = [helper.make_node("Loop", names, ["out0", "out1"], body=body)]
        given = {
            "most": most,
            "going": going,
            "h0": f(1, 2),
            "a": f(0.5, 1),
            "limit": np.float32(9),
        }
        given = {name: value for name, value in given.items() if value is not None}
        CASES.append((nodes, given, 17, 2, {}))


def model_of(op, inputs, opset, outputs, attributes):
    """Return a model and its inputs by name."""
    nodes = op
    if isinstance(op, str):
        names = ["" if x is None else f"in{n}" for n, x in enumerate(inputs)]
        results = [f"out{n}" for n in range(outputs)]
        nodes = [helper.make_node(op, names, results, name=op.lower(), **attributes)]
        inputs = {name: x for name, x in zip(names, inputs, strict=True) if name}
    inputs = {name: np.asarray(x) for name, x in inputs.items()}
    values = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
        for name, x in inputs.items()
    ]
    results = [onnx.ValueInfoProto(name=f"out{n}") for n in range(outputs)]
    graph = helper.make_graph(nodes, "case", values, results)
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8), inputs


def answer(model, inputs):
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString())
        return session.run(None, inputs)
    except Exception as error:
        print(model.graph.node[0].op_type, "by onnx.reference:", str(error)[:100])
        return ReferenceEvaluator(model).run(None, inputs)


def store_node_tests():
    stored = {}
    for test in collect_testcases(None):
        graph = test.model.graph
        if not {node.op_type for node in graph.node} & {"LSTM", "GRU", "RNN"}:
            continue
        ((inputs, outputs),) = test.data_sets
        for way, values, arrays in (("in", graph.input, inputs), ("out", graph.output, outputs)):
            stored |= {
                f"{test.name}/{way}/{value.name}": np.asarray(array)
                for value, array in zip(values, arrays, strict=True)
            }
        model = np.frombuffer(test.model.SerializeToString(), np.uint8)
        stored[f"{test.name}/model"] = model
    np.savez_compressed(HERE / "node_tests.npz", **stored)


if __name__ == "__main__":
    onnxruntime.set_default_logger_severity(4)
    for part in (elementwise, reductions, shapes, indices, layers, subgraphs):
        part()
    stored = {}
    for number, parts in enumerate(CASES):
        model, inputs = model_of(*parts)
        name = f"{number:03}_{model.graph.node[0].op_type}_{parts[2]}"
        outputs = answer(model, inputs)
        stored[f"{name}/model"] = np.frombuffer(model.SerializeToString(), np.uint8)
        stored |= {f"{name}/in/{key}": x for key, x in inputs.items()}
        stored |= {f"{name}/out/{n}": np.asarray(y) for n, y in enumerate(outputs)}
    np.savez_compressed(HERE / "operators.npz", **stored)
    store_node_tests()
    print(len(CASES), "cases,", (HERE / "operators.npz").stat().st_size, "bytes")
