"""What the rows of `Model.predict` have in common is computed once.

A recurrent layer's states after some steps depend on the ids so far alone: sequences of ids that
begin alike share the steps of their beginnings (`_walk.py`). Rows that are alike as a whole share
all of a model that does not depend on the rows beside them (`_duplicates.py`). The rest of the
model runs above either: right after the steps if it looks at each row alone, else on the same
batches as without sharing. Results are the same to the last bit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from rnn_core._beginnings import Beginning, beginnings_of
from rnn_core._duplicates import Bottom, alike, bottom_of, is_exact
from rnn_core._graph import Node, SymbolicTensor, Values, run, taken
from rnn_core._kept import Kept, row_bytes
from rnn_core._nest import flatten
from rnn_core._states import Together
from rnn_core._typing import Array
from rnn_core._walk import WORTHWHILE, Walk

if TYPE_CHECKING:
    from rnn_core._model import Model

# Rows that are looked at together, or fewer: what is shared among them is kept at once.
WINDOW_ROWS = 1 << 18
WINDOW_BYTES = 256 << 20
# Of those that have been walked together, what is above runs on so many rows at once, or fewer.
_TOP_ROWS = 1024

Each = Callable[[list[Callable[[], None]]], None]
# The arrays and masks of a batch, a slice of the rows of a window.
Taking = Callable[[slice], Values]
# What is shared: values of the flow, and what gives them for a batch.
Takings = list[tuple[list[SymbolicTensor], Taking]]


@dataclass
class Account:
    """What is shared so far, or why nothing is; its text says it."""

    counts: Counter[str] = field(default_factory=Counter)
    shares: bool = False
    why: str | None = "one batch"

    def __str__(self) -> str:
        counts, begin = self.counts, "shared" if self.shares else "nothing is shared"
        told = [
            f"{counts[what]:,} of {counts[f'all {what}']:,} {what} are different"
            for what in ("rows", "steps")
            if counts[f"all {what}"]
        ]
        return f"{begin}: {', '.join(told) or self.why or 'too few rows are alike'}"


@dataclass
class Top:
    """What is above a beginning and looks at each row alone.

    Args:
        nodes: its calls.
        like: the outputs for a row.
    """

    nodes: list[Node]
    like: list[Array]


class Plan:
    """What rows of a model's inputs share, decided window by window.

    Args:
        model: a model.
        x: its inputs, ``(rows, ...)`` each.
        account: gets what is shared.
        lengths: of the rows, if they are padded.
    """

    def __init__(
        self, model: Model, x: Any, account: Account, lengths: Array | None = None
    ) -> None:
        self.model, self.x, self.account, self.lengths = model, x, account, lengths
        self.beginnings: list[Beginning] = []
        self.bottom: Bottom | None = None
        self.why = _reason_against(model) or self._reason_against_all()
        account.why = self.why

    def _reason_against_all(self) -> str | None:
        """Find what rows may share; return why they may not."""
        self.leaves = flatten(self.x)
        self.flow = self.model._flow(self.x)
        self.beginnings = [*beginnings_of(self.flow)]
        if self.lengths is not None:
            return None if self._ends_padding() else "rows have lengths of their own"
        bottom = bottom_of(self.flow)
        walked = sum(len(beginning.stack) for beginning in self.beginnings)
        if bottom and len(bottom.recurrent) > walked and not bottom.is_cheap(self.leaves):
            self.bottom = bottom
        elif not self.beginnings and bottom:
            return "rows are computed as fast as they are compared"
        elif not self.beginnings:
            return "no recurrent layer of the packed backend is above exact layers alone"
        return None

    def _ends_padding(self) -> bool:
        """Return whether the beginnings are all that sees padding, and see no output of it."""
        given = [tensor for beginning in self.beginnings for tensor in beginning.outputs]
        above = self.flow.between(given, flatten(self.flow.outputs))
        tops = [layer for start in self.beginnings for layer in (*start.directions(), *start.stack)]
        return (
            bool(given)
            and not any(tensor in self.flow.inputs for node in above for tensor in node.sources())
            and not any(start.stack[-1].return_sequences for start in self.beginnings)
            and not any(getattr(layer, "zero_output_for_mask", False) for layer in tops)
        )

    def windows(self, rows: int, batch_size: int) -> list[slice]:
        """Return parts of the rows, each of whole batches."""
        count = rows if self.why else min(WINDOW_ROWS, WINDOW_BYTES // max(1, self._row_bytes()))
        count = max(1, count // batch_size) * batch_size
        return [slice(start, min(start + count, rows)) for start in range(0, rows, count)]

    def _row_bytes(self) -> int:
        """Return what is kept of a row."""
        each = sum(start.row_bytes(self._input(start.ids)) for start in self.beginnings)
        try:
            return each + (self.bottom.row_bytes(self._first_row()) if self.bottom else 0)
        except ValueError:
            return each  # its batch tells which row is wrong

    def _first_row(self) -> list[Array]:
        return [leaf[:1] for leaf in self.leaves]

    def _input(self, tensor: SymbolicTensor) -> Array:
        leaf: Array = self.leaves[self.flow.inputs.index(tensor)]
        return leaf

    def share(self, window: slice, batch_size: int, each: Each) -> Callable[[slice], Any] | None:
        """Compute what rows of a window share; return what gives a batch's outputs.

        None is returned if they share nothing.

        Args:
            window: of `windows`.
            batch_size: rows to a batch.
            each: calls functions, perhaps side by side.
        """
        if self.why:
            return None
        takings = self._alike(window, batch_size, each) or self._walked(window, batch_size, each)
        if not takings:
            return None
        self.account.shares = True
        inputs, outputs = self.flow.inputs, self.flow.outputs
        given = [tensor for tensors, _ in takings for tensor in tensors]
        nodes = self.flow.between([*inputs, *given], flatten(outputs))

        def call(batch: slice) -> Any:
            within = slice(batch.start - window.start, batch.stop - window.start)
            values = self._given([leaf[batch] for leaf in self.leaves])
            for _, take in takings:
                values.update(take(within))
            with Together():
                run(nodes, values)
            return taken(values, outputs, 0)

        return call

    def _alike(self, window: slice, batch_size: int, each: Each) -> Takings:
        """Compute once what rows share that are alike; return nothing if too few are."""
        if self.bottom is None:
            return []
        arrays = [leaf[window] for leaf in self.leaves]
        found = alike([arrays[self.flow.inputs.index(tensor)] for tensor in self.bottom.inputs])
        if found is None:
            return []
        kinds, groups = found
        self.account.counts["rows"] += len(kinds)
        self.account.counts["all rows"] += len(groups)
        self.bottom.run(arrays, kinds, batch_size, each)
        return [(self.bottom.outputs, partial(self.bottom.take, groups))]

    def _walked(self, window: slice, batch_size: int, each: Each) -> Takings:
        """Compute once the steps that rows share; return nothing if those are too few."""
        takings: Takings = []
        shared: list[Walk] = []
        lengths = None if self.lengths is None else self.lengths[window]
        for beginning in self.beginnings:
            x = self._input(beginning.ids)[window]
            walks = beginning.walks(x, lengths)
            nodes, steps = sum(walk.nodes for walk in walks), sum(walk.steps for walk in walks)
            self.account.counts["steps"] += nodes
            self.account.counts["all steps"] += steps
            if steps and nodes <= (1 - WORTHWHILE) * steps:
                shared += walks
                takings.append((beginning.outputs, partial(beginning.take, walks, x)))
        # What is not walked would see the padding.
        if lengths is not None and len(takings) < len(self.beginnings):
            return []
        if len(shared) == 1 and self._top is not None:
            return self._with_top(shared[0], self._top, window, min(batch_size, _TOP_ROWS), each)
        keeping: list[Callable[[], None]] = [
            partial(walk.keep, part) for walk in shared for part in walk.windows()
        ]
        for walk in shared:
            walk.keep_all()
        each(keeping)
        return takings

    @cached_property
    def _top(self) -> Top | None:
        """What is above the only beginning, if rows can go through it in any order.

        That spares the memory for what they end with, unless its own outputs take more.
        """
        (beginning, *others), outputs = self.beginnings, flatten(self.flow.outputs)
        nodes = self.flow.between([*self.flow.inputs, *beginning.outputs], outputs)
        if others or not nodes or not all(is_exact(node, recurrent=False) for node in nodes):
            return None
        values = self._given(self._first_row())
        run(self.flow.nodes, values)
        like = [values[tensor][0] for tensor in outputs]
        x = self._input(beginning.ids)
        return Top(nodes, like) if row_bytes(like) <= beginning.row_bytes(x) else None

    def _given(self, leaves: list[Array]) -> Values:
        """Return the values of the inputs for some rows."""
        pairs = zip(self.flow.inputs, leaves, strict=True)
        return {tensor: (leaf, None) for tensor, leaf in pairs}

    def _with_top(self, walk: Walk, top: Top, window: slice, size: int, each: Each) -> Takings:
        """Compute all outputs of the rows of a walk, `size` of them at once."""
        (beginning,), outputs = self.beginnings, flatten(self.flow.outputs)
        needed = {tensor for node in top.nodes for tensor in node.sources()}
        pairs = zip(self.flow.inputs, self.leaves, strict=True)
        leaves = {tensor: leaf[window] for tensor, leaf in pairs if tensor in needed}
        ids = self._input(beginning.ids)[window]
        kept = Kept(top.like, len(ids))

        def finish(part: slice) -> None:
            rows, arrays = walk.run(part)
            for start in range(0, len(rows), size):
                some = slice(start, start + size)
                values: Values = {t: (leaf[rows[some]], None) for t, leaf in leaves.items()}
                parts = [[array[some] for array in arrays]]
                values.update(beginning.values(parts, ids, rows[some]))
                run(top.nodes, values)
                kept.put(rows[some], [values[tensor][0] for tensor in outputs])

        def take(batch: slice) -> Values:
            return {
                tensor: (array, None)
                for tensor, array in zip(outputs, kept.take(batch), strict=True)
            }

        each([partial(finish, part) for part in walk.windows()])
        return [(outputs, take)]


def _reason_against(model: Model) -> str | None:
    """Return why a model shares nothing, if it is clear without a look at its layers."""
    if not model.share_prefixes:
        return "share_prefixes is False"
    if model._is_users:
        return f"{type(model).__name__} is not a class of rnn_core"
    return "a layer is stateful" if model._is_stateful() else None
