"""What the engine and the layers ask of any cell: a step, a state size, perhaps more."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnn_core._layer import Layer, call_takes
from rnn_core._nest import flatten, map_leaves


def axes_of(size: Any) -> tuple[int, ...]:
    """Return the axes of one row of a state or output: its size is an int or a shape."""
    return tuple(int(n) for n in np.atleast_1d(size))


def zero_states(state_size: Any, batch_size: int, dtype: Any) -> Any:
    """Return zeros ``(batch, size)`` for each size in a structure of sizes."""
    return map_leaves(lambda n: np.zeros((batch_size, *axes_of(n)), dtype), state_size)


def check_cell(cell: Any) -> None:
    """Raise ValueError if `cell` has no `call` or no `state_size`."""
    for attribute in ("call", "state_size"):
        if attribute not in dir(cell):
            raise ValueError(f"{cell!r} is no cell: it has no {attribute!r}")


def output_size_of(cell: Any) -> Any:
    """Return the cell's output size, or its first state's if it has none."""
    size = getattr(cell, "output_size", None)
    return flatten(cell.state_size)[0] if size is None else size


def initial_state_of(cell: Any, batch_size: int | None, dtype: Any) -> Any:
    """Return the cell's own initial state, or zeros."""
    if hasattr(cell, "get_initial_state"):
        return cell.get_initial_state(inputs=None, batch_size=batch_size, dtype=dtype)
    return zero_states(cell.state_size, int(batch_size or 0), dtype)


def build_cell(cell: Any, input_shape: Any) -> None:
    """Build a cell that is a layer or has `build`, once."""
    if isinstance(cell, Layer):
        cell._ensure_built(input_shape)
    elif hasattr(cell, "build") and not getattr(cell, "built", False):
        cell.build(input_shape)


def step_cell(cell: Any, inputs: Any, states: Any, training: bool | None, **kwargs: Any) -> Any:
    """Call a cell with `training` and `constants` only if it takes them."""
    if training is not None and call_takes(cell, "training"):
        kwargs["training"] = training
    if kwargs.get("constants") is None or not (
        call_takes(cell, "constants") or call_takes(cell, "kwargs")
    ):
        kwargs.pop("constants", None)
    return cell.call(inputs, states, **kwargs)
