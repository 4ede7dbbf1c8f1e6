"""What PyTorch users have trained: modules and state dicts to layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rnn_core._sequential import Sequential
from rnn_core._torch import TorchRNN, TorchRNNCell
from rnn_core.importers.torch_layers import chain
from rnn_core.importers.torch_parts import CELLS, LAST, RECURRENT, Part, Parts, dtype_of, parts_of
from rnn_core.importers.torch_recurrent import Recurrent

# What may stand between the names of modules, and the kind of module that it is.
_FUNCTIONS = {
    "relu": "ReLU",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "softmax": "Softmax",
    "log_softmax": "LogSoftmax",
    "last": LAST,
}


def from_torch(
    source: Any,
    modules: str | Sequence[str] | None = None,
    batch_first: bool = False,
    nonlinearity: str = "tanh",
) -> TorchRNN | TorchRNNCell | Sequential:
    """Return a model; see `rnn_core.from_torch`."""
    parts = parts_of(source, batch_first, nonlinearity)
    if isinstance(modules, str):
        parts = parts.within(modules)
    elif modules is not None:
        return chain([part for name in modules for part in _named(parts, name)])
    if "" in parts.chains:
        return chain([*parts.by_name.values()], channels_first=True)
    weighted = parts.weighted()
    if len(weighted) != 1:
        raise ValueError(
            f"{len(weighted)} modules with weights, expected one, or modules=[...] with the names "
            f"of those to apply in their order; there are {parts.listed()}"
        )
    part = weighted[0]
    if part.kind in RECURRENT + CELLS:
        return Recurrent(part, dtype_of([part])).as_torch()
    return chain([part])


def _named(parts: Parts, name: str) -> list[Part]:
    """Return what a name in `modules` stands for: a module, modules in a row, or a function."""
    if name in parts.by_name:
        return [parts.by_name[name]]
    if name in parts.chains:
        return [*parts.within(name).by_name.values()]
    if name in _FUNCTIONS:
        return [Part("", _FUNCTIONS[name], {}, {"dim": -1})]
    raise ValueError(
        f"no module {name!r}; there are {parts.listed()}; and the functions {', '.join(_FUNCTIONS)}"
    )
