"""The command ``rnn-core score``."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import rnn_core
from rnn_core import _tables
from rnn_core._files import replacing
from rnn_core._model import Model
from rnn_core._scoring.encoding import encode
from rnn_core._scoring.models import checked, chosen, chosen_of_sequences, inputs_of
from rnn_core._scoring.sequences import are_no_ids
from rnn_core._typing import Array

_ENGINES = ("ray", "spark")
_OUTPUTS = (".npy", ".csv")
_INPUTS = (".npy", ".npz", ".csv", ".csv.gz")
# What is read and written by pyarrow alone.
_ARROW_INPUTS = (".parquet", ".arrow", ".feather")
_ARROW_OUTPUTS = (*_ARROW_INPUTS, ".csv.gz")
_ARROW_OPTIONS = (
    *("list", "top_k", "argmax", "labels", "group_by", "order_by"),
    *("on_error", "resume", "overwrite", "workers"),
)


def add_parser(commands: Any) -> None:
    """Add the command to those of the parser."""
    score = commands.add_parser("score", help="run a model over a file's rows")
    score.set_defaults(command=_score)
    score.add_argument("model", type=Path, metavar="MODEL", help=".keras, .h5, .onnx, …")
    score.add_argument(
        "input", metavar="INPUT", help=".parquet .arrow .feather .csv .csv.gz .npy .npz"
    )
    score.add_argument(
        *("-o", "--output"),
        required=True,
        metavar="OUTPUT",
        help=".parquet .arrow .feather .csv .csv.gz .npy",
    )
    score.add_argument("--batch-size", type=int, metavar="N", help="rows to a batch")
    score.add_argument("--threads", type=int, metavar="N", help="default: the cores at hand")
    score.add_argument("--columns", metavar="A,B", help="columns, or arrays of an .npz, to take")
    score.add_argument(
        "--encoder",
        metavar="MODULE:FUNCTION",
        help="turns the texts of the columns, a list each, into the model's input",
    )
    score.add_argument("--keep", metavar="A,B", help="columns to copy to the output")
    score.add_argument("--names", metavar="A,B", help="names of the output's columns")
    score.add_argument(
        "--which", type=int, metavar="N", help="the output to write, from 0, if there are several"
    )
    _add_arrow_options(score)


def _add_arrow_options(score: argparse.ArgumentParser) -> None:
    group = score.add_argument_group("by pyarrow, the extra [table]")
    group.add_argument("--list", metavar="NAME", help="one column of this name, a list a row")
    group.add_argument(
        "--top-k", type=int, metavar="K", help="the K largest values and where they are"
    )
    group.add_argument("--argmax", action="store_true", help="as --top-k 1")
    group.add_argument("--labels", metavar="A,B|FILE", help="names of the places; a file's lines")
    group.add_argument(
        "--group-by", metavar="ID", help="rows are steps; those of an ID are a sequence"
    )
    group.add_argument("--order-by", metavar="TIME", help="the column that orders an ID's steps")
    group.add_argument(
        "--on-error", choices=("stop", "skip"), help="skip: nulls, and OUTPUT.errors.csv"
    )
    group.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    group.add_argument("--overwrite", action="store_true", help="start an interrupted run over")
    group = score.add_argument_group("on many machines, the extra [cluster]")
    group.add_argument(
        "--engine", choices=_ENGINES, help="Parquet files or directories, paths or URIs"
    )
    group.add_argument("--workers", type=int, metavar="N", help="default: as many as cores")


def _split(names: str | None) -> list[str] | None:
    return None if names is None else [name.strip() for name in names.split(",")]


def _score(options: argparse.Namespace) -> None:
    if options.encoder and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    terminal = sys.stderr is not None and sys.stderr.isatty()
    progress = terminal and importlib.util.find_spec("tqdm") is not None
    if options.engine:
        _score_by_parts(options, progress)
        return
    # A URI, which an engine may be given, is no path.
    options.input, options.output = Path(options.input), Path(options.output)
    arrow = (
        options.input.name.endswith(_ARROW_INPUTS)
        or options.output.name.endswith(_ARROW_OUTPUTS)
        or any(getattr(options, name) for name in _ARROW_OPTIONS)
    )
    (_score_by_parts if arrow else _score_at_once)(options, progress)


# By pyarrow, in parts


def _score_by_parts(options: argparse.Namespace, progress: bool) -> None:
    from rnn_core._scoring.tables import score_table

    names = _split(options.names)
    top_k = 1 if options.argmax else options.top_k
    if options.list:
        if names:
            raise ValueError("--names and --list are both given, expected one")
        names = [f"{options.list}_{what}" for what in ("labels", "scores")]
        names = names if top_k else [options.list]
    if options.argmax and options.top_k:
        raise ValueError("--argmax and --top-k are both given, expected one")
    try:
        done = score_table(
            options.model,
            options.input,
            options.output,
            _split(options.columns),
            encoder=options.encoder,
            keep=_split(options.keep) or (),
            names=names,
            which=options.which,
            lists=bool(options.list),
            top_k=top_k,
            labels=_labels(options.labels),
            on_error=options.on_error or "stop",
            batch_size=options.batch_size,
            threads=options.threads,
            group_by=options.group_by,
            order_by=options.order_by,
            resume=options.resume,
            overwrite=options.overwrite,
            progress=progress,
            engine=options.engine,
            workers=options.workers,
        )
    except (ValueError, OSError) as error:
        if options.engine:
            raise
        raise _with_parts(error, options.output) from error
    print(_said(done.rows, done.seconds))
    if done.errors:
        print(f"{done.errors:,} rows have no scores: {options.output}.errors.csv says why")


def _with_parts(error: Exception, output: Path) -> Exception:
    """Return an error that says that finished parts are kept, if there are any."""
    from rnn_core._scoring.files import suffix_of
    from rnn_core._scoring.parts import Parts

    try:
        parts = len(Parts(output, suffix_of(output, "output")).finished())
    except ValueError:
        return error
    if not parts or "resume" in str(error):
        return error
    return ValueError(f"{error}; {parts} finished parts are kept for --resume")


def _labels(given: str | None) -> list[str] | None:
    if given is None or not Path(given).is_file():
        return _split(given)
    return Path(given).read_text(encoding="utf-8").splitlines()


def _said(rows: int, seconds: float) -> str:
    return f"{rows:,} rows in {seconds:.2f} s: {rows / seconds:,.0f} rows/s"


# Without pyarrow, as one array


def _score_at_once(options: argparse.Namespace, progress: bool) -> None:
    begin = time.perf_counter()
    suffix = options.output.suffix
    if suffix not in _OUTPUTS:
        expected = " or ".join((*_OUTPUTS, *_ARROW_OUTPUTS))
        raise ValueError(f"output is {options.output}, expected a name that ends in {expected}")
    if not options.output.parent.is_dir():
        raise ValueError(f"output is {options.output}, but {options.output.parent} is no directory")
    if (options.keep or options.names) and suffix != ".csv":
        raise ValueError(
            f"--keep and --names need columns, not {options.input} to {options.output}"
        )
    for source in (options.model, options.input):
        if source.resolve() == options.output.resolve():
            raise ValueError(f"output is {options.output}, which is also what it is made from")
    if options.threads is not None:
        rnn_core.set_num_threads(options.threads)
    model = checked(rnn_core.load(options.model), options.model)
    x, kept = _read(model, options)
    outputs = model.predict(x, options.batch_size, progress)
    if isinstance(x, list):
        scores = chosen_of_sequences(model, outputs, options.which)
    else:
        scores = chosen(outputs, options.which)
    if isinstance(scores, list):
        raise ValueError(
            f"{options.output} cannot hold outputs of different lengths: "
            f"expected {' or '.join(_ARROW_INPUTS)}, and --list"
        )
    with replacing(options.output) as path:
        if suffix == ".npy":
            np.save(path, scores)
        else:
            names = _tables.output_names(scores.shape[1:], _split(options.names))
            _tables.write_csv(path, kept, names, scores.reshape(len(scores), len(names)))
    print(_said(len(scores), time.perf_counter() - begin))


def _read(model: Model, options: argparse.Namespace) -> tuple[Any, _tables.Columns]:
    """Return the model's input and the columns to keep."""
    names, keep = _split(options.columns), _split(options.keep)
    suffix = next((end for end in _INPUTS if options.input.name.endswith(end)), None)
    if suffix is None:
        raise ValueError(
            f"input is {options.input}, expected a name that ends in {' or '.join(_INPUTS)}"
        )
    if suffix in (".npy", ".npz"):
        if keep or options.encoder:
            raise ValueError(f"--keep and --encoder need a .csv input, not {options.input}")
        if names and suffix == ".npy":
            raise ValueError(f"--columns needs a .csv or .npz input, not {options.input}")
        return _tables.read_arrays(options.input, names), {}
    table = _tables.read_csv(options.input)
    kept = table.select(keep) if keep else {}
    names = names or [name for name in table.columns if name not in kept] or list(table.columns)
    if options.encoder:
        columns = table.filled(_split(options.columns) or names[:1])
        return encode(options.encoder, list(columns.values())), kept
    values = _tables.numbers(table, names)
    ids = inputs_of(model)[0].ids
    if ids is not None:
        wrong = are_no_ids(values, ids)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise ValueError(
                f"{table.place(row)}: column {names[column]!r} is {values[row, column]:.17g}, "
                f"expected a whole number, 0 to {ids - 1}"
            )
    return _steps(model, values, options.input), kept


def _steps(model: Model, values: Array, path: Path) -> Array:
    """Return a table's rows in the shape of the model's input: all features of a step together."""
    shapes = _input_shapes(model)
    if len(shapes) != 1:
        raise ValueError(f"the model has {len(shapes)} inputs, {path} can hold one")
    shape: Any = shapes[0] or ()
    if len(shape) != 3 or not isinstance(shape[2], int):
        return values
    rows, columns = values.shape
    if columns % shape[2]:
        raise ValueError(
            f"{path} has {columns} columns, expected a multiple of {shape[2]} features"
        )
    return values.reshape(rows, -1, shape[2])


def _input_shapes(model: Any) -> list[Any]:
    if isinstance(model, rnn_core.OnnxModel):
        return [shape for _, _, shape in model.inputs]
    return [layer.batch_shape for layer in model.input_layers]
