"""What the engine and the layers ask of any cell: a step, a state size, perhaps more."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from rnn_core._layer import Layer
from rnn_core._nest import axes_of, flatten, map_leaves
from rnn_core._signatures import accepted, takes

# What a cell computes at one time step: (inputs, states) -> (output, new states).
Step = Callable[[Any, Any], tuple[Any, Any]]


def zero_states(state_size: Any, batch_size: int, dtype: Any) -> Any:
    """Return zeros ``(batch, size)`` for each size in a structure of sizes."""
    return map_leaves(lambda n: np.zeros((batch_size, *axes_of(n)), dtype), state_size)


def check_cell(cell: Any) -> None:
    """Raise ValueError if `cell` has no `call` or no `state_size`."""
    for attribute in ("call", "state_size"):
        if attribute not in dir(cell):
            raise ValueError(f"{cell!r} is no cell: it has no {attribute!r}")


def output_size_of(cell: Any) -> Any:
    """Return the cell's output size, or its first state's if it has none.

    Raises:
        ValueError: the cell has neither.
    """
    try:
        size = getattr(cell, "output_size", None)
    except NotImplementedError:  # what AbstractRNNCell says of a cell that does not define it
        size = None
    if size is not None:
        return size
    sizes = flatten(cell.state_size)
    if not sizes:
        raise ValueError(f"{cell!r} has no state, so it needs an output_size")
    return sizes[0]


def initial_state_of(cell: Any, batch_size: int, dtype: Any) -> Any:
    """Return the cell's own initial state, or zeros."""
    make = getattr(cell, "get_initial_state", None)
    if make is None:
        return zero_states(cell.state_size, batch_size, dtype)
    known = {"inputs": None, "batch_size": batch_size, "dtype": dtype}
    return make(**accepted(make, known))


def build_cell(cell: Any, input_shape: Any) -> None:
    """Build a cell that is a layer or has `build`, once."""
    if isinstance(cell, Layer):
        cell._ensure_built(input_shape)
    elif hasattr(cell, "build") and not getattr(cell, "built", False):
        cell.build(input_shape)


def step_of(cell: Any, training: bool | None, constants: Any) -> Step:
    """Return `cell.call` with `training` and `constants` bound, as far as it takes them.

    Raises:
        ValueError: there are constants, and the cell takes none.
    """
    bound: dict[str, Any] = {}
    if takes(cell.call, "training"):
        bound["training"] = training
    if constants:
        if not takes_constants(cell):
            raise ValueError(
                f"{len(constants)} constants, expected none: {cell!r} takes no 'constants'"
            )
        bound["constants"] = constants
    return partial(cell.call, **bound) if bound else cell.call


def takes_constants(cell: Any) -> bool:
    """Return whether a cell, or one within a stack, takes `constants`."""
    within = getattr(cell, "cells", None)
    if within is not None:
        return any(takes_constants(inner) for inner in within)
    return takes(cell.call, "constants")
