"""ONNX files that are broken or hostile."""

import contextlib
import os
import shutil
import struct
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import rnn_core as rc
from rnn_core.formats import onnx, protobuf

GOLDEN = Path(__file__).parent / "golden/onnx"
SLACK = 64 << 20


def varint(number):
    number = int(number) & (1 << 64) - 1
    octets = []
    while number > 0x7F:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*octets, number])


def message(*fields):
    """Return a message's bytes: pairs of a field number and an int, a float, a text or bytes."""
    parts = []
    for number, value in fields:
        if isinstance(value, int):
            parts += [varint(number << 3), varint(value)]
        elif isinstance(value, float):
            parts += [varint(number << 3 | 5), struct.pack("<f", value)]
        else:
            value = value.encode() if isinstance(value, str) else value
            parts += [varint(number << 3 | 2), varint(len(value)), value]
    return b"".join(parts)


def tensor(name, dims, data_type=1, **data):
    numbers = {"float": 4, "int32": 5, "int64": 7, "raw": 9, "double": 10, "uint64": 11}
    fields = [(1, n) for n in dims] + [(2, data_type), (8, name)]
    return message(*fields, *((numbers[key], value) for key, value in data.items()))


def external(name, dims, **entries):
    pairs = [(13, message((1, key), (2, str(value)))) for key, value in entries.items()]
    return message(*((1, n) for n in dims), (2, 1), (8, name), *pairs, (14, 1))


def node(op, inputs, outputs, *attributes):
    fields = [(1, name) for name in inputs] + [(2, name) for name in outputs]
    return message(*fields, (4, op), *((5, attribute) for attribute in attributes))


def value(name, data_type=1):
    return message((1, name), (2, message((1, message((1, data_type))))))


def model(nodes, tensors=(), inputs=(), outputs=("y",), opset=17):
    graph = [(1, n) for n in nodes] + [(5, t) for t in tensors]
    graph += [(11, value(name)) for name in inputs] + [(12, value(name)) for name in outputs]
    return message((1, 8), (7, message(*graph)), (8, message((2, opset))))


def load(tmp_path, content):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    return rc.load(path)


def identity_of(tmp_path, stored):
    """Return what a tensor holds."""
    return load(tmp_path, model([node("Identity", ["w"], ["y"])], [stored]))()


# Tensors

NUMBERS = [0, 1, 2, 100]


@pytest.mark.parametrize(
    ("data_type", "dtype", "field"),
    [
        (1, "float32", "float"),
        (2, "uint8", "int32"),
        (3, "int8", "int32"),
        (4, "uint16", "int32"),
        (5, "int16", "int32"),
        (6, "int32", "int32"),
        (7, "int64", "int64"),
        (11, "float64", "double"),
        (12, "uint32", "uint64"),
        (13, "uint64", "uint64"),
    ],
)
def test_every_way_to_store_numbers(tmp_path, data_type, dtype, field):
    raw = np.array(NUMBERS, dtype).tobytes()
    packed = raw if field in ("float", "double") else b"".join(map(varint, NUMBERS))
    for data in ({"raw": raw}, {field: packed}):
        array = identity_of(tmp_path, tensor("w", [2, 2], data_type, **data))
        assert array.dtype == dtype
        assert array.tolist() == [[0, 1], [2, 100]]


def test_negative_numbers_unpacked_and_in_many_blocks(tmp_path):
    unpacked = message((1, 2), (2, 7), (7, -5), (7, -(2**63)), (8, "w"))
    assert identity_of(tmp_path, unpacked).tolist() == [-5, -(2**63)]
    numbers = np.random.default_rng(0).integers(-(2**62), 2**62, 30_000) >> np.arange(30_000) % 60
    packed = b"".join(map(varint, numbers.tolist()))
    assert len(packed) > 2 * protobuf._BLOCK
    many = identity_of(tmp_path, tensor("w", [30_000], 7, int64=packed))
    np.testing.assert_array_equal(many, numbers)


def test_half_precisions_are_widened(tmp_path):
    half = np.array([1.5, -0.1, 65504], np.float16)
    for data in ({"raw": half.tobytes()}, {"int32": b"".join(map(varint, half.view(np.uint16)))}):
        array = identity_of(tmp_path, tensor("w", [3], 10, **data))
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, half.astype(np.float32))
    upper = np.array([0x3FC0, 0xC000], np.uint16)
    array = identity_of(tmp_path, tensor("w", [2], 16, raw=upper.tobytes()))
    assert array.tolist() == [1.5, -2.0]


def test_booleans(tmp_path):
    array = identity_of(tmp_path, tensor("w", [3], 9, raw=b"\x00\x01\x02"))
    assert array.dtype == bool
    assert array.tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("stored", "text"),
    [
        (tensor("w", [3], raw=b"abc"), r"has 3 bytes, expected \(3,\) of float32"),
        (tensor("w", [2**40, 2**40], raw=b"abcd"), "has 4 bytes, expected"),
        (tensor("w", [2], 7, int64=b"\x01"), r"has 1 numbers, expected \(2,\)"),
        (tensor("w", [-1], raw=b""), r"has shape \(-1,\)"),
        (tensor("w", [1] * 40, raw=bytes(4)), "has shape"),
        (tensor("w", [1], 8, raw=b"a"), "data type 8, expected one of float32"),
        (tensor("w", [1], 7, int64=b"\xff" * 11), "a number that does not end"),
        (tensor("w", [1], 1, float=b"abc"), "has 3 bytes, which is no number"),
        (tensor("", [1], raw=bytes(4)), "has no name of its own"),
    ],
)
def test_tensors_that_are_damaged(tmp_path, stored, text):
    with pytest.raises(ValueError, match=rf"model\.onnx: .*{text}"):
        identity_of(tmp_path, stored)


def test_zeros_that_a_writer_leaves_out(tmp_path):
    """An attribute of type int without a number."""
    stored = tensor("w", [2, 3], raw=np.arange(6, dtype=np.float32).tobytes())
    axis = message((1, "axis"), (20, 2))
    content = model([node("Flatten", ["w"], ["y"], axis)], [stored])
    assert load(tmp_path, content)().tolist() == [[0, 1, 2, 3, 4, 5]]


# External data


def test_external_data(tmp_path):
    numbers = np.arange(6, dtype=np.float32)
    (tmp_path / "weights.bin").write_bytes(b"head" + numbers.tobytes())
    stored = external("w", [4], location="weights.bin", offset=8, length=16)
    assert identity_of(tmp_path, stored).tolist() == [1, 2, 3, 4]
    (tmp_path / "deep").mkdir()
    shutil.move(tmp_path / "weights.bin", tmp_path / "deep")
    stored = external("w", [5], location="deep/weights.bin", offset=8)
    assert identity_of(tmp_path, stored).tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("entries", "text"),
    [
        ({"location": "../secret.bin"}, "expected a file in the model's folder"),
        ({"location": "{outside}"}, "expected a file in the model's folder"),
        ({"location": "a/../../secret.bin"}, "expected a file in the model's folder"),
        ({"location": "..\\secret.bin"}, "expected a file in the model's folder"),
        ({"location": ""}, "expected a file in the model's folder"),
        ({"location": "link.bin"}, "is no file in the model's folder"),
        ({"location": "link/secret.bin"}, "is no file in the model's folder"),
        ({"location": "."}, "is no file in the model's folder"),
        ({"location": "pipe"}, "is no file in the model's folder"),
        ({"location": "missing.bin"}, "is no file in the model's folder"),
        ({"location": "w.bin", "offset": 1}, "has 8 bytes, expected 8 from 1 onwards|has 7 bytes"),
        ({"location": "w.bin", "offset": 8, "length": 8}, "has 8 bytes, expected 8 from 8"),
        ({"location": "w.bin", "length": 4}, r"has 4 bytes, expected \(2,\) of float32"),
        ({"location": "w.bin", "offset": "-4"}, "offset is '-4', expected a number of bytes"),
        ({"location": "w.bin", "length": "9" * 5000}, "expected a number of bytes"),
    ],
)
def test_external_data_from_elsewhere(tmp_path, entries, text):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(8))
    (folder / "w.bin").write_bytes(bytes(8))
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    (folder / "link").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    location = entries["location"].format(outside=tmp_path / "secret.bin")
    with pytest.raises(ValueError, match=text):
        identity_of(folder, external("w", [2], **{**entries, "location": location}))


def test_external_data_is_read_once(tmp_path):
    """Tensors that overlap could hold more than the file, many times over."""
    (tmp_path / "w.bin").write_bytes(bytes(4000))
    tensors = [external(f"w{n}", [n], location="w.bin", length=4 * n) for n in (998, 999)]
    names = ["w998", "w999"]
    with pytest.raises(ValueError, match=r"more bytes of w\.bin than its 4000"):
        load(tmp_path, model([node("Add", names, ["y"])], tensors))


# Bombs


def loads_within_bounds(tmp_path, content):
    """Load, if it can be; return the error's text. Time and memory have to stay small."""
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    error = ""
    tracemalloc.start()
    begin = time.perf_counter()
    try:
        rc.load(path)
    except ValueError as caught:
        error = str(caught)
    seconds = time.perf_counter() - begin
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= 4 * len(content) + SLACK
    assert seconds < 20
    return error


def ints(name, *numbers):
    return tensor(name, [len(numbers)], 7, raw=np.array(numbers, np.int64).tobytes())


BOMBS = {
    "ConstantOfShape": [ints("a", 10**6, 10**6)],
    "Expand": [tensor("a", [1], raw=bytes(4)), ints("b", 10**6, 10**6)],
    "Tile": [tensor("a", [1], raw=bytes(4)), ints("b", 10**12)],
    "Range": [ints("a", 0), ints("b", 10**12), ints("c", 1)],
    "Add": [tensor("a", [9000, 1], raw=bytes(36000)), tensor("b", [1, 9000], raw=bytes(36000))],
    "Gather": [tensor("a", [1, 9000], raw=bytes(36000)), ints("b", *[0] * 9000)],
    "MatMul": [tensor("a", [9000, 1], raw=bytes(36000)), tensor("b", [1, 9000], raw=bytes(36000))],
    "Pad": [tensor("a", [1], raw=bytes(4)), ints("b", 10**12, 10**12)],
    "OneHot": [ints("a", 1, 2, 3), ints("b", 10**12), ints("c", 0, 1)],
}


@pytest.mark.parametrize("op", BOMBS)
def test_constants_that_would_be_large_are_left_for_the_call(tmp_path, op):
    names = ["a", "b", "c"][: len(BOMBS[op])]
    bomb = model([node(op, names, ["y"])], BOMBS[op])
    assert loads_within_bounds(tmp_path, bomb) == ""


def test_constants_that_grow_step_by_step(tmp_path):
    nodes = [node("Concat", [f"w{n}"] * 8, [f"w{n + 1}"], message((1, "axis"), (3, 0), (20, 2)))
             for n in range(20)]  # fmt: skip
    stored = tensor("w0", [100], raw=bytes(400))
    assert loads_within_bounds(tmp_path, model(nodes, [stored], outputs=["w20"])) == ""


def test_layers_of_one_weight_share_it(tmp_path):
    """Many layers of the same large weights would take as many times their memory."""
    w, r = (np.zeros((1, 4 * 64, n), np.float32) for n in (600, 64))
    stored = [tensor("w", w.shape, raw=w.tobytes()), tensor("r", r.shape, raw=r.tobytes())]
    nodes = [node("LSTM", ["x", "w", "r"], [f"y{n}"]) for n in range(300)]
    total = node("Sum", [f"y{n}" for n in range(300)], ["y"])
    assert loads_within_bounds(tmp_path, model([*nodes, total], stored, inputs=["x"])) == ""
    activations = [message((1, "clip"), (2, 1.0 + n), (20, 1)) for n in range(300)]
    nodes = [node("LSTM", ["x", "w", "r"], [f"y{n}"], a) for n, a in enumerate(activations)]
    assert loads_within_bounds(tmp_path, model([*nodes, total], stored, inputs=["x"])) == ""


def nested(depth):
    """Return a model of an If within an If within an If."""
    inner = message((1, node("Identity", ["x"], ["y"])), (12, value("y")))
    for _ in range(depth):
        branches = [
            message((1, name), (6, inner), (20, 5)) for name in ("then_branch", "else_branch")
        ][:2]
        # One of the branches is small, or the file doubles at each level.
        branches[1] = message((1, "else_branch"), (6, message((12, value("x")))), (20, 5))
        inner = message((1, node("If", ["c"], ["y"], *branches)), (12, value("y")))
    return message((1, 8), (7, inner + message((11, value("x")), (11, value("c", 9)))),
                   (8, message((2, 17))))  # fmt: skip


def test_graphs_within_graphs(tmp_path):
    assert load(tmp_path, nested(10))([[1.0], [True]]).tolist() == [1.0]
    assert "nested more than" in loads_within_bounds(tmp_path, nested(40))
    assert "nested more than" in loads_within_bounds(tmp_path, nested(2000))


def test_many_small_parts(tmp_path, monkeypatch):
    """Messages, texts and numbers of a byte or two each take much more in memory."""
    monkeypatch.setattr(onnx, "_SLACK", 1 << 20)
    attribute = message((1, "axes"), (8, b"\x01" * 50_000), (20, 7))
    for content in (
        message((1, 8), (7, b"\x0a\x00" * 5000)),
        model([node("Sum", ["a"] * 20_000, ["y"])]),
        model([node("Squeeze", ["x"], ["y"], attribute)], inputs=["x"]),
    ):
        assert "are left for a file" in loads_within_bounds(tmp_path, content)


def test_many_branches_cost_little_each(tmp_path):
    branch = message((12, value("x")))
    attributes = [
        message((1, name), (6, branch), (20, 5)) for name in ("then_branch", "else_branch")
    ]
    nodes = [node("If", ["x"], [f"y{n}"], *attributes) for n in range(2000)]
    total = node("Sum", [f"y{n}" for n in range(2000)], ["y"])
    assert loads_within_bounds(tmp_path, model([*nodes, total], inputs=["x"])) == ""


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "is empty"),
        (b"\x08", "a number that does not end"),
        (b"\x08\x08", "it has no graph"),
        (b"\x08\x08\x3a\x05", "a field of 5 bytes, 0 are left"),
        (b"\x08\x08\x3b", "wire type 3"),
        (b"\x08\x08\x02\x00", "field number 0"),
        (b"\x08\x08\x38\x05", "field 'graph' has wire type 0"),
        (b"\x08\x08\x3a\x00", "opset is|no outputs"),
        (b"text, which is none", r"begins with b'text, wh', expected a model file"),
    ],
)
def test_files_of_something_else(tmp_path, content, text):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    if "opset" in text:
        assert rc.load(path)() == []
        return
    with pytest.raises(ValueError, match=rf"model\.onnx.*{text}"):
        rc.load(path)


@pytest.mark.parametrize(("kind", "text"), [(4, "sequence"), (5, "map"), (9, "optional")])
def test_types_that_are_no_tensors(tmp_path, kind, text):
    typed = message((1, "y"), (2, message((kind, b""))))
    graph = message((1, node("Neg", ["x"], ["y"])), (11, value("x")), (12, typed))
    with pytest.raises(ValueError, match=f"'y' is a {text}, expected a tensor"):
        load(tmp_path, message((1, 8), (7, graph), (8, message((2, 17)))))


# Damage


@pytest.mark.parametrize("name", ["torch_scripted", "torch_packed"])
def test_damaged_files(tmp_path, name):
    """Flipped bits, other bytes, cut ends and copied parts: a ValueError or a model."""
    content = np.fromfile(GOLDEN / f"{name}.onnx", np.uint8)
    rng = np.random.default_rng(20240607)
    path = tmp_path / "model.onnx"
    outcomes = []
    for trial in range(1000):
        broken = content.copy()
        places = rng.integers(0, len(broken), rng.integers(1, 8))
        if trial % 4 == 0:
            broken[places[0]] ^= 1 << rng.integers(0, 8)
        elif trial % 4 == 1:
            broken[places] = rng.integers(0, 256, len(places))
        elif trial % 4 == 2:
            broken = broken[: places[0]]
        else:
            begin = rng.integers(0, len(broken))
            broken = np.concatenate([broken[: places[0]], broken[begin : begin + 100]])
        broken.tofile(path)
        loaded = False
        with contextlib.suppress(ValueError):
            loaded = isinstance(rc.load(path), rc.OnnxModel)
        outcomes.append(loaded)
    # Damage to numbers goes unseen, damage to structure does not.
    assert 0 < sum(outcomes) < len(outcomes) / 2


def test_truncation(tmp_path):
    content = (GOLDEN / "torch_scripted.onnx").read_bytes()
    for size in range(0, len(content), 3):
        with contextlib.suppress(ValueError):
            # What follows the graph may be missing: the opset, which then is the first.
            assert load(tmp_path, content[:size]).opset == 1
