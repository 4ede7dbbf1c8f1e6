"""Operators that make, reshape, join and cut arrays; most results are views."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rnn_core._typing import Array

Ints = list[int]

# TensorProto's data types as they are computed with: half precisions widened.
DTYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float32",
    11: "float64",
    12: "uint32",
    13: "uint64",
    16: "float32",
}
_FLOAT16 = 10


def numbers(values: Array | None) -> Ints | None:
    """Return an array of integers as a list, None for None."""
    return None if values is None else [int(value) for value in values.reshape(-1)]


def identity_of(x: Array, /) -> Array:
    """Return the input."""
    return x


def cast(x: Array, /, *, to: int | str, saturate: int = 1) -> Array:
    """Return x in another dtype; float16 is rounded to, and kept in float32."""
    named = {name.upper(): code for code, name in DTYPES.items()} | {"FLOAT": 1, "DOUBLE": 11}
    code = named.get(to) if isinstance(to, str) else to
    if code not in DTYPES:
        raise ValueError(f"cannot cast to data type {to}")
    if code == _FLOAT16:
        x = x.astype(np.float16)
    return x.astype(DTYPES[code], copy=False)


def cast_like(x: Array, target: Array, /, *, saturate: int = 1) -> Array:
    """Return x in the dtype of another input."""
    return x.astype(target.dtype, copy=False)


def shape(x: Array, /, *, start: int = 0, end: int | None = None) -> Array:
    """Return the axes' lengths."""
    return np.array(x.shape[start:end], np.int64)


def size(x: Array, /) -> Array:
    """Return the number of values."""
    return np.array(x.size, np.int64)


def reshape(
    x: Array, given: Array | None = None, /, *, shape: Ints | None = None, allowzero: int = 0
) -> Array:
    """Return x in another shape: 0 keeps an axis's length, -1 is what is left."""
    wanted = shape if given is None else numbers(given)
    if wanted is None:
        raise ValueError("no shape is given")
    if not allowzero:
        wanted = [x.shape[axis] if n == 0 else n for axis, n in enumerate(wanted)]
    return x.reshape(wanted)


def flatten(x: Array, /, *, axis: int = 1) -> Array:
    """Return a matrix: the axes before `axis`, and the others."""
    axis = axis + x.ndim if axis < 0 else axis
    rows = int(np.prod(x.shape[:axis], dtype=np.int64))
    return x.reshape(rows, -1) if x.size else x.reshape(rows, int(np.prod(x.shape[axis:])))


def transpose(x: Array, /, *, perm: Ints | None = None) -> Array:
    """Return x with its axes in another order, reversed by default."""
    return x.transpose(perm)


def squeeze(x: Array, given: Array | None = None, /, *, axes: Ints | None = None) -> Array:
    """Return x without some axes of length 1, or all."""
    over = axes if given is None else numbers(given)
    return x.squeeze(None if over is None else tuple(over))


def unsqueeze(x: Array, given: Array | None = None, /, *, axes: Ints | None = None) -> Array:
    """Return x with new axes, numbered as in the result."""
    over = axes if given is None else numbers(given)
    if over is None:
        raise ValueError("no axes are given")
    return np.expand_dims(x, tuple(over))


def expand(x: Array, shape: Array, /) -> Array:
    """Return x broadcast to a shape, or further where that is shorter."""
    return np.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(numbers(shape) or ())))


def tile(x: Array, repeats: Array, axis: Array | None = None, /) -> Array:
    """Return x repeated along its axes; along one of them before opset 6."""
    counts = numbers(repeats) or []
    if axis is not None:
        counts = [counts[0] if n == int(axis.reshape(-1)[0]) else 1 for n in range(x.ndim)]
    return np.tile(x, counts)


def concat(*parts: Array, axis: int = 1) -> Array:
    """Return the inputs joined along an axis."""
    return np.concatenate(parts, axis)


def split(
    x: Array,
    given: Array | None = None,
    /,
    *,
    axis: int = 0,
    split: Ints | None = None,
    num_outputs: int | None = None,
    outputs: int,
) -> tuple[Array, ...]:
    """Return parts of x along an axis, equal but for the last if no lengths are given."""
    lengths = split if given is None else numbers(given)
    if lengths is None:
        count = num_outputs or outputs
        each = -(-x.shape[axis] // count)
        lengths = [each] * (count - 1)
        lengths.append(x.shape[axis] - sum(lengths))
    if sum(lengths) != x.shape[axis] or min(lengths) < 0:
        raise ValueError(f"split is {lengths} for axis {axis} of {x.shape}")
    return tuple(np.split(x, np.cumsum(lengths)[:-1], axis))


def slice_(
    x: Array,
    starts_input: Array | None = None,
    ends_input: Array | None = None,
    axes_input: Array | None = None,
    steps_input: Array | None = None,
    /,
    *,
    starts: Ints | None = None,
    ends: Ints | None = None,
    axes: Ints | None = None,
) -> Array:
    """Return a part of x; ends beyond an axis are cut off, negative ones count from its end."""
    begins = starts if starts_input is None else numbers(starts_input)
    stops = ends if ends_input is None else numbers(ends_input)
    if begins is None or stops is None:
        raise ValueError("no starts and ends are given")
    over = (axes if axes_input is None else numbers(axes_input)) or range(len(begins))
    steps = numbers(steps_input) or [1] * len(begins)
    parts = [slice(None)] * x.ndim
    for axis, begin, stop, step in zip(over, begins, stops, steps, strict=True):
        length = x.shape[axis]
        # Going backwards, an end before the first value cannot be -1, which Python counts from
        # the end.
        end: int | None = stop + length if stop < 0 else stop
        if step < 0 and end is not None and end < 0:
            end = None
        begin = max(begin + length, 0 if step > 0 else -1) if begin < 0 else begin
        if begin < 0:
            begin, end = 0, 0
        parts[axis] = slice(begin, end if end is None else max(end, 0), step)
    return x[tuple(parts)]


def pad(
    x: Array,
    given: Array | None = None,
    fill: Array | None = None,
    axes: Array | None = None,
    /,
    *,
    pads: Ints | None = None,
    paddings: Ints | None = None,
    value: float = 0.0,
    mode: str = "constant",
) -> Array:
    """Return x with values around it: a constant, the nearest, a reflection, or from beyond."""
    ends = (paddings if pads is None else pads) if given is None else numbers(given)
    over = numbers(axes)
    over = list(range(x.ndim)) if over is None else over
    if ends is None or len(ends) != 2 * len(over):
        raise ValueError(f"pads are {ends}, expected two for each of {len(over)} axes")
    widths = [[0, 0] for _ in range(x.ndim)]
    for place, axis in enumerate(over):
        widths[axis] = [ends[place], ends[place + len(over)]]
    inside = [slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(x.shape, widths, strict=True)]
    x = x[tuple(inside)]
    widths = [[max(a, 0), max(b, 0)] for a, b in widths]
    if mode == "constant":
        constant = value if fill is None else fill.reshape(-1)[0]
        return surrounded(x, widths, constant)
    if mode not in ("edge", "reflect", "wrap"):
        raise ValueError(f"mode is {mode!r}, expected constant, edge, reflect or wrap")
    return np.pad(x, widths, mode=mode)  # type: ignore[call-overload,no-any-return]


def surrounded(x: Array, widths: Sequence[Sequence[int]], value: Any) -> Array:
    """Return `x` with so many values before and after it on each axis: `np.pad`, but quickly."""
    shape = [n + before + after for n, (before, after) in zip(x.shape, widths, strict=True)]
    full = np.full(shape, value, x.dtype)
    inside = [slice(b, b + n) for n, (b, _) in zip(x.shape, widths, strict=True)]
    full[tuple(inside)] = x
    return full


def constant_of_shape(shape: Array, /, *, value: Array | None = None) -> Array:
    """Return an array of one value, float32 zero by default."""
    fill = np.zeros(1, np.float32) if value is None else value
    return np.full(numbers(shape) or (), fill.reshape(-1)[0], fill.dtype)


def arange(start: Array, limit: Array, delta: Array, /) -> Array:
    """Return numbers from start to before limit."""
    ends: list[Any] = [value.reshape(-1)[0] for value in (start, limit, delta)]
    return np.asarray(np.arange(*ends, dtype=start.dtype))


def trilu(x: Array, k: Array | None = None, /, *, upper: int = 1) -> Array:
    """Return the upper or lower triangle of each matrix, zeros elsewhere."""
    diagonal = 0 if k is None else int(k.reshape(-1)[0])
    return np.triu(x, diagonal) if upper else np.tril(x, diagonal)


def eye_like(x: Array, /, *, dtype: int | None = None, k: int = 0) -> Array:
    """Return a matrix of a shape with ones on a diagonal."""
    rows, columns = x.shape
    return np.eye(rows, columns, k).astype(x.dtype if dtype is None else DTYPES[dtype])


def dropout(
    x: Array,
    ratio_input: Array | None = None,
    training_mode: Array | None = None,
    /,
    *,
    ratio: float = 0.5,
    seed: int = 0,
    is_test: int = 0,
    outputs: int,
) -> Array | tuple[Array, Array]:
    """Return x: nothing is dropped in inference."""
    if training_mode is not None and training_mode.any():
        raise ValueError("training_mode is true, expected inference")
    return (x, np.ones(x.shape, bool)) if outputs > 1 else x


OPERATORS: dict[str, Callable[..., Any]] = {
    "Cast": cast,
    "CastLike": cast_like,
    "Concat": concat,
    "ConstantOfShape": constant_of_shape,
    "Dropout": dropout,
    "Expand": expand,
    "EyeLike": eye_like,
    "Flatten": flatten,
    "Identity": identity_of,
    "Pad": pad,
    "Range": arange,
    "Reshape": reshape,
    "Shape": shape,
    "Size": size,
    "Slice": slice_,
    "Split": split,
    "Squeeze": squeeze,
    "Tile": tile,
    "Transpose": transpose,
    "Trilu": trilu,
    "Unsqueeze": unsqueeze,
}
