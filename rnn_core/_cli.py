"""The command ``rnn-core``: score, info, and those of `_cli_models`."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import rnn_core
from rnn_core import _engine, _tables, _threads
from rnn_core._cli_models import add_parsers
from rnn_core._files import replacing
from rnn_core._model import Model
from rnn_core._typing import Array

_OUTPUTS = (".npy", ".csv")
_INPUTS = (".npy", ".npz", ".csv", ".csv.gz")
_ERRORS = (ValueError, TypeError, OSError, ImportError, MemoryError, RuntimeError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status: 0, or 2 after one line on stderr.

    `verify` returns 1 if outputs differ.
    """
    options = _parser().parse_args(arguments)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _stop)
    try:
        status = options.command(options) or 0
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our lines has gone, which takes nothing from what was done.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except _ERRORS as error:
        text = " ".join(str(error).split()) or type(error).__name__
        print(f"rnn-core: {text}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("rnn-core: interrupted", file=sys.stderr)
        return 130
    return int(status)


def _stop(number: int, frame: Any) -> None:
    """End as after an error, so that temporary files go."""
    raise SystemExit(128 + number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rnn-core", description="Runs trained recurrent networks."
    )
    parser.add_argument("--version", action="version", version=rnn_core.__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    score = commands.add_parser("score", help="run a model over a file's rows")
    score.set_defaults(command=_score)
    score.add_argument("model", type=Path, metavar="MODEL", help=".keras, .h5 or .onnx")
    score.add_argument("input", type=Path, metavar="INPUT", help=".npy, .npz, .csv or .csv.gz")
    score.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUTPUT", help=".npy or .csv"
    )
    score.add_argument("--batch-size", type=int, metavar="N", help="rows to a batch")
    score.add_argument("--threads", type=int, metavar="N", help="default: the cores at hand")
    score.add_argument(
        "--columns", metavar="A,B", help="columns of a CSV, or arrays of an .npz, to take"
    )
    score.add_argument(
        "--encoder",
        metavar="MODULE:FUNCTION",
        help="turns the texts of the columns, a list each, into the model's input",
    )
    score.add_argument("--keep", metavar="A,B", help="columns of a CSV to copy to the output")
    score.add_argument("--names", metavar="A,B", help="names of the output's columns")
    score.add_argument(
        "--which", type=int, metavar="N", help="the output to write, from 0, if there are several"
    )

    add_parsers(commands)

    info = commands.add_parser("info", help="print versions, CPU and BLAS")
    info.set_defaults(command=_info)
    return parser


def _model(path: Path) -> Any:
    model = rnn_core.load(path)
    if not hasattr(model, "predict"):
        raise ValueError(f"{path} holds weights, expected a model: rnn_core.from_torch makes one")
    return model


def _split(names: str | None) -> list[str] | None:
    return None if names is None else [name.strip() for name in names.split(",")]


# score


def _score(options: argparse.Namespace) -> None:
    begin = time.perf_counter()
    suffix = options.output.suffix
    if suffix not in _OUTPUTS:
        raise ValueError(f"output is {options.output}, expected a name that ends in .npy or .csv")
    if not options.output.parent.is_dir():
        raise ValueError(f"output is {options.output}, but {options.output.parent} is no directory")
    if (options.keep or options.names) and suffix != ".csv":
        raise ValueError(f"--keep and --names need a .csv output, not {options.output}")
    for source in (options.model, options.input):
        if source.resolve() == options.output.resolve():
            raise ValueError(f"output is {options.output}, which is also what it is made from")
    if options.threads is not None:
        rnn_core.set_num_threads(options.threads)
    model = _model(options.model)
    x, kept = _read(model, options)
    terminal = sys.stderr is not None and sys.stderr.isatty()
    progress = terminal and importlib.util.find_spec("tqdm") is not None
    scores = _chosen(model.predict(x, options.batch_size, progress), options.which)
    with replacing(options.output) as path:
        if suffix == ".npy":
            np.save(path, scores)
        else:
            names = _output_names(scores.shape[1:], options.names)
            _tables.write_csv(path, kept, names, scores.reshape(len(scores), len(names)))
    seconds = time.perf_counter() - begin
    rows = len(scores)
    print(f"{rows:,} rows in {seconds:.2f} s: {rows / seconds:,.0f} rows/s")


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
    if options.encoder:
        columns = table.filled(names or list(table.columns)[:1])
        return _encode(options.encoder, list(columns.values())), kept
    return _steps(model, _tables.numbers(table, names), options.input), kept


def _encode(encoder: str, columns: list[list[str]]) -> Array:
    module_name, _, function_name = encoder.partition(":")
    if not function_name:
        raise ValueError(f"encoder is {encoder!r}, expected MODULE:FUNCTION")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        function = getattr(importlib.import_module(module_name), function_name)
        ids = np.asarray(function(*columns))
    except (Exception, SystemExit) as error:
        raise ValueError(f"encoder {encoder} failed: {type(error).__name__}: {error}") from error
    if ids.shape[:1] != (len(columns[0]),):
        raise ValueError(f"encoder {encoder} gave shape {ids.shape} for {len(columns[0])} rows")
    return ids


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


def _chosen(outputs: Any, which: int | None) -> Array:
    if isinstance(outputs, dict):
        outputs = list(outputs.values())
    if not isinstance(outputs, (list, tuple)):
        outputs = [outputs]
    if which is None and len(outputs) > 1:
        raise ValueError(f"the model has {len(outputs)} outputs: choose one with --which")
    if not 0 <= (which or 0) < len(outputs):
        raise ValueError(f"--which is {which}, expected 0 to {len(outputs) - 1}")
    chosen: Array = outputs[which or 0]
    return chosen


def _output_names(shape: tuple[int, ...], given: str | None) -> list[str]:
    """Return a name for each value of a row; values of step t are named ``t.name``."""
    width = shape[-1] if shape else 1
    names = _split(given) or [f"output_{index}" for index in range(width)]
    if len(names) != width:
        raise ValueError(f"--names has {len(names)} names, expected {width}")
    for steps in reversed(shape[:-1]):
        names = [f"{step}.{name}" for step in range(steps) for name in names]
    return names


# info


def _info(options: argparse.Namespace) -> None:
    print(f"rnn_core {rnn_core.__version__}")
    print(f"Python {platform.python_version()} on {platform.system()} {platform.machine()}")
    for package in ("numpy", "scipy", "h5py", "tqdm"):
        try:
            print(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            print(f"{package} not installed")
    print(f"CPU: {_cpu_name()}, {_threads.available_cores()} cores for this process")
    print(f"ISA: {_engine.isa()} in use, {', '.join(_engine.available_isas())} available")
    print(f"threads: {rnn_core.get_num_threads()}")
    importlib.import_module("scipy.linalg.cython_blas")
    for file in _threads.blas_files():
        get_config = _threads.blas_function(file, "get_config")
        owner = Path(file).name.split(".")[0]
        print(f"BLAS of {owner}: {_blas_name(get_config)}")


def _blas_name(get_config: Any) -> str:
    if get_config is None:
        return "not an OpenBLAS"
    import ctypes

    get_config.restype = ctypes.c_char_p
    return str(get_config().decode().strip())


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    sys.exit(main())
