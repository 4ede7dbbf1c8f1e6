"""Operators that run subgraphs: If, Loop, Scan."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from rnn_core._typing import Array

if TYPE_CHECKING:
    from rnn_core._onnx.plan import Plan

Ints = list[int]
Captured = dict[str, Array]


def if_(
    condition: Array, /, *, then_branch: Plan, else_branch: Plan, captured: Captured
) -> tuple[Array, ...]:
    """Return the outputs of one of two subgraphs."""
    branch = then_branch if condition.reshape(-1)[0] else else_branch
    return tuple(branch.run([], captured))


def loop(
    most: Array | None = None,
    condition: Array | None = None,
    /,
    *carried: Array,
    body: Plan,
    captured: Captured,
) -> tuple[Array, ...]:
    """Return the last values that a body passes on to itself, then all of what else it gives."""
    limit = None if most is None else int(most.reshape(-1)[0])
    going = condition is None or bool(condition.reshape(-1)[0])
    count, values = len(carried), list(carried)
    collected: list[list[Array]] = [[] for _ in body.graph.outputs[1 + count :]]
    step = 0
    while going and (limit is None or step < limit):
        first = [np.array(step, np.int64), np.array(going)]
        again, *results = body.run([*first, *values], captured)
        going, values = bool(again.reshape(-1)[0]), results[:count]
        for steps, result in zip(collected, results[count:], strict=True):
            steps.append(result)
        step += 1
    outputs = body.graph.outputs[1 + count :]
    return (*values, *(_joined(s, v, 0) for s, v in zip(collected, outputs, strict=True)))


def _joined(steps: list[Array], output: Any, axis: int) -> Array:
    """Return each step's array side by side along a new axis."""
    if steps:
        return np.stack(steps, axis)
    shape = [n if isinstance(n, int) else 0 for n in output.shape or ()]
    return np.expand_dims(np.zeros(shape, output.dtype or "float32"), axis).take([], axis)


def scan(
    *inputs: Array,
    body: Plan,
    num_scan_inputs: int,
    scan_input_axes: Ints | None = None,
    scan_input_directions: Ints | None = None,
    scan_output_axes: Ints | None = None,
    scan_output_directions: Ints | None = None,
    captured: Captured,
) -> tuple[Array, ...]:
    """Return the last states, then each step's outputs, of a body run over slices of arrays."""
    if not 1 <= num_scan_inputs <= len(inputs):
        raise ValueError(f"num_scan_inputs is {num_scan_inputs} for {len(inputs)} inputs")
    count = len(inputs) - num_scan_inputs
    states, scanned = list(inputs[:count]), inputs[count:]
    if len(body.graph.inputs) != len(inputs) or len(body.graph.outputs) < count:
        raise ValueError(
            f"the body takes {len(body.graph.inputs)} and gives {len(body.graph.outputs)} values, "
            f"expected {len(inputs)} and at least {count}"
        )
    outputs = body.graph.outputs[count:]
    in_axes = scan_input_axes or [0] * len(scanned)
    in_turns = scan_input_directions or [0] * len(scanned)
    out_axes = scan_output_axes or [0] * len(outputs)
    out_turns = scan_output_directions or [0] * len(outputs)
    by_time = [
        np.moveaxis(x, axis, 0)[:: -1 if turn else 1]
        for x, axis, turn in zip(scanned, in_axes, in_turns, strict=True)
    ]
    if len({len(x) for x in by_time}) != 1:
        raise ValueError(f"inputs have {[len(x) for x in by_time]} steps, expected equal numbers")
    collected: list[list[Array]] = [[] for _ in outputs]
    for slices in zip(*by_time, strict=True):
        results = body.run([*states, *slices], captured)
        states = results[:count]
        for steps, result in zip(collected, results[count:], strict=True):
            steps.append(result)
    kinds = zip(collected, outputs, out_axes, out_turns, strict=True)
    joined = (_joined(s[:: -1 if turn else 1], v, axis) for s, v, axis, turn in kinds)
    return (*states, *joined)


OPERATORS: dict[str, Callable[..., Any]] = {"If": if_, "Loop": loop, "Scan": scan}
