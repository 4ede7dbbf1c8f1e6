"""Models that are chains of layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnn_core._folding import fold
from rnn_core._graph import Flow, Node, SymbolicTensor, add_call
from rnn_core._input import InputLayer
from rnn_core._layer import Layer
from rnn_core._layers.embedding import Embedding
from rnn_core._layers.masking import Masking
from rnn_core._model import Model
from rnn_core._nest import is_shape, shapes_of
from rnn_core._network import check_names, named_input
from rnn_core._recurrent import _Recurrent
from rnn_core._registry import config_of, known_objects, layer_from_config
from rnn_core._typing import Array
from rnn_core._windows import is_iterator


class Sequential(Model):
    """A chain of layers.

    Args:
        layers: in order; the first may be an `Input`, or have `input_shape`.
        kwargs: as for `Layer`.

    Call arguments, result and errors are those of `Model`: one array ``(batch, ...)`` as the first
    layer takes it, one such as the last layer returns it.

    >>> from rnn_core import LSTM, Dense
    >>> Sequential([LSTM(4), Dense(2, "softmax")])(np.zeros((5, 7, 3))).shape
    (5, 2)
    """

    def __init__(self, layers: Sequence[Any] = (), **kwargs: Any) -> None:
        Layer.__init__(self, **kwargs)
        self._chain: list[Layer] = []
        self._steps: list[Any] = []
        self._input: InputLayer | None = None
        for layer in layers:
            self.add(layer)

    def add(self, layer: Any) -> None:
        """Put a layer at the end of the chain.

        Args:
            layer: the layer; an `Input` gives the shape of the model's inputs.

        Raises:
            TypeError: no layer.
            ValueError: a layer of the same name is in the chain.

        >>> from rnn_core import Dense
        >>> model = Sequential()
        >>> model.add(Dense(2))
        >>> model.compute_output_shape((None, 3))
        (None, 2)
        """
        if isinstance(layer, SymbolicTensor):
            layer = layer.node.layer
        if isinstance(layer, InputLayer):
            self._input = layer
            return
        if not isinstance(layer, Layer):
            raise TypeError(f"{self.name}: got {layer!r}, expected a layer")
        if not self._chain and self._input is None and layer.batch_input_shape is not None:
            self._input = InputLayer(batch_shape=layer.batch_input_shape)
        check_names(self.name, [*self._chain, layer])
        self._chain.append(layer)
        self.built = False
        if self._input is not None and None not in self._input.batch_shape[-1:]:
            self._ensure_built(self._input.batch_shape)

    @property
    def layers(self) -> list[Layer]:
        return list(self._chain)

    @property
    def inputs(self) -> list[SymbolicTensor]:
        return [self._input.output] if self._input else []

    @property
    def outputs(self) -> list[SymbolicTensor]:
        return [self(tensor) for tensor in self.inputs]

    @property
    def input_layers(self) -> list[InputLayer]:
        return [self._input] if self._input else []

    def build(self, input_shape: Any) -> None:
        if self._input is None:
            # Of the first inputs, only the number of features says something of the next ones.
            features = None if isinstance(self._chain[0], Embedding) else input_shape[-1]
            self._input = InputLayer(batch_shape=(*(None for _ in input_shape[1:]), features))
        for layer in self._chain:
            if not is_shape(input_shape):
                raise ValueError(
                    f"{self.name}: {len(input_shape)} outputs come to {layer.name!r}, expected one"
                )
            layer._ensure_built(input_shape, self._building_for_call)
            if self._building_for_call:
                input_shape = layer.compute_output_shape(input_shape)
            else:
                input_shape = layer._symbolic_shape(input_shape, ())
        self._steps = fold(self._chain)
        self.built = True

    def _arrange(self, inputs: Any) -> Any:
        array = np.asarray(*self._columns(inputs))
        if self._input is not None:
            self._input._check_shape(array.shape)
        return array

    def _columns(self, inputs: Any) -> Any:
        if isinstance(inputs, dict) and self._input is not None:
            inputs = named_input(inputs, self._input.name, self.name)
        return inputs if is_iterator(inputs) else [inputs]

    def _input_shapes(self) -> list[Any]:
        if self._input is not None:
            return [self._input.batch_shape]
        # Of what the first layer takes, at least the number of axes is known.
        first = self._chain[0] if self._chain else None
        axes = 2 if isinstance(first, Embedding) else 3
        known = isinstance(first, (Embedding, Masking, _Recurrent))
        return [(None,) * axes if known else None]

    def _own_lengths(self) -> list[bool]:
        shapes = shapes_of(self.compute_output_shape(self._input_shapes()[0]))
        return [None in shape[1:] for shape in shapes]

    def _chain_of_layers(self, inputs: Any) -> list[Any] | None:
        self._build_for(inputs)
        return self._steps if self.fold_embeddings else self._chain

    def _static_shape(self, shape: tuple[int, ...]) -> tuple[Any, ...]:
        """Return what is said of the inputs' shape, or this one's if nothing is."""
        declared = self._input.batch_shape if self._input else shape
        return shape if None in declared[-1:] else declared

    def _run(self, inputs: Any, mask: Any, training: bool | None) -> tuple[Any, Any]:
        self._build_for(inputs)
        for step in self._steps if self.fold_embeddings else self._chain:
            inputs, mask = step._call_with_mask(inputs, mask, training)
        return inputs, mask

    def _build_for(self, inputs: Array) -> None:
        if not self.built:
            self._ensure_built(self._static_shape(inputs.shape), for_call=self._input is None)

    def _flow(self, inputs: Array) -> Flow:
        self._build_for(inputs)
        return super()._flow(inputs)

    def _unfold(self, inputs: list[SymbolicTensor], nodes: list[Node]) -> Any:
        (value,) = inputs
        for layer in self.input_layers:
            value = add_call(nodes, layer, value)
        for step in self._steps if self.fold_embeddings else self._chain:
            value = add_call(nodes, step, value)
        return value

    def compute_output_shape(self, input_shape: Any) -> Any:
        for layer in self._chain:
            input_shape = layer.compute_output_shape(input_shape)
        return input_shape

    def _output_shapes(self) -> list[tuple[Layer, Any]]:
        shape: Any = self._input.batch_shape if self._input else None
        rows = []
        for layer in self.layers:
            shape = None if shape is None else layer.compute_output_shape(shape)
            rows.append((layer, shape))
        return rows

    def get_config(self) -> dict[str, Any]:
        layers: list[Layer] = [*self.input_layers, *self._chain]
        entries = [config_of(layer) for layer in layers]
        return {"name": self.name, "trainable": self.trainable, "layers": entries}

    @classmethod
    def from_config(cls, config: Any, custom_objects: dict[str, Any] | None = None) -> Sequential:
        # Early Keras wrote the bare list of layers.
        config = {"layers": config} if isinstance(config, list) else config
        with known_objects(custom_objects):
            layers = [layer_from_config(entry) for entry in config["layers"]]
        model = cls(layers, name=config.get("name"), trainable=config.get("trainable", True))
        if not model.input_layers and isinstance(config.get("build_input_shape"), (list, tuple)):
            model._input = InputLayer(batch_shape=config["build_input_shape"])
        return model
