"""A graph of layers as one layer: what it is given, what it calls, what that yields."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from rnn_core import _graph
from rnn_core._folding import fold_nodes
from rnn_core._graph import SymbolicTensor
from rnn_core._input import InputLayer
from rnn_core._layer import Layer
from rnn_core._nest import flatten, listed, map_leaves, pack_like, shapes_of
from rnn_core._states import Together
from rnn_core._windows import depth, is_iterator


class _Network(Layer):
    """What a `Model` is without its layers' names, files and many rows.

    Args:
        inputs, outputs, kwargs: as for `Model`.
    """

    supports_masking = True
    # Whether a small embedding and the recurrent layer above it run as one, by a table of
    # ``embeddings.kernel + bias``: faster, and equal but for rounding.
    fold_embeddings = True
    _folded: list[_graph.Node] | None = None

    def __init__(self, inputs: Any, outputs: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for tensor in (*flatten(inputs), *flatten(outputs)):
            if not isinstance(tensor, SymbolicTensor):
                raise ValueError(f"{self.name}: got {tensor!r}, expected a symbolic tensor")
        self._inputs, self._outputs = inputs, outputs
        self._nodes, self._layers = _graph.network(flatten(inputs), flatten(outputs))
        given = [tensor.node for tensor in flatten(inputs)]
        for node in self._nodes:
            if isinstance(node.layer, InputLayer) and node not in given:
                raise ValueError(
                    f"{self.name}: outputs need {node.layer.name!r}, which is no input"
                )
        if len(set(given)) != len(given):
            raise ValueError(f"{self.name}: an input is given twice")
        check_names(self.name, self._layers)
        self._inner_nodes = [node for node in self._nodes if not isinstance(node.layer, InputLayer)]
        self.built = True

    @property
    def inputs(self) -> list[SymbolicTensor]:
        """The symbolic inputs, in order; with `outputs` they make further models.

        >>> from rnn_core import GRU, Input, Model
        >>> x = Input((None, 3))
        >>> steps = GRU(4, return_sequences=True)(x)
        >>> model = Model(x, GRU(2)(steps))
        >>> [tensor.shape for tensor in model.inputs + model.outputs]
        [(None, None, 3), (None, 2)]
        """
        return flatten(self._inputs)

    @property
    def outputs(self) -> list[SymbolicTensor]:
        """The symbolic outputs, in order.

        >>> from rnn_core import Dense, Sequential
        >>> Sequential([Dense(2, input_shape=(3,))]).outputs[0].shape
        (None, 2)
        """
        return flatten(self._outputs)

    @property
    def input_layers(self) -> list[InputLayer]:
        """The inputs' layers, in order; a `Sequential` has none while its shape is open.

        >>> from rnn_core import Dense, Sequential
        >>> [x.batch_shape for x in Sequential([Dense(2, input_shape=(3,))]).input_layers]
        [(None, 3)]
        """
        return [tensor.node.layer for tensor in flatten(self._inputs)]

    # Inputs

    def _input_keys(self) -> list[str]:
        """Return the names to give inputs by in a dict."""
        by_key = isinstance(self._inputs, dict)
        return list(self._inputs) if by_key else [layer.name for layer in self.input_layers]

    def _cast(self, inputs: Any) -> Any:
        return self._arrange(inputs)

    def _arrange(self, inputs: Any) -> Any:
        """Return arrays in the structure of the model's inputs, shapes checked."""
        arrays = [np.asarray(leaf) for leaf in self._columns(inputs)]
        for array, layer in zip(arrays, self.input_layers, strict=True):
            layer._check_shape(array.shape)
        return pack_like(self._inputs, arrays)

    def _columns(self, inputs: Any) -> Any:
        """Return what is given for each of the model's inputs; an iterator is one for all."""
        if is_iterator(inputs):
            return inputs
        layers = self.input_layers
        axes = [len(layer.batch_shape) for layer in layers]
        if isinstance(inputs, dict):
            leaves = [named_input(inputs, key, self.name) for key in self._input_keys()]
        elif len(layers) == 1:
            # One array, also as a list of one; a list of numbers or of sequences is an input too.
            alone = isinstance(inputs, (list, tuple)) and [*map(depth, inputs)] == axes
            leaves = [inputs[0] if alone else inputs]
        else:
            own = self._inputs.values() if isinstance(self._inputs, dict) else self._inputs
            flat = all(isinstance(tensor, SymbolicTensor) for tensor in own)
            leaves = listed(inputs) if flat else flatten(inputs)
        if len(leaves) != len(layers):
            raise ValueError(f"{self.name}: {len(leaves)} inputs, expected {len(layers)}")
        return leaves

    def _input_shapes(self) -> list[Any]:
        """Return the shapes of the model's inputs, with None for what is not known."""
        return [layer.batch_shape for layer in self.input_layers]

    def _own_lengths(self) -> list[bool]:
        """Return for each output whether its rows may have lengths of their own."""
        return [None in tensor.shape[1:] for tensor in flatten(self._outputs)]

    def _chain_of_layers(self, inputs: Any) -> list[Any] | None:
        """Return the model's layers if it is a chain of them; it is built for `inputs`."""
        tensor = self._inputs
        chain = []
        for node in self._calls():
            if isinstance(node.layer, InputLayer):
                continue
            if node.inputs is not tensor or node.args or node.kwargs:
                return None
            chain.append(node.layer)
            tensor = node.outputs
        return chain if tensor is self._outputs else None

    # Calling

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        with Together():
            return self._run(inputs, mask, training)[0]

    def _call_with_mask(
        self,
        inputs: Any,
        mask: Any = None,
        training: bool | None = None,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> tuple[Any, Any]:
        given = kwargs or {}
        training = given.get("training", training)
        mask = given.get("mask", mask)
        if isinstance(mask, dict):
            mask = [mask[key] for key in self._input_keys()]
        with Together():
            return self._run(self._arrange(inputs), mask, training)

    def _calls(self) -> list[_graph.Node]:
        """Return what to call, in order."""
        if not self.fold_embeddings:
            return self._inner_nodes
        if self._folded is None:
            self._folded = fold_nodes(self._inner_nodes, flatten(self._outputs))
        return self._folded

    def _run(self, inputs: Any, mask: Any, training: bool | None) -> tuple[Any, Any]:
        leaves = flatten(inputs)
        masks = (
            [None] * len(leaves) if mask is None else [mask] if len(leaves) == 1 else flatten(mask)
        )
        pairs = zip(leaves, masks, strict=True)
        values: _graph.Values = dict(zip(flatten(self._inputs), pairs, strict=True))
        _graph.run(self._calls(), values, training)
        return _graph.taken(values, self._outputs, 0), _graph.taken(values, self._outputs, 1)

    def _unfold(self, inputs: list[SymbolicTensor], nodes: list[_graph.Node]) -> Any:
        """Add the model's calls on `inputs` to `nodes`, and return its outputs."""
        here: dict[Any, Any] = {}
        for tensor, given in zip(flatten(self._inputs), inputs, strict=True):
            here[tensor] = _graph.add_call(nodes, tensor.node.layer, given)

        def placed(structure: Any) -> Any:
            return map_leaves(
                lambda leaf: here[leaf] if isinstance(leaf, SymbolicTensor) else leaf, structure
            )

        for node in self._calls():
            outputs = flatten(node.outputs)
            arguments = placed(node.inputs), placed(node.args), placed(node.kwargs)
            made = _graph.add_call(nodes, node.layer, *arguments, count=len(outputs))
            here.update(zip(outputs, flatten(made), strict=True))
        return placed(self._outputs)

    def _flow(self, inputs: Any) -> _graph.Flow:
        """Return the calls of this model on inputs, and of the models within it."""
        nodes: list[_graph.Node] = []
        places = [_graph.place() for _ in self.input_layers]
        return _graph.Flow(nodes, places, self._unfold(places, nodes))

    # Shapes and masks

    def compute_output_shape(self, input_shape: Any) -> Any:
        shapes: dict[SymbolicTensor, Any] = {}
        given = shapes_of(input_shape)
        if isinstance(input_shape, dict):
            given = [input_shape[key] for key in self._input_keys()]
        shapes.update(zip(flatten(self._inputs), given, strict=True))
        for node in self._nodes:
            if isinstance(node.layer, InputLayer):
                continue
            inner, args = map_leaves(
                lambda leaf: shapes.get(leaf, leaf) if isinstance(leaf, SymbolicTensor) else leaf,
                (node.inputs, node.args),
            )
            result = node.layer._symbolic_shape(inner, args)
            shapes.update(zip(flatten(node.outputs), shapes_of(result), strict=True))
        found = [shapes[tensor] for tensor in flatten(self._outputs)]
        return found if isinstance(self._outputs, (list, tuple, dict)) else found[0]

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        with Together(keep=False):
            return self._run(self._arrange(inputs), mask, None)[1]

    def _output_shapes(self) -> list[tuple[Layer, Any]]:
        """Return each layer with its outputs' shape, as the graph has it."""
        shapes: dict[int, tuple[Layer, Any]] = {}
        for node in [tensor.node for tensor in flatten(self._inputs)] + self._nodes:
            shapes[id(node.layer)] = node.layer, map_leaves(lambda t: t.shape, node.outputs)
        return list(shapes.values())


def check_names(model_name: str, layers: Iterable[Layer]) -> None:
    """Raise ValueError if two layers have the same name."""
    twice = [name for name, n in Counter(layer.name for layer in layers).items() if n > 1]
    if twice:
        raise ValueError(f"{model_name}: layers have the same name: {', '.join(twice)}")


def named_input(inputs: dict[str, Any], key: str, model_name: str) -> Any:
    """Return the input of a name, or raise ValueError with those there are."""
    if key not in inputs:
        raise ValueError(f"{model_name}: no input {key!r} among {sorted(inputs)}")
    return inputs[key]
