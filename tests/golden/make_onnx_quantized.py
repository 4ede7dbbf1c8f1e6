"""Makes quantized.npz and quantized_lstm_*.onnx in tests/golden/onnx/, of quantized models.

The first holds models of one node with inputs and ONNX Runtime's outputs, as operators.npz does;
the others are tiny LSTMs that onnxruntime.quantization made smaller. One thread, as others divide
the batch and quantize each part by itself; and x64quantprecision, as products of int8 weights
saturate without it on processors that lack VNNI. In an environment of ``onnx==1.23.*
onnxruntime==1.31.*``:

    python tests/golden/make_onnx_quantized.py
"""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper
from onnx.reference import ReferenceEvaluator
from onnxruntime.quantization import QuantType, quantize_dynamic

HERE = Path(__file__).parent / "onnx"
RNG = np.random.default_rng(6)
MICROSOFT = "com.microsoft"
CASES = []


def random(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def whole(dtype, *shape):
    limits = np.iinfo(dtype)
    return RNG.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def weights(dtype, *shape):
    """Return 7 bits, of which ONNX Runtime's products never saturate."""
    return whole(dtype, *shape) // dtype(2)


def scales(*shape):
    return RNG.uniform(0.002, 0.02, shape).astype(np.float32)


def case(op, *inputs, opset=17, outputs=1, domain="", **attributes):
    """Add a case; None stands for an input that is left out."""
    CASES.append((op, inputs, opset, outputs, domain, attributes))


def linear():
    x = np.float32([[-300, -1.5, -0.5, 0, 0.5], [1.5, 2.5, 126.5, 127.5, 300]])
    one = np.float32(1)
    for zero in (np.uint8(0), np.uint8(128), np.int8(0), np.int8(-3)):
        for opset in (10, 13, 19, 21):
            case("QuantizeLinear", x, one, zero, opset=opset)
    case("QuantizeLinear", x, np.float32(0.7))
    case("QuantizeLinear", x, scales(5), whole(np.uint8, 5))
    case("QuantizeLinear", x, scales(2), whole(np.int8, 2), axis=0)
    case("QuantizeLinear", x * 200, one, np.int16(5), opset=21)
    case("QuantizeLinear", random(2, 5), scales(2, 3), whole(np.int8, 2, 3), opset=21, block_size=2)
    case("QuantizeLinear", x.astype(np.int32), np.float32(0.7), np.int8(2))
    for dtype in (np.uint8, np.int8):
        for opset in (10, 13, 19):
            case("DequantizeLinear", whole(dtype, 2, 5), one * 0.1, dtype(3), opset=opset)
        case("DequantizeLinear", whole(dtype, 2, 5), scales(5), whole(dtype, 5))
        case("DequantizeLinear", whole(dtype, 2, 5), scales(2), whole(dtype, 2), axis=-2)
    case("DequantizeLinear", whole(np.int32, 2, 5), np.float32(1e-6))
    blocks = scales(2, 3), whole(np.int8, 2, 3)
    case("DequantizeLinear", whole(np.int8, 2, 5), *blocks, opset=21, block_size=2)
    case("DynamicQuantizeLinear", random(3, 4), outputs=3)
    case("DynamicQuantizeLinear", np.abs(random(3, 4)) + 1, outputs=3)
    case("DynamicQuantizeLinear", -np.abs(random(3, 4)), outputs=3)
    case("DynamicQuantizeLinear", np.zeros((2, 3), np.float32), outputs=3)


def products():
    for dtype in (np.uint8, np.int8):
        a, b = whole(np.uint8, 2, 3, 300), weights(dtype, 300, 2)
        case("MatMulInteger", a, b)
        case("MatMulInteger", a, b, np.uint8(7), dtype(5))
        case("MatMulInteger", a, b, np.uint8(7), whole(dtype, 2))
        case("MatMulIntegerToFloat", a, b, scales(), scales(2), np.uint8(7), domain=MICROSOFT)
    zeros = np.uint8(7), dtype(5)
    parts = a, b, scales(1), scales(2), *zeros, random(2)
    case("MatMulIntegerToFloat", *parts, domain=MICROSOFT)
    case("DynamicQuantizeMatMul", random(3, 6), b[:6], scales(2), domain=MICROSOFT)
    parts = random(3, 6), whole(np.uint8, 6, 2), scales(1), np.uint8([9]), random(2)
    case("DynamicQuantizeMatMul", *parts, domain=MICROSOFT)
    a, b = whole(np.uint8, 3, 6), whole(np.uint8, 6, 4)
    c = [np.float32(0.01), np.uint8(100), b, np.float32(0.02), np.uint8(90)]
    case("QLinearMatMul", a, *c, np.float32(0.05), np.uint8(120))
    b_columns = [*c[:2], weights(np.int8, 6, 4), scales(4), np.zeros(4, np.int8)]
    case("QLinearMatMul", a, *b_columns, np.float32(0.03), np.uint8(120))
    x, w = whole(np.uint8, 1, 4, 5, 6), whole(np.uint8, 6, 4, 3, 2)
    case("ConvInteger", x, w)
    case("ConvInteger", x, w, np.uint8(20), np.uint8(9), pads=[1, 0, 2, 1], strides=[2, 1])
    case("ConvInteger", x, w[:, :2], np.uint8(20), np.uint8(9), group=2, dilations=[2, 1])
    case("ConvInteger", whole(np.uint8, 1, 4, 9), w[..., 0], np.uint8(20), auto_pad="SAME_UPPER")
    y = np.float32(0.2), np.uint8(110)
    one = np.float32(0.01), np.uint8(120)
    bias = RNG.integers(-9000, 9000, 6, np.int32)
    case("QLinearConv", x, *one, w, *one, *y)
    channels = weights(np.int8, 6, 4, 3, 2), scales(6), np.zeros(6, np.int8)
    case("QLinearConv", x, *one, *channels, *y, bias, pads=[1, 1, 1, 1])


def others():
    a, b = random(2, 3, 4), random(2, 4, 5)
    case("FusedMatMul", a, b, domain=MICROSOFT, alpha=0.5)
    case("FusedMatMul", a.swapaxes(1, 2), b.swapaxes(1, 2), domain=MICROSOFT, transA=1, transB=1)
    batches = {"transBatchA": 1, "transBatchB": 1}
    case("FusedMatMul", a.swapaxes(0, 1), b.swapaxes(0, 1), domain=MICROSOFT, **batches)
    a, b = a.transpose(2, 0, 1), b.transpose(2, 0, 1)
    both = {"transA": 1, "transB": 1, **batches}
    case("FusedMatMul", random(2, 3, 4), random(2, 3, 5), domain=MICROSOFT, transA=1)
    case("FusedMatMul", a, b, domain=MICROSOFT, **both)
    case("Gelu", random(3, 4), domain=MICROSOFT)
    case("FastGelu", random(3, 4), domain=MICROSOFT)
    case("FastGelu", random(3, 4), random(4), domain=MICROSOFT)
    x = random(2, 3, 4), random(2, 3, 4)
    case("SkipLayerNormalization", *x, random(4), random(4), random(4), domain=MICROSOFT)
    case("SkipLayerNormalization", *x, random(4), domain=MICROSOFT, epsilon=0.1)


def lstm(dtype=np.int8, directions=1, columns=False, extra=(), rows=1, **attributes):
    """Add a case of an LSTM of 5 units on 6 timesteps of 3 features, with `extra` inputs."""
    units, features, timesteps = 5, 3, 6
    shape = (directions, 4 * units) if columns else (directions,)
    zero = np.full(shape, 0 if dtype is np.int8 else 131, dtype)
    inputs = {
        "W": weights(dtype, directions, features, 4 * units),
        "R": weights(dtype, directions, units, 4 * units),
        "B": random(directions, 8 * units),
        "sequence_lens": np.int32([6, 2, 0, 4][:rows]),
        "initial_h": random(directions, rows, units) / 3,
        "initial_c": random(directions, rows, units),
        "P": random(directions, 3 * units),
    }
    inputs = [x if name in ("W", "R", *extra) else None for name, x in inputs.items()]
    parts = [random(timesteps, rows, features), *inputs, scales(*shape), zero, scales(*shape), zero]
    attributes = {"hidden_size": units, **attributes}
    case("DynamicQuantizeLSTM", *parts, outputs=3, domain=MICROSOFT, **attributes)


def lstms():
    states = ("initial_h", "initial_c")
    for dtype in (np.int8, np.uint8):
        for columns in (False, True):
            lstm(dtype, columns=columns, extra=("B",))
        lstm(dtype, 2, True, ("B", *states), 4, direction="bidirectional")
    lstm(direction="reverse", extra=states, rows=2)
    lstm(extra=("B", "P", *states), rows=2, clip=0.5)
    lstm(input_forget=1, rows=2)
    lstm(activations=["HardSigmoid", "Relu", "Softsign"], extra=("B",), rows=2)
    for way, count in (("forward", 1), ("reverse", 1), ("bidirectional", 2)):
        lstm(directions=count, extra=("B", "sequence_lens"), rows=4, direction=way)
    lstm(directions=2, extra=("B", "sequence_lens"), rows=2, direction="bidirectional")


def model_of(op, inputs, opset, outputs, domain, attributes):
    """Return a model and its inputs by name; the weights of an LSTM are constants."""
    names = ["" if x is None else f"in{n}" for n, x in enumerate(inputs)]
    results = [f"out{n}" for n in range(outputs)]
    node = helper.make_node(op, names, results, name=op.lower(), domain=domain, **attributes)
    arrays = {name: np.asarray(x) for name, x in zip(names, inputs, strict=True) if name}
    given = {n: x for n, x in arrays.items() if "LSTM" not in op or n in ("in0", "in5", "in6")}
    values = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
        for name, x in given.items()
    ]
    constants = [onnx.numpy_helper.from_array(x, n) for n, x in arrays.items() if n not in given]
    outcomes = [onnx.ValueInfoProto(name=name) for name in results]
    graph = helper.make_graph([node], "case", values, outcomes, constants)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8), given


def session_of(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


def answer(model, inputs):
    try:
        return session_of(model).run(None, inputs)
    except Exception as error:
        node = model.graph.node[0]
        if node.domain:
            raise
        print(node.op_type, "by onnx.reference:", str(error)[:100])
        return ReferenceEvaluator(model).run(None, inputs)


def store_models():
    """Store an LSTM and a dense layer as quantize_dynamic makes them, with inputs and outputs."""
    units, features, labels = 6, 4, 3
    weights = {
        "W": random(2, 4 * units, features),
        "R": random(2, 4 * units, units) / 2,
        "B": random(2, 8 * units) / 4,
        "K": random(2 * units, labels),
        "shape": np.int64([0, 0, -1]),
    }
    nodes = [
        helper.make_node(
            "LSTM", ["x", "W", "R", "B"], ["y"], hidden_size=units, direction="bidirectional"
        ),
        helper.make_node("Transpose", ["y"], ["t"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", ["t", "shape"], ["both"]),
        helper.make_node("MatMul", ["both", "K"], ["out"]),
    ]
    kind = onnx.TensorProto.FLOAT
    ends = [
        helper.make_tensor_value_info(name, kind, ["timesteps", "batch", n])
        for name, n in (("x", features), ("out", labels))
    ]
    constants = [onnx.numpy_helper.from_array(x, name) for name, x in weights.items()]
    graph = helper.make_graph(nodes, "tagger", ends[:1], ends[1:], constants)
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    x = random(7, 2, features)
    for name, kind, columns in (
        ("int8", QuantType.QInt8, False),
        ("uint8", QuantType.QUInt8, False),
        ("int8_columns", QuantType.QInt8, True),
    ):
        path = HERE / f"quantized_lstm_{name}.onnx"
        quantize_dynamic(model, path, per_channel=columns, weight_type=kind)
        (y,) = answer(onnx.load(path), {"x": x})
        np.savez_compressed(path.with_suffix(".npz"), in_x=x, out_0=y)


if __name__ == "__main__":
    onnxruntime.set_default_logger_severity(4)
    for part in (linear, products, others, lstms):
        part()
    stored = {}
    for number, parts in enumerate(CASES):
        model, inputs = model_of(*parts)
        name = f"{number:03}_{model.graph.node[0].op_type}_{parts[2]}"
        stored[f"{name}/model"] = np.frombuffer(model.SerializeToString(), np.uint8)
        stored |= {f"{name}/in/{key}": x for key, x in inputs.items()}
        stored |= {f"{name}/out/{n}": np.asarray(y) for n, y in enumerate(answer(model, inputs))}
    np.savez_compressed(HERE / "quantized.npz", **stored)
    store_models()
    print(len(CASES), "cases,", (HERE / "quantized.npz").stat().st_size, "bytes")
