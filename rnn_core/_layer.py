"""The base of all layers: weights, building, configuration, names."""

from __future__ import annotations

import os
import threading
from functools import wraps
from typing import Any, ClassVar, TypeVar

import numpy as np

from rnn_core import _activations, _graph, _initializers
from rnn_core._dtypes import are_arrays, as_real, resolve_dtype
from rnn_core._names import unique_name
from rnn_core._nest import flatten, is_shape, map_leaves
from rnn_core._registry import LAYERS, config_of
from rnn_core._signatures import takes
from rnn_core._states import Together
from rnn_core._typing import Array
from rnn_core._weights import Weight, Weighted

Self = TypeVar("Self", bound="Layer")
Shape = tuple[Any, ...]

# Arguments of Keras layers that say nothing about inference.
_IGNORED = {
    "autocast",
    "dynamic",
    "enable_caching_device",
    "input_length",
    "quantization_config",
    "use_cudnn",
}

# Calls from several threads may meet a layer that none has built yet.
_building = threading.RLock()


def _after_fork() -> None:
    """Begin anew in a child: the thread that was building exists no more."""
    global _building
    _building = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _marking_built(build: Any) -> Any:
    """Return a `build` that users may call themselves: a call of the layer does not build again."""

    @wraps(build)
    def wrapped(self: Layer, input_shape: Any) -> None:
        build(self, input_shape)
        self.built = True

    return wrapped


def _serialize(value: Any) -> Any:
    if isinstance(value, _initializers.Initializer):
        return value.get_config()
    if isinstance(value, Layer):
        return config_of(value)
    if callable(value):
        return _activations.serialize(value)
    return value.tolist() if isinstance(value, (np.generic, np.ndarray)) else value


# For each open axis, to see by two calls which axes of the outputs are open.
_LENGTHS = (37, 41)


class Layer(Weighted):
    """A function with weights.

    Subclasses set `config_keys` to the constructor arguments they keep as attributes, make
    weights in `build` and compute in `call`.

    Args:
        name: unique within a model; made from the class name if not given.
        dtype: ``"float32"`` (the default) or ``"float64"``: of weights, computation and outputs.
        trainable: kept in the config; decides the order of weights in legacy files.
        input_shape, batch_input_shape, batch_size, input_dim: the shape of a first layer's inputs,
            without and with the batch, as ``(timesteps, features)`` and ``(batch, timesteps,
            features)``; the batch size and the number of features alone.
        weights: values to begin with, as for `set_weights`.
        kwargs: regularizers and constraints by Keras's names: kept in the config, without effect.

    A call takes inputs ``(batch, ...)``, an array or what makes one, and builds the layer if
    needed; a symbolic tensor of `Input` gives a symbolic tensor.

    Raises:
        TypeError: an argument no layer takes; inputs that are not real numbers.

    >>> class Scale(Layer):
    ...     def build(self, input_shape):
    ...         self.factor = self.add_weight(input_shape[-1:], "ones")
    ...     def call(self, inputs):
    ...         return self.factor * inputs
    >>> Scale()([[1.0, 2.0]])
    array([[1., 2.]], dtype=float32)
    """

    config_keys: ClassVar[tuple[str, ...]] = ()
    # Arguments without effect that are in the config even if they were not given.
    inert_keys: ClassVar[tuple[str, ...]] = ()
    supports_masking: bool = False
    input_spec: Any = None
    # The arguments of `call` after the inputs in Keras 3's order, where it is not the same.
    _keras3_arguments: ClassVar[tuple[str, ...]] = ()
    # What the inputs' axes mean, for layers that want a fixed number of them.
    input_axes: ClassVar[str | None] = None
    # Where a model came from, for people to read: `load` says it.
    origin: str | None = None
    # A class from elsewhere, whose `call` may run several layers with states.
    _is_users: ClassVar[bool] = False
    _building_for_call: bool = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "build" in vars(cls):
            cls.build = _marking_built(cls.build)  # type: ignore[method-assign]
        cls._is_users = not cls.__module__.startswith("rnn_core.")
        if not cls._is_users and not cls.__name__.startswith("_"):
            LAYERS[cls.__name__] = cls

    def __init__(
        self, name: str | None = None, dtype: Any = None, trainable: bool = True, **kwargs: Any
    ) -> None:
        self.name = name or unique_name(type(self).__name__)
        self.dtype = resolve_dtype(dtype)
        self.trainable = trainable
        self.built = False
        self.batch_input_shape = _batch_input_shape(kwargs)
        self._first_weights = kwargs.pop("weights", None)
        self.inert = {key: kwargs.pop(key) for key in [*kwargs] if is_inert(key)}
        unexpected = kwargs.keys() - _IGNORED
        if unexpected:
            raise TypeError(f"{type(self).__name__} takes no argument {sorted(unexpected)[0]!r}")
        self._own_weights: list[Weight] = []
        self.revision = 0
        self._features: int | None = None

    # Calling

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Build the layer if needed, check and cast the inputs, and return `call`'s result."""
        if _graph.is_symbolic((inputs, args, kwargs)):
            return _graph.record(self, inputs, args, kwargs)
        return self._call_on_arrays(inputs, *args, **kwargs)

    def _call_on_arrays(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        inputs = self._cast(inputs)
        self._check(inputs)
        if not self.built:
            self._ensure_built(map_leaves(np.shape, inputs), for_call=True)
        if self._is_users:
            with Together():
                return self.call(inputs, *args, **kwargs)
        return self.call(inputs, *args, **kwargs)

    def call(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the outputs for `inputs`; subclasses define it.

        Args:
            inputs: ``(batch, ...)`` in the layer's dtype, or a list of such; the layer is built.
            args, kwargs: what else the layer takes, such as `mask` and `training`.

        >>> from rnn_core import Activation
        >>> Activation("relu").call(np.array([[-1.0, 2.0]])).tolist()
        [[0.0, 2.0]]
        """
        raise NotImplementedError(f"{type(self).__name__} does not define call")

    def _call_with_mask(
        self,
        inputs: Any,
        mask: Any = None,
        training: bool | None = None,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> tuple[Any, Any]:
        """Return the outputs and their mask.

        Args:
            inputs: of the layer.
            mask: of `inputs`, as a model carries it from layer to layer.
            training: passed on if `call` takes it.
            args, kwargs: further arguments of the call; a mask among them comes first, and False
                keeps that of `inputs` from `call`.
        """
        kwargs = {key: value for key, value in (kwargs or {}).items() if value is not None}
        used = kwargs.pop("mask", mask)
        if used is not False:
            mask = used
            if takes(self.call, "mask") and any(m is not None for m in flatten(mask)):
                kwargs["mask"] = mask
        if training is not None and takes(self.call, "training"):
            kwargs.setdefault("training", training)
        return self(inputs, *args, **kwargs), self.compute_mask(inputs, mask)

    def _cast(self, inputs: Any) -> Any:
        """Return `inputs` as an array of the layer's dtype; a user's layer may take a list."""
        if self._is_users and are_arrays(inputs):
            return [as_real(x, self.dtype, self.name) for x in inputs]
        self._refuse_lists(inputs)
        return as_real(inputs, self.dtype, self.name)

    def _refuse_lists(self, inputs: Any) -> None:
        """Raise ValueError for several arrays where one is expected."""
        if are_arrays(inputs):
            raise ValueError(f"{self.name}: {len(inputs)} inputs in a list, expected one array")

    def _check(self, inputs: Any) -> None:
        """Raise ValueError if `inputs` have other axes or features than the layer takes."""
        if self.input_axes is None:
            return
        axes = self.input_axes.count(",") + 1
        if inputs.ndim != axes:
            raise ValueError(
                f"{self.name}: inputs have shape {inputs.shape}, "
                f"expected {axes} axes {self.input_axes}"
            )
        self._check_features(inputs)

    def _check_features(self, inputs: Array) -> None:
        if self._features is not None and inputs.shape[-1] != self._features:
            raise ValueError(
                f"{self.name}: inputs have shape {inputs.shape}, "
                f"expected {self._features} features on the last axis, not {inputs.shape[-1]}"
            )

    # Building

    def build(self, input_shape: Any) -> None:
        """Make the weights for inputs of this shape; subclasses that have any define it.

        Args:
            input_shape: ``(batch, ...)`` with None for any length, or a list of such.

        >>> from rnn_core import Dense
        >>> layer = Dense(4)
        >>> layer.build((None, 3))
        >>> layer.kernel.shape, layer.bias.shape
        ((3, 4), (4,))
        """

    def _ensure_built(self, input_shape: Any, for_call: bool = False) -> None:
        """Build once; `for_call` if the shape is that of the first inputs, and no declared one."""
        if not self.built:
            with _building:
                if not self.built:
                    self._building_for_call = for_call
                    try:
                        self.build(input_shape)
                        if self._first_weights is not None:
                            self.set_weights(self._first_weights)
                    except BaseException:
                        self._own_weights.clear()
                        self.built = False
                        raise
                    self.built = True

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the outputs' shape for inputs of this shape.

        Args:
            input_shape: ``(batch, ...)`` with None for any length, or a list of such.

        >>> from rnn_core import Dense
        >>> Dense(4).compute_output_shape((None, 3))
        (None, 4)
        """
        return self._shape_by_calling(input_shape, ()) if self._is_users else input_shape

    def _symbolic_shape(self, input_shape: Any, args: tuple[Any, ...]) -> Any:
        """Return the outputs' shape in a graph, where `args` may be symbolic tensors."""
        if self._is_users and type(self).compute_output_shape is Layer.compute_output_shape:
            return self._shape_by_calling(input_shape, args)
        return self.compute_output_shape(input_shape)

    def _shape_by_calling(self, input_shape: Any, args: tuple[Any, ...]) -> Any:
        """Return the shape of what `call` returns, as Keras finds it: from zeros of two sizes."""
        self._ensure_built(input_shape)
        first, second = (self._call_on_zeros(input_shape, args, length) for length in _LENGTHS)
        others = iter(flatten(second))
        return map_leaves(
            lambda array: tuple(
                n if n == m else None
                for n, m in zip(np.shape(array), np.shape(next(others)), strict=True)
            ),
            first,
        )

    def _call_on_zeros(self, input_shape: Any, args: tuple[Any, ...], length: int) -> Any:
        """Return what `call` returns for zeros, with a length for each that is open."""

        def zeros(shape: Any) -> Array:
            return np.zeros([length if n is None else n for n in shape], self.dtype)

        given = [zeros(a.shape) if isinstance(a, _graph.SymbolicTensor) else a for a in args]
        try:
            with Together(keep=False):
                return self.call(map_leaves(zeros, input_shape, is_shape), *given)
        except Exception as error:
            raise ValueError(
                f"{self.name}: its call fails for zeros of shape {input_shape} ({error}): "
                "define compute_output_shape"
            ) from error

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Return the outputs' mask: the inputs' if the layer supports masking, else None.

        Args:
            inputs: ``(batch, timesteps, ...)``.
            mask: of the inputs, boolean ``(batch, timesteps)``.

        >>> from rnn_core import Embedding
        >>> Embedding(10, 4, mask_zero=True).compute_mask(np.array([[3, 0]])).tolist()
        [[True, False]]
        """
        return mask if self.supports_masking else None

    @property
    def compute_dtype(self) -> str:
        """The name of the dtype of computation; `variable_dtype` is the same.

        >>> Layer(dtype="float64").compute_dtype
        'float64'
        """
        return self.dtype.name

    variable_dtype = compute_dtype

    @property
    def losses(self) -> list[Any]:
        """Nothing: regularizers have no effect on inference.

        >>> Layer().losses
        []
        """
        return []

    def _flops_per_step(self) -> int:
        """Return the multiplications and additions of the products of one row's time step."""
        return sum(layer._flops_per_step() for layer in self._sublayers())

    # Configuration

    def _runner(self) -> str:
        """Return what computes the layer, for people to read."""
        parts = {layer._runner() for layer in self._sublayers()}
        return "Python" if self._is_users else ", ".join(sorted(parts)) or "NumPy"

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, ready for JSON and for `from_config`.

        >>> Layer(name="top").get_config()
        {'name': 'top', 'trainable': True, 'dtype': 'float32'}
        """
        config: dict[str, Any] = {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": self.dtype.name,
        }
        if self.batch_input_shape is not None:
            config["batch_input_shape"] = self.batch_input_shape
        config.update((key, _serialize(getattr(self, key))) for key in self.config_keys)
        return {**config, **dict.fromkeys(self.inert_keys), **self.inert}

    @classmethod
    def from_config(cls: type[Self], config: dict[str, Any]) -> Self:
        """Return a new layer with these constructor arguments.

        Args:
            config: as `get_config` returns it. Layers made of others also take `custom_objects`,
                your own classes by name.

        >>> Layer.from_config({"name": "top"}).name
        'top'
        """
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"


def is_inert(argument: str) -> bool:
    """Return whether a constructor argument matters in training only."""
    return argument.endswith(("_regularizer", "_constraint"))


def _batch_input_shape(kwargs: dict[str, Any]) -> Shape | None:
    """Take the arguments that give a first layer's input shape out of `kwargs`."""
    batch_size = kwargs.pop("batch_size", None)
    for key in ("batch_input_shape", "batch_shape"):
        if (shape := kwargs.pop(key, None)) is not None:
            return tuple(shape)
    features = kwargs.pop("input_dim", None)
    if (shape := kwargs.pop("input_shape", None)) is not None:
        return (batch_size, *shape)
    return None if features is None else (batch_size, features)
