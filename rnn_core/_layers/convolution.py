"""Convolution over steps."""

from __future__ import annotations

from typing import Any

from rnn_core import _initializers
from rnn_core._convolution import convolve, data_format_of, one, output_steps, padding_of
from rnn_core._layer import Layer
from rnn_core._registry import activation_of
from rnn_core._typing import Array


class Conv1D(Layer):
    """activation(sum over a window of x.W + b).

    Args:
        filters: size of the outputs' last axis.
        kernel_size: steps in a window.
        strides: steps from one window to the next.
        padding: ``"valid"``, ``"same"`` or ``"causal"``.
        dilation_rate: steps from one value of a window to the next.
        groups: into which the features and filters are divided.
        activation: a name, None for none, or a callable.
        use_bias: whether there is b.
        kernel_initializer, bias_initializer: names or configs.
        data_format: ``"channels_last"``, or ``"channels_first"``: of inputs and outputs the
            features or filters come before the steps.
        kwargs: as for `Layer`.

    Weights: kernel ``(kernel_size, features / groups, filters)``, bias ``(filters,)``. Inputs
    ``(batch, timesteps, features)``, outputs ``(batch, windows, filters)``.

    Raises:
        ValueError: a number below 1; an unknown padding, data format, activation or initializer;
            features or filters that are no multiple of `groups`; inputs of another shape.

    >>> import numpy as np
    >>> Conv1D(4, 3, padding="same")(np.zeros((2, 5, 3))).shape
    (2, 5, 4)
    """

    input_axes = "(batch, timesteps, features)"
    config_keys = (
        "filters",
        "kernel_size",
        "strides",
        "padding",
        "data_format",
        "dilation_rate",
        "groups",
        "activation",
        "use_bias",
        "kernel_initializer",
        "bias_initializer",
    )

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = one(filters)
        self.kernel_size = one(kernel_size)
        self.strides = one(strides)
        self.padding = padding_of(padding, ("valid", "same", "causal"))
        self.data_format = data_format_of(data_format)
        self.dilation_rate = one(dilation_rate)
        self.groups = one(groups)
        self.activation = activation_of(activation)
        self.use_bias = use_bias
        self.kernel_initializer = _initializers.get(kernel_initializer)
        self.bias_initializer = _initializers.get(bias_initializer)
        self.bias: Array | None = None

    @property
    def _window(self) -> int:
        return (self.kernel_size - 1) * self.dilation_rate + 1

    def _swapped(self, shape: Any) -> Any:
        """Return a shape's axes from the layer's data format to channels-last, or back."""
        batch, *rest = shape
        return (batch, *(rest if self.data_format == "channels_last" else rest[::-1]))

    def build(self, input_shape: Any) -> None:
        features = self._swapped(input_shape)[-1]
        if features is None or features % self.groups or self.filters % self.groups:
            raise ValueError(
                f"{self.name}: {features} features and {self.filters} filters, "
                f"expected multiples of groups={self.groups}"
            )
        self._features = features if self.data_format == "channels_last" else None
        self.kernel = self.add_weight(
            (self.kernel_size, features // self.groups, self.filters),
            self.kernel_initializer,
            name="kernel",
        )
        if self.use_bias:
            self.bias = self.add_weight((self.filters,), self.bias_initializer, name="bias")

    def call(self, inputs: Any) -> Any:
        x = inputs.transpose(self._swapped(range(3)))
        strides, dilation_rate = (self.strides,), (self.dilation_rate,)
        y = convolve(x, self.kernel, strides, self.padding, dilation_rate, self.groups)
        if self.bias is not None:
            y += self.bias
        return self.activation(y.transpose(self._swapped(range(3))))

    def compute_output_shape(self, input_shape: Any) -> Any:
        batch, steps, _ = self._swapped(input_shape)
        windows = output_steps(steps, self._window, self.strides, self.padding)
        return self._swapped((batch, windows, self.filters))

    def _flops_per_step(self) -> int:
        return 2 * self.kernel.size
