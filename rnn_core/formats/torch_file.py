"""Files of torch.save: nested plain data, its tensors as arrays.

The zip format, of torch 1.6 and later, and the one before: pickles, then the storages one after the
other. Nothing in a file is run or imported.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rnn_core._typing import Array
from rnn_core.formats import numpy_pickle, pickle_data, zip_file
from rnn_core.formats.budget import Budget
from rnn_core.formats.pickle_data import ForeignName, Function

# A pickle of protocol 2 or later.
LEGACY_SIGNATURE = b"\x80"
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_MAX_AXES = 32
_MAX_KEY = 200
_ADVICE = (
    "save `model.state_dict()` with torch.save instead of the model itself, and load that: "
    "a file can only give data here, never run code"
)


class _Type(NamedTuple):
    """A storage's elements: in the file, and as NumPy has them."""

    stored: np.dtype[Any]
    dtype: np.dtype[Any]
    convert: Callable[[Array], Array] | None = None

    def read(self, raw: Any) -> Array:
        """Return the elements of bytes, without a copy if they are NumPy's already."""
        values = np.frombuffer(raw, self.stored)
        if self.convert is not None:
            values = self.convert(values)
        return values.astype(self.dtype, copy=False)


def _from_bfloat16(halves: Array) -> Array:
    """Return float32 numbers, whose upper halves these are."""
    return (halves.astype(np.uint32) << 16).view(np.float32)


def _type(stored: str, dtype: str = "", convert: Any = None) -> _Type:
    return _Type(np.dtype("<" + stored), np.dtype(dtype or stored), convert)


_TYPES = {
    "float64": _type("f8"),
    "float32": _type("f4"),
    "float16": _type("f2"),
    "bfloat16": _type("u2", "f4", _from_bfloat16),
    "int64": _type("i8"),
    "int32": _type("i4"),
    "int16": _type("i2"),
    "int8": _type("i1"),
    "uint8": _type("u1"),
    "uint16": _type("u2"),
    "uint32": _type("u4"),
    "uint64": _type("u8"),
    "bool": _type("u1", "?", lambda numbers: numbers != 0),
}
_STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "UntypedStorage": "uint8",
    "_UntypedStorage": "uint8",
}


class _StorageClass(NamedTuple):
    """What a storage's class stands for: the dtype's name."""

    name: str


class _Storage(NamedTuple):
    """A storage's elements, one axis."""

    values: Array


def read(path: Path) -> Any:
    """Return what a file of torch.save holds.

    Dicts (an OrderedDict too), lists, tuples, sets, str, bytes, numbers and None are as they were
    saved; a tensor is an array of its dtype (bfloat16 becomes float32), a view of its storage as it
    was saved. Arrays of a zip file are views of the file itself, mapped into memory: they cannot be
    written to, and the file must not be written over as long as they are in use.

    Raises:
        ValueError: the file is corrupt, of TorchScript, or holds something else than data.
    """
    with open(path, "rb") as file, _naming(path):
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        budget = Budget.of_file(len(content))
        if content[:4] == zip_file.SIGNATURE:
            return _read_zip(zip_file.Archive(content, budget), budget)
        return _read_legacy(content, budget)


def is_archive(path: Path) -> bool:
    """Return whether a zip file is of torch.

    Raises:
        ValueError: it is corrupt.
    """
    with open(path, "rb") as file, _naming(path):
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        names = zip_file.Archive(content, Budget.of_file(len(content))).names
    return any(_base(name) in ("data.pkl", "constants.pkl") for name in names)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Name the file in errors."""
    try:
        yield
    except ForeignName as error:
        raise ValueError(f"{path} holds a {error.name!r}: {_ADVICE}") from None
    except ValueError as error:
        raise ValueError(f"{path} is truncated or corrupt: {error}") from error


def _base(name: str) -> str:
    return name.rpartition("/")[2]


# The zip format


def _read_zip(archive: zip_file.Archive, budget: Budget) -> Any:
    """Return what ``data.pkl`` says, with storages ``data/0``, ``data/1``, … beside it."""
    pickles = [name for name in archive.names if _base(name) == "data.pkl"]
    if any(_base(name) == "constants.pkl" for name in archive.names):
        raise ForeignName("TorchScript program")
    if len(pickles) != 1:
        raise ValueError(f"it has {len(pickles)} members data.pkl, expected one")
    root = pickles[0].removesuffix("data.pkl")
    order = archive.read(f"{root}byteorder") if f"{root}byteorder" in archive else b"little"
    if order not in (b"little", b"big"):
        raise ValueError(f"its byte order is {order[:20]!r}, expected little or big")
    storages: dict[tuple[str, str], _Storage] = {}

    def persistent(saved: Any) -> _Storage:
        name, key, count, view = _storage_id(saved)
        if view is not None:
            raise ValueError("a storage is a view, which only the format before has")
        if (key, name) not in storages:
            raw = archive.view(f"{root}data/{key}")
            storages[key, name] = _Storage(_elements(raw, name, count, order, budget))
        return storages[key, name]

    value, _ = pickle_data.read(archive.read(pickles[0]), _names(budget), persistent, budget)
    return value


def _elements(raw: Any, name: str, count: int, order: bytes, budget: Budget) -> Array:
    """Return a storage's elements, of which there are to be so many."""
    kind = _TYPES[name]
    if len(raw) != count * kind.stored.itemsize:
        raise ValueError(f"a storage of {count} {name} has {len(raw)} bytes")
    if order == b"big":
        kind = kind._replace(stored=kind.stored.newbyteorder(">"))
    if kind.stored != kind.dtype:
        # Copies: of a conversion, and on the way to it.
        budget.take(2 * count * kind.dtype.itemsize, "a storage")
    return kind.read(raw)


def _storage_id(saved: Any) -> tuple[str, str, int, Any]:
    """Return dtype, key, number of elements and view of a storage's persistent id."""
    if type(saved) is not tuple or len(saved) not in (5, 6):
        raise ValueError(f"a {type(saved).__name__} as an id, expected a storage's")
    word, kind, key, _, count, *view = saved
    if word != "storage" or type(kind) is not _StorageClass:
        raise ValueError("an id is of no storage")
    if type(key) is not str or len(key) > _MAX_KEY or type(count) is not int or count < 0:
        raise ValueError("a storage has no key, or no number of elements")
    return kind.name, key, count, view[0] if view else None


# The format before


def _read_legacy(content: Any, budget: Budget) -> Any:
    """Return the object of the fourth pickle, whose storages follow the fifth, a list of keys."""
    filled: dict[str, tuple[_Type, _Storage]] = {}

    def plain(position: int) -> tuple[Any, int]:
        return pickle_data.read(content, {}, _no_storage, budget, position)

    def persistent(saved: Any) -> _Storage:
        name, key, count, view = _storage_id(saved)
        if key not in filled:
            kind = _TYPES[name]
            if count * kind.stored.itemsize > len(content):
                raise ValueError(f"a storage has {count} elements, the file {len(content)} bytes")
            budget.take(count * kind.dtype.itemsize, "a storage")
            filled[key] = kind, _Storage(np.empty(count, kind.dtype))
        storage = filled[key][1]
        return storage if view is None else _view(storage, view)

    magic, position = plain(0)
    if magic != _MAGIC:
        raise ValueError("it begins with a pickle that is not torch's")
    protocol, position = plain(position)
    if protocol != _PROTOCOL:
        raise ValueError(f"it is of protocol {str(protocol)[:50]}, expected {_PROTOCOL}")
    _, position = plain(position)
    value, position = pickle_data.read(content, _names(budget), persistent, budget, position)
    keys, position = plain(position)
    if type(keys) is not list or sorted(map(str, keys)) != sorted(filled):
        raise ValueError("its storages are not those that its object is made of")
    for key in keys:
        position = _fill(*filled[key], content, position)
    return value


def _no_storage(saved: Any) -> Any:
    raise ValueError("a storage is where none can be")


def _view(root: _Storage, view: Any) -> _Storage:
    """Return a part of a storage."""
    _, offset, count = view
    if type(offset) is not int or type(count) is not int:
        raise ValueError("a view of a storage has no offset, or no size")
    if not 0 <= offset <= offset + count <= len(root.values):
        raise ValueError(f"a view of {count} from {offset} in a storage of {len(root.values)}")
    return _Storage(root.values[offset : offset + count])


def _fill(kind: _Type, storage: _Storage, content: Any, position: int) -> int:
    """Read the elements at a position into a storage, and return where they end."""
    start = position + 8
    end = start + len(storage.values) * kind.stored.itemsize
    if end > len(content):
        raise ValueError(f"a storage goes on to byte {end} of {len(content)}")
    (count,) = struct.unpack("<q", content[position:start])
    if count != len(storage.values):
        raise ValueError(f"a storage has {count} elements, expected {len(storage.values)}")
    storage.values[...] = kind.read(content[start:end])
    return end


# Tensors


def _names(budget: Budget) -> Mapping[str, Any]:
    """Return what the names in a pickle of torch's stand for."""

    def tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Array:
        return _tensor(storage, offset, size, stride, budget)

    def tensor_v2(*arguments: Any) -> Array:
        if any(arguments[6:]):
            raise ValueError("a tensor is to be negated or conjugated")
        return tensor(*arguments)

    def tensor_v3(storage: Any, *arguments: Any) -> Array:
        dtype = _TYPES[arguments[5]].dtype
        if arguments[5] in ("bfloat16", "bool") or any(arguments[6:]):
            raise ValueError(f"a tensor of {arguments[5]} is without a type, or to be negated")
        return tensor(_Storage(storage.values.view(dtype)), *arguments)

    functions = {
        "torch._utils._rebuild_tensor": tensor,
        "torch._utils._rebuild_tensor_v2": tensor_v2,
        "torch._utils._rebuild_tensor_v3": tensor_v3,
        **_FUNCTIONS,
    }
    return {**_CONSTANTS, **{name: Function(call) for name, call in functions.items()}}


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, budget: Budget) -> Array:
    """Return a view of a storage, from an offset, with strides in elements."""
    if type(storage) is not _Storage or type(size) is not tuple or type(stride) is not tuple:
        raise ValueError("a tensor is made of something else than a storage and two tuples")
    if len(size) != len(stride) or len(size) > _MAX_AXES:
        raise ValueError(f"a tensor has {len(size)} axes and {len(stride)} strides")
    if any(type(n) is not int or n < 0 for n in (offset, *size, *stride)):
        raise ValueError("a tensor's size, stride or offset is no whole number from 0")
    values = storage.values
    count, last = 1, offset
    for length, step in zip(size, stride, strict=True):
        count *= length
        last += (length - 1) * step
    if count and last >= len(values):
        raise ValueError(f"a tensor reaches to element {last} of a storage of {len(values)}")
    # What a copy would take: it may be repeated along an axis of stride 0.
    budget.take(count * values.itemsize, "a tensor")
    if not count:
        return np.empty(size, values.dtype)
    steps = [step * values.itemsize for step in stride]
    return np.ndarray(size, values.dtype, values, offset * values.itemsize, steps)


def _parameter(data: Any, *_: Any) -> Any:
    return data


def _from_type(function: Any, kind: Any, arguments: Any, state: Any) -> Any:
    """Return a tensor of a subclass, or with attributes: those are no data."""
    if type(function) is not Function or type(arguments) is not tuple:
        raise ValueError("a tensor is not rebuilt by a function")
    return function.call(*arguments)


def _size(lengths: Any = ()) -> tuple[Any, ...]:
    if type(lengths) not in (list, tuple):
        raise ValueError("a size is no tuple")
    return tuple(lengths)


def _device(kind: Any, index: Any = None) -> str:
    if type(kind) is not str:
        raise ValueError("a device has no name")
    return kind if index is None else f"{kind[:_MAX_KEY]}:{int(index)}"


def _layout(name: Any) -> Any:
    return name


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._tensor._rebuild_from_type_v2": _from_type,
    "torch.Size": _size,
    "torch.device": _device,
    "torch.serialization._get_layout": _layout,
    **numpy_pickle.FUNCTIONS,
}
_CONSTANTS: dict[str, Any] = {
    **{
        f"{module}.{name}": _StorageClass(dtype)
        for module in ("torch", "torch.cuda", "torch.storage")
        for name, dtype in _STORAGES.items()
    },
    **{f"torch.{name}": name for name in _TYPES},
    "torch.Tensor": "Tensor",
    "torch._tensor.Tensor": "Tensor",
    "torch.nn.parameter.Parameter": "Parameter",
    **numpy_pickle.CONSTANTS,
}
