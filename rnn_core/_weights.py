"""Weights: arrays that a layer has, and those of the layers it is made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from rnn_core import _initializers
from rnn_core._dtypes import as_real, resolve_dtype
from rnn_core._nest import flatten
from rnn_core._typing import Array


@dataclass(eq=False)
class Weight:
    """One array of a layer: its name, values, owner, and whether Keras would train it."""

    name: str
    value: Array
    trainable: bool
    owner: Weighted

    def fill(self, values: Array) -> None:
        """Copy values into the array, so that whoever holds it has them."""
        if self.value.flags.writeable:
            self.value[...] = values
        else:
            self.adopt(values.copy())

    def adopt(self, array: Array) -> None:
        """Take an array in place of the owner's, which may be large; nobody else may hold it."""
        names = [name for name, value in vars(self.owner).items() if value is self.value]
        # A class of the user's may hold its weights in other ways too.
        if not names or getattr(self.owner, "_is_users", True):
            self.value[...] = array
            return
        self.value = array
        vars(self.owner).update(dict.fromkeys(names, array))


def _unique(weights: Iterable[Weight]) -> list[Weight]:
    """Return each weight once: a layer may be part of several."""
    return list({id(weight): weight for weight in weights}.values())


class Weighted:
    """What of a layer has to do with its weights."""

    name: str
    dtype: np.dtype[Any]
    trainable: bool
    # Counts the changes of weights.
    revision: int
    # Whether the layers it is made of have paths of their own in a file.
    _parts_have_paths: ClassVar[bool] = True
    _own_weights: list[Weight]

    def add_weight(
        self,
        shape: Any = None,
        initializer: Any = "glorot_uniform",
        dtype: Any = None,
        trainable: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> Array:
        """Make a weight and return its array; keep it as an attribute to compute with it.

        Args:
            shape: such as ``(features, units)``; a first argument that is a string is the name,
                as in Keras 2.
            initializer: a name, a config or an `Initializer`.
            dtype: the layer's if not given.
            trainable: False for statistics such as a moving mean.
            name: for error messages and `rnn-core inspect`.
            kwargs: ``regularizer``, ``constraint`` and the like have no effect here.

        Raises:
            ValueError: an unknown initializer.

        >>> from rnn_core import Layer
        >>> Layer().add_weight((2, 3), "ones").tolist()
        [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
        """
        if isinstance(shape, str):
            name, shape = shape, kwargs.get("shape")
        dims = () if shape is None else tuple(int(n) for n in np.atleast_1d(shape))
        dtype = self.dtype if dtype is None else resolve_dtype(dtype)
        value = _initializers.make(initializer, dims, dtype)
        self._own_weights.append(Weight(name or "weight", value, trainable, self))
        return value

    def _children(self) -> Iterator[tuple[str, Any]]:
        """Yield the attributes that are layers or lists of layers, with their names."""
        for attribute, value in vars(self).items():
            if isinstance(value, Weighted):
                yield attribute, value
            elif (
                isinstance(value, (list, tuple))
                and value
                and all(isinstance(v, Weighted) for v in value)
            ):
                yield attribute, list(value)

    def _sublayers(self) -> list[Any]:
        """Return the layers this one is made of, one level down."""
        return [layer for _, child in self._children() for layer in flatten(child)]

    def _walk_weights(self) -> list[Weight]:
        """Return the layer's own weights, then those of the layers it is made of, each once."""
        return _unique(weight for layer in self._walk_layers() for weight in layer._own_weights)

    def _walk_layers(self) -> Iterator[Any]:
        """Yield this layer and, depth first, all layers it is made of."""
        yield self
        for layer in self._sublayers():
            yield from layer._walk_layers()

    @property
    def weights(self) -> list[Array]:
        """The weights' arrays, in the order of `get_weights`; change them by `set_weights` only.

        >>> from rnn_core import Embedding
        >>> layer = Embedding(10, 4)
        >>> layer.build((None,))
        >>> [weight.shape for weight in layer.weights]
        [(10, 4)]
        """
        return [weight.value for weight in self._walk_weights()]

    @property
    def trainable_weights(self) -> list[Array]:
        """The arrays that Keras would train.

        >>> from rnn_core import BatchNormalization
        >>> layer = BatchNormalization()
        >>> layer.build((None, 3))
        >>> [weight.tolist() for weight in layer.trainable_weights]
        [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]
        """
        return [weight.value for weight in _unique(self._trainable())]

    @property
    def non_trainable_weights(self) -> list[Array]:
        """The arrays that Keras would leave alone, such as a moving mean.

        >>> from rnn_core import Layer
        >>> layer = Layer()
        >>> mean = layer.add_weight((3,), "zeros", trainable=False)
        >>> layer.non_trainable_weights[0] is mean
        True
        """
        return [weight.value for weight in _unique(self._non_trainable())]

    def _own(self, trainable: bool) -> list[Weight]:
        return [weight for weight in self._own_weights if weight.trainable == trainable]

    def _trainable(self) -> list[Weight]:
        """Return the weights that Keras would train, in Keras 2's order."""
        if not self.trainable:
            return []
        below = [weight for layer in self._sublayers() for weight in layer._trainable()]
        return [*self._own(True), *below]

    def _non_trainable(self) -> list[Weight]:
        """Return the weights that Keras would leave alone, in Keras 2's order."""
        below = self._sublayers()
        if self.trainable:
            left = [weight for layer in below for weight in layer._non_trainable()]
            return [*self._own(False), *left]
        each = [(*layer._trainable(), *layer._non_trainable()) for layer in below]
        return [*self._own(True), *self._own(False), *(w for group in each for w in group)]

    def count_params(self) -> int:
        """Return the number of values in all weights.

        >>> from rnn_core import Dense, Sequential
        >>> Sequential([Dense(4, input_shape=(3,))]).count_params()
        16
        """
        return sum(weight.size for weight in self.weights)

    def get_weights(self) -> list[Array]:
        """Return copies of the weights.

        >>> from rnn_core import Dense, Sequential
        >>> [weight.shape for weight in Sequential([Dense(4, input_shape=(3,))]).get_weights()]
        [(3, 4), (4,)]
        """
        return [weight.copy() for weight in self.weights]

    def set_weights(self, weights: Iterable[Any]) -> None:
        """Replace the values of all weights.

        Args:
            weights: arrays in the order and shapes of `get_weights`.

        Raises:
            ValueError: another number of arrays, or an array of another shape; nothing is
                changed then.

        >>> from rnn_core import Embedding
        >>> layer = Embedding(2, 2)
        >>> layer.build((None,))
        >>> layer.set_weights([[[0.0, 1.0], [2.0, 3.0]]])
        >>> layer.embeddings.tolist()
        [[0.0, 1.0], [2.0, 3.0]]
        """
        self._assign_weights(self._walk_weights(), list(weights))

    def _assign_weights(self, targets: list[Weight], values: list[Any]) -> None:
        """Copy `values` into `targets`, all or none; see `set_weights`."""
        assign(targets, self._fitting(targets, values))

    def _fitting(self, targets: list[Weight], values: list[Any]) -> list[Array]:
        """Return `values` as arrays, or raise ValueError if `targets` have other shapes."""
        if len(values) != len(targets):
            raise ValueError(f"{self.name}: {len(values)} weights, expected {len(targets)}")
        arrays = [
            as_real(v, w.value.dtype, self.name, f"weight {w.name!r}")
            for v, w in zip(values, targets, strict=True)
        ]
        for weight, array in zip(targets, arrays, strict=True):
            if array.shape != weight.value.shape:
                raise ValueError(
                    f"{self.name}: weight {weight.name!r} has shape {array.shape}, "
                    f"expected {weight.value.shape}"
                )
        return arrays

    def _weights_changed(self) -> None:
        """Forget what was derived from the weights; called whenever they are replaced."""
        self.revision += 1


def assign(targets: list[Weight], arrays: list[Array], adopt: bool = False) -> None:
    """Copy arrays of the right shapes into weights, or have them adopted where that can be."""
    for weight, array in zip(targets, arrays, strict=True):
        if adopt and array.flags.c_contiguous and array.flags.aligned:
            weight.adopt(array)
        else:
            weight.fill(array)
        weight.owner._weights_changed()
