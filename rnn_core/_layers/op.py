"""Operations that Keras writes into a functional model's graph as nodes of their own."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnn_core import _graph
from rnn_core._graph import SymbolicTensor
from rnn_core._layer import Layer
from rnn_core._layers.operations import OPERATIONS
from rnn_core._nest import map_leaves


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
        if function not in OPERATIONS:
            raise ValueError(
                f"operation {self.name!r} is a {function!r}, which rnn_core does not have"
            )
        self.function = function
        self.arguments = arguments

    def _cast(self, inputs: Any) -> Any:
        return inputs

    def _check(self, inputs: Any) -> None:
        """Take whatever the function takes."""

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the function's value; a node of a graph, if a tensor of one is among `inputs`."""
        if not _graph.is_symbolic((inputs, args)):
            return self.call(inputs, *args)
        # What is no tensor may come first here, as in 1 - x.
        node = _graph.Node(self, inputs, args)
        shapes = self._symbolic_shape(_shape_of(inputs), args)
        node.outputs = _graph.symbolic_outputs(node, shapes)
        self.built = True
        return node.outputs

    def call(self, *inputs: Any) -> Any:
        return OPERATIONS[self.function][0](*inputs, **self.arguments)

    def _call_with_mask(
        self,
        inputs: Any,
        mask: Any = None,
        training: bool | None = None,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> tuple[Any, Any]:
        return self.call(inputs, *args), None

    def _symbolic_shape(self, input_shape: Any, args: tuple[Any, ...]) -> Any:
        arguments = {key: value for key, value in self.arguments.items() if key != "dtype"}
        return OPERATIONS[self.function][1](input_shape, *map(_shape_of, args), **arguments)

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
        known = config.get("class_name") in OPERATIONS
        return known and isinstance(inner, dict) and "trainable" not in inner


def _shape_of(argument: Any) -> Any:
    """Return an argument with shapes in place of tensors."""
    return map_leaves(
        lambda leaf: leaf.shape if isinstance(leaf, (SymbolicTensor, np.ndarray)) else leaf,
        argument,
    )
