"""Rows that cannot be scored, and which of many they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from rnn_core._typing import Array

# What a model or an encoder raises for input that it refuses.
REFUSALS = (ValueError, TypeError, IndexError, KeyError, OverflowError)


class Fault(NamedTuple):
    """Why a row, counted from 0, has no scores."""

    row: int
    column: str
    why: str


class BadRow(ValueError):
    """The first row that cannot be scored; its message counts rows from 1.

    Args:
        row: from 0.
        column: of the table.
        why: what was expected and what was found.
    """

    def __init__(self, row: int, column: str, why: str) -> None:
        super().__init__(row, column, why)
        self.row, self.column, self.why = row, column, why

    def __str__(self) -> str:
        return f"row {self.row + 1:,}: column {self.column!r} {self.why}"


class BadRows(Exception):
    """Rows of a batch that cannot be scored.

    Args:
        rows: their places in the batch, from 0.
        column: of the table.
        why: says what is wrong with a row.
    """

    def __init__(self, rows: Array, column: str, why: Callable[[int], str]) -> None:
        super().__init__(f"{len(rows)} rows: column {column!r}")
        self.rows, self.column, self.why = rows, column, why


def refuse(wrong: Array, column: str, why: Callable[[int], str]) -> None:
    """Raise BadRows if there are wrong rows, ``(rows,)``, boolean."""
    rows = np.flatnonzero(wrong)
    if len(rows):
        raise BadRows(rows, column, why)


def run_rows(
    run: Callable[[Array], Any], rows: Array, first_only: bool
) -> tuple[Any, dict[int, str]]:
    """Return what `run` returns for rows; or None, and why it refuses some of them.

    Args:
        run: takes rows ``(n,)``.
        rows: their places in the batch.
        first_only: look for the first that is refused.
    """
    try:
        return run(rows), {}
    except REFUSALS as error:
        why = str(error) or type(error).__name__
    if len(rows) == 1:
        return None, {int(rows[0]): why}
    refused: dict[int, str] = {}
    for half in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
        refused |= run_rows(run, half, first_only)[1]
        if refused and first_only:
            break
    # What is refused together only is nobody's fault alone.
    return None, refused


def listed(names: Sequence[str]) -> str:
    """Return columns' names as one, for a fault of several."""
    return ", ".join(names)
