"""Element types: of layers, and of what they are given."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnn_core._typing import Array


def resolve_dtype(dtype: Any) -> np.dtype[Any]:
    """Return float32 or float64 for a name, a NumPy dtype or a Keras dtype policy.

    Half precisions compute in float32.

    Raises:
        ValueError: the dtype is not a floating one.
    """
    if isinstance(dtype, dict):
        dtype = dtype.get("config", {}).get("name")
    name = "float32" if dtype is None else getattr(dtype, "name", None) or str(dtype)
    if isinstance(dtype, type):
        name = np.dtype(dtype).name
    if name in ("float64", "float32"):
        return np.dtype(name)
    if name in ("float16", "bfloat16", "mixed_float16", "mixed_bfloat16"):
        return np.dtype("float32")
    raise ValueError(f"dtype is {dtype!r}, expected float32 or float64")


def are_arrays(value: Any) -> bool:
    """Return whether this is a list of arrays, and no list of numbers."""
    return isinstance(value, (list, tuple)) and any(isinstance(x, np.ndarray) for x in value)


def as_real(value: Any, dtype: np.dtype[Any], owner: str, what: str = "inputs") -> Array:
    """Return `value` as an array of `dtype`, itself if it is one.

    Args:
        value: an array, or what makes one.
        dtype: of the result.
        owner, what: for the error: whose it is, and what.

    Raises:
        TypeError: it holds something other than real numbers.
    """
    array = np.asarray(value)
    if array.dtype == dtype:
        return array
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{owner}: {what} is of {array.dtype}, expected real numbers ({dtype})")
    return array.astype(dtype)
