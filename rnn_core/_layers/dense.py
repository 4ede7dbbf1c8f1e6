"""A product with a kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rnn_core import _engine, _initializers
from rnn_core._layer import Layer
from rnn_core._numbers import positive
from rnn_core._registry import activation_of
from rnn_core._typing import Array


class Dense(Layer):
    """activation(x.W + b) over the last axis.

    Args:
        units: size of the outputs' last axis.
        activation: a name, None for none, or a callable.
        use_bias: whether there is b.
        kernel_initializer, bias_initializer: names or configs.
        kwargs: as for `Layer`.

    Weights: kernel ``(features, units)``, bias ``(units,)``. Inputs ``(batch, ..., features)``,
    outputs ``(batch, ..., units)``. In float32 the result for a row is the same to the last bit
    whatever rows are beside it, unless the BLAS backend is asked for.

    Raises:
        ValueError: units below 1; an unknown activation or initializer; inputs of fewer than 2
            axes or of other features.

    >>> import numpy as np
    >>> Dense(3, "softmax")(np.zeros((2, 4))).shape
    (2, 3)
    """

    supports_masking = True
    config_keys = ("units", "activation", "use_bias", "kernel_initializer", "bias_initializer")

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = positive(units, "units")
        self.activation = activation_of(activation)
        self.use_bias = use_bias
        self.kernel_initializer = _initializers.get(kernel_initializer)
        self.bias_initializer = _initializers.get(bias_initializer)
        self.bias: Array | None = None
        # The weights, and the product with them.
        self._packed: tuple[Array, Array | None, Callable[[Array], Array]] | None = None

    def build(self, input_shape: Any) -> None:
        if len(input_shape) < 2 or input_shape[-1] is None:
            raise ValueError(
                f"{self.name}: inputs have shape {input_shape}, expected (batch, ..., features)"
            )
        self._features = input_shape[-1]
        self.kernel = self.add_weight(
            (input_shape[-1], self.units), self.kernel_initializer, name="kernel"
        )
        if self.use_bias:
            self.bias = self.add_weight((self.units,), self.bias_initializer, name="bias")

    def _weights_changed(self) -> None:
        super()._weights_changed()
        self._packed = None

    def _ready_product(self) -> Callable[[Array], Array]:
        """Return what gives x.W + b for x ``(rows, features)``, its weights packed if they can be.

        A subclass may have put others in the place of the layer's weights.
        """
        kernel, bias, packed = self.kernel, self.bias, self._packed
        if packed is None or packed[0] is not kernel or packed[1] is not bias:
            weights = [kernel] if bias is None else [kernel, bias]
            fits = all(isinstance(w, np.ndarray) and w.dtype == np.float32 for w in weights)
            fits = fits and (bias is None or bias.shape == kernel.shape[1:])
            packs = fits and _engine.backend_for(None, self.dtype, ()) == "packed"
            revision = self.revision
            product = _engine.Product(kernel, bias) if packs else self._multiply
            self._packed = packed = kernel, bias, product
            # Another thread may have changed the weights while they were packed.
            if self.revision != revision:
                self._packed = None
        return packed[2]

    def _multiply(self, x: Array) -> Array:
        y: Array = x @ self.kernel
        if self.bias is not None:
            y += self.bias
        return y

    def _is_packed(self) -> bool:
        """Return whether a row's result does not depend on the rows beside it."""
        return isinstance(self._ready_product(), _engine.Product)

    def call(self, inputs: Any) -> Any:
        # One product over all rows: a product per row of axes before the last is slow in NumPy.
        rows = np.asarray(inputs, self.dtype).reshape(-1, inputs.shape[-1])
        flat = self._ready_product()(rows)
        return self.activation(flat).reshape(*inputs.shape[:-1], self.units)

    def _check(self, inputs: Any) -> None:
        self._check_features(inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], self.units)

    def _flops_per_step(self) -> int:
        return 2 * self.kernel.size

    def _runner(self) -> str:
        return f"packed {_engine.isa()}" if self.built and self._is_packed() else "NumPy"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_packed": None}
