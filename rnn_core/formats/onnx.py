"""ONNX files: bytes to messages by tables of field numbers (onnx.proto), tensors to arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rnn_core._typing import Array
from rnn_core.formats.budget import Budget
from rnn_core.formats.protobuf import (
    DOUBLE,
    FLOAT,
    INT,
    TEXT,
    VIEW,
    Field,
    Message,
    parse,
)

# A file's first byte: the tag of ir_version, which every writer writes first.
SIGNATURE = b"\x08"
# What a file's contents may take in memory: this many times the file, and this much more.
_RATIO, _SLACK = 4, 64 << 20
_EXTERNAL = 1
_MISSING = memoryview(b"")


@dataclass(slots=True)
class Entry(Message):
    """A key and its value."""

    key: str = ""
    value: str = ""
    FIELDS: ClassVar = {1: Field("key", TEXT), 2: Field("value", TEXT)}


@dataclass(slots=True)
class Tensor(Message):
    """Numbers, in one of several forms; `array` returns them."""

    name: str = ""
    dims: list[int] = field(default_factory=list)
    data_type: int = 0
    raw_data: memoryview = _MISSING
    float_data: list[Array] = field(default_factory=list)
    int32_data: list[Array] = field(default_factory=list)
    int64_data: list[Array] = field(default_factory=list)
    double_data: list[Array] = field(default_factory=list)
    uint64_data: list[Array] = field(default_factory=list)
    external_data: list[Entry] = field(default_factory=list)
    data_location: int = 0
    has_segment: memoryview = _MISSING
    FIELDS: ClassVar = {
        1: Field("dims", INT, many=True),
        2: Field("data_type", INT),
        3: Field("has_segment", VIEW),
        4: Field("float_data", FLOAT, many=True, whole=True),
        5: Field("int32_data", INT, many=True, whole=True),
        7: Field("int64_data", INT, many=True, whole=True),
        8: Field("name", TEXT),
        9: Field("raw_data", VIEW),
        10: Field("double_data", DOUBLE, many=True, whole=True),
        11: Field("uint64_data", INT, many=True, whole=True),
        13: Field("external_data", Entry, many=True),
        14: Field("data_location", INT),
    }


@dataclass(slots=True)
class Dimension(Message):
    """The length of an axis, or its name if it may be any."""

    value: int | None = None
    name: str = ""
    FIELDS: ClassVar = {1: Field("value", INT), 2: Field("name", TEXT)}


@dataclass(slots=True)
class Shape(Message):
    """The axes of a tensor."""

    dims: list[Dimension] = field(default_factory=list)
    FIELDS: ClassVar = {1: Field("dims", Dimension, many=True)}


@dataclass(slots=True)
class TensorType(Message):
    """A tensor's dtype and, if known, its shape."""

    data_type: int = 0
    shape: Shape | None = None
    FIELDS: ClassVar = {1: Field("data_type", INT), 2: Field("shape", Shape)}


@dataclass(slots=True)
class Type(Message):
    """A value's type: a tensor's, or what of another kind was there."""

    tensor: TensorType | None = None
    sequence: memoryview | None = None
    map: memoryview | None = None
    sparse_tensor: memoryview | None = None
    optional: memoryview | None = None
    FIELDS: ClassVar = {
        1: Field("tensor", TensorType),
        4: Field("sequence", VIEW),
        5: Field("map", VIEW),
        8: Field("sparse_tensor", VIEW),
        9: Field("optional", VIEW),
    }


@dataclass(slots=True)
class Value(Message):
    """An input or output of a graph."""

    name: str = ""
    type: Type | None = None
    FIELDS: ClassVar = {1: Field("name", TEXT), 2: Field("type", Type)}


@dataclass(slots=True)
class Attribute(Message):
    """An argument of a node, of one of several kinds."""

    name: str = ""
    f: float | None = None
    i: int | None = None
    s: memoryview | None = None
    t: Tensor | None = None
    g: Graph | None = None
    floats: list[float] = field(default_factory=list)
    ints: list[int] = field(default_factory=list)
    strings: list[memoryview] = field(default_factory=list)
    type: int = 0
    ref_attr_name: str = ""
    FIELDS: ClassVar[dict[int, Field]] = {
        1: Field("name", TEXT),
        2: Field("f", FLOAT),
        3: Field("i", INT),
        4: Field("s", VIEW),
        5: Field("t", Tensor),
        7: Field("floats", FLOAT, many=True),
        8: Field("ints", INT, many=True),
        9: Field("strings", VIEW, many=True),
        20: Field("type", INT),
        21: Field("ref_attr_name", TEXT),
    }


@dataclass(slots=True)
class Node(Message):
    """An operator applied to named values."""

    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    name: str = ""
    op_type: str = ""
    attributes: list[Attribute] = field(default_factory=list)
    domain: str = ""
    FIELDS: ClassVar = {
        1: Field("inputs", TEXT, many=True),
        2: Field("outputs", TEXT, many=True),
        3: Field("name", TEXT),
        4: Field("op_type", TEXT),
        5: Field("attributes", Attribute, many=True),
        7: Field("domain", TEXT),
    }


@dataclass(slots=True)
class Graph(Message):
    """Nodes, the values that go in and come out, and those that the file holds."""

    nodes: list[Node] = field(default_factory=list)
    name: str = ""
    initializers: list[Tensor] = field(default_factory=list)
    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    sparse_initializers: list[memoryview] = field(default_factory=list)
    FIELDS: ClassVar = {
        1: Field("nodes", Node, many=True),
        2: Field("name", TEXT),
        5: Field("initializers", Tensor, many=True),
        11: Field("inputs", Value, many=True),
        12: Field("outputs", Value, many=True),
        15: Field("sparse_initializers", VIEW, many=True),
    }


# A graph is part of an attribute, which is part of a graph.
Attribute.FIELDS[6] = Field("g", Graph)


@dataclass(slots=True)
class Opset(Message):
    """A set of operators that the nodes are of, and its version."""

    domain: str = ""
    version: int = 0
    FIELDS: ClassVar = {1: Field("domain", TEXT), 2: Field("version", INT)}


@dataclass(slots=True)
class Model(Message):
    """A whole file."""

    ir_version: int = 0
    producer_name: str = ""
    producer_version: str = ""
    graph: Graph | None = None
    opsets: list[Opset] = field(default_factory=list)
    FIELDS: ClassVar = {
        1: Field("ir_version", INT),
        2: Field("producer_name", TEXT),
        3: Field("producer_version", TEXT),
        7: Field("graph", Graph),
        8: Field("opsets", Opset, many=True),
    }


def read(content: bytes) -> tuple[Model, Budget]:
    """Return the model in a file's bytes, and what it may still take in memory.

    Raises:
        ValueError: damaged.
    """
    budget = Budget((_RATIO - 1) * len(content) + _SLACK)
    return parse(Model, memoryview(content), budget), budget


# Tensors

# TensorProto's data types: the name, the field that holds the numbers if raw_data does not, and
# the dtype they are stored in. Half precisions are widened; bfloat16 is float32's upper half.
_DTYPES = {
    1: ("float32", "float_data", "<f4"),
    2: ("uint8", "int32_data", "<u1"),
    3: ("int8", "int32_data", "<i1"),
    4: ("uint16", "int32_data", "<u2"),
    5: ("int16", "int32_data", "<i2"),
    6: ("int32", "int32_data", "<i4"),
    7: ("int64", "int64_data", "<i8"),
    9: ("bool", "int32_data", "<u1"),
    10: ("float16", "int32_data", "<u2"),
    11: ("float64", "double_data", "<f8"),
    12: ("uint32", "uint64_data", "<u4"),
    13: ("uint64", "uint64_data", "<u8"),
    16: ("bfloat16", "int32_data", "<u2"),
}


def dtype_name(data_type: int) -> str:
    """Return the name of a TensorProto data type.

    Raises:
        ValueError: one that is not known here, such as strings.

    >>> dtype_name(7)
    'int64'
    """
    if data_type not in _DTYPES:
        known = ", ".join(name for name, _, _ in _DTYPES.values())
        raise ValueError(f"data type {data_type}, expected one of {known}")
    return _DTYPES[data_type][0]


class Tensors:
    """Makes arrays of tensors.

    Args:
        budget: what arrays that are no views of the file may take.
        folder: the model's own, from which external data may come; None for none at all.
    """

    def __init__(self, budget: Budget, folder: Path | None) -> None:
        self._budget = budget
        self._folder = folder
        self._left: dict[Path, int] = {}
        self._read: dict[tuple[str, int, int], bytes] = {}

    def array(self, tensor: Tensor) -> Array:
        """Return a tensor's numbers, read-only.

        Raises:
            ValueError: damaged, of an unknown data type, or with external data elsewhere than in
                the model's folder.
        """
        what = f"tensor {tensor.name!r}"
        try:
            return self._array(tensor, what)
        except (ValueError, OSError) as error:
            raise ValueError(f"{what}: {error}") from error

    def _array(self, tensor: Tensor, what: str) -> Array:
        name = dtype_name(tensor.data_type)
        _, store, stored = _DTYPES[tensor.data_type]
        shape = tuple(tensor.dims)
        if any(n < 0 for n in shape) or len(shape) > 32:
            raise ValueError(f"has shape {shape}")
        if len(tensor.has_segment):
            raise ValueError("is a segment, expected a whole tensor")
        size = math.prod(shape)
        chunks = getattr(tensor, store)
        if tensor.data_location == _EXTERNAL or len(tensor.raw_data) or not chunks:
            external = tensor.data_location == _EXTERNAL
            raw: Any = self._external(tensor) if external else tensor.raw_data
            if len(raw) != size * np.dtype(stored).itemsize:
                raise ValueError(f"has {len(raw)} bytes, expected {shape} of {name}")
            values = np.frombuffer(raw, stored)
        else:
            if sum(map(len, chunks)) != size:
                raise ValueError(f"has {sum(map(len, chunks))} numbers, expected {shape}")
            self._budget.take(size * 8, what)
            values = np.concatenate(chunks).astype(stored, copy=False)
        values = self._native(values, name, what).reshape(shape)
        values.flags.writeable = False
        return values

    def _native(self, values: Array, name: str, what: str) -> Array:
        """Return numbers as they are computed with: aligned, half precisions as float32."""
        if name in ("float16", "bfloat16"):
            self._budget.take(4 * values.size, what)
            if name == "float16":
                return values.view(np.float16).astype(np.float32)
            return (values.astype(np.uint32) << 16).view(np.float32)
        if name == "bool":
            self._budget.take(values.size, what)
            return np.asarray(values != 0)
        native = np.dtype(name)
        if not values.flags.aligned or values.dtype != native:
            self._budget.take(values.nbytes, what)
        aligned: Array = np.require(values, native, ["A"]).view()
        return aligned

    def _external(self, tensor: Tensor) -> bytes:
        """Return bytes of a file beside the model, each at most once in all."""
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        path = self._beside(location)
        total = path.stat().st_size
        offset = _count(entries.get("offset", "0"), "offset")
        length = _count(entries.get("length", str(max(total - offset, 0))), "length")
        if offset + length > total:
            raise ValueError(
                f"{location} has {total} bytes, expected {length} from {offset} onwards"
            )
        key = location, offset, length
        if key not in self._read:
            if path not in self._left:
                self._left[path] = total
                self._budget.left += (_RATIO - 1) * total
            if length > self._left[path]:
                raise ValueError(f"tensors have more bytes of {location} than its {total}")
            self._left[path] -= length
            with open(path, "rb") as file:
                file.seek(offset)
                self._read[key] = file.read(length)
        return self._read[key]

    def _beside(self, location: str) -> Path:
        """Return the path of a regular file in the model's folder."""
        if self._folder is None:
            raise ValueError(f"is in {location!r}, but there is no folder to find it in")
        parts = location.replace("\\", "/").split("/")
        if not location or "\0" in location or ":" in parts[0] or {"", ".."} & {*parts}:
            raise ValueError(f"is in {location!r}, expected a file in the model's folder")
        folder = self._folder.resolve()
        path = (folder / location).resolve()
        if not path.is_relative_to(folder) or not path.is_file():
            raise ValueError(f"is in {location!r}, which is no file in the model's folder")
        return path


def _count(text: str, what: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise ValueError(f"{what} is {text!r}, expected a number of bytes")
    return int(text)
