"""The command ``rnn-core``: info, and those of `_cli_score` and `_cli_models`."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import os
import platform
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rnn_core
from rnn_core import _cli_score, _engine, _threads
from rnn_core._cli_models import add_parsers

_ERRORS = (ValueError, TypeError, OSError, ImportError, MemoryError, RuntimeError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status: 0, or 2 after one line on stderr.

    `verify` returns 1 if outputs differ.
    """
    options = _parser().parse_args(arguments)
    try:
        with _cleaning_up_on_sigterm():
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


@contextmanager
def _cleaning_up_on_sigterm() -> Iterator[None]:
    """End as after an error on SIGTERM, so that temporary files go."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _stop(number: int, frame: Any) -> None:
    raise SystemExit(128 + number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rnn-core", description="Runs trained recurrent networks."
    )
    parser.add_argument("--version", action="version", version=rnn_core.__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    _cli_score.add_parser(commands)
    add_parsers(commands)

    info = commands.add_parser("info", help="print versions, CPU and BLAS")
    info.set_defaults(command=_info)
    return parser


# info


def _info(options: argparse.Namespace) -> None:
    print(f"rnn_core {rnn_core.__version__}")
    print(f"Python {platform.python_version()} on {platform.system()} {platform.machine()}")
    for package in ("numpy", "scipy", "h5py", "pyarrow", "tqdm"):
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
