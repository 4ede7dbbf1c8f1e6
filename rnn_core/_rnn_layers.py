"""Recurrent layers that make their own cell."""

from __future__ import annotations

from typing import Any, ClassVar

from rnn_core._cells import GRUCell, LSTMCell, SimpleRNNCell
from rnn_core._layer import is_inert
from rnn_core._registry import known_objects
from rnn_core._rnn import RNN


class _CellLayer(RNN):
    """A recurrent layer that makes its own cell."""

    cell_class: ClassVar[type[Any]]

    def __init__(self, units: int, *args: Any, **kwargs: Any) -> None:
        accepted = {*self.cell_class.config_keys, "implementation", "backend"}
        cell_arguments = {
            key: kwargs.pop(key) for key in [*kwargs] if key in accepted or is_inert(key)
        }
        cell_arguments["dtype"] = kwargs.get("dtype")
        cell_arguments["trainable"] = kwargs.get("trainable", True)
        super().__init__(self.cell_class(units, *args, **cell_arguments), **kwargs)

    def __getattr__(self, name: str) -> Any:
        # units, activation and the like, as Keras's layers have them.
        if name != "cell" and "cell" in self.__dict__ and name in self.cell_class.config_keys:
            return getattr(self.cell, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {**config.pop("cell")["config"], **config}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Any:
        with known_objects(custom_objects):
            return cls(**config)


class SimpleRNN(_CellLayer):
    """A layer of `SimpleRNNCell`: a fully connected recurrent network (Elman 1990).

    Args:
        units: size of the output.
        args, kwargs: the arguments of `SimpleRNNCell`, then those of `RNN`.

    Call arguments, result and errors are those of `RNN`: inputs ``(batch, timesteps, features)``,
    outputs ``(batch, units)``, or ``(batch, timesteps, units)`` with `return_sequences`. One
    state, ``(batch, units)``.

    >>> import numpy as np
    >>> SimpleRNN(4, return_sequences=True)(np.zeros((2, 3, 5))).shape
    (2, 3, 4)
    """

    cell_class = SimpleRNNCell


class GRU(_CellLayer):
    """A layer of `GRUCell`: gated recurrent units (Cho et al. 2014).

    Args:
        units: size of the output.
        args, kwargs: the arguments of `GRUCell`, then those of `RNN`.

    Call arguments, result and errors are those of `RNN`: inputs ``(batch, timesteps, features)``,
    outputs ``(batch, units)``, or ``(batch, timesteps, units)`` with `return_sequences`. One
    state, ``(batch, units)``.

    >>> import numpy as np
    >>> output, state = GRU(4, return_state=True)(np.zeros((2, 3, 5)))
    >>> output.shape, state.shape
    ((2, 4), (2, 4))
    """

    cell_class = GRUCell


class LSTM(_CellLayer):
    """A layer of `LSTMCell`: long short-term memory (Hochreiter and Schmidhuber 1997).

    Args:
        units: size of the output.
        args, kwargs: the arguments of `LSTMCell`, then those of `RNN`.

    Call arguments, result and errors are those of `RNN`: inputs ``(batch, timesteps, features)``,
    outputs ``(batch, units)``, or ``(batch, timesteps, units)`` with `return_sequences`. Two
    states, h and c, each ``(batch, units)``.

    >>> import numpy as np
    >>> LSTM(4)(np.zeros((2, 3, 5)), mask=[[1, 1, 0], [0, 0, 0]]).shape
    (2, 4)
    """

    cell_class = LSTMCell


class CuDNNGRU(GRU):
    """A `GRU` by the name of Keras's layer for GPUs, which files of Keras 2 have.

    Args:
        units: size of the output.
        args, kwargs: as for `GRU`; the defaults are what cuDNN computes.

    Call arguments, result and errors are those of `GRU`: inputs ``(batch, timesteps, features)``,
    outputs ``(batch, units)``.

    >>> import numpy as np
    >>> CuDNNGRU(4)(np.zeros((2, 3, 5))).shape
    (2, 4)
    """

    _parts_have_paths = False


class CuDNNLSTM(LSTM):
    """An `LSTM` by the name of Keras's layer for GPUs, which files of Keras 2 have.

    Args:
        units: size of the output.
        args, kwargs: as for `LSTM`; the defaults are what cuDNN computes.

    Call arguments, result and errors are those of `LSTM`: inputs ``(batch, timesteps, features)``,
    outputs ``(batch, units)``.

    >>> import numpy as np
    >>> CuDNNLSTM(4)(np.zeros((2, 3, 5))).shape
    (2, 4)
    """

    _parts_have_paths = False
