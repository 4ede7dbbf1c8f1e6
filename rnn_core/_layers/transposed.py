"""Transposed convolution over steps, or over rows and columns."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from rnn_core import _initializers
from rnn_core._convolution import convolve_transposed, one, transposed_space
from rnn_core._layers.convolution import _Convolution
from rnn_core._typing import Array


class _ConvTranspose(_Convolution):
    """What all transposed convolutions have in common; see `Conv1DTranspose`."""

    config_keys: ClassVar[tuple[str, ...]] = (
        "filters",
        *_Convolution.config_keys,
        "output_padding",
        "kernel_initializer",
    )

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        output_padding: Any = None,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        # Keras 2 writes groups for these layers, and has no use for them.
        if kwargs.pop("groups", 1) != 1:
            raise ValueError("groups are given, expected none for a transposed convolution")
        shape = kernel_size, strides, padding, data_format, dilation_rate
        super().__init__(*shape, activation, use_bias, bias_initializer, **kwargs)
        self.filters = one(filters)
        self.output_padding = self._padding_of_outputs(output_padding)
        self.kernel_initializer = _initializers.get(kernel_initializer)

    def _padding_of_outputs(self, value: Any) -> tuple[int, ...] | None:
        if value is None:
            return None
        numbers = (value,) * self.rank if np.ndim(value) == 0 else tuple(value)
        fitting = len(numbers) == self.rank and all(
            int(n) == n and 0 <= n < stride for n, stride in zip(numbers, self.strides, strict=True)
        )
        if not fitting:
            raise ValueError(
                f"output_padding is {value!r}, expected numbers from 0, "
                f"each below that of strides={self.strides}"
            )
        return tuple(map(int, numbers))

    def _space(self, space: Any) -> tuple[Any, ...]:
        arguments = self.kernel_size, self.strides, self.padding, self.dilation_rate
        return transposed_space(space, *arguments, self.output_padding)

    def _outputs(self, channels: int) -> int:
        return self.filters

    def _make_kernels(self, channels: int) -> None:
        shape = (*self.kernel_size, self.filters, channels)
        self.kernel = self.add_weight(shape, self.kernel_initializer, name="kernel")

    def _convolve(self, x: Array) -> Array:
        space = self._space(x.shape[1:-1])
        return convolve_transposed(
            x, self.kernel, space, self.strides, self.padding, self.dilation_rate
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        batch, *space, _ = self._last(input_shape)
        return self._back((batch, *self._space(space), self.filters))


class Conv1DTranspose(_ConvTranspose):
    """activation(y + b), where each step adds W.x to a window of y: what `Conv1D` does, backwards.

    Args:
        filters: size of the outputs' last axis.
        kernel_size: steps in a window.
        strides: steps from one window to the next.
        padding: ``"valid"``, for all steps that a window reaches, or ``"same"``, for `strides` as
            many as there are inputs.
        output_padding: steps more than the fewest that these inputs come from, below `strides`;
            None for as many as `padding` says.
        data_format: ``"channels_last"``, or ``"channels_first"``: of inputs and outputs the
            features or filters come before the steps.
        dilation_rate: steps from one value of a window to the next.
        activation: a name, None for none, or a callable.
        use_bias: whether there is b.
        kernel_initializer, bias_initializer: names or configs.
        kwargs: as for `Layer`.

    Weights: kernel ``(kernel_size, filters, features)``, bias ``(filters,)``. Inputs
    ``(batch, timesteps, features)``, outputs ``(batch, steps, filters)``.

    Raises:
        ValueError: a number below 1; an unknown padding, data format, activation or initializer;
            an output padding not below `strides`; inputs of another shape.

    >>> layer = Conv1DTranspose(1, 2, strides=2, kernel_initializer="ones")
    >>> layer([[[1.0], [2.0]]]).ravel()
    array([1., 1., 2., 2.], dtype=float32)
    """

    rank = 1
    input_axes = "(batch, timesteps, features)"


class Conv2DTranspose(_ConvTranspose):
    """activation(y + b), where each pixel adds W.x to a window of y: what `Conv2D` does, backwards.

    Arguments and errors are those of `Conv1DTranspose`, with a number an axis, or one for both, in
    `kernel_size`, `strides`, `output_padding` and `dilation_rate`.

    Weights: kernel ``(*kernel_size, filters, channels)``, bias ``(filters,)``. Inputs
    ``(batch, rows, columns, channels)``, outputs ``(batch, rows, columns, filters)``.

    >>> import numpy as np
    >>> Conv2DTranspose(4, 3, strides=(2, 1), padding="same")(np.zeros((2, 5, 6, 3))).shape
    (2, 10, 6, 4)
    """

    rank = 2
    input_axes = "(batch, rows, columns, channels)"
