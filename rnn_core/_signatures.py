"""Which arguments a function takes: what users' cells are asked before they are called."""

from __future__ import annotations

import inspect
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=1024)
def _parameters(function: Any) -> frozenset[str]:
    """Return the names of the parameters; ``**`` among them stands for any."""
    parameters = inspect.signature(function).parameters.values()
    return frozenset("**" if p.kind is p.VAR_KEYWORD else p.name for p in parameters)


def takes(function: Any, argument: str) -> bool:
    """Return whether a function or bound method has a parameter of this name."""
    return argument in _parameters(getattr(function, "__func__", function))


def accepted(function: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return those of `arguments` that the function takes, all if it has ``**kwargs``."""
    if takes(function, "**"):
        return arguments
    return {name: value for name, value in arguments.items() if takes(function, name)}
