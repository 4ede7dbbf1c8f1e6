"""Models: graphs of layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rnn_core import _graph_config, _predict
from rnn_core._layer import Layer
from rnn_core._nest import is_shape, shapes_of
from rnn_core._network import _Network
from rnn_core._registry import LAYERS, known_objects
from rnn_core._rnn import RNN
from rnn_core._states import Together
from rnn_core._weights import Weight


class Model(_Network):
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

    >>> import numpy as np
    >>> from rnn_core import LSTM, Dense, Input
    >>> x = Input((None, 3))
    >>> model = Model(x, Dense(2)(LSTM(4)(x)))
    >>> model(np.zeros((5, 7, 3))).shape
    (5, 2)
    """

    # Whether `predict` computes once what sequences of ids that begin alike, or rows that are alike
    # as a whole, have in common: faster, and the same to the last bit.
    share_prefixes = True

    # Structure

    @property
    def layers(self) -> list[Layer]:
        """The layers, each once, inputs first; those of a `Sequential` are without its input.

        >>> from rnn_core import Dense, Sequential
        >>> [type(layer).__name__ for layer in Sequential([Dense(2)]).layers]
        ['Dense']
        """
        return list(self._layers)

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

        >>> import numpy as np
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
        what recurrent and Dense layers give.

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


def shape_text(shape: Any) -> str:
    """Return a shape, or several, for people to read; ``?`` is any length."""
    if shape is not None and not is_shape(shape):
        return ", ".join(map(shape_text, shapes_of(shape)))
    return "?" if shape is None else f"({', '.join('?' if n is None else str(n) for n in shape)})"


LAYERS["Functional"] = Model
