"""Functions that turn text columns into a model's input."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rnn_core._scoring.arrow import column_of, is_text
from rnn_core._scoring.faults import refuse


def function_of(encoder: Any) -> Callable[..., Any]:
    """Return an encoder, which may be given as ``"module:function"``.

    Raises:
        ValueError: there is none.
    """
    if not isinstance(encoder, str):
        function: Callable[..., Any] = encoder
        return function
    module_name, _, name = encoder.partition(":")
    if not name:
        raise ValueError(f"encoder is {encoder!r}, expected MODULE:FUNCTION")
    try:
        function = getattr(importlib.import_module(module_name), name)
    except (Exception, SystemExit) as error:
        raise failed(encoder, error) from error
    return function


def failed(encoder: Any, error: BaseException) -> ValueError:
    """Return the error of an encoder that raised one."""
    return ValueError(f"encoder {name_of(encoder)} failed: {type(error).__name__}: {error}")


def name_of(encoder: Any) -> str:
    """Return an encoder as ``module:function``."""
    if isinstance(encoder, str):
        return encoder
    return f"{encoder.__module__}:{getattr(encoder, '__qualname__', type(encoder).__name__)}"


def source_of(encoder: Any) -> bytes:
    """Return the text of an encoder, of its module if it is given as that; nothing without any."""
    function = function_of(encoder)
    try:
        whole = inspect.getmodule(function) if isinstance(encoder, str) else None
        return inspect.getsource(whole or function).encode()
    except (OSError, TypeError):
        return b""


def encode(encoder: Any, columns: Sequence[list[str]]) -> Any:
    """Return what an encoder makes of text columns: an array, or a list of arrays, one a row.

    Raises:
        ValueError: it raises an error, or returns another number of rows.
    """
    function = function_of(encoder)
    try:
        encoded = function(*columns)
        ragged = isinstance(encoded, (list, tuple)) and len({np.shape(row) for row in encoded}) > 1
        rows: Any = list(encoded) if ragged else np.asarray(encoded)
    except (Exception, SystemExit) as error:
        raise failed(encoder, error) from error
    if ragged and len(rows) == len(columns[0]):
        return rows
    if np.shape(rows)[:1] != (len(columns[0]),):
        shape = np.shape(rows) if not ragged else (len(rows),)
        raise ValueError(
            f"encoder {name_of(encoder)} gave shape {shape} for {len(columns[0])} rows"
        )
    return rows


def texts_of(batch: Any, name: str) -> list[str]:
    """Return a column's cells.

    Raises:
        ValueError: it is no text.
        BadRows: nulls, empty text.
    """
    array = column_of(batch, name)
    if not is_text(array.type):
        raise ValueError(f"column {name!r} is {array.type}, expected text for the encoder")
    cells: list[str] = array.to_pylist()
    if array.null_count:
        refuse(np.array([cell is None for cell in cells]), name, lambda row: "is null")
    if "" in cells:
        refuse(np.array([cell == "" for cell in cells]), name, lambda row: "is empty")
    return cells
