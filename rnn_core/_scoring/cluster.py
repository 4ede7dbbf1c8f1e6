"""A table scored part by part by workers of an engine: what is the same for Ray and Spark.

An engine only says which worker scores which part. A worker reads its part's rows and writes a
whole Parquet file, named by the part's number, so that the rows' order is that of the files; a part
done again, after a worker died, is the same file. What else there is in the output's directory
begins with ``_``, which readers of Parquet directories pass over:

    _job.json           what is being scored, for resuming
    _part-00000.0.tmp   a part under way, one file for each time that it was begun
    _errors-00000.csv   the rows of a part that have no scores
    _failed.txt         why the run stopped; workers look for it before each part
    _SUCCESS            all parts are there
"""

from __future__ import annotations

import importlib
import json
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from rnn_core import _threads
from rnn_core._progress import progress_bar
from rnn_core._scoring.arrow import pyarrow
from rnn_core._scoring.faults import BadRow, Fault
from rnn_core._scoring.inputs import Part, located, planned, read, read_by_column
from rnn_core._scoring.journal import csv_line, difference, on_one_line
from rnn_core._scoring.scorer import Scorer

ENGINES = ("ray", "spark")
# How often a part may be begun before whoever kills its workers is taken to be its rows.
ATTEMPTS = 3
_LOOK_SECONDS = 0.5
# What the libraries of a worker's process take their threads from.
THREAD_VARIABLES = (
    "RNN_CORE_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
)


@dataclass
class Job:
    """What a worker needs: picklable, files by name.

    Args:
        scorer: the model.
        columns: of the input that it takes or keeps.
        source, target: the `pyarrow.fs.FileSystem` of the input's and of the output's files.
        parts: of the input, in order.
        output: the directory.
        threads: of one worker; set by the engine.
    """

    scorer: Scorer
    columns: list[str]
    source: Any
    parts: list[Part]
    target: Any
    output: str
    threads: int = 1

    def name(self, form: str, index: int) -> str:
        """Return the path of one of a part's files."""
        return f"{self.output}/{form.format(f'{index:05}')}"

    def exists(self, path: str) -> bool:
        """Return whether the output's file system has a file."""
        found: bool = self.target.get_file_info(path).is_file
        return found

    def score(self, index: int) -> None:
        """Score a part in this process, if it is not there yet and no other has failed."""
        if self.exists(self.name(_PART, index)) or self.exists(f"{self.output}/{_FAILED}"):
            return
        _threads.set_num_threads(self.threads)
        part = self.parts[index]
        aside = None
        try:
            aside = self._begin(index)
            with _threads.one_blas_thread():
                table, faults = self._result(part)
            self._write(index, aside, table, faults)
        except Exception as error:
            text = f"{part.path}, {error}" if isinstance(error, BadRow) else _text(error)
            if aside is not None:
                with suppress(OSError):  # room for a line, if the disk is full
                    self.target.delete_file(aside)
            _write(self.target, f"{self.output}/{_FAILED}", text.encode())

    def _begin(self, index: int) -> str:
        """Return the name of a new file aside: those that are there are of workers that died."""
        for attempt in range(ATTEMPTS):
            aside = self.name(f"_part-{{}}.{attempt}.tmp", index)
            if not self.exists(aside):
                _write(self.target, aside, b"")
                return aside
        part = self.parts[index]
        raise ValueError(
            f"{part.path}, rows {part.first + 1:,} to {part.first + part.rows:,}: "
            f"{ATTEMPTS} workers died over them, perhaps for want of memory"
        )

    def _result(self, part: Part) -> tuple[Any, list[Fault]]:
        try:
            table = read(self.source, part, self.columns)
        except (OSError, ValueError) as error:  # Arrow's own are of both kinds
            if self.scorer._skip:
                return self._result_without_damage(part)
            rows = f"rows {part.first + 1:,} to {part.first + part.rows:,}"
            raise ValueError(f"cannot read {part.path}, {rows}: {error}") from error
        return self.scorer.score(table, part.first)

    def _result_without_damage(self, part: Part) -> tuple[Any, list[Fault]]:
        """Return nulls for the rows of a part that cannot be read, and what is kept of them."""
        table, names, why = read_by_column(self.source, part, self.columns, self.scorer)
        result, faults = self.scorer.score(table, part.first)
        if names:
            faults = [Fault(fault.row, names, f"cannot be read: {why}") for fault in faults]
        return result, faults

    def _write(self, index: int, aside: str, table: Any, faults: Sequence[Fault]) -> None:
        from pyarrow import BufferOutputStream, parquet

        if faults:
            path = self.parts[index].path
            lines = (csv_line([path, row + 1, name, on_one_line(why)]) for row, name, why in faults)
            _write(self.target, self.name(_ERRORS, index), b"".join(lines))
        content = BufferOutputStream()
        parquet.write_table(table, content)
        _write(self.target, aside, content.getvalue())
        self.target.move(aside, self.name(_PART, index))
        for attempt in range(ATTEMPTS):
            left = self.name(f"_part-{{}}.{attempt}.tmp", index)
            if left != aside and self.exists(left):
                self.target.delete_file(left)


_PART, _ERRORS = "part-{}.parquet", "_errors-{}.csv"
_FAILED, _JOB, _SUCCESS = "_failed.txt", "_job.json", "_SUCCESS"


def _text(error: Exception) -> str:
    known = isinstance(error, (ValueError, OSError, ImportError))
    return str(error) if known and str(error) else f"{type(error).__name__}: {error}"


def _write(target: Any, path: str, content: Any) -> None:
    with target.open_output_stream(path) as file:
        file.write(content)
    if target.type_name == "local":
        with open(path, "rb") as file:
            os.fsync(file.fileno())


# The output


def _prepare(job: Job, description: dict[str, Any], resume: bool, overwrite: bool) -> None:
    """Make the output's directory ready for a job's parts.

    Raises:
        ValueError: it holds something else, or parts and neither `resume` nor `overwrite` is set.
    """
    from pyarrow import fs

    target, output = job.target, job.output
    if target.get_file_info(output).is_file:
        raise ValueError(f"output is {output}, a file; an engine writes a directory")
    target.create_dir(output, recursive=True)
    found = target.get_file_info(fs.FileSelector(output))
    if found and not job.exists(f"{output}/{_JOB}"):
        raise ValueError(f"output is {output}, which holds other files; choose a new directory")
    if found and not (resume or overwrite):
        raise ValueError(f"output is {output}, which holds parts already: resume or overwrite it")
    if found and not overwrite:
        _compare(description, _content(target, f"{output}/{_JOB}"), output)
    # Of the files beside the parts, only those of rows without scores outlast a new beginning.
    kept = () if overwrite else ("part-", "_errors-", _JOB, _SUCCESS)
    for each in found:
        if each.is_file and not each.base_name.startswith(kept):
            target.delete_file(each.path)
    content = json.dumps(description, indent=1).encode()
    if overwrite or not found or _content(target, f"{output}/{_JOB}") != content:
        _write(target, f"{output}/{_JOB}", content)


def _compare(now: dict[str, Any], written: bytes, output: str) -> None:
    try:
        found = difference(json.loads(written), now)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{output} cannot be resumed: its {_JOB} is broken") from error
    if found is not None:
        key, was, is_now = found
        raise ValueError(
            f"{output} cannot be resumed: its {key} is {_short(was)}, now {_short(is_now)}"
        )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 100 else text[:100] + "…"


def _content(target: Any, path: str) -> bytes:
    with target.open_input_stream(path) as file:
        return bytes(file.read())


def _finish(job: Job) -> int:
    """Say that all is there, and which rows have no scores; return their number."""
    names = [job.name(_ERRORS, index) for index in range(len(job.parts))]
    lines = b"".join(_content(job.target, name) for name in names if job.exists(name))
    if job.scorer._skip:
        _write(job.target, f"{job.output}.errors.csv", b"file,row,column,why\n" + lines)
    _write(job.target, f"{job.output}/{_SUCCESS}", b"")
    return lines.count(b"\n")


@contextmanager
def _watched(job: Job, left: Sequence[int], progress: bool) -> Iterator[None]:
    """Show a bar that counts the rows of parts as they appear."""
    waiting, ended = set(left), threading.Event()
    with progress_bar(progress, sum(job.parts[index].rows for index in left)) as advance:

        def look() -> None:
            done = {index for index in waiting if job.exists(job.name(_PART, index))}
            waiting.difference_update(done)
            advance(sum(job.parts[index].rows for index in done))

        def watch() -> None:
            while not ended.wait(_LOOK_SECONDS):
                look()

        thread = threading.Thread(target=watch, daemon=True)
        if progress:
            thread.start()
        try:
            yield
        finally:
            if progress:
                ended.set()
                thread.join()
                look()


# A run


def shares(nodes: Sequence[int], workers: int | None, threads: int | None) -> tuple[int, int]:
    """Return how many workers there are and how many threads each has.

    Args:
        nodes: the cores of each machine; a worker is on one.
        workers: as many as fit if not given.
        threads: of a worker; 1 if neither is given, as many as fit beside each other otherwise.

    Raises:
        ValueError: they do not fit.
    """

    def fitting(threads: int) -> int:
        return sum(cores // threads for cores in nodes)

    workers = workers or max(1, fitting(threads or 1))
    if threads is None:
        threads = max((n for n in range(1, max(nodes) + 1) if fitting(n) >= workers), default=1)
    if workers > fitting(threads):
        cores = " + ".join(map(str, nodes))
        raise ValueError(f"{workers} workers of {threads} threads do not fit on {cores} cores")
    return workers, threads


def score_parts(
    scorer: Scorer,
    input: Any,
    output: Any,
    engine: str,
    *,
    workers: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = False,
    part_rows: int | None = None,
) -> tuple[int, int]:
    """Score Parquet on an engine, into a directory of Parquet files in the rows' order.

    Args:
        scorer: the model; one by path needs the path on every machine.
        input: a file, or a directory whose files are taken in the order of their names; a path or
            a URI of `pyarrow.fs` that every machine sees, as is the output.
        output: the directory, new unless `resume` or `overwrite` is set.
        engine: ``"ray"`` or ``"spark"``.
        workers: processes; as many as cores, with one thread each, if not given.
        resume: go on with parts that are there.
        overwrite: begin anew if they are.
        progress: show a bar.
        part_rows: rows to an output file and to a task of the engine; by their size, at most
            262,144, if not given.

    Returns the numbers of all rows and of those without scores.

    Raises:
        ImportError: the engine is not installed.
        FileNotFoundError: no such input.
        ValueError: input that cannot be read or scored, with the file, row and column as far as
            they are known; options that do not fit.
        RuntimeError: the engine failed; what is finished stays, for `resume`.
    """
    pyarrow()
    if engine not in ENGINES:
        raise ValueError(f"engine is {engine!r}, expected {' or '.join(map(repr, ENGINES))}")
    if workers is not None and workers < 1:
        raise ValueError(f"workers is {workers}, expected at least 1")
    run = importlib.import_module(f"rnn_core._scoring.{engine}").run
    source, parts, columns, known = planned(scorer, input, part_rows)
    target, directory = located(output)
    job = Job(scorer, columns, source, parts, target, directory)
    _prepare(job, {**known, **scorer.options()}, resume, overwrite)
    left = [index for index in range(len(parts)) if not job.exists(job.name(_PART, index))]
    if left:
        with _watched(job, left, progress):
            _run(run, job, left, workers, engine)
    missing = [index for index in left if not job.exists(job.name(_PART, index))]
    if missing:
        raise RuntimeError(f"{engine} ended without {len(missing)} of {len(parts)} parts")
    return sum(part.rows for part in parts), _finish(job)


def _run(run: Any, job: Job, left: list[int], workers: int | None, engine: str) -> None:
    def said() -> str:
        failed = f"{job.output}/{_FAILED}"
        return _content(job.target, failed).decode() if job.exists(failed) else ""

    try:
        run(job, left, workers)
    except (ValueError, ImportError):
        raise
    except Exception as error:
        if not said():
            lines = [line for line in str(error).splitlines() if _says_something(line)]
            why = lines[-1] if lines else type(error).__name__
            raise RuntimeError(f"{engine} failed: {why}") from error
    if why := said():
        raise ValueError(why)


def _says_something(line: str) -> bool:
    # Java's stack ends a message of Spark's.
    return bool(line.strip()) and not line.startswith(("\t", " "))
