"""What a model is made of: nodes, constants, typed values; and these as JSON with arrays apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnn_core._typing import Array

# The names of ONNX's own domain.
DOMAINS = ("", "ai.onnx")
# Graphs within graphs; the file's reader goes less deep.
_DEPTH = 50


@dataclass(slots=True)
class Value:
    """A graph's input or output: its dtype and shape if known; an axis of any length by name."""

    name: str
    dtype: str | None = None
    shape: tuple[int | str | None, ...] | None = None


@dataclass(slots=True)
class Node:
    """An operator applied to values by name; ``""`` stands for one that is left out."""

    op: str
    name: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any] = field(default_factory=dict)
    domain: str = ""

    def graphs(self) -> dict[str, Graph]:
        """Return the attributes that are graphs."""
        return {key: x for key, x in self.attributes.items() if isinstance(x, Graph)}

    @property
    def kind(self) -> str:
        """The operator, after its domain if that is not ONNX's own."""
        return self.op if self.domain in DOMAINS else f"{self.domain}.{self.op}"

    def describe(self) -> str:
        """Return the operator and the node's name, or what it computes if it has none."""
        return f"{self.op} {self.name or ', '.join(filter(None, self.outputs))!r}"


@dataclass(slots=True)
class Graph:
    """Nodes in any order, what goes in and comes out, and constants by name.

    An input that is also a constant may be left out.
    """

    inputs: list[Value]
    outputs: list[Value]
    nodes: list[Node]
    constants: dict[str, Array]

    def walk(self) -> Iterator[tuple[str, Node]]:
        """Yield all nodes, also those of graphs within, each with where it is."""
        for node in self.nodes:
            yield "", node
            for key, graph in node.graphs().items():
                for path, inner in graph.walk():
                    yield f"{node.describe()} {key} {path}", inner

    def free_names(self) -> list[str]:
        """Return the names that the graph uses but does not define: values from outside."""
        defined = {value.name for value in self.inputs} | self.constants.keys()
        used: dict[str, None] = {}
        for node in self.nodes:
            defined.update(node.outputs)
            used.update(dict.fromkeys(needs_of(node)))
        used.update((value.name, None) for value in self.outputs)
        return [name for name in used if name not in defined]


def needs_of(node: Node) -> list[str]:
    """Return the names of all values that a node uses, also within its graphs."""
    inner = [name for graph in node.graphs().values() for name in graph.free_names()]
    return [name for name in (*node.inputs, *inner) if name]


# JSON


def to_config(graph: Graph, arrays: dict[str, Array], prefix: str = "") -> dict[str, Any]:
    """Return a graph as what JSON can hold; its arrays go into `arrays`."""

    def keep(name: str, value: Array) -> str:
        key = unique(f"{prefix}{name}", arrays)
        arrays[key] = value
        return key

    def attribute(node: Node, name: str, value: Any) -> dict[str, Any]:
        if isinstance(value, np.ndarray):
            return {"array": keep(f"{node.describe()}.{name}", value)}
        if isinstance(value, Graph):
            return {"graph": to_config(value, arrays, f"{prefix}{node.describe()}.{name}/")}
        return {"value": value}

    return {
        "inputs": [_value_config(value) for value in graph.inputs],
        "outputs": [_value_config(value) for value in graph.outputs],
        "constants": {name: keep(name, value) for name, value in graph.constants.items()},
        "nodes": [
            {
                "op": node.op,
                "name": node.name,
                "inputs": node.inputs,
                "outputs": node.outputs,
                "domain": node.domain,
                "attributes": {k: attribute(node, k, v) for k, v in node.attributes.items()},
            }
            for node in graph.nodes
        ],
    }


def unique(name: str, taken: Any) -> str:
    """Return a name, with a number after it if it is taken."""
    key, count = name, 1
    while key in taken:
        count += 1
        key = f"{name}:{count}"
    return key


def _value_config(value: Value) -> dict[str, Any]:
    shape = None if value.shape is None else list(value.shape)
    return {"name": value.name, "dtype": value.dtype, "shape": shape}


def from_config(config: Any, arrays: dict[str, Array], depth: int = 0) -> Graph:
    """Return the graph of which `to_config` made a config.

    Raises:
        ValueError: not of its form, or an array is missing.
    """
    if depth > _DEPTH:
        raise ValueError(f"graphs are nested more than {_DEPTH} deep")

    def attribute(found: Any) -> Any:
        ((kind, value),) = _record(found, "attribute").items()
        if kind == "array":
            return _array(arrays, value)
        if kind == "graph":
            return from_config(value, arrays, depth + 1)
        plain = (value if isinstance(value, list) else [value]) if kind == "value" else [None]
        if not all(isinstance(item, (int, float, str)) for item in plain):
            raise ValueError(f"attribute is {kind} {value!r}, expected numbers or texts")
        return value

    config = _record(config, "graph")
    return Graph(
        [_value_of(value) for value in _list(config, "inputs")],
        [_value_of(value) for value in _list(config, "outputs")],
        [
            Node(
                _text(node, "op"),
                _text(node, "name"),
                _texts(node, "inputs"),
                _texts(node, "outputs"),
                {k: attribute(v) for k, v in _record(node["attributes"], "attributes").items()},
                _text(node, "domain"),
            )
            for node in (_record(node, "node") for node in _list(config, "nodes"))
        ],
        {
            name: _array(arrays, key)
            for name, key in _record(config["constants"], "constants").items()
        },
    )


def _array(arrays: dict[str, Array], key: Any) -> Array:
    array = arrays.get(key) if isinstance(key, str) else None
    if array is None:
        raise ValueError(f"array {key!r} is missing")
    array = np.asarray(array).view()
    if array.dtype.kind not in "fiub":
        raise ValueError(f"array {key!r} is of {array.dtype}, expected numbers")
    array.flags.writeable = False
    return array


def _record(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is {type(value).__name__}, expected a record")
    return value


def _list(record: dict[str, Any], key: str) -> list[Any]:
    value = record[key]
    if not isinstance(value, list):
        raise ValueError(f"{key} is {type(value).__name__}, expected a list")
    return value


def _text(record: dict[str, Any], key: str) -> str:
    value = record[key]
    if not isinstance(value, str):
        raise ValueError(f"{key} is {type(value).__name__}, expected a text")
    return value


def _texts(record: dict[str, Any], key: str) -> list[str]:
    return [_text({key: text}, key) for text in _list(record, key)]


def _value_of(found: Any) -> Value:
    value = _record(found, "value")
    dtype, shape = value["dtype"], value["shape"]
    dims = () if shape is None else tuple(_list(value, "shape"))
    if not all(n is None or isinstance(n, str) or (type(n) is int and n >= 0) for n in dims):
        raise ValueError(f"shape is {shape}, expected lengths or names")
    if dtype is not None and np.dtype(_text(value, "dtype")).kind not in "fiub":
        raise ValueError(f"dtype is {dtype}, expected numbers")
    return Value(_text(value, "name"), dtype, None if shape is None else dims)
