"""How the values in an HDF5 file are stored: types and shapes."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass
class Datatype:
    """How a value is stored (IV.A.2.d)."""

    size: int
    # Of numbers; None of others.
    dtype: np.dtype[Any] | None = None
    # Of bfloat16, which NumPy lacks.
    is_bfloat16: bool = False
    # "fixed" or "variable" of strings.
    string: str | None = None


def datatype_of(data: memoryview) -> Datatype:
    """Return what a datatype message says; what is neither numbers nor text is not told apart."""
    kind, flags, size = struct.unpack_from("<BB2xI", data)
    kind &= 0xF
    order = "<>"[flags & 1]
    if kind == 0 and size in (1, 2, 4, 8):
        return Datatype(size, np.dtype(f"{order}{'i' if flags & 8 else 'u'}{size}"))
    if kind == 1:
        exponent = struct.unpack_from("<B", data, 13)[0]
        if (size, exponent) in ((2, 5), (4, 8), (8, 11)):
            return Datatype(size, np.dtype(f"{order}f{size}"))
        if (size, exponent) == (2, 8):
            return Datatype(size, is_bfloat16=True)
    if kind == 3:
        return Datatype(size, string="fixed")
    if kind == 5:
        return Datatype(size, is_bfloat16=size == 2)
    if kind == 8 and data[8] & 0xF == 0:
        return datatype_of(data[8:])  # an enumeration of integers, such as h5py's bool
    if kind == 9 and flags & 0xF == 1:
        return Datatype(size, string="variable")
    return Datatype(size)


def shape_of(data: memoryview) -> tuple[int, ...] | None:
    """Return a shape, or None of one that holds nothing (IV.A.2.b)."""
    version, rank, _, kind = struct.unpack_from("<BBBB", data)
    if version not in (1, 2):
        raise ValueError(f"a dataspace of version {version}")
    if version == 2 and kind == 2:
        return None
    return struct.unpack_from(f"<{rank}Q", data, 8 if version == 1 else 4)
