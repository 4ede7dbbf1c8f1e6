"""What tells one run from another, and lines about its rows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from typing import Any


def difference(before: Any, run: dict[str, Any]) -> tuple[str, Any, Any] | None:
    """Return what differs, if a run is another than that of some parts: its name, before and now.

    Args:
        before: what a journal says of the run that made the parts.
        run: what decides the result of this one, as plain data.

    Raises:
        TypeError: the journal says something else.
    """
    if not isinstance(before, dict):
        raise TypeError(f"a journal is a {type(before).__name__}, expected a dict")
    now = json.loads(json.dumps(run))  # as JSON has them, tuples are lists
    for key in sorted(now.keys() | before.keys()):
        was, is_now = before.get(key), now.get(key)
        # Rows without errors are the same if errors are skipped from here on.
        if was != is_now and (key, was, is_now) != ("on_error", "stop", "skip"):
            return key, was, is_now
    return None


def on_one_line(cell: Any) -> str:
    """Return a cell's text without line breaks."""
    return " ".join(str(cell).split())


def csv_line(cells: Iterable[Any]) -> bytes:
    """Return cells as a row of a CSV file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()
