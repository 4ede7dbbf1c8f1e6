"""Runs a model over many rows, batch by batch, on several threads."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rnn_core import _engine, _sharing, _threads
from rnn_core._nest import flatten, map_leaves

if TYPE_CHECKING:
    from rnn_core._model import Model

# A batch's widest array stays within this many bytes, and a batch within these rows.
_BATCH_BYTES = 64 << 20
_MIN_ROWS, _MAX_ROWS = 32, 1024


def _rows_of(x: Any, model_name: str) -> int:
    shapes = [np.shape(leaf) for leaf in flatten(x)]
    if any(not shape for shape in shapes):
        raise ValueError(f"{model_name}: an input is a single number, expected rows")
    lengths = {shape[0] for shape in shapes}
    if len(lengths) != 1:
        raise ValueError(
            f"{model_name}: inputs have {sorted(lengths)} rows, expected equal numbers"
        )
    return int(lengths.pop())


def _default_batch(model: Model, x: Any, rows: int, threads: int) -> int:
    """Return a batch size that keeps arrays small and gives every thread its share."""
    fixed = model.input_layers[0].batch_shape[0] if model.input_layers else None
    if fixed and model._is_stateful():
        return int(fixed)
    widest = max((weight.shape[-1] for weight in model.weights if weight.ndim > 1), default=1)
    steps = max((leaf.shape[1] for leaf in flatten(x) if leaf.ndim > 1), default=1)
    fitting = _BATCH_BYTES // (4 * max(1, steps) * widest)
    share = math.ceil(rows / threads)
    return max(_MIN_ROWS, min(fitting, _MAX_ROWS, share))


def _progress(wanted: bool, rows: int) -> Callable[[int], Any]:
    if not wanted:
        return lambda done: None
    try:
        from tqdm import tqdm
    except ImportError:
        raise ImportError("progress=True needs tqdm: pip install 'rnn_core[progress]'") from None
    bar = tqdm(total=rows, unit=" rows", unit_scale=True)

    def advance(done: int) -> None:
        bar.update(done)
        if bar.n >= rows:
            bar.close()

    return advance


def predict(
    model: Model, x: Any, batch_size: int | None, progress: bool, explain: bool = False
) -> Any:
    """Return `model`'s outputs for all rows of `x`; see `Model.predict`."""
    x = map_leaves(np.asarray, x)
    rows = _rows_of(x, model.name)
    threads = 1 if model._is_stateful() else _threads.get_num_threads()
    if batch_size is None:
        batch_size = _default_batch(model, x, rows, threads)
    elif batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}, expected at least 1")
    if model._is_stateful() and rows % batch_size:
        raise ValueError(
            f"{model.name}: {rows} rows, expected a multiple of {batch_size} for a stateful model"
        )
    starts = range(0, rows, batch_size)
    threads = min(threads, len(starts))
    if len(starts) <= 1:
        if explain:
            print("one batch: nothing is shared")
        advance = _progress(progress, rows)
        outputs = model(x)
        advance(rows)
        return outputs

    plan = _sharing.Plan(model, x)
    windows = plan.windows(rows, batch_size)

    def each(calls: list[Callable[[], None]]) -> None:
        for _ in _in_order(lambda call: call(), calls, threads):
            pass

    def batches_of(window: slice) -> list[slice]:
        starts = range(window.start, window.stop, batch_size)
        return [slice(start, min(start + batch_size, window.stop)) for start in starts]

    def later() -> Iterator[Any]:
        for window in windows[1:]:
            yield from _in_order(plan.share(window, batch_size, each), batches_of(window), threads)

    advance = _progress(progress, rows)
    run = plan.share(windows[0], batch_size, each)
    head, *others = batches_of(windows[0])
    # The first batch may import a BLAS, whose threads are then known.
    first = run(head)
    with _threads.one_blas_thread():
        outputs = map_leaves(lambda y: np.empty((rows, *y.shape[1:]), y.dtype), first)
        batches = itertools.chain([first], _in_order(run, others, threads), later())
        for start, batch in zip(starts, batches, strict=True):
            for target, part in zip(flatten(outputs), flatten(batch), strict=True):
                target[start : start + batch_size] = part
            advance(min(batch_size, rows - start))
    if explain:
        print(plan)
    return outputs


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
