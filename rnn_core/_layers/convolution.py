"""Convolution over steps, or over rows and columns."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from rnn_core import _initializers
from rnn_core._convolution import (
    convolve,
    data_format_of,
    depthwise,
    one,
    output_space,
    padding_of,
    per_axis,
)
from rnn_core._layer import Layer
from rnn_core._registry import activation_of
from rnn_core._typing import Array


class _Convolution(Layer):
    """What all convolutions have in common; see `Conv1D`."""

    rank: ClassVar[int]
    paddings: ClassVar[tuple[str, ...]] = ("valid", "same")
    config_keys: ClassVar[tuple[str, ...]] = (
        "kernel_size",
        "strides",
        "padding",
        "data_format",
        "dilation_rate",
        "activation",
        "use_bias",
        "bias_initializer",
    )

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kernel_size = per_axis(kernel_size, self.rank, "kernel_size")
        self.strides = per_axis(strides, self.rank, "strides")
        self.padding = padding_of(padding, self.paddings)
        self.data_format = data_format_of(data_format)
        self.dilation_rate = per_axis(dilation_rate, self.rank, "dilation_rate")
        self.activation = activation_of(activation)
        self.use_bias = use_bias
        self.bias_initializer = _initializers.get(bias_initializer)
        self.bias: Array | None = None

    def _last(self, axes: Any) -> Any:
        """Return axes in the layer's data format with the channels last."""
        batch, *rest = axes
        return (batch, *(rest if self.data_format == "channels_last" else (*rest[1:], rest[0])))

    def _back(self, axes: Any) -> Any:
        """Return axes with the channels last in the layer's data format."""
        batch, *rest = axes
        return (batch, *(rest if self.data_format == "channels_last" else (rest[-1], *rest[:-1])))

    def _outputs(self, channels: int) -> int:
        """Return the number of output channels for inputs of so many."""
        raise NotImplementedError

    def _make_kernels(self, channels: int) -> None:
        """Make all weights but the bias."""
        raise NotImplementedError

    def _convolve(self, x: Array) -> Array:
        """Return the convolution of `x`, channels last."""
        raise NotImplementedError

    def build(self, input_shape: Any) -> None:
        channels = self._last(input_shape)[-1]
        if channels is None:
            raise ValueError(
                f"{self.name}: inputs have shape {tuple(input_shape)}, expected known features"
            )
        self._features = channels if self.data_format == "channels_last" else None
        self._make_kernels(channels)
        if self.use_bias:
            shape = (self._outputs(channels),)
            self.bias = self.add_weight(shape, self.bias_initializer, name="bias")

    def call(self, inputs: Any) -> Any:
        y = self._convolve(inputs.transpose(self._last(range(inputs.ndim))))
        if self.bias is not None:
            y += self.bias
        return self.activation(y.transpose(self._back(range(inputs.ndim))))

    def compute_output_shape(self, input_shape: Any) -> Any:
        batch, *space, channels = self._last(input_shape)
        arguments = self.kernel_size, self.strides, self.padding, self.dilation_rate
        return self._back((batch, *output_space(space, *arguments), self._outputs(channels)))

    def _flops_per_step(self) -> int:
        return 2 * sum(weight.value.size for weight in self._own(True) if weight.name != "bias")


class _Conv(_Convolution):
    """Filters over all channels."""

    config_keys = ("filters", *_Convolution.config_keys, "groups", "kernel_initializer")

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
        shape = kernel_size, strides, padding, data_format, dilation_rate
        super().__init__(*shape, activation, use_bias, bias_initializer, **kwargs)
        self.filters = one(filters)
        self.groups = one(groups)
        self.kernel_initializer = _initializers.get(kernel_initializer)

    def _outputs(self, channels: int) -> int:
        return self.filters

    def _make_kernels(self, channels: int) -> None:
        if channels % self.groups or self.filters % self.groups:
            raise ValueError(
                f"{self.name}: {channels} features and {self.filters} filters, "
                f"expected multiples of groups={self.groups}"
            )
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        self.kernel = self.add_weight(shape, self.kernel_initializer, name="kernel")

    def _convolve(self, x: Array) -> Array:
        arguments = self.strides, self.padding, self.dilation_rate, self.groups
        return convolve(x, self.kernel, *arguments)


class Conv1D(_Conv):
    """activation(sum over a window of x.W + b).

    Args:
        filters: size of the outputs' last axis.
        kernel_size: steps in a window.
        strides: steps from one window to the next.
        padding: ``"valid"``, ``"same"`` or ``"causal"``.
        data_format: ``"channels_last"``, or ``"channels_first"``: of inputs and outputs the
            features or filters come before the steps.
        dilation_rate: steps from one value of a window to the next.
        groups: into which the features and filters are divided.
        activation: a name, None for none, or a callable.
        use_bias: whether there is b.
        kernel_initializer, bias_initializer: names or configs.
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

    rank = 1
    paddings = ("valid", "same", "causal")
    input_axes = "(batch, timesteps, features)"


class Conv2D(_Conv):
    """activation(sum over a window of x.W + b), over rows and columns.

    Arguments and errors are those of `Conv1D`, with a number an axis, or one for both, in
    `kernel_size`, `strides` and `dilation_rate`; there is no ``"causal"`` padding.

    Weights: kernel ``(*kernel_size, channels / groups, filters)``, bias ``(filters,)``. Inputs
    ``(batch, rows, columns, channels)``, outputs ``(batch, *windows, filters)``.

    >>> import numpy as np
    >>> Conv2D(4, (3, 2))(np.zeros((2, 5, 6, 3))).shape
    (2, 3, 5, 4)
    """

    rank = 2
    input_axes = "(batch, rows, columns, channels)"


def _without_unused(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return arguments without those that Keras 2 writes for these layers, and has no use for."""
    unused = ("groups", "kernel_initializer", "kernel_regularizer", "kernel_constraint")
    return {key: value for key, value in arguments.items() if key not in unused}


class _Depthwise(_Convolution):
    """Filters over each channel alone."""

    config_keys = (*_Convolution.config_keys, "depth_multiplier", "depthwise_initializer")

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        kwargs = _without_unused(kwargs)
        shape = kernel_size, strides, padding, data_format, dilation_rate
        super().__init__(*shape, activation, use_bias, bias_initializer, **kwargs)
        self.depth_multiplier = one(depth_multiplier)
        self.depthwise_initializer = _initializers.get(depthwise_initializer)

    def _outputs(self, channels: int) -> int:
        return channels * self.depth_multiplier

    def _make_kernels(self, channels: int) -> None:
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        self.kernel = self.add_weight(shape, self.depthwise_initializer, name="kernel")

    def _convolve(self, x: Array) -> Array:
        return depthwise(x, self.kernel, self.strides, self.padding, self.dilation_rate)


class DepthwiseConv1D(_Depthwise):
    """activation(sum over a window of x W + b), for each feature alone.

    Args:
        kernel_size: steps in a window.
        strides: steps from one window to the next.
        padding: ``"valid"``, ``"same"`` or ``"causal"``.
        depth_multiplier: outputs of each feature.
        data_format, dilation_rate, activation, use_bias, bias_initializer: as for `Conv1D`.
        depthwise_initializer: a name or a config.
        kwargs: as for `Layer`.

    Weights: kernel ``(kernel_size, features, depth_multiplier)``, bias
    ``(features * depth_multiplier,)``. Inputs ``(batch, timesteps, features)``, outputs
    ``(batch, windows, features * depth_multiplier)``.

    Raises:
        ValueError: as for `Conv1D`.

    >>> import numpy as np
    >>> DepthwiseConv1D(3, depth_multiplier=2)(np.zeros((2, 5, 3))).shape
    (2, 3, 6)
    """

    rank = 1
    paddings = ("valid", "same", "causal")
    input_axes = "(batch, timesteps, features)"


class DepthwiseConv2D(_Depthwise):
    """activation(sum over a window of x W + b) over rows and columns, for each channel alone.

    Arguments and errors are those of `DepthwiseConv1D`, with a number an axis, or one for both.

    Weights: kernel ``(*kernel_size, channels, depth_multiplier)``, bias
    ``(channels * depth_multiplier,)``. Inputs ``(batch, rows, columns, channels)``, outputs
    ``(batch, *windows, channels * depth_multiplier)``.

    >>> import numpy as np
    >>> DepthwiseConv2D(3)(np.zeros((2, 5, 6, 3))).shape
    (2, 3, 4, 3)
    """

    rank = 2
    input_axes = "(batch, rows, columns, channels)"


class _Separable(_Convolution):
    """A depthwise convolution, and a product over its channels."""

    config_keys = (
        "filters",
        *_Convolution.config_keys,
        "depth_multiplier",
        "depthwise_initializer",
        "pointwise_initializer",
    )

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        kwargs = _without_unused(kwargs)
        shape = kernel_size, strides, padding, data_format, dilation_rate
        super().__init__(*shape, activation, use_bias, bias_initializer, **kwargs)
        self.filters = one(filters)
        self.depth_multiplier = one(depth_multiplier)
        self.depthwise_initializer = _initializers.get(depthwise_initializer)
        self.pointwise_initializer = _initializers.get(pointwise_initializer)

    def _outputs(self, channels: int) -> int:
        return self.filters

    def _make_kernels(self, channels: int) -> None:
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        self.depthwise_kernel = self.add_weight(
            shape, self.depthwise_initializer, name="depthwise_kernel"
        )
        shape = (*(1,) * self.rank, math.prod(shape[-2:]), self.filters)
        self.pointwise_kernel = self.add_weight(
            shape, self.pointwise_initializer, name="pointwise_kernel"
        )

    def _convolve(self, x: Array) -> Array:
        arguments = self.strides, self.padding, self.dilation_rate
        y: Array = depthwise(x, self.depthwise_kernel, *arguments)
        return y @ self.pointwise_kernel.reshape(self.pointwise_kernel.shape[-2:])


class SeparableConv1D(_Separable):
    """activation(y.P + b), with y a sum over a window of x D, for each feature alone.

    Args:
        filters: size of the outputs' last axis.
        kernel_size, strides, padding, data_format, dilation_rate: as for `Conv1D`.
        depth_multiplier: values of y for each feature.
        activation: a name, None for none, or a callable.
        use_bias: whether there is b.
        depthwise_initializer, pointwise_initializer, bias_initializer: names or configs.
        kwargs: as for `Layer`.

    Weights: depthwise_kernel D ``(kernel_size, features, depth_multiplier)``, pointwise_kernel P
    ``(1, features * depth_multiplier, filters)``, bias ``(filters,)``. Inputs
    ``(batch, timesteps, features)``, outputs ``(batch, windows, filters)``.

    Raises:
        ValueError: as for `Conv1D`.

    >>> import numpy as np
    >>> SeparableConv1D(4, 3, padding="same")(np.zeros((2, 5, 3))).shape
    (2, 5, 4)
    """

    rank = 1
    paddings = ("valid", "same", "causal")
    input_axes = "(batch, timesteps, features)"


class SeparableConv2D(_Separable):
    """activation(y.P + b), with y a sum over a window of x D, over rows and columns.

    Arguments and errors are those of `SeparableConv1D`, with a number an axis, or one for both.

    Weights: depthwise_kernel D ``(*kernel_size, channels, depth_multiplier)``, pointwise_kernel P
    ``(1, 1, channels * depth_multiplier, filters)``, bias ``(filters,)``. Inputs
    ``(batch, rows, columns, channels)``, outputs ``(batch, *windows, filters)``.

    >>> import numpy as np
    >>> SeparableConv2D(4, 3)(np.zeros((2, 5, 6, 3))).shape
    (2, 3, 4, 4)
    """

    rank = 2
    input_axes = "(batch, rows, columns, channels)"
