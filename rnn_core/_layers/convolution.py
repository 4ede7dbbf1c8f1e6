"""Convolution over steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnn_core import _initializers
from rnn_core._layer import Layer
from rnn_core._registry import activation_of
from rnn_core._typing import Array


def one(value: Any) -> int:
    """Return the number in an int or a list of one, as Keras writes both; positive."""
    number = int(np.ravel(value)[0])
    if np.size(value) != 1 or number <= 0:
        raise ValueError(f"got {value!r}, expected one positive number")
    return number


def padding_of(padding: str, known: tuple[str, ...]) -> str:
    """Return `padding` in lower case if it is among `known`."""
    if padding.lower() not in known:
        raise ValueError(f"padding is {padding!r}, expected one of {known}")
    return padding.lower()


def output_steps(steps: int | None, window: int, stride: int, padding: str) -> int | None:
    """Return how many windows fit into so many steps."""
    if steps is None:
        return None
    return -(-steps // stride) if padding != "valid" else max(0, (steps - window) // stride + 1)


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
        kwargs: as for `Layer`.

    Weights: kernel ``(kernel_size, features / groups, filters)``, bias ``(filters,)``. Inputs
    ``(batch, timesteps, features)``, outputs ``(batch, windows, filters)``.

    >>> Conv1D(4, 3, padding="same")(np.zeros((2, 5, 3))).shape
    (2, 5, 4)
    """

    input_axes = "(batch, timesteps, features)"
    config_keys = (
        "filters",
        "kernel_size",
        "strides",
        "padding",
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
        dilation_rate: Any = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        if kwargs.pop("data_format", None) == "channels_first":
            raise ValueError("data_format is 'channels_first', expected 'channels_last'")
        super().__init__(**kwargs)
        self.filters = one(filters)
        self.kernel_size = one(kernel_size)
        self.strides = one(strides)
        self.padding = padding_of(padding, ("valid", "same", "causal"))
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

    def build(self, input_shape: Any) -> None:
        """Make kernel and bias."""
        features = input_shape[-1]
        if features is None or features % self.groups or self.filters % self.groups:
            raise ValueError(
                f"{self.name}: {features} features and {self.filters} filters, "
                f"expected multiples of groups={self.groups}"
            )
        self._features = features
        self.kernel = self.add_weight(
            (self.kernel_size, features // self.groups, self.filters),
            self.kernel_initializer,
            name="kernel",
        )
        if self.use_bias:
            self.bias = self.add_weight((self.filters,), self.bias_initializer, name="bias")

    def call(self, inputs: Any) -> Any:
        """Return ``(batch, windows, filters)``."""
        steps = output_steps(inputs.shape[1], self._window, self.strides, self.padding) or 0
        if self.padding != "valid":
            beyond = max((steps - 1) * self.strides + self._window - inputs.shape[1], 0)
            before = beyond // 2
            if self.padding == "causal":
                beyond = before = self._window - 1
            inputs = np.pad(inputs, ((0, 0), (before, beyond - before), (0, 0)))
        y = np.zeros((inputs.shape[0], steps, self.filters), self.dtype)
        group_inputs, group_outputs = self.kernel.shape[1], self.filters // self.groups
        last = max(steps - 1, 0) * self.strides + 1
        for k in range(self.kernel_size if steps else 0):
            x = inputs[:, k * self.dilation_rate :][:, : last : self.strides]
            for g in range(self.groups):
                columns = slice(g * group_outputs, (g + 1) * group_outputs)
                rows = slice(g * group_inputs, (g + 1) * group_inputs)
                y[..., columns] += x[..., rows] @ self.kernel[k][:, columns]
        if self.bias is not None:
            y += self.bias
        return self.activation(y)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return ``(batch, windows, filters)``."""
        steps = output_steps(input_shape[1], self._window, self.strides, self.padding)
        return (input_shape[0], steps, self.filters)

    def flops_per_step(self) -> int:
        """Return two operations for each weight of the kernel."""
        return 2 * self.kernel.size
