"""Models: graphs of layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rnn_core import _graph, _graph_config, _predict
from rnn_core._folding import fold_nodes
from rnn_core._graph import SymbolicTensor
from rnn_core._input import InputLayer
from rnn_core._layer import Layer
from rnn_core._nest import flatten, is_shape, listed, map_leaves, pack_like, shapes_of
from rnn_core._registry import LAYERS, known_objects
from rnn_core._rnn import RNN
from rnn_core._states import Together
from rnn_core._weights import Weight
from rnn_core._windows import depth, is_iterator


class Model(Layer):
    """A graph of layers, from symbolic inputs to outputs.

    Args:
        inputs: a symbolic tensor of `Input`, or a list or dict of them.
        outputs: symbolic tensors computed from them, one or a list or dict.
        kwargs: as for `Layer`.

    Call arguments:
        inputs: arrays such as ``(batch, timesteps, features)`` in the structure of the model's
            inputs, or a dict by the inputs' names.
        training: True puts dropout in effect.
        mask: of the inputs, boolean ``(batch, timesteps)``, in the same structure.

    Returns arrays ``(batch, ...)`` in the structure of `outputs`. `compute_mask` runs the model.
    `fold_embeddings` may be set to False: a small embedding and the recurrent layer above it are
    then not run as one; `share_prefixes` too: `predict` then runs sequences of ids that begin alike
    each from its beginning, and each of several rows that are alike.

    Raises:
        ValueError: outputs that need an input which is not among `inputs`; arrays of another
            number or shape than the inputs.

    >>> from rnn_core import LSTM, Dense, Input
    >>> x = Input((None, 3))
    >>> model = Model(x, Dense(2)(LSTM(4)(x)))
    >>> model(np.zeros((5, 7, 3))).shape
    (5, 2)
    """

    supports_masking = True
    # Whether a small embedding and the recurrent layer above it run as one, by a table of
    # ``embeddings.kernel + bias``: faster, and equal but for rounding.
    fold_embeddings = True
    # Whether `predict` computes once what sequences of ids that begin alike, or rows that are alike
    # as a whole, have in common: faster, and the same to the last bit.
    share_prefixes = True
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

    # Structure

    @property
    def layers(self) -> list[Layer]:
        """The layers, each once, inputs first; those of a `Sequential` are without its input.

        >>> from rnn_core import Dense, Sequential
        >>> [type(layer).__name__ for layer in Sequential([Dense(2)]).layers]
        ['Dense']
        """
        return list(self._layers)

    @property
    def inputs(self) -> list[SymbolicTensor]:
        """The symbolic inputs, in order; with `outputs` they make further models.

        >>> from rnn_core import GRU, Input
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

    def get_layer(self, name: str) -> Layer:
        """Return the layer of this name.

        Raises:
            ValueError: there is none.

        >>> from rnn_core import Dense, Sequential
        >>> Sequential([Dense(2, name="top")]).get_layer("top").units
        2
        """
        for layer in self.layers:
            if layer.name == name:
                return layer
        names = ", ".join(layer.name for layer in self.layers)
        raise ValueError(f"{self.name}: no layer {name!r}; there are {names}")

    def _children(self) -> Iterator[tuple[str, Layer | list[Layer]]]:
        yield "layers", self.layers

    def _is_stateful(self) -> bool:
        """Return whether a layer keeps states from batch to batch."""
        return any(getattr(layer, "stateful", False) for layer in self._walk_layers())

    def reset_states(self) -> None:
        """Set the states of all stateful layers that have any to zeros.

        >>> from rnn_core import GRU, Sequential
        >>> model = Sequential([GRU(2, stateful=True)])
        >>> output = model(np.ones((1, 3, 4)))
        >>> model.reset_states()
        >>> model.layers[0].states[0].tolist()
        [[0.0, 0.0]]
        """
        for layer in self._walk_layers():
            if isinstance(layer, RNN) and layer._has_states():
                layer.reset_states()

    def _non_trainable(self) -> list[Weight]:
        if self.trainable:
            return super()._non_trainable()
        # A model that is not trained has its layers' weights by kind; a layer has them by layer.
        trained = [weight for layer in self.layers for weight in layer._trainable()]
        return [*trained, *(weight for layer in self.layers for weight in layer._non_trainable())]

    # Calling

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

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        progress: bool = False,
        verbose: Any = None,
        explain: bool = False,
        out: Any = None,
    ) -> Any:
        """Return the outputs for many rows, computed batch by batch on `get_num_threads` threads.

        Sequences may have any lengths: a row gets what the model gives it alone. Rows of one length
        run together; rows of similar lengths too, padded and masked, where that changes no bit of
        what recurrent layers give.

        Args:
            x: for each of the model's inputs rows ``(rows, ...)``: an array, which may be mapped
                from a file larger than memory; for an input of any number of timesteps also a list
                or tuple of sequences ``(timesteps, ...)`` or an Arrow column of lists. Or an
                iterator, of rows or of batches of rows, as tuples if there are several inputs.
            batch_size: rows to a batch; chosen by the model's size if not given.
            progress: show a progress bar; needs tqdm.
            verbose: Keras's argument; it has no effect.
            explain: print how many steps or rows there are and how many of them are different,
                or why none are shared.
            out: arrays ``(rows, ...)`` to write to, such as memory maps, in the structure of the
                outputs; an iterator may give fewer rows. After an error they hold some of the rows.

        Returns arrays ``(rows, ...)`` in the structure of the outputs and the order of the rows. If
        sequences or an iterator were given, outputs with timesteps are lists of arrays
        ``(timesteps, ...)``.

        Raises:
            ValueError, TypeError: as for a call; the row is named, counted from 0. A stateful model
                and something else than arrays; `out` that does not fit.
            ImportError: `progress` without tqdm.

        >>> from rnn_core import Dense, Embedding, SimpleRNN, Sequential
        >>> model = Sequential([Dense(1, kernel_initializer="ones")])
        >>> model.predict([[1.0, 2.0], [3.0, 4.0]], batch_size=1).tolist()
        [[3.0], [7.0]]
        >>> count = SimpleRNN(1, None, return_sequences=True, **dict.fromkeys(
        ...     ["kernel_initializer", "recurrent_initializer"], "ones"))
        >>> model = Sequential([Embedding(9, 1, embeddings_initializer="ones"), count])
        >>> [steps.ravel().tolist() for steps in model.predict([[3, 4, 5], [6], [7, 8]])]
        [[1.0, 2.0, 3.0], [1.0], [1.0, 2.0]]
        """
        with Together():
            return _predict.predict(self, x, batch_size, bool(progress), bool(explain), out)

    def load_weights(self, path: Any) -> None:
        """Replace the values of all weights by those of a file.

        Args:
            path: of a ``.weights.h5``, ``.weights.json`` or ``.keras`` (Keras 3 and late Keras 2),
                or of an ``.h5`` of any Keras, with or without a model; layers are taken by order.

        Raises:
            FileNotFoundError: no such file.
            ValueError: a file that is corrupt, of another kind, or of a model with other layers or
                shapes; or the model is not built. Nothing is changed then.
            ImportError: h5py is not installed.

        >>> from rnn_core import Dense, Sequential
        >>> Sequential([Dense(2, input_shape=(3,))]).load_weights("missing.weights.h5")
        Traceback (most recent call last):
            ...
        FileNotFoundError: [Errno 2] No such file or directory: 'missing.weights.h5'
        """
        from rnn_core import _keras_weights

        path = Path(path)
        _keras_weights.refuse_checkpoints(path)
        if not self.built:
            raise ValueError(f"{self.name} is not built: call it once, or begin it with an Input")
        _keras_weights.load(self, path)

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

    def summary(self, print_fn: Callable[[str], Any] = print) -> None:
        """Print a line a layer: name, class, output shape, number of weights.

        Args:
            print_fn: takes each line.

        >>> from rnn_core import Dense, Sequential
        >>> Sequential([Dense(2, name="top", input_shape=(3,))]).summary()
        layer  class  output shape       weights
        top    Dense  (?, 2)                   8
        8 weights in all
        """
        rows = [("layer", "class", "output shape", "weights")]
        for layer, shape in self._output_shapes():
            rows.append(
                (layer.name, type(layer).__name__, shape_text(shape), f"{layer.count_params():,}")
            )
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        for name, kind, text, count in rows:
            print_fn(f"{name:{widths[0]}}  {kind:{widths[1]}}  {text:{widths[2]}}  {count:>12}")
        print_fn(f"{self.count_params():,} weights in all")

    # Configuration

    def save(self, path: Any) -> None:
        """Write the model to a file: its structure and weights.

        Args:
            path: ends in ``.keras``, which Keras 3 opens too (needs h5py, the extra ``[keras]``),
                or in ``.safetensors``, which holds every model of this package and loads by memory
                map.

        Raises:
            ValueError: another ending; a model without weights so far; for ``.keras``, one with
                something that Keras 3 lacks, such as ``time_major=True``.
            ImportError: ``.keras`` without h5py.

        >>> import tempfile
        >>> from rnn_core import GRU, Sequential, load
        >>> path = tempfile.mkdtemp() + "/model.safetensors"
        >>> Sequential([GRU(4, input_shape=(None, 3))]).save(path)
        >>> load(path).layers[0].units
        4
        """
        from rnn_core import _saving

        _saving.save(self, path)

    def get_config(self) -> dict[str, Any]:
        return _graph_config.to_config(
            self.name, self.layers, self._nodes, self._inputs, self._outputs
        )

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Model:
        with known_objects(custom_objects):
            inputs, outputs, layers = _graph_config.from_config(config)
        trainable = config.get("trainable", True)
        model = Model(inputs, outputs, name=config.get("name"), trainable=trainable)
        # The order of a file's layers is part of the format of its weights.
        model._layers = layers
        return model


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


def shape_text(shape: Any) -> str:
    """Return a shape, or several, for people to read; ``?`` is any length."""
    if shape is not None and not is_shape(shape):
        return ", ".join(map(shape_text, shapes_of(shape)))
    return "?" if shape is None else f"({', '.join('?' if n is None else str(n) for n in shape)})"


LAYERS["Functional"] = Model
