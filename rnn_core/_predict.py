"""Runs a model over many rows, batch by batch, on several threads."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from rnn_core import _engine, _padding, _sharing, _threads
from rnn_core._nest import flatten
from rnn_core._outputs import Outputs
from rnn_core._progress import progress_bar
from rnn_core._ragged import Ragged
from rnn_core._typing import Array
from rnn_core._windows import WINDOW_ROWS, Windows, is_iterator

if TYPE_CHECKING:
    from rnn_core._model import Model

# A batch's widest array stays within this many bytes, and a batch within these rows.
_BATCH_BYTES = 64 << 20
_MIN_ROWS, _MAX_ROWS = 32, 1024
# Sequences that are padded together, to run or to find what they share, stay within as many bytes.
_PADDED_BYTES = 64 << 20


@dataclass
class _Batch:
    """Rows that run together.

    Args:
        places: which of the window's rows they are.
        run: returns the outputs.
        lengths: of the rows, if the outputs have steps after their ends.
    """

    places: slice | Array
    run: Callable[[], Any]
    lengths: Array | None = None


def _default_batch(model: Model, steps: int, rows: int, threads: int) -> int:
    """Return a batch size that keeps arrays small and gives every thread its share."""
    fixed = model.input_layers[0].batch_shape[0] if model.input_layers else None
    if fixed and model._is_stateful():
        return int(fixed)
    widest = max((weight.shape[-1] for weight in model.weights if weight.ndim > 1), default=1)
    fitting = _BATCH_BYTES // (4 * max(1, steps) * widest)
    share = math.ceil(rows / threads)
    return max(_MIN_ROWS, min(fitting, _MAX_ROWS, share))


def predict(
    model: Model,
    x: Any,
    batch_size: int | None,
    progress: bool,
    explain: bool = False,
    out: Any = None,
) -> Any:
    """Return `model`'s outputs for all rows of `x`; see `Model.predict`."""
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}, expected at least 1")
    stateful = model._is_stateful()
    windows = _stateful_rows(model, x) if stateful else _any_rows(model, x)
    threads = 1 if stateful else _threads.get_num_threads()
    account = _sharing.Account()
    outputs = Outputs(windows.rows, model._own_lengths if windows.ragged else None, out, model.name)
    with progress_bar(progress, windows.rows) as advance:
        for window in windows:
            ragged = any(isinstance(column, Ragged) for column in window)
            split = _of_sequences if ragged else _of_arrays
            for batches in split(model, window, windows.first, batch_size, threads, account):
                for batch, result in _ran(batches, threads):
                    outputs.write(windows.first, batch.places, result, batch.lengths)
                    advance(len(flatten(result)[0]))
    if explain:
        print(account)
    return outputs.result()


def _any_rows(model: Model, x: Any) -> Windows:
    return Windows(model._columns(x), model._input_shapes(), model.name, WINDOW_ROWS)


def _stateful_rows(model: Model, x: Any) -> Windows:
    """Return rows of one length, whose batches go on from one another, as one window."""
    refused = f"{model.name} is stateful, expected an array of rows of one length"
    columns = model._columns(x)
    if is_iterator(columns):
        raise ValueError(f"{refused}, not an iterator")
    try:
        windows = Windows(columns, [None for _ in columns], model.name, sys.maxsize)
    except ValueError as error:
        raise ValueError(f"{refused}: {error}") from None
    if windows.ragged:
        raise ValueError(f"{refused}, not lists")
    return windows


def _of_arrays(
    model: Model,
    window: list[Any],
    first: int,
    batch_size: int | None,
    threads: int,
    account: _sharing.Account,
) -> Iterator[list[_Batch]]:
    """Yield the batches of rows of one length, those that share something together."""
    x = model._arrange(window if len(window) > 1 else window[0])
    leaves = flatten(x)
    rows = len(leaves[0])
    steps = max((leaf.shape[1] for leaf in leaves if leaf.ndim > 1), default=1)
    size = batch_size or _default_batch(model, steps, rows, threads)
    if model._is_stateful() and rows % size:
        raise ValueError(
            f"{model.name}: {rows} rows, expected a multiple of {size} for a stateful model"
        )
    places = [slice(start, min(rows, start + size)) for start in range(0, max(1, rows), size)]
    if len(places) == 1:
        yield [_Batch(places[0], partial(_called, model, window, places[0], first))]
        return
    plan = _sharing.Plan(model, x, account)
    for part in plan.windows(rows, size):
        alone = partial(_called, model, window, first=first)
        shared = _shared(plan, part, size, threads, first == 0)
        run = partial(_tried, shared, alone) if shared else alone
        own = places[part.start // size : -(-part.stop // size)]
        yield [_Batch(batch, partial(run, batch)) for batch in own]


def _of_sequences(
    model: Model,
    window: list[Any],
    first: int,
    batch_size: int | None,
    threads: int,
    account: _sharing.Account,
) -> Iterator[list[_Batch]]:
    """Yield the batches of rows of any lengths, the longest first."""
    lengths = np.stack([column.lengths for column in window if isinstance(column, Ragged)])
    order = np.lexsort(-lengths[::-1])
    chain = _exact_chain(model, window[0].take(order[:1]).padded()) if len(window) == 1 else None
    for rows in _padded_together(model, window, order):
        own = lengths[:, rows]
        sizes = partial(_size, model, window, batch_size, len(rows), threads)
        together = _slices(own, chain is not None, sizes)
        shared = None
        if len(together) > 1 and _can_share(model, window):
            column = window[0].take(rows)
            plan = _sharing.Plan(model, model._arrange(column.padded()), account, column.lengths)
            shared = _shared(plan, slice(0, len(rows)), len(rows), threads, False)
        batches = []
        for part in together:
            places, ends = rows[part], None
            if shared is not None:
                run = partial(shared, part)
            else:
                run = partial(_called, model, window, places, first, chain)
                if chain is not None and len(np.unique(own[0, part])) > 1:
                    ends = own[0, part]
            batches.append(_Batch(places, run, ends))
        yield batches


def _shared(
    plan: _sharing.Plan, part: slice, size: int, threads: int, at_first: bool
) -> Callable[[slice], Any] | None:
    """Return what gives the outputs of a batch of a part, if its rows share anything.

    Args:
        plan, part, size: plan, window and size of batches of `Plan.share`.
        threads: how many to use.
        at_first: whether it begins with the first row of all.
    """
    checked = False

    def each(calls: list[Callable[[], None]]) -> None:
        nonlocal checked
        checked = True
        for _ in _in_order(lambda call: call(), calls, threads):
            pass

    try:
        return plan.share(part, size, each)
    except ValueError:
        # Only a check of all rows in their order, from the first, tells which is wrong. Else its
        # batch does.
        if at_first and part.start == 0 and not checked:
            raise
        return None


def _tried(shared: Callable[[slice], Any], alone: Callable[[slice], Any], batch: slice) -> Any:
    """Return a batch's outputs from what rows share; an error is that of the batch alone."""
    try:
        return shared(batch)
    except (ValueError, TypeError):
        return alone(batch)


def _can_share(model: Model, window: list[Any]) -> bool:
    """Return whether rows are sequences of single numbers, perhaps ids."""
    return model.share_prefixes and len(window) == 1 and window[0].values.ndim == 1


def _padded_together(model: Model, window: list[Any], order: Array) -> Iterator[Array]:
    """Yield sorted rows, as many as may be padded at once to find what they share."""
    if not (len(order) and _can_share(model, window)):
        yield order
        return
    column = window[0]
    while len(order):
        longest = max(1, int(column.lengths[order[0]])) * column.step_bytes
        count = max(1, _PADDED_BYTES // longest)
        yield order[:count]
        order = order[count:]


def _size(
    model: Model, window: list[Any], batch_size: int | None, rows: int, threads: int, longest: int
) -> int:
    """Return how many rows may go together if they have so many steps at most."""
    wanted = batch_size or _default_batch(model, longest, rows, threads)
    width = sum(column.step_bytes for column in window if isinstance(column, Ragged))
    return max(1, min(wanted, _PADDED_BYTES // max(1, longest * width)))


def _slices(lengths: Array, padded: bool, size: Callable[[int], int]) -> list[slice]:
    """Return the batches of sorted rows: rows of equal lengths, or of any if they are padded.

    Args:
        lengths: ``(inputs, rows)``.
        padded: whether they are.
        size: tells how many rows of so many steps may go together.
    """
    rows = lengths.shape[1]
    longest = lengths.max(axis=0)
    ends = np.flatnonzero((lengths[:, 1:] != lengths[:, :-1]).any(axis=0)) + 1
    ends = np.array([rows]) if padded else np.append(ends, rows)
    slices, start = [], 0
    while start < rows:
        end = int(ends[np.searchsorted(ends, start, side="right")])
        stop = min(end, start + size(int(longest[start])))
        slices.append(slice(start, stop))
        start = stop
    return slices or [slice(0, 0)]


def _exact_chain(model: Model, x: Array) -> list[Any] | None:
    """Return a model's layers if they give a padded row what they give it alone."""
    chain = model._chain_of_layers(model._arrange(x))
    return chain if chain is not None and _padding.is_exact(chain) else None


def _called(
    model: Model, window: list[Any], places: Any, first: int, chain: list[Any] | None = None
) -> Any:
    """Return a model's outputs for some rows of a window; errors name the row that is wrong."""
    columns = [x.take(places) if isinstance(x, Ragged) else x[places] for x in window]
    try:
        return _outputs_of(model, columns, chain)
    except (ValueError, TypeError) as error:
        # Within the first rows of an array what the error says of places is right as it is.
        at_first = isinstance(places, slice) and first + places.start == 0
        if at_first or model._is_stateful():
            raise
        _blame_a_row(model, columns, np.arange(first, first + len(window[0]))[places], error)
        raise


def _outputs_of(model: Model, columns: list[Any], chain: list[Any] | None) -> Any:
    arrays = [x.padded() if isinstance(x, Ragged) else x for x in columns]
    x = model._arrange(arrays if len(arrays) > 1 else arrays[0])
    if chain is None or columns[0].inside().all():
        return model(x)
    return _padding.call(chain, x, columns[0].inside())


def _blame_a_row(model: Model, columns: list[Any], rows: Array, error: Exception) -> None:
    """Raise the error of the first row that fails alone, unless all rows do."""
    wrong = []
    for index in np.argsort(rows).tolist():
        own = slice(index, index + 1)
        row = [x.take(own) if isinstance(x, Ragged) else x[own] for x in columns]
        try:
            _outputs_of(model, row, None)
        except (ValueError, TypeError) as alone:
            wrong.append((rows[index], alone))
    if wrong and (len(wrong) < len(rows) or isinstance(columns[0], Ragged)):
        number, first = wrong[0]
        kind = TypeError if isinstance(first, TypeError) else ValueError
        raise kind(f"row {number}: {first}") from error


def _ran(batches: list[_Batch], threads: int) -> Iterator[tuple[_Batch, Any]]:
    """Yield the batches and their outputs, in order."""
    if len(batches) == 1:
        yield batches[0], batches[0].run()
        return
    # The first may import a BLAS, whose threads are known only then. They would go on waiting
    # busily beside the others.
    with _threads.one_blas_thread():
        first = batches[0].run()
    yield batches[0], first
    with _threads.one_blas_thread():
        results = _in_order(lambda batch: batch.run(), batches[1:], min(threads, len(batches)))
        yield from zip(batches[1:], results, strict=True)


def _in_order(run: Callable[[Any], Any], items: Sequence[Any], threads: int) -> Iterator[Any]:
    """Yield what `run` returns for each item, in order, with few under way at once."""
    if threads == 1:
        yield from map(run, items)
        return
    # Its import costs milliseconds, which a single row need not pay.
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(threads, initializer=_engine.stay_alone) as pool:
        ahead = 2 * threads
        futures = [pool.submit(run, item) for item in items[:ahead]]
        try:
            for item in items[ahead:]:
                yield futures.pop(0).result()
                futures.append(pool.submit(run, item))
            while futures:
                yield futures.pop(0).result()
        finally:
            for future in futures:
                future.cancel()
