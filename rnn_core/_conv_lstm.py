"""Convolutional long short-term memory: LSTMs whose products are convolutions."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from rnn_core._cells import _DropoutCell
from rnn_core._convolution import convolve, data_format_of, output_space, padding_of, per_axis
from rnn_core._nest import TensorShape, shapes_of
from rnn_core._numbers import positive
from rnn_core._registry import activation_of
from rnn_core._rnn_layers import _CellLayer
from rnn_core._typing import Array


class ConvLSTMCell(_DropoutCell):
    """One step of convolutional long short-term memory (Shi et al. 2015), gates i f g o.

    With * for a convolution, i, f, o = recurrent_activation(x*W + b + h*U) and
    g = activation(x*W + b + h*U): c = f c + i g, h = o activation(c). As in Keras, no gate sees c.

    Args:
        rank: number of the axes to convolve over: 1, 2 or 3.
        filters: size of the states' and the output's channel axis.
        kernel_size: lengths of the window, a number an axis, or one for all.
        strides: steps from one window of x to the next, likewise; h's are always 1.
        padding: of x, ``"valid"`` or ``"same"``; h's is always ``"same"``.
        data_format: ``"channels_last"``, the default, or ``"channels_first"``.
        dilation_rate: steps from one value of a window of x to the next; 1 if strides are not.
        activation, recurrent_activation: names, None for none, or callables.
        use_bias: whether there is b.
        kernel_initializer, recurrent_initializer, bias_initializer: names or configs.
        unit_forget_bias: begin with ones in the forget gate's bias.
        dropout, recurrent_dropout: rates in [0, 1], in effect with ``training=True``.
        seed: of the dropout.
        kwargs: as for `Layer`.

    Weights: kernel ``(*kernel_size, channels, 4 filters)``, recurrent_kernel
    ``(*kernel_size, filters, 4 filters)``, bias ``(4 filters,)``. Call arguments: inputs
    ``(batch, rows, columns, channels)`` for rank 2, and the states ``[h, c]``, each of the
    output's shape ``(batch, rows, columns, filters)``. Returns the output h and the new states.
    A state's size has None for its space until the cell is built, so `get_initial_state` needs
    inputs, or a cell built for a known space.

    Raises:
        ValueError: filters below 1; an argument with another number of axes than `rank`; strides
            and dilation both other than 1; an unknown padding, activation or initializer; inputs
            of another number of axes or without known channels; states of another shape than
            these inputs have, or not known.

    >>> cell = ConvLSTMCell(2, filters=4, kernel_size=3, padding="same")
    >>> states = [np.zeros((1, 8, 6, 4)), np.zeros((1, 8, 6, 4))]
    >>> output, states = cell(np.zeros((1, 8, 6, 2)), states)
    >>> output.shape
    (1, 8, 6, 4)
    """

    config_keys: ClassVar[tuple[str, ...]] = (
        "rank",
        "filters",
        "kernel_size",
        "strides",
        "padding",
        "data_format",
        "dilation_rate",
        "activation",
        "recurrent_activation",
        "use_bias",
        "kernel_initializer",
        "recurrent_initializer",
        "bias_initializer",
        "unit_forget_bias",
        "dropout",
        "recurrent_dropout",
        "seed",
    )

    def __init__(
        self,
        rank: int,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        initializers = kernel_initializer, recurrent_initializer, bias_initializer
        super().__init__(activation, use_bias, *initializers, **kwargs)
        if rank not in (1, 2, 3):
            raise ValueError(f"rank is {rank}, expected 1, 2 or 3")
        self.rank, self.filters = rank, positive(filters, "filters")
        self.kernel_size = per_axis(kernel_size, rank, "kernel_size")
        self.strides = per_axis(strides, rank, "strides")
        self.padding = padding_of(padding, ("valid", "same"))
        self.data_format = data_format_of(data_format)
        self.dilation_rate = per_axis(dilation_rate, rank, "dilation_rate")
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"strides is {self.strides} and dilation_rate {self.dilation_rate}, "
                "expected one of them to be 1"
            )
        self.recurrent_activation = activation_of(recurrent_activation)
        self.unit_forget_bias = bool(unit_forget_bias)
        self._size = TensorShape(self._with_channels((None,) * rank, self.filters))

    def _row_shape(self, row: Any) -> tuple[Any, ...]:
        """Return the shape that rows of inputs must have, built for one like this."""
        channels = row[self._channel_axis - 1]
        return tuple(self._with_channels((None,) * self.rank, channels))

    @property
    def _channel_axis(self) -> int:
        return 1 if self.data_format == "channels_first" else self.rank + 1

    def _with_channels(self, space: Any, channels: int) -> list[Any]:
        axes = [*space]
        axes.insert(self._channel_axis - 1, channels)
        return axes

    @property
    def state_size(self) -> list[TensorShape]:
        return [self._size, self._size]

    @property
    def output_size(self) -> TensorShape:
        return self._size

    def build(self, input_shape: Any) -> None:
        self._size = TensorShape(self.compute_output_shape(input_shape)[1:])
        channels = input_shape[self._channel_axis]
        if channels is None:
            raise ValueError(
                f"{self.name}: inputs have shape {tuple(input_shape)}, "
                f"expected known channels on axis {self._channel_axis}"
            )
        columns = 4 * self.filters
        self.kernel = self.add_weight(
            (*self.kernel_size, channels, columns), self.kernel_initializer, name="kernel"
        )
        self.recurrent_kernel = self.add_weight(
            (*self.kernel_size, self.filters, columns),
            self.recurrent_initializer,
            name="recurrent_kernel",
        )
        if self.use_bias:
            self.bias = self.add_weight((columns,), self.bias_initializer, name="bias")
            if self.unit_forget_bias:
                self.bias[self.filters : 2 * self.filters] = 1

    def compute_output_shape(self, input_shape: Any) -> Any:
        batch, *space = input_shape
        if len(space) != self.rank + 1:
            raise ValueError(
                f"{self.name}: inputs have shape {tuple(input_shape)}, "
                f"expected {self.rank + 2} axes for rank {self.rank}"
            )
        space.pop(self._channel_axis - 1)
        windows = output_space(
            space, self.kernel_size, self.strides, self.padding, self.dilation_rate
        )
        return (batch, *self._with_channels(windows, self.filters))

    def get_initial_state(
        self, inputs: Any = None, batch_size: int | None = None, dtype: Any = None
    ) -> list[Array]:
        if inputs is None:
            shape, given = (batch_size, *self._size), self.dtype
        else:
            shape, given = self.compute_output_shape(np.shape(inputs)), np.asarray(inputs).dtype
        if None in shape:
            raise ValueError(
                f"{self.name}: states have shape {shape}, expected inputs, or a batch_size and "
                "a cell built for a known number of rows, to make them"
            )
        return [np.zeros(shape, dtype or given) for _ in ("h", "c")]

    def call(self, inputs: Any, states: Any, training: bool | None = None) -> tuple[Any, Any]:
        h, c = states
        expected = self.compute_output_shape(np.shape(inputs))
        if not np.shape(h) == np.shape(c) == expected:
            raise ValueError(
                f"{self.name}: states have shapes {np.shape(h)} and {np.shape(c)}, "
                f"expected {expected} for inputs {np.shape(inputs)}"
            )
        z = self._input_product(inputs, training)
        z += self._recurrent_product(h, training)
        if self.bias is not None:
            z += self.bias
        if self.data_format == "channels_first":
            z = np.moveaxis(z, -1, 1)
        i, f, g, o = np.split(z, 4, axis=self._channel_axis)
        i, f, o = (self.recurrent_activation(gate) for gate in (i, f, o))
        c = f * c + i * self.activation(g)
        h = o * self.activation(c)
        return h, [h, c]

    def _input_product(self, x: Array, training: bool | None) -> Array:
        """Return x*W, channels last."""
        x, groups = self._drop("inputs", self.dropout, x, training)
        return convolve(x, self.kernel, self.strides, self.padding, self.dilation_rate, groups)

    def _recurrent_product(self, h: Array, training: bool | None) -> Array:
        """Return h*U, channels last."""
        h, groups = self._drop("recurrent", self.recurrent_dropout, h, training)
        ones = (1,) * self.rank
        return convolve(h, self.recurrent_kernel, ones, "same", ones, groups)

    def _drop(self, kind: str, rate: float, x: Array, training: bool | None) -> tuple[Array, int]:
        """Return `x`, channels last, and 1; or one for each gate, side by side, and 4."""
        if self.data_format == "channels_first":
            x = np.moveaxis(x, 1, -1)
        if not training or not 0 < rate < 1:
            return x, 1
        return np.concatenate(self._dropout_masks.drop(kind, rate, x, count=4), axis=-1), 4

    def _flops_per_step(self) -> int:
        places = int(np.prod([n or 1 for n in self._size])) // self.filters
        return 2 * places * (self.kernel.size + self.recurrent_kernel.size)


class _ConvLSTM(_CellLayer):
    """A sequence of signals, images or volumes through a `ConvLSTMCell`."""

    cell_class = ConvLSTMCell
    rank: ClassVar[int]

    def __init__(self, filters: int, kernel_size: Any, *args: Any, **kwargs: Any) -> None:
        kwargs.pop("implementation", None)  # in the first Keras 2's configs
        super().__init__(self.rank, filters, kernel_size, *args, **kwargs)

    def _axes(self) -> int:
        return self.rank + 3

    def _rows_of(self, shapes: list[Any]) -> list[tuple[Any, ...]]:
        return [self.cell._row_shape(shape[2:]) for shape in shapes]

    def _zero_states(self, inputs: Any, batch: int) -> list[Any]:
        """Return h and c of zeros for inputs ``(batch, timesteps, *space, channels)``.

        Without inputs, for such as the layer was declared with, or else built for.
        """
        sequences = self.batch_input_shape if inputs is None else inputs.shape
        if sequences is None or None in sequences[2:]:
            return super()._zero_states(inputs, batch)
        shape = self.cell.compute_output_shape((batch, *sequences[2:]))
        return [np.zeros(shape, self.dtype) for _ in ("h", "c")]

    def compute_output_shape(self, input_shape: Any) -> Any:
        shape = shapes_of(input_shape)[0]
        state = self.cell.compute_output_shape(self._step_shape(shape))
        output = (*shape[:2], *state[1:]) if self.return_sequences else state
        return [output, state, state] if self.return_state else output

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["rank"]
        return config


class ConvLSTM1D(_ConvLSTM):
    """A layer of convolutional LSTM over sequences of signals: `ConvLSTMCell` of rank 1.

    Args:
        filters: size of the output's channel axis.
        kernel_size: rows in a window.
        args, kwargs: the further arguments of `ConvLSTMCell`, then those of `RNN`.

    Call arguments, result and errors: as for `RNN`, with inputs
    ``(batch, timesteps, rows, channels)``, outputs and states ``(batch, rows, filters)``; outputs
    ``(batch, timesteps, rows, filters)`` with `return_sequences`.

    >>> ConvLSTM1D(4, 3, return_sequences=True)(np.zeros((2, 5, 8, 3))).shape
    (2, 5, 6, 4)
    """

    rank = 1


class ConvLSTM2D(_ConvLSTM):
    """A layer of convolutional LSTM over sequences of images: `ConvLSTMCell` of rank 2.

    Args:
        filters: size of the output's channel axis.
        kernel_size: rows and columns of a window, or one number for both.
        args, kwargs: the further arguments of `ConvLSTMCell`, then those of `RNN`.

    Call arguments, result and errors: as for `RNN`, with inputs
    ``(batch, timesteps, rows, columns, channels)``, outputs and states
    ``(batch, rows, columns, filters)``; outputs ``(batch, timesteps, rows, columns, filters)``
    with `return_sequences`.

    >>> ConvLSTM2D(4, (3, 3), padding="same")(np.zeros((2, 5, 8, 6, 3))).shape
    (2, 8, 6, 4)
    """

    rank = 2


class ConvLSTM3D(_ConvLSTM):
    """A layer of convolutional LSTM over sequences of volumes: `ConvLSTMCell` of rank 3.

    Args:
        filters: size of the output's channel axis.
        kernel_size: depth, rows and columns of a window, or one number for all.
        args, kwargs: the further arguments of `ConvLSTMCell`, then those of `RNN`.

    Call arguments, result and errors: as for `RNN`, with inputs
    ``(batch, timesteps, depth, rows, columns, channels)``, outputs and states
    ``(batch, depth, rows, columns, filters)``; with `return_sequences` outputs
    ``(batch, timesteps, depth, rows, columns, filters)``.

    >>> ConvLSTM3D(4, 2, strides=2)(np.zeros((1, 3, 4, 8, 6, 2))).shape
    (1, 2, 4, 3, 4)
    """

    rank = 3
