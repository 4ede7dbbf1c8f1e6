"""HDF5 files that may be hostile: groups and datasets of numbers, nothing that points outside."""

from __future__ import annotations

import math
import mmap
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from rnn_core._typing import Array
from rnn_core.formats.budget import Budget
from rnn_core.formats.hdf5_objects import SIGNATURE as SIGNATURE
from rnn_core.formats.hdf5_objects import (
    UNDEFINED,
    Attribute,
    Dataset,
    File,
    Group,
    tree_leaves,
)

# What reading a damaged file can raise on its way.
_DAMAGED = (struct.error, zlib.error, LookupError, ArithmeticError, UnicodeError)
# Groups within groups.
_DEPTH = 64
_DEFLATE, _SHUFFLE, _FLETCHER32 = 1, 2, 3


@contextmanager
def open_file(source: Any, what: str) -> Iterator[Group]:
    """Open an HDF5 file and yield its root.

    Args:
        source: a path, or the file's bytes.
        what: named in errors.

    Raises:
        ValueError: the file is truncated or corrupt, also where that shows within the context.
    """
    try:
        if isinstance(source, Path):
            with open(source, "rb", buffering=0) as file:
                # Freed when nothing refers to it any more, such as an error's frames.
                content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                yield File(content, file).root()
        else:
            yield File(source).root()
    except _DAMAGED as error:
        raise ValueError(f"{what} is truncated or corrupt: {error!r}") from error
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error


def child(group: Any, path: str) -> Any:
    """Return the group or dataset at a path, step by step.

    Raises:
        ValueError: there is none, or a step is a link elsewhere.
    """
    for part in filter(None, path.split("/")):
        if not isinstance(group, Group) or part not in group.links:
            raise ValueError(f"the file has no {path!r}")
        group = group.open(part)
    return group


def walk(group: Group) -> Iterator[Dataset]:
    """Yield all datasets below a group in their names' order, each once, whatever links to it."""
    pending: list[tuple[Group | Dataset, int]] = [(group, 0)]
    seen: set[int] = set()
    while pending:
        found, depth = pending.pop()
        if found.address in seen:
            continue
        seen.add(found.address)
        if isinstance(found, Dataset):
            yield found
            continue
        if depth > _DEPTH:
            raise ValueError(f"{found.name!r} is more than {_DEPTH} groups deep")
        names = sorted(found.links, reverse=True)
        pending += [(found.open(name), depth + 1) for name in names]


def attribute(group: Any, name: str) -> Any:
    """Return an attribute as a str, a list of str or a number; None if there is none.

    Raises:
        ValueError: it declares more than the file holds.
    """
    if name not in group.attributes:
        return None
    found = group.attributes[name]
    values = _values(found)
    return values if found.shape else values[0]


def _values(found: Attribute) -> list[Any]:
    datatype, data = found.datatype, found.data
    count = 0 if found.shape is None else math.prod(found.shape)
    if count * datatype.size > len(data):
        raise ValueError(f"an attribute declares {count} values in {len(data)} bytes")
    if datatype.dtype is not None:
        numbers: list[Any] = np.frombuffer(data, datatype.dtype, count).tolist()
        return numbers
    places = range(0, count * datatype.size, max(datatype.size, 1))
    if datatype.string == "fixed":
        return [_text(data[at : at + datatype.size]) for at in places]
    if datatype.string == "variable":
        budget = Budget(len(found.file.content))
        return [_variable(found.file, data, at, budget) for at in places]
    raise ValueError("an attribute is neither text nor numbers")


def _variable(file: File, data: memoryview, at: int, budget: Budget) -> str:
    """Return a string of any length: its size, and where it is kept."""
    size, collection, index = struct.unpack_from("<IQI", data, at)
    budget.take(size, "text")
    return _text(file.string(collection, index)[:size]) if size else ""


def _text(data: memoryview) -> str:
    return bytes(data).rstrip(b"\0").decode("utf-8")


def names(group: Any, name: str) -> list[str]:
    """Return an attribute that lists names; if long, Keras has ``name0``, ``name1``, … for it."""
    chunks: list[Any] = [attribute(group, name)]
    if chunks[0] is None:
        chunks.clear()
        while (part := attribute(group, f"{name}{len(chunks)}")) is not None:
            chunks.append(part)
    if not all(isinstance(chunk, list) for chunk in chunks):
        raise ValueError(f"attribute {name!r} of {group.name!r} is no list of names")
    found = [item for chunk in chunks for item in chunk]
    if not all(isinstance(item, str) for item in found):
        raise ValueError(f"attribute {name!r} of {group.name!r} is no list of names")
    return found


def read(dataset: Any, budget: Budget) -> Array:
    """Return a dataset's numbers; bfloat16 becomes float32.

    Args:
        dataset: of integers or floating numbers, within this file.
        budget: what the file can still hold.

    Raises:
        ValueError: no such dataset, or one that declares more than the file holds.
    """
    if not isinstance(dataset, Dataset):
        raise ValueError(f"{dataset.name!r} is no dataset")
    datatype, shape = dataset.datatype, dataset.shape
    dtype = np.dtype("<u2") if datatype.is_bfloat16 else datatype.dtype
    if dtype is None or shape is None:
        raise ValueError(f"{dataset.name!r} holds no numbers, expected numbers")
    size = math.prod(shape) * dtype.itemsize
    budget.take(size, repr(dataset.name))
    layout = dataset.layout
    if layout.values is None:
        array = _join(dataset, dtype, shape)
    elif len(layout.values) < size:
        raise ValueError(f"{dataset.name!r} has {len(layout.values)} bytes of {size}")
    elif layout.address == UNDEFINED or size == 0:
        array = np.frombuffer(layout.values[:size], dtype).reshape(shape).copy()
    else:
        array = np.empty(shape, dtype)
        dataset.file.fill(array, layout.address)
    if datatype.is_bfloat16:
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array


def _join(dataset: Dataset, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    """Return the array that is stored in chunks."""
    layout, file = dataset.layout, dataset.file
    array = np.zeros(shape, dtype)
    if len(layout.chunk) != len(shape) or 0 in layout.chunk:
        raise ValueError(f"{dataset.name!r} of shape {shape} has chunks of shape {layout.chunk}")
    size = math.prod(layout.chunk) * dtype.itemsize
    # A chunk reaches over the edge by less than its own size in each direction.
    if size > 2 ** len(shape) * max(array.nbytes, 1 << 20):
        raise ValueError(f"{dataset.name!r} of {array.nbytes} bytes has chunks of {size}")
    if layout.tree == UNDEFINED:
        return array
    for leaf in tree_leaves(file, layout.tree, 1, 8 + 8 * (len(shape) + 1)):
        stored, skipped = struct.unpack_from("<II", leaf.key)
        start = struct.unpack_from(f"<{len(shape)}Q", leaf.key, 8)
        data = _unfiltered(file.part(leaf.child, stored), layout.filters, skipped, size, dtype)
        place = tuple(slice(s, s + n) for s, n in zip(start, layout.chunk, strict=True))
        inside = array[place]
        chunk = np.frombuffer(data, dtype).reshape(layout.chunk)
        inside[...] = chunk[tuple(slice(n) for n in inside.shape)]
    return array


def _unfiltered(
    data: Any, filters: list[int], skipped: int, size: int, dtype: np.dtype[Any]
) -> Any:
    """Return a chunk of `size` bytes as it was before its filters, of which some may be skipped."""
    for place in reversed(range(len(filters))):
        if skipped >> place & 1:
            continue
        if filters[place] == _DEFLATE:
            # Fletcher32's sum may follow.
            data = zlib.decompressobj().decompress(data, size + 4)
        elif filters[place] == _SHUFFLE:
            count = len(data) // dtype.itemsize
            data = np.frombuffer(data, np.uint8, count * dtype.itemsize)
            data = data.reshape(dtype.itemsize, count).T.tobytes()
        elif filters[place] == _FLETCHER32:
            data = data[:-4]
        else:
            raise ValueError(f"a chunk has filter {filters[place]}, expected 1, 2 or 3")
    if len(data) < size:
        raise ValueError(f"a chunk has {len(data)} bytes, expected {size}")
    return data[:size]
