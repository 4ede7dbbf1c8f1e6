"""Scorer: a model as a function of Arrow batches."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rnn_core import _engine, _threads
from rnn_core._scoring import models
from rnn_core._scoring.arrow import check_columns, is_list, pyarrow
from rnn_core._scoring.encoding import encode, name_of, source_of, texts_of
from rnn_core._scoring.faults import BadRow, BadRows, Fault, listed, refuse, run_rows
from rnn_core._scoring.results import Form
from rnn_core._scoring.running import Runner
from rnn_core._scoring.sequences import Sequences, fitted, from_arrays, read, steps_of
from rnn_core._typing import Array
from rnn_core._version import __version__


class Scorer:
    """A model as a function of Arrow batches, to be sent to the processes that score.

    Args:
        model: a file's path, which each process loads once; or a model in memory, which is sent as
            the bytes of a ``.safetensors`` file.
        columns: of the table, to be the model's input: all but those kept if not given, the first
            for an encoder. For a model of several inputs ``{input: columns}``; columns that have
            the inputs' names if not given.
        encoder: a function, or ``"module:function"``, of text columns, a list of str each; it
            returns an array ``(rows, ...)``, or a list of arrays, one a row.
        keep: columns to copy to the result.
        names: of the result's columns.
        which: of the model's outputs, from 0, if it has several.
        output: ``"columns"``, one for each value of a row, those of step t named ``t.name``; or
            ``"list"``, one column with a list a row, of lists if there is an output for each step.
        top_k: the k largest values and their places, columns ``label_1``, ``score_1``, …, or
            ``label`` and ``score`` for 1; as lists, ``labels`` and ``scores``.
        labels: names for the places.
        on_error: ``"stop"``, or ``"skip"``: nulls for a row that cannot be scored, or read.
        batch_size: rows to a batch of `Model.predict`.
        threads: of this process; see `set_num_threads`.

    A column of numbers holds a feature of one step: all features of the first step, then of the
    second, and so on. A column of lists holds a sequence of any length: of ids, of numbers, or of
    lists, one a step; several such columns are the features of each step. Text without an encoder
    is numbers in text.

    Call arguments:
        batch: a `pyarrow.RecordBatch` or `pyarrow.Table`.
        first_row: the number of the batch's first row, from 0, for messages, which count from 1.

    Returns the same kind, with the kept columns, then the outputs, row by row.

    Raises:
        ImportError: pyarrow is not installed.
        ValueError: options that do not fit; a column that is missing or of another type; with
            ``on_error="stop"`` a row that cannot be scored: a null, an id out of range, another
            number of steps than the model takes.

    >>> import pyarrow as pa
    >>> from rnn_core import Dense, Sequential
    >>> model = Sequential([Dense(1, kernel_initializer="ones", input_shape=(2,))])
    >>> scorer = Scorer(model, ["x", "y"], keep=["id"], names=["sum"])
    >>> batch = pa.RecordBatch.from_pydict({"id": ["a", "b"], "x": [1.0, 2.0], "y": [3, 4]})
    >>> scorer(batch).to_pylist()
    [{'id': 'a', 'sum': 4.0}, {'id': 'b', 'sum': 6.0}]
    """

    def __init__(
        self,
        model: Any,
        columns: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
        *,
        encoder: str | Callable[..., Any] | None = None,
        keep: Sequence[str] = (),
        names: Sequence[str] | None = None,
        which: int | None = None,
        output: str = "columns",
        top_k: int | None = None,
        labels: Sequence[str] | None = None,
        on_error: str = "stop",
        batch_size: int | None = None,
        threads: int | None = None,
    ) -> None:
        pyarrow()
        _one_of("output", output, ("columns", "list"))
        _one_of("on_error", on_error, ("stop", "skip"))
        for name, number in (("top_k", top_k), ("batch_size", batch_size), ("threads", threads)):
            if number is not None and number < 1:
                raise ValueError(f"{name} is {number}, expected at least 1")
        self._path: str | None = None
        self._model: Any = None
        if isinstance(model, (str, os.PathLike)):
            self._path = str(Path(model).resolve())
        else:
            self._model = models.checked(model, type(model).__name__)
        self._columns = _copied(columns)
        self._encoder, self._which = encoder, which
        self.keep = _names_of("keep", keep)
        self._names = None if names is None else tuple(_names_of("names", names))
        self._as_list, self._top_k = output == "list", top_k
        self._labels = None if labels is None else tuple(_names_of("labels", labels))
        self._skip = on_error == "skip"
        self._batch_size, self._threads = batch_size, threads
        self._forget()

    def _forget(self) -> None:
        """Begin anew in a process: nothing is known of the model or of tables yet."""
        self._runner: Runner | None = None
        self._forms: dict[Any, Form] = {}

    def __getstate__(self) -> dict[str, Any]:
        state = {**self.__dict__, "_runner": None, "_forms": {}}
        if self._path is None:
            state["_model"] = models.to_bytes(self._model)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if isinstance(self._model, bytes):
            self._model = models.from_bytes(self._model)

    def _keeping(self, keep: Sequence[str]) -> Scorer:
        """Return this with other columns to keep."""
        other = object.__new__(Scorer)
        other.__dict__.update(self.__dict__, keep=list(keep), _forms={})
        return other

    def options(self) -> dict[str, Any]:
        """Return what decides the result, as plain data, with the model's digest.

        >>> from rnn_core import Dense, Sequential
        >>> Scorer(Sequential([Dense(1, input_shape=(2,))]), top_k=1).options()["top_k"]
        1
        """
        content = Path(self._path) if self._path else models.to_bytes(self._model)
        return {
            "model": models.digest(content),
            "columns": self._columns,
            "encoder": self._encoder and name_of(self._encoder),
            "encoder_source": self._encoder and models.digest(source_of(self._encoder)),
            "keep": self.keep,
            "names": self._names and list(self._names),
            "which": self._which,
            "output": "list" if self._as_list else "columns",
            "top_k": self._top_k,
            "labels": self._labels and list(self._labels),
            "on_error": "skip" if self._skip else "stop",
            "batch_size": self._batch_size,
            "computed_by": _computed_by(),
        }

    # The model and its inputs

    def _ready(self) -> Runner:
        """Return the model, loaded when it is first needed."""
        if self._runner is None:
            if self._threads is not None:
                _threads.set_num_threads(self._threads)
            model = models.from_path(self._path) if self._path else self._model
            inputs = models.inputs_of(model)
            self._runner = Runner(model, inputs, self._batch_size, self._which)
        return self._runner

    def input_columns(self, schema: Any) -> list[list[str]]:
        """Return the columns of a table that each input of the model takes.

        Args:
            schema: a `pyarrow.Schema`.

        Raises:
            ValueError: a column that is missing, an input that has none.

        >>> import pyarrow as pa
        >>> from rnn_core import Dense, Sequential
        >>> scorer = Scorer(Sequential([Dense(1, input_shape=(2,))]), keep=["id"])
        >>> scorer.input_columns(pa.schema([(name, pa.float32()) for name in ("id", "x", "y")]))
        [['x', 'y']]
        """
        inputs = self._ready().inputs
        names = [each.name for each in inputs]
        given = self._columns
        if given is None:
            others = [name for name in schema.names if name not in self.keep]
            one = others[:1] if self._encoder else others
            given = one if len(inputs) == 1 else {name: [name] for name in names}
        if isinstance(given, list):
            if len(inputs) > 1:
                raise ValueError(f"the model has {len(inputs)} inputs: expected columns of {names}")
            given = {names[0]: given}
        if sorted(given) != sorted(names):
            raise ValueError(f"columns are of inputs {sorted(given)}, expected {sorted(names)}")
        if self._encoder and len(inputs) > 1:
            raise ValueError(f"an encoder makes one input, the model has {len(inputs)}")
        found = [given[name] for name in names]
        for columns in found:
            check_columns(schema, columns)
            if not columns:
                raise ValueError("no columns are left for the model's input")
            kinds = {is_list(schema.field(name).type) for name in columns}
            if len(kinds) > 1:
                raise ValueError(f"columns {listed(columns)} are lists and numbers, expected one")
        return found

    # The result

    def schema(self, schema: Any) -> Any:
        """Return the schema of the result for tables of a schema; may run the model on a row.

        Args:
            schema: a `pyarrow.Schema`.

        Raises:
            ValueError: as for a call.

        >>> import pyarrow as pa
        >>> from rnn_core import Dense, Sequential
        >>> scorer = Scorer(Sequential([Dense(2, input_shape=(1,))]))
        >>> scorer.schema(pa.schema([("x", pa.float64())])).names
        ['output_0', 'output_1']
        """
        check_columns(schema, self.keep)
        kept = [schema.field(name) for name in self.keep]
        if self._skip:  # what cannot be read is null
            kept = [field.with_nullable(True) for field in kept]
        fields = [field.with_nullable(True) for field in self._form(schema).fields()]
        names = [field.name for field in kept + fields]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"the result has two columns {twice!r}: choose others by names")
        return pyarrow().schema(kept + fields)

    def _form(self, schema: Any) -> Form:
        if schema not in self._forms:
            runner = self._ready()
            columns = self.input_columns(schema)
            steps = [
                None if self._encoder else steps_of(schema, names, given)
                for given, names in zip(runner.inputs, columns, strict=True)
            ]
            shape, dtype = runner.output_of(steps)
            self._forms[schema] = Form(
                shape, dtype, self._names, self._as_list, self._top_k, self._labels
            )
        return self._forms[schema]

    # Batches

    def __call__(self, batch: Any, first_row: int = 0) -> Any:
        """Return the result of a batch or table; see the class."""
        return self.score(batch, first_row)[0]

    def score(self, batch: Any, first_row: int = 0) -> tuple[Any, list[Fault]]:
        """Return the result of a batch or table, and the rows that have none.

        Args:
            batch, first_row: as for a call.

        >>> import pyarrow as pa
        >>> from rnn_core import Dense, Sequential
        >>> scorer = Scorer(Sequential([Dense(1, input_shape=(1,))]), on_error="skip")
        >>> scorer.score(pa.table({"x": [1.0, None]}))[1]
        [Fault(row=1, column='x', why='is null')]
        """
        pa = pyarrow()
        schema = self.schema(batch.schema)
        outputs, rows, faults = self._scores(batch, first_row)
        form = self._form(batch.schema)
        fields = list(schema)[len(self.keep) :]
        if not len(rows):
            columns = [pa.nulls(batch.num_rows, field.type) for field in fields]
        else:
            columns = form.columns(outputs)
        if len(rows) and faults:
            places = np.zeros(batch.num_rows, np.int64)
            places[rows] = np.arange(len(rows))
            absent = np.ones(batch.num_rows, bool)
            absent[rows] = False
            columns = [column.take(pa.array(places, mask=absent)) for column in columns]
        kept = [batch.column(name) for name in self.keep]
        return type(batch).from_arrays(kept + columns, schema=schema), faults

    def scored(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Yield the result of each batch, as Spark's ``mapInArrow`` wants it.

        Args:
            batches: `pyarrow.RecordBatch` each; rows are counted from the first one's.

        >>> import pyarrow as pa
        >>> from rnn_core import Dense, Sequential
        >>> scorer = Scorer(Sequential([Dense(1, kernel_initializer="ones", input_shape=(1,))]))
        >>> batch = pa.RecordBatch.from_pydict({"x": [1.0, 2.0]})
        >>> [each.num_rows for each in scorer.scored([batch, batch])]
        [2, 2]
        """
        first_row = 0
        for batch in batches:
            yield self(batch, first_row)
            first_row += batch.num_rows

    def _scores(self, batch: Any, first_row: int) -> tuple[Any, Array, list[Fault]]:
        """Return the outputs of the rows that have any, their places, and why others have none."""
        runner = self._ready()
        columns = self.input_columns(batch.schema)
        rows, faults = np.arange(batch.num_rows), []
        outputs: Any = None
        while len(rows):
            try:
                read_columns = [
                    fitted(self._read(batch, names, given), given, names)
                    for given, names in zip(runner.inputs, columns, strict=True)
                ]
                outputs = self._predict(runner, read_columns, columns)
                break
            except BadRows as bad:
                found = [
                    Fault(first_row + int(rows[row]), bad.column, bad.why(int(row)))
                    for row in (bad.rows if self._skip else bad.rows[:1])
                ]
                good = np.ones(len(rows), bool)
                good[bad.rows] = False
            if not self._skip:
                raise BadRow(*found[0])
            faults += found
            rows, batch = rows[good], batch.filter(pyarrow().array(good))
        return outputs, rows, sorted(faults)

    def _read(self, batch: Any, columns: Sequence[str], given: models.ModelInput) -> Sequences:
        if self._encoder is None:
            return read(batch, columns, given)
        texts = [texts_of(batch, name) for name in columns]
        rows = np.arange(batch.num_rows)
        encoder = self._encoder

        def run(some: Array) -> Any:
            chosen = texts if len(some) == len(rows) else [[t[i] for i in some] for t in texts]
            return encode(encoder, chosen)

        encoded, refused = run_rows(run, rows, not self._skip)
        if encoded is None:
            _refuse(refused, len(rows), columns, lambda: run(rows))
        return from_arrays(encoded)

    def _predict(
        self,
        runner: Runner,
        read_columns: Sequence[Sequences],
        columns: Sequence[Sequence[str]],
    ) -> Any:
        """Return the outputs of all rows, an array; or a list of arrays if their shapes differ."""

        def run(rows: Array) -> Any:
            return runner.sequences(read_columns, rows)

        rows = np.arange(len(read_columns[0].offsets) - 1)
        outputs, refused = run_rows(run, rows, not self._skip)
        if outputs is None:
            names = [name for names in columns for name in names]
            _refuse(refused, len(rows), names, lambda: run(rows))
        return outputs


def _refuse(
    refused: dict[int, str], rows: int, columns: Sequence[str], again: Callable[[], Any]
) -> None:
    """Raise BadRows for rows that were refused, or the error of all together if none was alone."""
    if not refused:
        again()
    wrong = np.zeros(rows, bool)
    wrong[list(refused)] = True
    refuse(wrong, listed(columns), lambda row: f"is refused: {refused[row]}")


def _computed_by() -> str:
    """Return what else a result's bits depend on."""
    backend = os.environ.get("RNN_CORE_BACKEND") or "auto"
    return f"rnn_core {__version__}, {backend}, {_engine.isa()}, pyarrow {pyarrow().__version__}"


def _one_of(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ValueError(f"{name} is {value!r}, expected {' or '.join(map(repr, known))}")


def _names_of(what: str, names: Any) -> list[str]:
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{what} is {names!r}, expected a list of names")
    return list(names)


def _copied(columns: Any) -> Any:
    if columns is None:
        return None
    if isinstance(columns, Mapping):
        return {name: _names_of("columns", of) for name, of in columns.items()}
    return _names_of("columns", columns)
