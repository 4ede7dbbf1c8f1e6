"""Names of layers, and the errors for names that do not exist."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable

_used: Counter[str] = Counter()


def snake_case(class_name: str) -> str:
    """Return Keras's spelling of a class name: ``"ReLU"`` is ``"re_lu"``."""
    name = re.sub(r"\W+", "", class_name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


# What Keras 3 calls classes that have another name here, or an older one.
_KERAS_3 = {"Model": "Functional", "CuDNNGRU": "GRU", "CuDNNLSTM": "LSTM"}


def class_name_of(layer: object) -> str:
    """Return the name of a layer's class as Keras 3's files have it."""
    name = type(layer).__name__
    return _KERAS_3.get(name, name)


def unique_name(class_name: str) -> str:
    """Return ``lstm``, ``lstm_1``, ``lstm_2``, …: one more at each call."""
    base = snake_case(class_name)
    count = _used[base]
    _used[base] += 1
    return f"{base}_{count}" if count else base


def unknown(kind: str, name: object, known: Iterable[str]) -> ValueError:
    """Return the error for a name that is not in a table, with the near ones."""
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=3)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {', '.join(names)}"
    return ValueError(f"unknown {kind} {name!r}; {hint}")
