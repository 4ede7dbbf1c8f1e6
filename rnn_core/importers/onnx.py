"""ONNX models: messages to the graph that `OnnxModel` runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rnn_core._onnx.graph import DOMAINS, Graph, Node, Value
from rnn_core._onnx.model import OnnxModel
from rnn_core._onnx.shape import DTYPES
from rnn_core._typing import Array
from rnn_core.formats import onnx
from rnn_core.formats.onnx import SIGNATURE, Tensors

__all__ = ["SIGNATURE", "load_onnx"]

# Until this version of the format all initializers were inputs too, though meant as constants.
_DEFAULTS_SINCE = 4
# AttributeProto's types: where the value is, and what a list of it is.
_ATTRIBUTES = {1: "f", 2: "i", 3: "s", 4: "t", 5: "g", 6: "floats", 7: "ints", 8: "strings"}
_ZEROS: dict[str, Any] = {"f": 0.0, "i": 0, "s": b""}


def load_onnx(path: Path) -> OnnxModel:
    """Return the model in an ONNX file, with external data from its own folder.

    Raises:
        ValueError: damaged, or with operators or types that are not known.
    """
    try:
        model, budget = onnx.read(path.read_bytes())
        if model.graph is None:
            raise ValueError("it has no graph")
        versions = [opset.version for opset in model.opsets if opset.domain in DOMAINS]
        tensors = Tensors(budget, path.parent)
        graph = _graph(model.graph, tensors, model.ir_version >= _DEFAULTS_SINCE)
        opset = max(versions, default=1)
        loaded = OnnxModel(graph, opset, budget)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    producer = " ".join(filter(None, (model.producer_name, model.producer_version)))
    loaded.origin = f"{producer or 'an unnamed producer'}, ONNX with opset {opset}"
    return loaded


def _graph(graph: onnx.Graph, tensors: Tensors, defaults: bool = False) -> Graph:
    """Return a graph; with `defaults`, inputs that have an initializer stay inputs."""
    if graph.sparse_initializers:
        raise ValueError("sparse initializers are not supported")
    constants: dict[str, Array] = {}
    for tensor in graph.initializers:
        if not tensor.name or tensor.name in constants:
            raise ValueError(f"initializer {tensor.name!r} has no name of its own")
        constants[tensor.name] = tensors.array(tensor)
    nodes = []
    for node in graph.nodes:
        made = _node(node, tensors)
        if made.op == "Constant" and made.domain in DOMAINS:
            (name,) = made.outputs
            if name in constants:
                raise ValueError(f"value {name!r} is defined twice")
            constants[name] = _constant(made)
        else:
            nodes.append(made)
    inputs = [value for value in graph.inputs if defaults or value.name not in constants]
    return Graph([_value(x) for x in inputs], [_value(x) for x in graph.outputs], nodes, constants)


def _value(value: onnx.Value) -> Value:
    kind = value.type
    if kind is None:
        return Value(value.name)
    for name in ("sequence", "map", "sparse_tensor", "optional"):
        if getattr(kind, name) is not None:
            raise ValueError(f"{value.name!r} is a {name}, expected a tensor")
    if kind.tensor is None:
        return Value(value.name)
    code, shape = kind.tensor.data_type, kind.tensor.shape
    if code and code not in DTYPES:
        raise ValueError(f"{value.name!r} is of data type {code}, expected numbers")
    dims = None if shape is None else tuple(_length(dim) for dim in shape.dims)
    return Value(value.name, DTYPES.get(code), dims)


def _length(dim: onnx.Dimension) -> int | str | None:
    known = dim.value is not None and dim.value >= 0
    return dim.value if known else dim.name or None


def _node(node: onnx.Node, tensors: Tensors) -> Node:
    where = f"{node.op_type} {node.name or ', '.join(node.outputs)!r}"
    if not any(node.outputs):
        raise ValueError(f"{where} has no outputs")
    attributes: dict[str, Any] = {}
    for attribute in node.attributes:
        if attribute.ref_attr_name or attribute.name in attributes:
            raise ValueError(f"{where}: attribute {attribute.name!r} has no value of its own")
        attributes[attribute.name] = _attribute(attribute, where, tensors)
    inputs = list(node.inputs)
    while inputs and not inputs[-1]:
        inputs.pop()
    return Node(node.op_type, node.name, inputs, node.outputs, attributes, node.domain)


def _attribute(attribute: onnx.Attribute, where: str, tensors: Tensors) -> Any:
    # The first versions of the format do not say the type.
    guessed = [kind for kind in _ATTRIBUTES.values() if getattr(attribute, kind) not in (None, [])]
    kind = _ATTRIBUTES.get(attribute.type, "") if attribute.type else "".join(guessed[:1])
    value = getattr(attribute, kind, None)
    # Some writers leave out zeros.
    value = _ZEROS.get(kind) if value is None else value
    if value is None:
        raise ValueError(
            f"{where}: attribute {attribute.name!r} is of type {attribute.type}, "
            "expected numbers, texts, a tensor or a graph"
        )
    if kind == "t":
        return tensors.array(value)
    if kind == "g":
        return _graph(value, tensors)
    if kind == "s":
        return str(value, "utf-8", "replace")
    if kind == "strings":
        return [str(text, "utf-8", "replace") for text in value]
    return value


def _constant(node: Node) -> Array:
    """Return what a Constant node holds."""
    dtypes: dict[str, Any] = {
        "value_float": np.float32,
        "value_floats": np.float32,
        "value_int": np.int64,
        "value_ints": np.int64,
    }
    ((key, value),) = [*node.attributes.items()] or [("nothing", None)]
    if key != "value" and key not in dtypes:
        raise ValueError(f"{node.describe()} holds {key}, expected a tensor or numbers")
    array = np.array(value, dtypes[key]) if key in dtypes else value
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{node.describe()} holds no tensor")
    array.flags.writeable = False
    return array
