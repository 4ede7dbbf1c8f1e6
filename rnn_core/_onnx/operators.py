"""The table of all operators, and how a node is bound to its function."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from rnn_core._onnx import (
    control,
    elementwise,
    indexing,
    microsoft,
    normalization,
    product,
    quantization,
    recurrent,
    reduction,
    shape,
    window,
)
from rnn_core._onnx.graph import Graph, Node

OPERATORS: dict[str, Callable[..., Any]] = {
    **elementwise.OPERATORS,
    **reduction.OPERATORS,
    **shape.OPERATORS,
    **indexing.OPERATORS,
    **product.OPERATORS,
    **window.OPERATORS,
    **normalization.OPERATORS,
    **recurrent.OPERATORS,
    **quantization.OPERATORS,
    **microsoft.OPERATORS,
    **control.OPERATORS,
}
# Operators whose earlier form, before this opset, is not there.
_SINCE = {"Scan": 9}
# Attributes that say nothing about the result.
_IGNORED = {"consumed_inputs", "output_sequence"}
# What functions are given beside inputs and attributes, if they ask for it.
_GIVEN = {"opset", "outputs", "captured", "prepared", "sequences"}

# What an attribute may be, by the function's annotation.
_KINDS: dict[str, Callable[[Any], bool]] = {
    "int": lambda x: type(x) is int,
    "float": lambda x: isinstance(x, (int, float)),
    "str": lambda x: isinstance(x, str),
    "Ints": lambda x: isinstance(x, list) and all(type(n) is int for n in x),
    "Floats": lambda x: isinstance(x, list) and all(isinstance(n, (int, float)) for n in x),
    "Strings": lambda x: isinstance(x, list) and all(isinstance(n, str) for n in x),
    "Array": lambda x: isinstance(x, np.ndarray) and x.size > 0,
    "Plan": lambda x: isinstance(x, Graph),
}


class Schema(NamedTuple):
    """What a function takes: how many inputs, and attributes with what each may be."""

    least: int
    most: int | None
    kinds: dict[str, list[str]]
    required: set[str]
    given: set[str]


@cache
def schema_of(op: str) -> Schema:
    """Return what the function of an operator takes, by its signature."""
    parameters = inspect.signature(OPERATORS[op]).parameters.values()
    inputs = [p for p in parameters if p.kind is p.POSITIONAL_ONLY]
    variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    named = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    attributes = [p for p in named if p.name not in _GIVEN]
    return Schema(
        sum(p.default is p.empty for p in inputs),
        None if variadic else len(inputs),
        {p.name: str(p.annotation).removesuffix(" | None").split(" | ") for p in attributes},
        {p.name for p in attributes if p.default is p.empty},
        {p.name for p in named if p.name in _GIVEN},
    )


def check_known(graph: Graph, opset: int) -> None:
    """Raise ValueError that lists all operators which there are no functions for, with nodes."""
    unknown: dict[str, list[str]] = {}
    for path, node in graph.walk():
        early = opset < _SINCE.get(node.kind, 0)
        if early or node.kind not in OPERATORS:
            op = f"{node.kind} of opset {opset}" if early else node.kind
            name = node.name or ", ".join(filter(None, node.outputs))
            unknown.setdefault(op, []).append(f"{path}{name}")
    if unknown:
        listed = "; ".join(f"{op} ({', '.join(names)})" for op, names in unknown.items())
        raise ValueError(f"operators that rnn_core does not have: {listed}")


def check(node: Node) -> None:
    """Raise ValueError if a node has other inputs or attributes than its operator takes."""
    schema, given = schema_of(node.kind), len(node.inputs)
    present = [bool(name) for name in node.inputs]
    if not all([*present, *[False] * schema.least][: schema.least]):
        raise ValueError(f"{node.describe()} needs its first {schema.least} inputs")
    if schema.most is not None and given > schema.most:
        raise ValueError(f"{node.describe()} has {given} inputs, expected up to {schema.most}")
    missing = schema.required - node.attributes.keys()
    if missing:
        raise ValueError(f"{node.describe()} lacks attribute {min(missing)!r}")
    for key, value in node.attributes.items():
        if key in _IGNORED:
            continue
        if key not in schema.kinds:
            raise ValueError(f"{node.describe()} has attribute {key!r}, which is not known")
        if not any(_KINDS[kind](value) for kind in schema.kinds[key]):
            raise ValueError(
                f"{node.describe()}: attribute {key!r} is {type(value).__name__}, "
                f"expected {' or '.join(schema.kinds[key])}"
            )


def bind(node: Node, attributes: dict[str, Any], **given: Any) -> Callable[..., Any]:
    """Return a checked node's function with its attributes, and of `given` what it asks for."""
    wanted = {key: value for key, value in given.items() if key in schema_of(node.kind).given}
    kept = {key: value for key, value in attributes.items() if key not in _IGNORED}
    return partial(OPERATORS[node.kind], **kept, **wanted)
