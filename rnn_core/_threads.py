"""How many threads to use: ours, and none of BLAS's own beside them."""

from __future__ import annotations

import ctypes
import operator
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from rnn_core import _engine

_MOST_THREADS = 2**31 - 1  # an int of C
_num_threads: int | None = None
_lock = threading.Lock()
_inside = 0
_saved: list[tuple[Any, int]] = []

_PREFIXES = ("scipy_openblas", "openblas")
_SUFFIXES = ("", "64_")


def available_cores(
    cgroups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> int:
    """Return the cores this process may use, by its affinity and its cgroups' quotas.

    Args:
        cgroups: where they are mounted, of version 1 or 2.
        own: the file that says in which ones this process is.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min([cores, *map(round, _quotas(cgroups, own))]))


def _quotas(cgroups: Path, own: Path) -> Iterator[float]:
    """Yield how many cores this process's cgroups and those above them allow."""
    # A container may see its own as the root, under another path.
    lines = ["0::/", "1:cpu:/"]
    with suppress(OSError):
        lines += own.read_text().splitlines()
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root, inside = cgroups / "cpu" if controllers else cgroups, PurePosixPath(path)
        for place in (inside, *inside.parents):
            yield from _quota(root / place.relative_to("/"))


def _quota(directory: Path) -> Iterator[float]:
    with suppress(OSError, ValueError):
        quota, period = (directory / "cpu.max").read_text().split()
        yield int(quota) / int(period)
    with suppress(OSError, ValueError):
        quota = (directory / "cpu.cfs_quota_us").read_text()
        if int(quota) > 0:
            yield int(quota) / int((directory / "cpu.cfs_period_us").read_text())


def get_num_threads() -> int:
    """Return the number of threads that layers and `predict` use.

    It is what `set_num_threads` set, else the environment's RNN_CORE_NUM_THREADS, else the cores
    this process may use.

    Raises:
        ValueError: the environment's is no number from 1 to 2147483647.

    >>> get_num_threads() >= 1
    True
    """
    if _num_threads is not None:
        return _num_threads
    from_environment = os.environ.get("RNN_CORE_NUM_THREADS")
    if not from_environment:
        return available_cores()
    digits = from_environment if len(from_environment) <= len(str(_MOST_THREADS)) else ""
    if not digits.isdecimal() or not 1 <= int(digits) <= _MOST_THREADS:
        raise ValueError(
            f"RNN_CORE_NUM_THREADS is {from_environment[:40]!r}, "
            f"expected a number from 1 to {_MOST_THREADS}"
        )
    return int(digits)


def set_num_threads(threads: int | None) -> None:
    """Set the number of threads that layers and `predict` use.

    Args:
        threads: from 1; None goes back to the default. More than there are cores are slower.

    Raises:
        TypeError: no integer.
        ValueError: a number below 1, or above 2147483647.

    >>> set_num_threads(2)
    >>> get_num_threads()
    2
    >>> set_num_threads(None)
    """
    global _num_threads
    if threads is not None:
        try:
            threads = operator.index(threads)
        except TypeError:
            raise TypeError(f"threads is {threads!r}, expected an integer or None") from None
        if not 1 <= threads <= _MOST_THREADS:
            raise ValueError(f"threads is {threads}, expected 1 to {_MOST_THREADS}")
    _engine.use_threads(threads or 0)
    _num_threads = threads


_engine.ask_threads(get_num_threads)


def blas_function(file: str, name: str) -> Any:
    """Return OpenBLAS's `name` from the libraries a shared object is linked to, or None."""
    library = ctypes.CDLL(file)
    for prefix in _PREFIXES:
        for suffix in _SUFFIXES:
            if hasattr(library, f"{prefix}_{name}{suffix}"):
                return getattr(library, f"{prefix}_{name}{suffix}")
    return None


def blas_files() -> list[str]:
    """Return the shared objects that have brought SciPy's and NumPy's BLAS into this process."""
    names = (
        "scipy.linalg.cython_blas",
        "numpy._core._multiarray_umath",
        "numpy.core._multiarray_umath",
    )
    files = (getattr(sys.modules.get(name), "__file__", None) for name in names)
    return [file for file in files if file]


@lru_cache
def _functions_of(files: tuple[str, ...]) -> list[tuple[Any, Any]]:
    pairs = [
        (blas_function(file, "get_num_threads"), blas_function(file, "set_num_threads"))
        for file in files
    ]
    return [pair for pair in pairs if None not in pair]


def _thread_functions() -> list[tuple[Any, Any]]:
    return _functions_of(tuple(blas_files()))


def _restore() -> None:
    for set_threads, threads in _saved:
        set_threads(threads)


def _after_fork() -> None:
    """Begin anew in a child: the threads that held the lock or were inside exist no more."""
    global _lock, _inside
    _lock = threading.Lock()
    if _inside:
        _inside = 0
        _restore()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep OpenBLAS to the calling thread: concurrent products would fight for its one pool.

    Calls may nest and overlap; the last to leave restores what the first found. Another BLAS is
    left alone.
    """
    global _inside, _saved
    with _lock:
        if _inside == 0:
            _saved = [(set_threads, get()) for get, set_threads in _thread_functions()]
            for set_threads, _ in _saved:
                set_threads(1)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _restore()
