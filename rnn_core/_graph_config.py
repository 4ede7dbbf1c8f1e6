"""Graphs of layers as Keras writes them: read from Keras 2 and 3, written as Keras 3 does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rnn_core._graph import Node, SymbolicTensor
from rnn_core._input import InputLayer
from rnn_core._layer import Layer
from rnn_core._names import class_name_of
from rnn_core._nest import flatten, map_leaves
from rnn_core._registry import config_of, layer_from_config

# Where a tensor comes from: a layer's name, which of its calls, which of that call's outputs.
History = tuple[str, int, int]
Find = Callable[[Any], SymbolicTensor]


class _NotYet(Exception):
    """A tensor whose layer has not been called so far."""


# Writing


def to_config(
    name: str, layers: Sequence[Layer], nodes: Sequence[Node], inputs: Any, outputs: Any
) -> dict[str, Any]:
    """Return a functional model's config."""
    calls: dict[int, list[Node]] = {id(layer): [] for layer in layers}
    for node in nodes:
        if not isinstance(node.layer, InputLayer):
            calls[id(node.layer)].append(node)

    def history(tensor: SymbolicTensor, end: bool = True) -> list[Any]:
        made = calls[id(tensor.node.layer)]
        call = made.index(tensor.node) if made else 0
        # See `_first_calls`.
        made_itself = end and class_name_of(tensor.node.layer) == "Functional"
        return [tensor.node.layer.name, call + made_itself, tensor.index]

    def argument(leaf: Any) -> Any:
        if isinstance(leaf, np.ndarray):
            config = {"value": leaf.tolist(), "dtype": leaf.dtype.name}
            return {"class_name": "__numpy__", "config": config}
        if isinstance(leaf, slice):
            config = {"start": leaf.start, "stop": leaf.stop, "step": leaf.step}
            return {"class_name": "__slice__", "config": config}
        if leaf is ...:
            return {"class_name": "__ellipsis__", "config": {}}
        if not isinstance(leaf, SymbolicTensor):
            return leaf
        return {
            "class_name": "__keras_tensor__",
            "config": {
                "shape": leaf.shape,
                "dtype": leaf.node.layer.dtype.name,
                "keras_history": history(leaf, end=False),
            },
        }

    entries = [
        {
            **config_of(layer),
            "name": layer.name,
            "inbound_nodes": [
                {
                    "args": [map_leaves(argument, a) for a in (node.inputs, *node.args)],
                    "kwargs": map_leaves(argument, node.kwargs),
                }
                for node in calls[id(layer)]
            ],
        }
        for layer in layers
    ]
    return {
        "name": name,
        "layers": entries,
        "input_layers": map_leaves(history, inputs),
        "output_layers": map_leaves(history, outputs),
    }


# Reading


def from_config(config: dict[str, Any]) -> tuple[Any, Any, list[Layer]]:
    """Return a functional config's symbolic inputs and outputs, and its layers in order.

    Raises:
        ValueError: a tensor that no call yields, or a layer of an unknown class.
    """
    layers: dict[str, Layer] = {}
    pending: list[tuple[str, Any]] = []
    made: dict[str, list[Any]] = {}
    for entry in config["layers"]:
        layer = layer_from_config(entry)
        name = entry.get("name", layer.name)
        layers[name] = layer
        made[name] = [layer.output] if isinstance(layer, InputLayer) else []
        pending += [(name, node) for node in entry.get("inbound_nodes", [])]
    first_call, first_end = _first_calls(config)

    def find(history: Any, first: dict[str, int] = first_call) -> SymbolicTensor:
        name, call, index = history[0], history[1], history[2]
        if name not in made:
            raise ValueError(f"a tensor comes from layer {name!r}, which the model does not have")
        call -= first.get(name, 0)
        if not 0 <= call < len(made[name]):
            raise _NotYet
        outputs = flatten(made[name][call])
        if not 0 <= index < len(outputs):
            raise ValueError(f"layer {name!r} has {len(outputs)} outputs, no output {index}")
        tensor: SymbolicTensor = outputs[index]
        return tensor

    while pending:
        waiting: list[tuple[str, Any]] = []
        for name, node in pending:
            blocked = any(other == name for other, _ in waiting)
            try:
                if blocked:
                    raise _NotYet
                args, kwargs = _arguments(node, layers[name], find)
            except _NotYet:
                waiting.append((name, node))
                continue
            made[name].append(layers[name](*args, **kwargs))
        if len(waiting) == len(pending):
            names = ", ".join(sorted({name for name, _ in waiting}))
            raise ValueError(f"the model's graph has no beginning: {names} wait for each other")
        pending = waiting

    def find_end(history: Any) -> SymbolicTensor:
        return find(history, first_end)

    try:
        inputs = _ends(config["input_layers"], find_end)
        return inputs, _ends(config["output_layers"], find_end), list(layers.values())
    except _NotYet:
        raise ValueError(
            "an input or output of the model comes from a call it does not have"
        ) from None


def _ends(histories: Any, find: Find) -> Any:
    """Return the tensors of one history, a list of histories, or a dict of them."""
    if isinstance(histories, dict):
        return {key: _ends(value, find) for key, value in histories.items()}
    if _is_history(histories):
        return find(histories)
    tensors = [_ends(history, find) for history in histories]
    return tensors if len(tensors) > 1 else tensors[0]


def _is_history(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) >= 3
        and isinstance(value[0], str)
        and all(isinstance(n, int) for n in value[1:3])
    )


def _histories(value: Any) -> list[History]:
    """Return all histories within a part of a config."""
    if _is_history(value):
        return [(value[0], value[1], value[2]), *_histories(list(value[3:]))]
    if isinstance(value, dict):
        return [history for item in value.values() for history in _histories(item)]
    if isinstance(value, (list, tuple)):
        return [history for item in value for history in _histories(item)]
    return []


def _first_calls(config: dict[str, Any]) -> tuple[dict[str, int], dict[str, int]]:
    """Return the index of each nested model's first call, where calls and where ends name it.

    A functional model inside another counts its own making as call 0, so the graph around it
    begins with call 1. Keras 3 counts so at the ends only: there the index is of the first call
    even if another comes out.
    """
    nested = {
        entry.get("name", entry["config"].get("name"))
        for entry in config["layers"]
        if isinstance(entry["config"], dict) and "layers" in entry["config"]
    }
    calls = [entry.get("inbound_nodes", []) for entry in config["layers"]]
    ends = [config["input_layers"], config["output_layers"]]
    used, at_ends = _histories(calls), _histories(ends)

    def lowest(name: str, histories: list[History]) -> int:
        return min((call for found, call, _ in histories if found == name), default=0)

    if any(isinstance(node, dict) for nodes in calls for node in nodes):
        first = {name: lowest(name, used) for name in nested}
        return first, {name: min(lowest(name, at_ends), 1) for name in nested}
    both = {name: lowest(name, used + at_ends) for name in nested}
    return both, both


def _arguments(node: Any, layer: Layer, find: Find) -> tuple[list[Any], dict[str, Any]]:
    if isinstance(node, dict):
        args = [_keras3(argument, find) for argument in node.get("args", [])]
        kwargs = {key: _keras3(value, find) for key, value in node.get("kwargs", {}).items()}
        if layer._keras3_arguments:
            # Keras 3 has the arguments after the first in another order than this package.
            kwargs.update(zip(layer._keras3_arguments, args[1:], strict=False))
            args = args[:1]
    else:
        args, kwargs = _keras2(node, find)
    if kwargs.get("training") is not True:
        kwargs.pop("training", None)
    return args, {key: value for key, value in kwargs.items() if value is not None}


def _keras3(value: Any, find: Find) -> Any:
    if isinstance(value, dict):
        kind, config = value.get("class_name"), value.get("config")
        if kind == "__keras_tensor__":
            return find(value["config"]["keras_history"])
        if kind in ("__numpy__", "__tensor__") and isinstance(config, dict):
            return np.array(config["value"], _constant_dtype(config.get("dtype")))
        if kind == "__slice__" and isinstance(config, dict):
            return slice(config.get("start"), config.get("stop"), config.get("step"))
        if kind == "__ellipsis__":
            return ...
        return {key: _keras3(item, find) for key, item in value.items()}
    if isinstance(value, list):
        return [_keras3(item, find) for item in value]
    return value


def _constant_dtype(name: Any) -> np.dtype[Any]:
    """Return the dtype of an array in a config; half precisions are float32 here."""
    dtype = np.dtype("float32" if name in ("float16", "bfloat16") else str(name))
    if dtype.kind not in "fiub":
        raise ValueError(f"a constant is of {name!r}, expected numbers")
    return dtype


def _keras2(node: Any, find: Find) -> tuple[list[Any], dict[str, Any]]:
    """Read ``[[name, call, output, {}], ...]``: one for each tensor of the first argument."""
    entries = [node] if _is_history(node) else node
    tensors = [_keras2_value(entry[:3], find) for entry in entries]
    kwargs: dict[str, Any] = {}
    for entry in entries:
        if len(entry) > 3:
            kwargs.update({key: _keras2_value(value, find) for key, value in entry[3].items()})
    # A recurrent layer's states and constants follow the sequence in this list.
    return tensors if len(tensors) == 1 else [tensors], kwargs


def _keras2_value(value: Any, find: Find) -> Any:
    if _is_history(value):
        return value[2] if value[0] == "_CONSTANT_VALUE" else find(value)
    if isinstance(value, list):
        return [_keras2_value(item, find) for item in value]
    return value
