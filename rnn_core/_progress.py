"""A bar of the rows that are done, with rows a second and the time left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def progress_bar(wanted: bool, rows: int | None, done: int = 0) -> Iterator[Callable[[int], Any]]:
    """Yield a function to be called with numbers of rows as they are done.

    Args:
        wanted: whether to show a bar at all.
        rows: how many there are, None if that is not known.
        done: how many of them are done already.

    Raises:
        ImportError: a bar is wanted and tqdm not installed.
    """
    if not wanted:
        yield lambda rows: None
        return
    try:
        from tqdm import tqdm
    except ImportError:
        raise ImportError("progress=True needs tqdm: pip install 'rnn_core[progress]'") from None
    with tqdm(total=rows, initial=done, unit=" rows", unit_scale=True) as bar:
        yield bar.update
