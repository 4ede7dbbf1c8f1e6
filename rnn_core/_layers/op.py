"""Operations that Keras 3 writes into a functional model's graph as nodes of their own."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from rnn_core._graph import SymbolicTensor
from rnn_core._layer import Layer
from rnn_core._layers.merge import broadcast

ShapeFunction = Callable[..., Any]


def _common(shapes: list[Any], **_: Any) -> Any:
    axes = max(map(len, shapes))
    return reduce(broadcast, ((*(1,) * (axes - len(shape)), *shape) for shape in shapes))


def _reduced(shapes: list[Any], axis: Any = None, keepdims: bool = False) -> Any:
    (shape,) = shapes
    axes = range(len(shape)) if axis is None else np.atleast_1d(axis)
    gone = {int(a) % len(shape) for a in axes}
    if keepdims:
        return tuple(1 if a in gone else n for a, n in enumerate(shape))
    return tuple(n for a, n in enumerate(shape) if a not in gone)


def _expanded(shapes: list[Any], axis: int) -> Any:
    (shape,) = shapes
    place = axis % (len(shape) + 1)
    return (*shape[:place], 1, *shape[place:])


def _joined(shapes: list[Any], axis: int = 0) -> Any:
    lengths = [shape[axis] for shape in shapes]
    place = axis % len(shapes[0])
    total = None if None in lengths else sum(lengths)
    return (*shapes[0][:place], total, *shapes[0][place + 1 :])


def _taken(shapes: list[Any], axis: int, **_: Any) -> Any:
    return _reduced(shapes, axis)


def _log_softmax(x: Any, axis: int = -1) -> Any:
    shifted = x - x.max(axis=axis, keepdims=True, initial=-np.inf)
    return shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))


def _all_axes(function: Any) -> Callable[..., Any]:
    def reduction(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        return function(x, axis=tuple(axis) if isinstance(axis, list) else axis, keepdims=keepdims)

    return reduction


# What each computes, and its outcome's shape.
_OPERATIONS: dict[str, tuple[Callable[..., Any], ShapeFunction]] = {
    "Add": (np.add, _common),
    "All": (_all_axes(np.all), _reduced),
    "Any": (_all_axes(np.any), _reduced),
    "Concatenate": (np.concatenate, _joined),
    "Equal": (np.equal, _common),
    "ExpandDims": (np.expand_dims, _expanded),
    "LogSoftmax": (_log_softmax, _common),
    "LogicalAnd": (np.logical_and, _common),
    "LogicalNot": (np.logical_not, _common),
    "LogicalOr": (np.logical_or, _common),
    "Multiply": (np.multiply, _common),
    "NotEqual": (np.not_equal, _common),
    "OnesLike": (np.ones_like, _common),
    "Subtract": (np.subtract, _common),
    "Take": (np.take, _taken),
    "ZerosLike": (np.zeros_like, _common),
}


class Operation(Layer):
    """A NumPy function in a graph, of arrays of any dtype.

    Args:
        function: the operation's class name in Keras, such as ``"NotEqual"``.
        arguments: what a config says of it, such as its axis.
        kwargs: as for `Layer`.

    Raises:
        ValueError: an operation that rnn_core does not have.

    >>> Operation("NotEqual", {})(np.array([0, 3]), 0)
    array([False,  True])
    """

    config_keys = ("function", "arguments")

    def __init__(self, function: str, arguments: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if function not in _OPERATIONS:
            raise ValueError(
                f"operation {self.name!r} is a {function!r}, which rnn_core does not have"
            )
        self.function = function
        self.arguments = arguments

    def _cast(self, inputs: Any) -> Any:
        return inputs

    def call(self, *inputs: Any) -> Any:
        return _OPERATIONS[self.function][0](*inputs, **self.arguments)

    def _symbolic_shape(self, input_shape: Any, args: tuple[Any, ...]) -> Any:
        shapes = input_shape if isinstance(input_shape, list) else [input_shape]
        shapes = [*shapes, *(a.shape for a in args if isinstance(a, SymbolicTensor))]
        arguments = {key: value for key, value in self.arguments.items() if key != "dtype"}
        return _OPERATIONS[self.function][1](shapes, **arguments)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self._symbolic_shape(input_shape, ())

    @classmethod
    def from_keras(cls, function: str, config: dict[str, Any]) -> Operation:
        """Return the operation that Keras describes."""
        arguments = {key: value for key, value in config.items() if key != "name"}
        return cls(function, arguments, name=config.get("name"))

    @staticmethod
    def describes(config: dict[str, Any]) -> bool:
        """Return whether a part of a Keras config is of an operation, not of a layer.

        Some have the name of a layer; in HDF5 files, which do not name modules, an operation
        shows by the lack of what every layer has.
        """
        inner = config.get("config")
        if "module" in config:
            return str(config["module"]).startswith("keras.src.ops") and isinstance(inner, dict)
        known = config.get("class_name") in _OPERATIONS
        return known and isinstance(inner, dict) and "trainable" not in inner
