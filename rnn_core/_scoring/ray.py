"""A job's parts through Ray Data: an actor for each worker, a part for each call."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rnn_core import _threads
from rnn_core._scoring.cluster import shares

if TYPE_CHECKING:
    from rnn_core._scoring.cluster import Job

# Only numbers of parts go through Ray's object store.
_STORE_BYTES = 100 << 20


class _Worker:
    """What an actor runs; its process keeps the model."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def __call__(self, batch: Any) -> Any:
        for index in batch.column("part").to_pylist():
            self.job.score(index)
        return batch


def run(job: Job, left: Sequence[int], workers: int | None) -> None:
    """Score parts on the Ray that this process, or RAY_ADDRESS, is connected to, or on a new one.

    Args:
        job: to be scored.
        left: the numbers of the parts.
        workers: actors; see `shares`.

    Raises:
        ImportError: Ray Data is not installed.
        ValueError: more workers and threads than cores.
    """
    try:
        import ray
        import ray.data
    except ImportError:
        raise ImportError("engine 'ray' needs Ray Data: pip install 'rnn_core[cluster]'") from None
    with _connected(ray):
        nodes = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
        actors, job.threads = shares(nodes, workers, job.scorer._threads)
        with _quiet(ray):
            items = [{"part": index} for index in left]
            parts = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
                _Worker,
                fn_constructor_args=(job,),
                batch_size=1,
                batch_format="pyarrow",
                compute=ray.data.ActorPoolStrategy(size=min(actors, len(items))),
                num_cpus=job.threads,
            )
            for _ in parts.iter_batches(batch_size=None, batch_format="pyarrow"):
                pass


@contextmanager
def _connected(ray: Any) -> Iterator[None]:
    """Connect to a Ray that runs, else start one for as long as this lasts."""
    if ray.is_initialized():
        yield
        return
    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    try:
        try:
            ray.init(address=os.environ.get("RAY_ADDRESS", "auto"), **quiet)
        except ConnectionError:
            if "RAY_ADDRESS" in os.environ:
                raise
            # Else it warns of how Ray Data starts its own actors.
            os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
            ray.init(
                num_cpus=_threads.available_cores(),
                object_store_memory=_STORE_BYTES,
                include_dashboard=False,
                **quiet,
            )
        yield
    finally:
        ray.shutdown()


@contextmanager
def _quiet(ray: Any) -> Iterator[None]:
    """Keep Ray Data's bars and plans off the terminal."""
    import logging

    context, logger = ray.data.DataContext.get_current(), logging.getLogger("ray.data")
    bars, level = context.enable_progress_bars, logger.level
    context.enable_progress_bars = False
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        context.enable_progress_bars = bars
        logger.setLevel(level)
