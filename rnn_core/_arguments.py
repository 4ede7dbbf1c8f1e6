"""What recurrent layers are called with: sequences, masks, states and constants, put in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnn_core._dtypes import as_real
from rnn_core._nest import axes_of, first_leaf, flatten, listed, map_leaves, pack_like
from rnn_core._typing import Array


def split_inputs(
    inputs: Any, initial_state: Any, constants: Any, num_constants: int | None, name: str
) -> tuple[Any, Any, Any]:
    """Return inputs, initial states and constants, each as it was given or from a list of all.

    Args:
        inputs: the sequence, or a list ``[sequence, *states, *constants]``. A sequence that is
            itself made of several arrays is a tuple, a named tuple or a dict.
        initial_state, constants: an array, a list of them, or None.
        num_constants: how many of a list's last items are constants.
        name: of the layer, for errors.

    Raises:
        ValueError: the same is given twice; some states or constants are symbolic, some are not.
    """
    if isinstance(inputs, list) and _is_tensor(first_leaf(inputs)):
        states = inputs[1:]
        if num_constants and constants is None:
            states, constants = states[:-num_constants], states[-num_constants:]
        if states and initial_state is not None:
            raise ValueError(
                f"{name}: initial_state is given, and {len(states)} more in the list of inputs"
            )
        inputs, initial_state = inputs[0], states or initial_state
    leaves = [*flatten(initial_state), *flatten(constants)]
    kinds = {isinstance(leaf, np.ndarray) for leaf in leaves if _is_tensor(leaf)}
    if len(kinds) > 1:
        raise ValueError(f"{name}: states and constants are partly symbolic, partly arrays")
    initial_state = None if initial_state is None else listed(initial_state)
    return inputs, initial_state, None if constants is None else listed(constants)


def _is_tensor(value: Any) -> bool:
    """Return whether this is an array, or a symbolic tensor; NumPy's numbers have shapes too."""
    return len(getattr(value, "shape", ())) > 0


def first_mask(mask: Any) -> Any:
    """Return the first of several masks, the inputs', or the only one, which may be of lists."""
    if not isinstance(mask, (list, tuple, dict)):
        return mask
    first = next(iter(mask.values() if isinstance(mask, dict) else mask), None)
    leaf = first_leaf(first)
    return leaf if first is None or np.ndim(leaf) > 1 else mask


def check_mask(mask: Any, inputs: Array, shape: tuple[int, int], name: str) -> Array:
    """Return a mask as booleans of `shape`, True where a step counts.

    Args:
        mask: of `shape`, or with axes more: a step counts if any of its values is true.
        inputs: named in the error.
        shape: ``(batch, timesteps)``, or the reverse for a time-major layer.
        name: the layer's.

    Raises:
        ValueError: another shape.
        TypeError: neither booleans nor numbers.
    """
    mask = np.asarray(mask)
    if mask.dtype.kind not in "biuf":
        raise TypeError(f"{name}: mask is {mask.dtype}, expected booleans")
    if mask.ndim > 2:
        mask = mask.any(axis=tuple(range(2, mask.ndim)))
    if mask.shape != shape:
        raise ValueError(
            f"{name}: mask has shape {mask.shape}, expected {shape} for inputs {inputs.shape}"
        )
    booleans: Array = mask.astype(bool, copy=False)
    return booleans


def fits(expected: Sequence[Any], given: Sequence[Any]) -> bool:
    """Return whether two shapes may be the same; None stands for any length."""
    return len(expected) == len(given) and all(
        n is None or m is None or n == m for n, m in zip(expected, given, strict=True)
    )


def check_count(states: list[Any], expected: list[Any], name: str) -> None:
    """Raise ValueError if a layer of this name is given another number of states than it has."""
    if len(states) != len(expected):
        raise ValueError(f"{name}: layer has {len(expected)} states but was passed {len(states)}")


def check_states(states: Any, sizes: Any, name: str) -> None:
    """Raise ValueError if states, which may be symbolic, are not of a cell's sizes.

    Args:
        states: a list, an entry for each of the cell's.
        sizes: the cell's `state_size`.
        name: of the layer.
    """
    check_count(listed(states), listed(sizes), name)
    leaves, expected = flatten(states), [axes_of(size) for size in flatten(sizes)]
    check_count(leaves, expected, name)
    for leaf, axes in zip(leaves, expected, strict=True):
        if not fits((None, *axes), leaf.shape):
            raise ValueError(
                f"{name}: a state has shape {tuple(leaf.shape)}, "
                f"expected ({', '.join(map(str, ('batch', *axes)))})"
            )


def fit_states(states: Any, like: list[Any], what: str, dtype: Any, name: str) -> list[Any]:
    """Return `states` as arrays in the structure of `like`.

    Raises:
        ValueError: another number or another shape of states.
    """
    # Lists of numbers are one array each.
    entries = [np.asarray(s) if np.isscalar(first_leaf(s)) else s for s in listed(states)]
    leaves, expected = flatten(entries), flatten(like)
    check_count(leaves, expected, name)
    arrays = [as_real(leaf, dtype, name, what) for leaf in leaves]
    for array, zero in zip(arrays, expected, strict=True):
        if array.shape != zero.shape:
            raise ValueError(f"{name}: {what} has shape {array.shape}, expected {zero.shape}")
    fitted: list[Any] = pack_like(like, arrays)
    return fitted


def cast_constants(constants: Any, dtype: Any) -> Any:
    """Return constants as arrays that cannot be written to, real numbers in `dtype`."""

    def cast(value: Any) -> Array:
        array = np.asarray(value)
        array = array.astype(dtype, copy=False) if array.dtype.kind == "f" else array
        view = array.view()
        view.flags.writeable = False
        return view

    return None if constants is None else map_leaves(cast, constants)


def check_sequences(inputs: Any, axes: int | None, row_shapes: Any, name: str) -> None:
    """Raise ValueError if `inputs` are no sequences of what the layer was built for.

    Args:
        inputs: ``(batch, timesteps, ...)``, or a tuple or dict of such; may be symbolic.
        axes: how many they have; None for any number from 3.
        row_shapes: what follows the first two axes, for each array; None for any.
        name: of the layer.
    """
    if isinstance(inputs, list):
        raise ValueError(f"{name}: {len(inputs)} inputs in a list, expected one array first")
    leaves = flatten(inputs)
    if axes is not None and isinstance(inputs, (tuple, dict)):
        raise ValueError(f"{name}: {len(leaves)} inputs, expected one array")
    for x in leaves:
        check_axes(x.shape, axes, name)
        if x.shape[:2] != leaves[0].shape[:2]:
            raise ValueError(
                f"{name}: inputs have shapes {leaves[0].shape} and {x.shape}, "
                "expected the same batch and timesteps"
            )
    if row_shapes is None:
        return
    if len(row_shapes) != len(leaves):
        raise ValueError(f"{name}: {len(leaves)} inputs, expected {len(row_shapes)}")
    for x, row in zip(leaves, row_shapes, strict=True):
        if not fits(row, x.shape[2:]):
            expected = ", ".join("?" if n is None else str(n) for n in row)
            raise ValueError(
                f"{name}: inputs have shape {x.shape}, "
                f"expected {expected} features after the first two axes"
            )


def check_axes(shape: tuple[Any, ...], axes: int | None, name: str) -> None:
    """Raise ValueError unless a shape has so many axes, or at least 3 for None."""
    if len(shape) != axes if axes is not None else len(shape) < 3:
        expected = "at least 3 axes (batch, timesteps, ...)"
        if axes is not None:
            features = ["features"] if axes == 3 else ["..."] * (axes - 2)
            expected = f"{axes} axes ({', '.join(['batch', 'timesteps', *features])})"
        raise ValueError(f"{name}: inputs have shape {tuple(shape)}, expected {expected}")
