"""score_table: a file's rows through a model to a file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnn_core._progress import progress_bar
from rnn_core._scoring import sizes
from rnn_core._scoring.arrow import pyarrow
from rnn_core._scoring.cluster import score_parts
from rnn_core._scoring.faults import BadRow, Fault
from rnn_core._scoring.files import KINDS, Kind, suffix_of
from rnn_core._scoring.groups import Groups
from rnn_core._scoring.parts import Parts
from rnn_core._scoring.scorer import Scorer
from rnn_core._scoring.sources import Source


@dataclass(frozen=True)
class Summary:
    """What `score_table` did: rows of the result, those of them without scores, seconds."""

    rows: int
    errors: int
    seconds: float


def score_table(
    model: Any,
    input: Any,
    output: Any,
    columns: Any = None,
    *,
    lists: bool = False,
    group_by: str | None = None,
    order_by: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = False,
    engine: str | None = None,
    workers: int | None = None,
    **options: Any,
) -> Summary:
    """Run a model over the rows of a file of any size, and write a file of the results.

    The rows are read, scored and written in parts, each a whole file in ``OUTPUT.parts``, which are
    joined to the output at the end. The parts that are finished stay if the run is interrupted.

    Args:
        model: a `Scorer`; or a model or its path, of which one is made by `columns` and `options`.
        input: a ``.parquet``, ``.arrow`` or ``.feather`` file; a ``.csv`` or ``.csv.gz``, all
            columns of which are text; or an ``.npy`` ``(rows, ...)``, which is one column ``x``.
        output: as the input; lists need Parquet, Arrow or Feather, an ``.npy`` holds numbers.
        columns: as for `Scorer`.
        lists: as ``output="list"`` of `Scorer`.
        group_by: a column of ids: the rows are steps, an id's steps are one sequence, and the
            result has a row an id, in the order of first appearance. Held in memory.
        order_by: the column that says in which order an id's steps are.
        resume: go on from the finished parts of an interrupted run, if there are any.
        overwrite: start over if there are some.
        progress: show a progress bar; needs tqdm.
        engine: ``"ray"`` or ``"spark"``: the one that this process or its environment is connected
            to scores the parts, or one that is started for it on this machine. The input is then a
            Parquet file or a directory of them, the output a directory of Parquet files in the
            input's order; both may be URIs of `pyarrow.fs`, such as ``s3://``. The report has the
            input's file as its first column.
        workers: processes of an engine, each with its share of the cores; as many as cores if
            neither they nor `threads` are given.
        options: as for `Scorer`, but for its `output`.

    Returns an object of ``rows``, ``errors`` (rows without scores) and ``seconds``. With
    ``on_error="skip"`` a file ``OUTPUT.errors.csv`` says which rows these are, counted from 1, or
    which ids, and why.

    Raises:
        FileNotFoundError: no such input.
        ValueError: files or options that do not fit; a row that cannot be scored, with
            ``on_error="stop"``; an input that is corrupt; finished parts of another run, or of any
            without `resume` and `overwrite`.
        OSError: the disk is full.
        RuntimeError: the engine failed.
        ImportError: pyarrow, tqdm for `progress`, or the engine is not installed.

    >>> import tempfile
    >>> import numpy as np
    >>> from rnn_core import Dense, Sequential
    >>> model = Sequential([Dense(1, kernel_initializer="ones", input_shape=(2,))])
    >>> directory = tempfile.mkdtemp()
    >>> np.save(directory + "/x.npy", np.ones((3, 2), np.float32))
    >>> score_table(model, directory + "/x.npy", directory + "/y.csv", names=["sum"]).rows
    3
    >>> print(Path(directory, "y.csv").read_text().split())
    ['sum', '2', '2', '2']
    """
    begun = time.perf_counter()
    pyarrow()
    if order_by is not None and group_by is None:
        raise ValueError("order_by is given without group_by")
    if lists:
        options = {**options, "output": "list"}
    if engine is None and workers is not None:
        raise ValueError("workers are an engine's: choose one, or give threads")
    scorer = _scorer(model, columns, options)
    if engine is not None:
        if group_by is not None:
            raise ValueError("group_by is for one process: an engine scores rows as they are")
        rows, errors = score_parts(
            *(scorer, input, output, engine),
            workers=workers,
            resume=resume,
            overwrite=overwrite,
            progress=progress,
        )
        return Summary(rows, errors, time.perf_counter() - begun)
    input, output = Path(input), Path(output)
    kind_in, suffix = KINDS[suffix_of(input, "input")], suffix_of(output, "output")
    _check_places(scorer, input, output)
    opened = kind_in.open(input)
    source: Source | Groups = opened
    if group_by is not None:
        scorer, source = _grouped(scorer, opened, input, group_by, order_by)
    job = _Job(scorer, source, input, group_by, KINDS[suffix], Parts(output, suffix))
    job.check(output)
    run = {
        **scorer.options(),
        **_print_of(input),
        "group_by": group_by,
        "order_by": order_by,
        "part_rows": job.part_rows,
    }
    with job.parts.held(run, resume, overwrite):
        rows, errors = job.run(progress)
    return Summary(rows, errors, time.perf_counter() - begun)


def _check_places(scorer: Scorer, input: Path, output: Path) -> None:
    if not output.parent.is_dir():
        raise ValueError(f"output is {output}, but {output.parent} is no directory")
    sources = [input.resolve(), scorer._path and Path(scorer._path)]
    if output.resolve() in sources:
        raise ValueError(f"output is {output}, which is also what it is made from")


def _scorer(model: Any, columns: Any, options: dict[str, Any]) -> Scorer:
    if not isinstance(model, Scorer):
        return Scorer(model, columns, **options)
    if columns is not None or options:
        given = ["columns"] * (columns is not None) + sorted(options)
        raise ValueError(f"{', '.join(given)} given beside a Scorer, which has its own")
    return model


def _grouped(
    scorer: Scorer, source: Source, path: Path, by: str, order: str | None
) -> tuple[Scorer, Groups]:
    """Return a scorer that keeps the ids, and the rows grouped by them."""
    pa = pyarrow()
    if scorer._encoder:
        raise ValueError("an encoder takes texts, which group_by does not make sequences of")
    scorer = scorer._keeping([by, *(name for name in scorer.keep if name != by)])
    steps = pa.schema([field for field in source.schema if field.name not in (by, order)])
    schema = steps if scorer._columns is None else source.schema
    columns = [name for names in scorer.input_columns(schema) for name in names]
    if scorer._skip:
        source.pass_over(columns)
    return scorer, Groups(source, path, by, order, scorer.keep, columns, scorer._skip)


def _print_of(path: Path) -> dict[str, Any]:
    """Return what tells an input from others without reading it whole."""
    status = path.stat()
    return {"input_bytes": status.st_size, "input_modified_ns": status.st_mtime_ns}


class _Job:
    """A source's rows through a scorer to finished parts, and these to the output."""

    def __init__(
        self,
        scorer: Scorer,
        source: Source | Groups,
        path: Path,
        group_by: str | None,
        kind: Kind,
        parts: Parts,
    ) -> None:
        self.scorer, self.source, self.path = scorer, source, path
        self.group_by, self.kind, self.parts = group_by, kind, parts
        inputs = [name for names in scorer.input_columns(source.schema) for name in names]
        self.columns = list(dict.fromkeys([*scorer.keep, *inputs]))
        if scorer._skip and isinstance(source, Source):
            source.pass_over(inputs)
        self.read_schema = pyarrow().schema([source.schema.field(name) for name in self.columns])
        # The scorer finds the columns of its own accord where it was told none.
        self.schema = scorer.schema(self.read_schema)
        self.part_rows = self._part_rows()

    def check(self, output: Path) -> None:
        """Raise ValueError if the output cannot hold the result's columns."""
        for field in self.schema:
            if not self.kind.holds(field.type):
                raise ValueError(
                    f"{output} cannot hold column {field.name!r}, which is {field.type}: "
                    "expected a .parquet, .arrow or .feather"
                )

    def _part_rows(self) -> int:
        """Return the number of a part's rows, which the first ones decide."""
        first = next(self.source.batches(0, self.columns), None)
        if first is None:
            return sizes.MAX_ROWS
        columns = [column.slice(0, sizes.SAMPLE_ROWS) for column in first.columns]
        sample = pyarrow().RecordBatch.from_arrays(columns, schema=first.schema)
        return sizes.part_rows(self.scorer, sample)

    def run(self, progress: bool) -> tuple[int, int]:
        """Return the numbers of all rows and of those without scores."""
        done = self.parts.rows()
        try:
            with progress_bar(progress, self.source.rows, sum(done)) as advance:
                self._score_parts(len(done), sum(done), advance)
        except BaseException:
            if not self.parts.finished():
                self.parts.drop()
            raise
        head = (self.group_by or "row", "column", "why") if self.scorer._skip else None

        def join(parts: Sequence[Path], file: Any) -> None:
            self.kind.join(parts, self.schema, file)

        return self.parts.join(join, head)

    def _score_parts(self, index: int, first_row: int, advance: Callable[[int], Any]) -> None:
        """Score part by part from one on, while the next is read and the last is written."""
        tables = self._tables(first_row)
        with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
            ahead = reader.submit(next, tables, None)
            written: Future[None] | None = None
            while (table := ahead.result()) is not None:
                ahead = reader.submit(next, tables, None)
                result, faults = self._score(table, first_row)
                if written is not None:
                    written.result()
                written = writer.submit(self._write, index, result, faults)
                first_row, index = first_row + table.num_rows, index + 1
                advance(table.num_rows)
            if written is not None:
                written.result()

    def _score(self, table: Any, first_row: int) -> tuple[Any, list[Fault]]:
        try:
            result, faults = self.scorer.score(table, first_row)
        except BadRow as bad:
            what = f"{self.path}, {self._place(bad.row)}: column {bad.column!r} {bad.why}"
            raise ValueError(what) from bad
        return result, list(map(self._as_read, faults))

    def _as_read(self, fault: Fault) -> Fault:
        """Return a fault, or why the row is null if it could not be read."""
        for part in getattr(self.source, "unreadable", ()):
            if part.first <= fault.row < part.last:
                return Fault(fault.row, part.column, part.why)
        return fault

    def _place(self, row: int) -> str:
        if isinstance(self.source, Groups):
            return f"{self.group_by} {self.source.name_of(row)!r}"
        return f"row {row + 1:,}"

    def _write(self, index: int, result: Any, faults: Sequence[Fault]) -> None:
        groups = self.source if isinstance(self.source, Groups) else None
        lines = (
            (groups.name_of(row) if groups else row + 1, column, why) for row, column, why in faults
        )

        def write(file: Any) -> None:
            self.kind.write(iter([result]), self.schema, file)

        self.parts.add(index, result.num_rows, lines, write)

    def _tables(self, first_row: int) -> Iterator[Any]:
        """Yield tables of a part's rows from a row on; an empty one if there are none at all."""
        batches = (b.select(self.columns) for b in self.source.batches(first_row, self.columns))
        any_yet = first_row > 0
        for table in sizes.parts_of(batches, self.read_schema, self.part_rows):
            yield table
            any_yet = True
        if not any_yet:
            yield self.read_schema.empty_table()
