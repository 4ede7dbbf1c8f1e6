"""Safetensors files: arrays by name, mapped from the file, and a text by name for what they are.

After the format's description (https://github.com/huggingface/safetensors#format): the length of
the header in 8 bytes, the header in JSON, and the arrays' bytes one after the other.
"""

from __future__ import annotations

import json
import math
import mmap
from pathlib import Path
from typing import Any

import numpy as np

from rnn_core._typing import Array
from rnn_core.formats.json_text import parse

_ALIGNMENT = 64
_METADATA = "__metadata__"
_DTYPES = {
    **{f"{kind}{8 * size}": f"<{kind.lower()}{size}" for kind in "IU" for size in (1, 2, 4, 8)},
    **{f"F{8 * size}": f"<f{size}" for size in (2, 4, 8)},
    "BOOL": "?",
    "BF16": "<u2",
}
_NAMES = {np.dtype(dtype): name for name, dtype in _DTYPES.items() if name != "BF16"}


def looks_like_one(head: bytes, suffix: str) -> bool:
    """Return whether a file that begins so can be one: its header's length, and a brace."""
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 40


def read(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return a file's metadata, and its arrays, read-only; bfloat16 becomes float32.

    Raises:
        ValueError: the file is truncated or corrupt, or has an array of another dtype.
    """
    with open(path, "rb") as file:
        content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    length = int.from_bytes(content[:8], "little")
    if length > len(content) - 8:
        raise ValueError(f"{path} is truncated: a header of {length} bytes in {len(content)}")
    header = parse(bytes(content[8 : 8 + length]), f"{path}: header")
    if not isinstance(header, dict):
        raise ValueError(f"{path}: its header is a {type(header).__name__}, expected an object")
    metadata = header.pop(_METADATA, None)
    data = content[8 + length :]
    try:
        _check_places(header, len(data))
        arrays = {name: _array(entry, data) for name, entry in header.items()}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is truncated or corrupt: {error!r}") from error
    return metadata if isinstance(metadata, dict) else {}, arrays


def _check_places(header: dict[str, Any], size: int) -> None:
    """Raise ValueError unless the arrays lie one after the other, which nothing else is."""
    end = 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        first, last = entry["data_offsets"]
        if first != end or last < first:
            raise ValueError(f"{name!r} lies at {first} to {last}, expected it to begin at {end}")
        end = last
    if end != size:
        raise ValueError(f"arrays of {end} bytes in {size}")


def _array(entry: dict[str, Any], data: memoryview) -> Array:
    kind, shape = entry["dtype"], tuple(entry["shape"])
    first, last = entry["data_offsets"]
    if kind not in _DTYPES:
        raise ValueError(f"an array of {kind}, expected one of {', '.join(_DTYPES)}")
    dtype = np.dtype(_DTYPES[kind])
    if not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"an array of shape {shape}")
    if math.prod(shape) * dtype.itemsize != last - first:
        raise ValueError(f"an array of shape {shape} and {kind} in {last - first} bytes")
    array = np.frombuffer(data[first:last], dtype).reshape(shape)
    return (array.astype(np.uint32) << 16).view(np.float32) if kind == "BF16" else array


def write(path: Path, arrays: dict[str, Array], metadata: dict[str, str]) -> None:
    """Write arrays of real numbers by name, and texts by name."""
    arrays = {
        name: np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(array.shape)
        for name, array in arrays.items()
    }
    # Those of larger items first, so that all are aligned.
    names = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    header: dict[str, Any] = {_METADATA: metadata} if metadata else {}
    end = 0
    for name in names:
        array = arrays[name]
        header[name] = {
            "dtype": _NAMES[array.dtype],
            "shape": array.shape,
            "data_offsets": (end, end + array.nbytes),
        }
        end += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNMENT)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            file.write(arrays[name].data)
