"""NumPy's numbers and arrays of numbers in a pickle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rnn_core._typing import Array

_DTYPES = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")


class NumberType:
    """A dtype, whose byte order comes after it in a pickle."""

    def __init__(self, name: Any, *_: Any) -> None:
        if name not in _DTYPES:
            raise ValueError(f"an array is of dtype {name!r:.50}, expected numbers")
        self.dtype = np.dtype(name)

    def set_order(self, state: Any) -> None:
        """Take over what NumPy pickles of a dtype: of numbers, only the byte order."""
        order = state[1]
        if order not in ("<", ">", "|", "="):
            raise ValueError(f"an array has byte order {order!r:.50}")
        self.dtype = self.dtype.newbyteorder(order)


def _empty(kind: Any, *_: Any) -> Array:
    """Return an array without values, to which a state gives some."""
    if kind != "ndarray":
        raise ValueError(f"an array is of kind {kind!r:.50}, expected 'ndarray'")
    return np.empty(0, np.int8)


def _scalar(form: Any, raw: Any) -> Any:
    """Return a number as Python's."""
    return np.frombuffer(_raw(raw, form.dtype.itemsize), form.dtype)[0].item()


def _from_buffer(buffer: Any, form: Any, shape: Any, order: Any, axes: Any = None) -> Array:
    """Return an array as protocol 5 has it; its axes may be in another order."""
    if type(buffer) not in (bytes, bytearray):
        raise ValueError(f"an array is made of a {type(buffer).__name__}")
    values = np.frombuffer(buffer, form.dtype)
    if order == "K" and axes is not None:
        return values.reshape(shape).transpose(axes)
    return values.reshape(shape, order=order)


def _raw(raw: Any, size: int) -> bytes:
    content = raw.encode("utf-8") if type(raw) is str else raw
    if type(content) is not bytes or len(content) != size:
        raise ValueError(f"an array's values are not of {size} bytes")
    return content


def _fill(array: Array, pickled: Any) -> None:
    """Give an empty array the shape and values that NumPy pickles."""
    _, shape, form, fortran, raw = pickled
    if array.size or type(shape) is not tuple or len(shape) > 32:
        raise ValueError("an array has two states, or no shape")
    count = 1
    for length in shape:
        if type(length) is not int or length < 0:
            raise ValueError("an array has a length that is no whole number")
        count *= length
    content = _raw(raw, count * form.dtype.itemsize)
    state: Any = 1, shape, form.dtype, bool(fortran), content
    array.__setstate__(state)


def set_state(target: Any, state: Any) -> None:
    """Give an array or a dtype the state that a pickle has for it."""
    if type(target) is NumberType:
        target.set_order(state)
    elif type(target) is np.ndarray:
        _fill(target, state)
    else:
        raise ValueError(f"a {type(target).__name__} is given a state")


# Functions by the names that pickles have for them.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "numpy.dtype": NumberType,
    **{
        f"numpy.{core}.{name}": function
        for core in ("core", "_core")
        for name, function in (
            ("multiarray._reconstruct", _empty),
            ("multiarray.scalar", _scalar),
            ("numeric._frombuffer", _from_buffer),
        )
    },
}
CONSTANTS = {"numpy.ndarray": "ndarray"}
