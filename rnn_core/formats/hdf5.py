"""HDF5 files that may be hostile: groups and datasets of numbers, nothing that points outside."""

from __future__ import annotations

import io
import math
import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from rnn_core._typing import Array

SIGNATURE = b"\x89HDF\r\n\x1a\n"

# A global heap collection, version 1.
_HEAP = b"GCOL\x01\0\0\0"

# What an attribute can take in its object's header; Keras splits longer lists.
_ATTRIBUTE_BYTES = 64 << 10


def check_heaps(content: Any) -> None:
    """Raise ValueError if a global heap is broken, on which HDF5 can loop for ever.

    Args:
        content: the file, as bytes or a memory map.

    A collection is a header of 16 bytes and objects, each with a header of 16 and a length that is
    filled up to 8; object 0 is the space left, its own header in its length (HDF5 File Format
    Specification 3.0, III.E).
    """
    start = content.find(_HEAP)
    while start >= 0:
        position, end = start + 16, len(content)
        if position <= end:
            end = min(end, start + int.from_bytes(content[start + 8 : position], "little"))
        while position + 16 <= end:
            index, length = struct.unpack_from("<H6xQ", content, position)
            position += 16 + (length + 7 & ~7) if index else length
            if not index and length < 16:
                position = end + 1
        if position > end:
            raise ValueError("a global heap, where HDF5 keeps strings, is broken")
        start = content.find(_HEAP, start + 16)


def _check_source(source: Any) -> None:
    if isinstance(source, io.BytesIO):
        check_heaps(source.getvalue())
        return
    with (
        open(source, "rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        check_heaps(content)


@contextmanager
def open_file(source: Any, what: str) -> Iterator[Any]:
    """Open an HDF5 file for reading.

    Args:
        source: a path, or a `io.BytesIO`.
        what: named in errors.

    Raises:
        ImportError: h5py is not installed.
        ValueError: the file is truncated or corrupt, also where that shows within the context.
    """
    try:
        import h5py
    except ImportError:
        raise ImportError(f"{what} needs h5py: pip install 'rnn_core[keras]'") from None
    try:
        _check_source(source)
    except ValueError as error:
        raise ValueError(f"{what} is truncated or corrupt: {error}") from error
    try:
        with h5py.File(source, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError, TypeError, AttributeError, SystemError) as error:
        raise ValueError(f"{what} is truncated or corrupt: {error}") from error


def child(group: Any, path: str) -> Any:
    """Return the member at a path, step by step; no step may be a soft or external link.

    Raises:
        ValueError: there is none, or it is a link elsewhere.
    """
    import h5py

    for part in filter(None, path.split("/")):
        link = group.get(part, getlink=True) if isinstance(group, h5py.Group) else None
        if link is None:
            raise ValueError(f"the file has no {path!r}")
        if not isinstance(link, h5py.HardLink):
            raise ValueError(f"{path!r} is a link to elsewhere, which is not followed")
        group = group[part]
    return group


def address(group: Any) -> int:
    """Return where in its file a group lies: the same for all links to it."""
    import h5py

    return int(h5py.h5o.get_info(group.id).addr)


def attribute(group: Any, name: str) -> Any:
    """Return an attribute as a str, a list of str or a number; None if there is none.

    Raises:
        ValueError: it declares more than an attribute can hold.
    """
    if name not in group.attrs:
        return None
    declared = group.attrs.get_id(name)
    size = math.prod(declared.shape) * declared.dtype.itemsize
    if size > _ATTRIBUTE_BYTES:
        raise ValueError(
            f"attribute {name!r} declares {size} bytes, at most {_ATTRIBUTE_BYTES} fit"
        )
    value = group.attrs[name]
    if isinstance(value, np.ndarray):
        return [_text(item) for item in value.tolist()]
    return _text(value)


def names(group: Any, name: str) -> list[str]:
    """Return an attribute that lists names; if long, Keras has ``name0``, ``name1``, … for it."""
    chunks: list[Any] = [attribute(group, name)]
    if chunks[0] is None:
        chunks.clear()
        while (part := attribute(group, f"{name}{len(chunks)}")) is not None:
            chunks.append(part)
    found = [item for chunk in chunks for item in chunk]
    if not all(isinstance(item, str) for item in found):
        raise ValueError(f"attribute {name!r} of {group.name!r} is no list of names")
    return found


def _text(value: Any) -> Any:
    return value.decode("utf-8") if isinstance(value, bytes) else value


class Budget:
    """The bytes that a file's datasets can hold together: no more than the file."""

    def __init__(self, file_bytes: int) -> None:
        self.left = file_bytes

    def take(self, size: int, name: str) -> None:
        """Take `size` bytes off, for the dataset called `name`."""
        if size > self.left:
            raise ValueError(f"{name!r} declares {size} bytes, the file has {self.left} left")
        self.left -= size


def read(dataset: Any, budget: Budget) -> Array:
    """Return a dataset's numbers.

    Args:
        dataset: of integers or floating numbers, within this file.
        budget: what the file can still hold.

    Raises:
        ValueError: no such dataset, or one that declares more than the file holds.
    """
    import h5py

    if not isinstance(dataset, h5py.Dataset):
        raise ValueError(f"{dataset.name!r} is no dataset")
    if dataset.dtype.kind not in "fiu":
        raise ValueError(f"{dataset.name!r} holds {dataset.dtype}, expected numbers")
    if dataset.is_virtual or dataset.external:
        raise ValueError(f"{dataset.name!r} is stored in another file, which is not followed")
    if dataset.shape is None:
        raise ValueError(f"{dataset.name!r} holds nothing, expected numbers")
    budget.take(dataset.nbytes, dataset.name)
    return np.asarray(dataset[()])
