"""Cells: the weights and the equations of one time step."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from rnn_core import _activations, _engine, _initializers
from rnn_core._arguments import check_states
from rnn_core._dropout import DropoutMasks
from rnn_core._dtypes import as_real
from rnn_core._graph import is_symbolic
from rnn_core._nest import flatten, map_leaves
from rnn_core._numbers import positive, rate, seed_of
from rnn_core._protocol import AbstractRNNCell
from rnn_core._registry import activation_of
from rnn_core._typing import Array


class _DropoutCell(AbstractRNNCell):
    """What the cells of this package have in common: initial weights, an activation, dropout."""

    def __init__(
        self,
        activation: Any,
        use_bias: bool,
        kernel_initializer: Any,
        recurrent_initializer: Any,
        bias_initializer: Any,
        *,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.activation = activation_of(activation)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = _initializers.get(kernel_initializer)
        self.recurrent_initializer = _initializers.get(recurrent_initializer)
        self.bias_initializer = _initializers.get(bias_initializer)
        self.dropout = rate(dropout, "dropout")
        self.recurrent_dropout = rate(recurrent_dropout, "recurrent_dropout")
        self.seed = seed_of(seed)
        self.bias: Array | None = None
        self._dropout_masks = DropoutMasks(self.seed)

    def reset_dropout_mask(self) -> None:
        """Draw new dropout masks at the next training step; each sequence has its own.

        >>> cell, x, h = SimpleRNNCell(2, dropout=0.5, seed=1), np.ones((1, 64)), np.zeros((1, 2))
        >>> first, same = (cell(x, h, training=True)[0].tolist() for _ in range(2))
        >>> cell.reset_dropout_mask()
        >>> first == same, first == cell(x, h, training=True)[0].tolist()
        (True, False)
        """
        self._dropout_masks.reset()


class _KernelCell(_DropoutCell):
    """What SimpleRNNCell, GRUCell and LSTMCell have in common: two kernels, a bias, a plan."""

    gates: ClassVar[int]
    input_axes = "(batch, features)"
    config_keys: ClassVar[tuple[str, ...]] = (
        "units",
        "activation",
        "use_bias",
        "kernel_initializer",
        "recurrent_initializer",
        "bias_initializer",
        "dropout",
        "recurrent_dropout",
        "seed",
    )
    inert_keys = tuple(
        f"{of}_{what}"
        for what in ("regularizer", "constraint")
        for of in ("kernel", "recurrent", "bias")
    )

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        *,
        implementation: int = 2,
        backend: str | None = None,
        **kwargs: Any,
    ) -> None:
        initializers = kernel_initializer, recurrent_initializer, bias_initializer
        super().__init__(activation, use_bias, *initializers, **kwargs)
        self.units = positive(units, "units")
        self.implementation = implementation
        # A matter of the machine, not of the model: it is not in the config.
        self.backend = backend
        self._plan: _engine.Plan | None = None

    @property
    def state_size(self) -> Any:
        return self.units

    @property
    def output_size(self) -> int:
        return self.units

    def _bias_shape(self) -> tuple[int, ...]:
        """Return the shape of the bias."""
        return (self.gates * self.units,)

    def build(self, input_shape: Any) -> None:
        features = input_shape[-1]
        if features is None:
            raise ValueError(
                f"{self.name}: inputs have shape {input_shape}, expected known features"
            )
        columns = self.gates * self.units
        self.kernel = self.add_weight((features, columns), self.kernel_initializer, name="kernel")
        self.recurrent_kernel = self.add_weight(
            (self.units, columns), self.recurrent_initializer, name="recurrent_kernel"
        )
        if self.use_bias:
            self.bias = self._make_bias()
        self._features = features

    def _make_bias(self) -> Array:
        """Return a new bias."""
        return self.add_weight(self._bias_shape(), self.bias_initializer, name="bias")

    def _weights_changed(self) -> None:
        super()._weights_changed()
        self._plan = None

    def _drops(self, rate: float) -> bool:
        """Return whether a dropout rate has an effect in training."""
        return rate > 0

    def _dropped(self, kind: str, rate: float, x: Array, training: bool | None) -> list[Array]:
        """Return what each gate sees of `x`: all the same, or each its own share of it."""
        if not training or not self._drops(rate):
            return [x] * self.gates
        count = self.gates if self.implementation == 1 else 1
        dropped = self._dropout_masks.drop(kind, rate, x, count)
        return dropped if count > 1 else dropped * self.gates

    def _products(self, inputs: Array, h: Array, training: bool | None) -> tuple[Array, Any]:
        """Return x.W, and for each gate the h that goes into its recurrent product."""
        xs = self._dropped("inputs", self.dropout, inputs, training)
        hs = self._dropped("recurrent", self.recurrent_dropout, h, training)
        return self._by_gate(xs, self.kernel), hs

    def _by_gate(self, xs: list[Array], weights: Array) -> Array:
        """Return x.W where each gate's columns of W have an x of their own."""
        product: Array
        if all(x is xs[0] for x in xs):
            product = xs[0] @ weights
        else:
            columns = np.split(weights, len(xs), axis=1)
            product = np.hstack([x @ w for x, w in zip(xs, columns, strict=True)])
        return product

    def _plan_kind(self) -> str:
        """Return the engine's name for this cell."""
        raise NotImplementedError

    def _plan_biases(self) -> tuple[Array | None, Array | None]:
        """Return the biases of the input's and of the recurrent product."""
        return self.bias, None

    def __call__(self, inputs: Any, states: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the output and the new states of one step; arguments as for the class."""
        if not is_symbolic((inputs, states)):
            check_states(map_leaves(np.asarray, states), self.state_size, self.name)
            states = map_leaves(lambda s: as_real(s, self.dtype, self.name, "states"), states)
            batch = {np.shape(leaf)[0] for leaf in (inputs, *flatten(states))}
            if len(batch) > 1:
                raise ValueError(f"{self.name}: inputs and states have batches {sorted(batch)}")
        return super().__call__(inputs, states, *args, **kwargs)

    def _ready_plan(self) -> _engine.Plan | None:
        """Return the cell made ready for the engine, or None if only `call` can run it."""
        plan = self._plan
        if plan is None:
            activations = [getattr(self, key) for key in self._activation_keys()]
            if not all(isinstance(a, _activations.BuiltIn) for a in activations):
                return None
            names = [activation.name for activation in activations]
            weights = (self.kernel, self.recurrent_kernel, *self._plan_biases())
            activation, recurrent_activation = (*names, "linear")[:2]
            revision = self.revision
            self._plan = plan = _engine.Plan(
                self._plan_kind(), *weights, activation, recurrent_activation, self.backend
            )
            # Another thread may have changed the weights while they were packed.
            if self.revision != revision:
                self._plan = None
        return plan

    def _activation_keys(self) -> tuple[str, ...]:
        return ("activation",)

    def _runner(self) -> str:
        plan = self._ready_plan()
        return f"{plan.backend} {_engine.isa()}" if plan else "Python"

    def _flops_per_step(self) -> int:
        return 2 * (self.kernel.size + self.recurrent_kernel.size)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_plan": None}


class SimpleRNNCell(_KernelCell):
    """One step of a simple recurrent network (Elman 1990): h = activation(x.W + b + h.U).

    Args:
        units: size of the state and of the output.
        activation: a name, None for none, or a callable.
        use_bias: whether there is b.
        kernel_initializer, recurrent_initializer, bias_initializer: names or configs.
        dropout, recurrent_dropout: rates in [0, 1] of x and h, in effect with ``training=True``;
            a mask lasts for one sequence (Gal and Ghahramani 2016).
        seed: of the dropout.
        implementation: accepted, as in Keras; with 1 each gate has a dropout mask of its own.
        backend: ``"packed"``, ``"blas"`` or ``"auto"``; None for what RNN_CORE_BACKEND says.
        kwargs: as for `Layer`.

    Weights: kernel ``(features, units)``, recurrent_kernel ``(units, units)``, bias ``(units,)``.
    Call arguments: inputs ``(batch, features)``, states ``[h]`` with h ``(batch, units)``, or h
    alone. Returns the output h and the states, in the form they were given.

    Raises:
        ValueError: units below 1; an unknown activation or initializer.

    >>> cell = SimpleRNNCell(4)
    >>> output, states = cell(np.zeros((2, 3)), [np.zeros((2, 4))])
    >>> output.shape
    (2, 4)
    """

    gates = 1

    def call(self, inputs: Any, states: Any, training: bool | None = None) -> tuple[Any, Any]:
        single = not isinstance(states, (list, tuple))
        h = states if single else states[0]
        z, (h,) = self._products(inputs, h, training)
        if self.bias is not None:
            z = z + self.bias
        h = self.activation(z + h @ self.recurrent_kernel)
        return h, h if single else [h]

    def _plan_kind(self) -> str:
        return "simple_rnn"


class _GatedCell(_KernelCell):
    """A cell whose gates have an activation of their own."""

    config_keys = (*_KernelCell.config_keys, "recurrent_activation", "implementation")

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(units, activation, use_bias, *args, **kwargs)
        self.recurrent_activation = activation_of(recurrent_activation)
        if self.recurrent_dropout:
            self.implementation = 1

    def _drops(self, rate: float) -> bool:
        return 0 < rate < 1  # Keras leaves out exactly 1 here.

    def _activation_keys(self) -> tuple[str, ...]:
        return ("activation", "recurrent_activation")


class GRUCell(_GatedCell):
    """One step of a gated recurrent unit (Cho et al. 2014), gates z r h.

    With z and r = recurrent_activation(x.W + b + h.U), the candidate is
    activation(x.W_h + b_h + r (h.U_h + c_h)) with `reset_after`, else
    activation(x.W_h + b_h + (r h).U_h), and the new h = z h + (1 - z) candidate.

    Args:
        units: size of the state and of the output.
        args: activation, recurrent_activation, use_bias and the three initializers, as in Keras.
        reset_after: apply the reset gate after the product (Keras 2 and 3's default, cuDNN's form).
        kwargs: as for `SimpleRNNCell`.

    Weights: kernel ``(features, 3 units)``, recurrent_kernel ``(units, 3 units)``, bias
    ``(2, 3 units)`` (input's and recurrent), or ``(3 units,)`` without `reset_after`.
    Call arguments and result are those of `SimpleRNNCell`.

    Raises:
        ValueError: units below 1; an unknown activation or initializer.

    >>> cell = GRUCell(4)
    >>> output, states = cell(np.zeros((2, 3)), [np.ones((2, 4))])
    >>> output.shape, [state.shape for state in states], cell.bias.shape
    ((2, 4), [(2, 4)], (2, 12))
    """

    gates = 3
    config_keys = (*_GatedCell.config_keys, "reset_after")

    def __init__(self, units: int, *args: Any, reset_after: bool = True, **kwargs: Any) -> None:
        super().__init__(units, *args, **kwargs)
        self.reset_after = bool(reset_after)

    def _bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def call(self, inputs: Any, states: Any, training: bool | None = None) -> tuple[Any, Any]:
        single = not isinstance(states, (list, tuple))
        h = states if single else states[0]
        n = self.units
        x, hs = self._products(inputs, h, training)
        bias, recurrent_bias = self._plan_biases()
        if bias is not None:
            x = x + bias
        if self.reset_after:
            u = self._by_gate(hs, self.recurrent_kernel)
            if recurrent_bias is not None:
                u = u + recurrent_bias
        else:
            u = self._by_gate(hs[:2], self.recurrent_kernel[:, : 2 * n])
        z = self.recurrent_activation(x[:, :n] + u[:, :n])
        r = self.recurrent_activation(x[:, n : 2 * n] + u[:, n : 2 * n])
        if self.reset_after:
            candidate = self.activation(x[:, 2 * n :] + r * u[:, 2 * n :])
        else:
            candidate = self.activation(
                x[:, 2 * n :] + (r * hs[2]) @ self.recurrent_kernel[:, 2 * n :]
            )
        h = z * h + (1 - z) * candidate
        return h, h if single else [h]

    def _plan_kind(self) -> str:
        return "gru_after" if self.reset_after else "gru_before"

    def _plan_biases(self) -> tuple[Array | None, Array | None]:
        if self.bias is None or not self.reset_after:
            return self.bias, None
        return self.bias[0], self.bias[1]


class LSTMCell(_GatedCell):
    """One step of long short-term memory (Hochreiter and Schmidhuber 1997), gates i f g o.

    With i, f, o = recurrent_activation(x.W + b + h.U) and g = activation(x.W + b + h.U):
    c = f c + i g, h = o activation(c). The forget gate f is that of Gers et al. 2000.

    Args:
        units: size of each state and of the output.
        args: activation, recurrent_activation, use_bias and the three initializers, as in Keras.
        unit_forget_bias: begin with ones in the forget gate's bias (Jozefowicz et al. 2015).
        kwargs: as for `SimpleRNNCell`.

    Weights: kernel ``(features, 4 units)``, recurrent_kernel ``(units, 4 units)``, bias
    ``(4 units,)``. Call arguments: inputs ``(batch, features)`` and the states ``[h, c]``, each
    ``(batch, units)``. Returns the output h and the new states.

    Raises:
        ValueError: units below 1; an unknown activation or initializer.

    >>> cell = LSTMCell(4)
    >>> output, (h, c) = cell(np.zeros((2, 3)), [np.zeros((2, 4)), np.ones((2, 4))])
    >>> output.shape, c.shape, cell.state_size, cell.bias.tolist()[4:8]
    ((2, 4), (2, 4), [4, 4], [1.0, 1.0, 1.0, 1.0])
    """

    gates = 4
    config_keys = (*_GatedCell.config_keys, "unit_forget_bias")

    def __init__(
        self, units: int, *args: Any, unit_forget_bias: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(units, *args, **kwargs)
        self.unit_forget_bias = bool(unit_forget_bias)

    @property
    def state_size(self) -> list[int]:
        return [self.units, self.units]

    def _make_bias(self) -> Array:
        bias = super()._make_bias()
        if self.unit_forget_bias:
            bias[self.units : 2 * self.units] = 1
        return bias

    def call(self, inputs: Any, states: Any, training: bool | None = None) -> tuple[Any, Any]:
        h, c = states
        z, hs = self._products(inputs, h, training)
        if self.bias is not None:
            z = z + self.bias
        i, f, g, o = np.split(z + self._by_gate(hs, self.recurrent_kernel), 4, axis=1)
        i, f, o = (self.recurrent_activation(gate) for gate in (i, f, o))
        c = f * c + i * self.activation(g)
        h = o * self.activation(c)
        return h, [h, c]

    def _plan_kind(self) -> str:
        return "lstm"
