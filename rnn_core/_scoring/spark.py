"""A job's parts through Spark's mapInArrow: a task for each part."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from rnn_core import _threads
from rnn_core._scoring.cluster import ATTEMPTS, THREAD_VARIABLES, shares

if TYPE_CHECKING:
    from rnn_core._scoring.cluster import Job

# How often Spark runs a task whose worker died: more often than a part may be begun.
_FAILURES = 2 * ATTEMPTS
# The environment's word on which Spark it is; else it is a local one.
_CONFIGURED = ("PYSPARK_SUBMIT_ARGS", "PYSPARK_GATEWAY_PORT", "SPARK_REMOTE", "SPARK_CONF_DIR")


def run(job: Job, left: Sequence[int], workers: int | None) -> None:
    """Score parts on the Spark session that runs or is configured, or on a local one.

    Args:
        job: to be scored.
        left: the numbers of the parts.
        workers: processes of a local session; see `shares`.

    Raises:
        ImportError: PySpark is not installed.
        ValueError: more workers and threads than cores, or workers for a session that runs.
    """
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        raise ImportError("engine 'spark' needs PySpark: pip install 'rnn_core[cluster]'") from None
    with _session(SparkSession, job, workers) as spark:
        tasks = spark.range(0, len(left), 1, len(left))
        tasks.mapInArrow(partial(_scored, job, left), "id long").collect()


def _scored(job: Job, left: Sequence[int], batches: Iterable[Any]) -> Iterator[Any]:
    for batch in batches:
        for task in batch.column(0).to_pylist():
            job.score(left[task])
        yield batch


def _running(SparkSession: Any) -> Any:
    """Return the session of this process, whichever thread has made it; None if there is none."""
    from pyspark import SparkContext

    session = SparkSession.getActiveSession()
    if session is None and SparkContext._active_spark_context is not None:
        session = SparkSession.builder.getOrCreate()
    return session


@contextmanager
def _session(SparkSession: Any, job: Job, workers: int | None) -> Iterator[Any]:
    """Yield a session and set the job's threads; a local session ends when this does."""
    running = _running(SparkSession)
    if running is not None or any(name in os.environ for name in _CONFIGURED):
        if workers is not None:
            raise ValueError("workers are the Spark session's: leave them to its configuration")
        spark = running or SparkSession.builder.getOrCreate()
        job.threads = job.scorer._threads or int(spark.conf.get("spark.task.cpus", "1"))
        yield spark
        return
    workers, job.threads = shares([_threads.available_cores()], workers, job.scorer._threads)
    settings = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.log.level": "OFF",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        **{f"spark.executorEnv.{name}": str(job.threads) for name in THREAD_VARIABLES},
    }
    builder = SparkSession.builder.master(f"local[{workers},{_FAILURES}]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    # Spark's own choice is the python3 of PATH.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    spark = builder.getOrCreate()
    try:
        yield spark
    finally:
        spark.stop()
