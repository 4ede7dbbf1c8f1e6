"""What the engine and the layers ask of any cell: a step, a state size, perhaps more."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from rnn_core._layer import Layer
from rnn_core._nest import axes_of, flatten, listed, map_leaves, shapes_of
from rnn_core._signatures import accepted, takes

# What a cell computes at one time step: (inputs, states) -> (output, new states).
Step = Callable[[Any, Any], tuple[Any, Any]]


def zero_states(state_size: Any, batch_size: int, dtype: Any) -> Any:
    """Return zeros ``(batch, size)`` for each size in a structure of sizes."""
    return map_leaves(lambda n: np.zeros((batch_size, *axes_of(n)), dtype), state_size)


class _ToDefine:
    """An attribute that a subclass has to define, as an attribute or as a property."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, cell: Any, owner: type) -> Any:
        if cell is None:
            return self
        raise NotImplementedError(f"{type(cell).__name__} does not define {self._name}")


class AbstractRNNCell(Layer):
    """The base for cells of your own.

    A cell has `state_size`, may have `output_size`, and computes one time step in
    ``call(inputs, states)``, which returns ``(output, new_states)``: inputs ``(batch, features)``,
    each state ``(batch, size)``. A size is a number, or a `TensorShape` for more axes; several
    states are a list of sizes.

    Args:
        kwargs: as for `Layer`.

    Raises:
        NotImplementedError: `state_size` is asked for and not defined.

    >>> class Sum(AbstractRNNCell):
    ...     state_size = output_size = 2
    ...     def call(self, inputs, states):
    ...         total = inputs + states[0]
    ...         return total, [total]
    >>> from rnn_core import RNN
    >>> RNN(Sum())(np.ones((1, 3, 2)))
    array([[3., 3.]], dtype=float32)
    """

    state_size: Any = _ToDefine()
    output_size: Any = _ToDefine()

    def _symbolic_shape(self, input_shape: Any, args: tuple[Any, ...]) -> Any:
        """Return the shapes of what a step returns: of the output, and a list of the states'."""
        batch = shapes_of(input_shape)[0][0]
        sizes = [output_size_of(self), listed(self.state_size)]
        return map_leaves(lambda size: (batch, *axes_of(size)), sizes)

    def get_initial_state(
        self, inputs: Any = None, batch_size: int | None = None, dtype: Any = None
    ) -> Any:
        """Return zero states.

        Args:
            inputs: ``(batch, ...)``; its length and dtype stand in for the two others.
            batch_size: number of rows.
            dtype: of the states; the cell's if not given.

        Raises:
            ValueError: neither `inputs` nor `batch_size` is given.

        >>> from rnn_core import SimpleRNNCell
        >>> SimpleRNNCell(3).get_initial_state(batch_size=2).tolist()
        [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
        """
        if inputs is not None:
            batch_size, dtype = np.shape(inputs)[0], dtype or np.asarray(inputs).dtype
        if batch_size is None:
            raise ValueError(
                f"{self.name}: get_initial_state needs inputs or batch_size, got neither"
            )
        return zero_states(self.state_size, batch_size, dtype or self.dtype)


def check_cell(cell: Any) -> None:
    """Raise ValueError if `cell` has no `call`, or no `state_size` that says its states' sizes."""
    if isinstance(cell, type):
        raise ValueError(f"{cell!r} is a class, expected a cell made of it")
    for attribute in ("call", "state_size"):
        if attribute not in dir(cell):
            raise ValueError(f"{cell!r} is no cell: it has no {attribute!r}")
    try:
        sizes = flatten(cell.state_size)
    except (AttributeError, NotImplementedError):  # not known before the cell is built
        return
    for size in sizes:
        try:
            known = size is not None and axes_of(size)
        except TypeError:
            known = None
        if not known:
            raise ValueError(f"{cell!r} has state_size {cell.state_size!r}, expected whole numbers")


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
    if make is None or getattr(make, "__func__", None) is AbstractRNNCell.get_initial_state:
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
    """Return `cell.call` with `training` and `constants` bound, as far as it takes them."""
    bound: dict[str, Any] = {}
    if takes(cell.call, "training"):
        bound["training"] = training
    if constants and takes_constants(cell):
        bound["constants"] = constants
    return partial(cell.call, **bound) if bound else cell.call


def check_constants(cell: Any, constants: Any) -> None:
    """Raise ValueError if there are constants, and the cell takes none."""
    if constants and not takes_constants(cell):
        raise ValueError(
            f"{len(constants)} constants, expected none: {cell!r} takes no 'constants'"
        )


def takes_constants(cell: Any) -> bool:
    """Return whether a cell, or one within a stack, takes `constants`."""
    within = getattr(cell, "cells", None)
    if within is not None:
        return any(takes_constants(inner) for inner in within)
    return takes(cell.call, "constants")
