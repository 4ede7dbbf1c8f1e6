"""What RNN and Bidirectional have in common: how they are called."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from rnn_core import _engine
from rnn_core._arguments import split_inputs
from rnn_core._graph import is_symbolic
from rnn_core._layer import Layer


class _CallSignature:
    """What `inspect.signature` tells of a layer: the slot it is called by has no names."""

    def __get__(self, layer: Layer | None, owner: type) -> inspect.Signature:
        if layer is None:
            raise AttributeError(f"the signature of {owner.__name__} is that of its __init__")
        return inspect.signature(layer.call)


class _Recurrent(_engine.Called, Layer):
    """A layer that is called with a sequence, and may be with states and constants."""

    supports_masking = True
    __signature__ = _CallSignature()
    _keras3_arguments = ("initial_state", "mask", "training")
    # A shorter way for calls with nothing but inputs.
    _quick: _engine.Quick | None = None

    def __init__(self, num_constants: int | None = None, **kwargs: Any) -> None:
        if "input_dim" in kwargs:
            kwargs.setdefault("input_shape", (kwargs.get("input_length"), kwargs["input_dim"]))
        super().__init__(**kwargs)
        # How many of the last items of a list of inputs are constants.
        self.num_constants = num_constants

    def _call_in_full(
        self,
        inputs: Any,
        mask: Any,
        training: bool | None,
        initial_state: Any,
        constants: Any,
        **kwargs: Any,
    ) -> Any:
        bare = mask is initial_state is constants is None and not training and not kwargs
        # The common call, which need not be searched for symbolic tensors and states.
        plain = isinstance(inputs, np.ndarray) and initial_state is constants is None
        if not plain:
            inputs, initial_state, constants = split_inputs(
                inputs, initial_state, constants, self.num_constants, self.name
            )
        given = {
            "mask": mask,
            "training": training,
            "initial_state": initial_state,
            "constants": constants,
        }
        kwargs.update((key, value) for key, value in given.items() if value is not None)
        if plain:
            output = self._call_on_arrays(inputs, **kwargs)
            if bare:
                self._quicken()
            return output
        if is_symbolic((inputs, kwargs)):
            self._check(inputs)
        result = super(_engine.Called, self).__call__(inputs, **kwargs)
        if is_symbolic(result):
            self._check_graph_call(initial_state, constants)
        if constants:
            self.num_constants = len(constants)
        return result

    def _quicken(self) -> None:
        """Prepare the shorter way, if there is one."""

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {**config, "num_constants": self.num_constants} if self.num_constants else config

    def _check_graph_call(self, initial_state: Any, constants: Any) -> None:
        """Raise ValueError for states and constants that would fail when the model runs."""
        raise NotImplementedError
