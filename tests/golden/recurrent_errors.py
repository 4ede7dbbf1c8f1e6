"""What recurrent layers refuse, and with which exception."""

import numpy as np
from golden.recurrent_cases import CASES, CONSTANTS, RESET, Case, data, layer_of, ready, tensor
from golden.recurrent_custom import MINIMAL, make_cell, minimal

KEYWORD = "TypeError, as for any function"
ABSTRACT = "AbstractRNNCell says what is missing"
CHECKED = "initial states are checked, which Keras 3 leaves to the products"
X = data(3, 4, 3)
UNLIKE = {"return_sequences", "return_state", "stateful"}


def refuse(name, raises, function, **ruling):
    """Register the case that `function` raises."""
    assert name not in CASES, name
    CASES[name] = Case(function, raises=raises, **ruling)


def lstm(k, **kwargs):
    return ready(k.layers.LSTM(2, **kwargs), 3, 4, 3)


def gru(k, **kwargs):
    return ready(k.layers.GRU(2, **kwargs), 3, 4, 3)


def stack(k, **kwargs):
    return ready(layer_of(k, "Stack", **kwargs), 3, 4, 3)


def both(k, inner=None, **kwargs):
    return k.layers.Bidirectional(inner or k.layers.GRU(2), **kwargs)


def states(k, *sizes):
    return [tensor(k, data(3, size)) for size in sizes]


class NoCall:
    state_size = 2


class NoStateSize:
    def call(self, inputs, states):
        return inputs, states


# Cells and constructors.

for kind in ("SimpleRNN", "LSTM", "GRU", "SimpleRNNCell", "LSTMCell", "GRUCell"):
    for units in (0, -1):
        refuse(
            f"refuse_units[{kind}-{units}]",
            ValueError,
            lambda k, kind=kind, units=units: getattr(k.layers, kind)(units),
        )
    refuse(
        f"refuse_activation[{kind}]",
        ValueError,
        lambda k, kind=kind: getattr(k.layers, kind)(2, activation="no such"),
    )
    refuse(
        f"refuse_argument[{kind}]",
        TypeError,
        lambda k, kind=kind: getattr(k.layers, kind)(2, no_such=1),
        ruled_by=2,
        reason=KEYWORD,
    )
    refuse(
        f"refuse_initializer[{kind}]",
        ValueError,
        lambda k, kind=kind: getattr(k.layers, kind)(2, kernel_initializer="no such"),
    )

for units in ("3", None):
    refuse(f"refuse_units[{units}]", TypeError, lambda k, units=units: k.layers.LSTM(units))
refuse(
    "refuse_units[float]",
    TypeError,
    lambda k: k.layers.LSTM(2.5).build((None, 4, 3)),
    ruled_by=2,
    reason="no integer, as for any function",
)

for member in ("state_size", "output_size"):
    refuse(
        f"refuse_abstract[{member}]",
        NotImplementedError,
        lambda k, member=member: getattr(k.layers.AbstractRNNCell(), member),
        only=2,
        reason=ABSTRACT,
    )
refuse(
    "refuse_abstract[call]",
    NotImplementedError,
    lambda k: k.layers.AbstractRNNCell().call(X[:, 0], [X[:, 0]]),
    only=2,
    reason=ABSTRACT,
)
refuse(
    "refuse_initial_state_without_batch",
    ValueError,
    lambda k: k.layers.GRUCell(2).get_initial_state(),
)
refuse("refuse_cell[no call]", ValueError, lambda k: k.layers.RNN(NoCall()))
refuse("refuse_cell[no state_size]", ValueError, lambda k: k.layers.RNN(NoStateSize()))
refuse("refuse_cell[number]", ValueError, lambda k: k.layers.RNN(3))
refuse("refuse_stack[no call]", ValueError, lambda k: k.layers.StackedRNNCells([NoCall()]))
refuse("refuse_stack[no size]", ValueError, lambda k: k.layers.RNN([NoStateSize()]))
refuse(
    "refuse_stack[one of two]",
    ValueError,
    lambda k: k.layers.StackedRNNCells([k.layers.GRUCell(2), NoCall()]),
)

# Inputs, masks and states.

refuse("refuse_inputs[2-D]", ValueError, lambda k: k.layers.LSTM(2)(X[0]))
refuse("refuse_inputs[4-D]", ValueError, lambda k: k.layers.GRU(2)(data(2, 3, 4, 3)))
refuse(
    "refuse_inputs[features]",
    ValueError,
    lambda k: lstm(k)(data(3, 4, 5)),
    ruled_by=2,
    reason="the width of the inputs is checked",
)
refuse("refuse_inputs[symbolic 2-D]", ValueError, lambda k: k.layers.LSTM(2)(k.Input((3,))))
refuse(
    "refuse_unroll_without_steps",
    ValueError,
    lambda k: k.layers.LSTM(2, unroll=True)(k.Input((None, 3))),
)
refuse("refuse_dense_features", ValueError, lambda k: ready(k.layers.Dense(2), None, 3)(data(3, 5)))
refuse(
    "refuse_state_count[one]",
    ValueError,
    lambda k: lstm(k)(X, initial_state=states(k, 2)),
    ruled_by=2,
    reason=CHECKED,
)
refuse(
    "refuse_state_count[three]",
    ValueError,
    lambda k: lstm(k)(X, initial_state=states(k, 2, 2, 2)),
)
refuse(
    "refuse_state_count[stack]",
    ValueError,
    lambda k: stack(k)(X, initial_state=states(k, 3, 3, 2)),
    ruled_by=2,
    reason=CHECKED,
)
refuse(
    "refuse_state_size[new]",
    ValueError,
    lambda k: k.layers.LSTM(2)(X, initial_state=states(k, 2, 3)),
    ruled_by=2,
    reason=CHECKED,
)
refuse(
    "refuse_mask_length",
    ValueError,
    lambda k: lstm(k)(X, mask=tensor(k, np.ones((3, 6), bool))),
)
refuse(
    "refuse_state_mix",
    ValueError,
    lambda k: k.layers.LSTM(2)(
        k.Input(batch_shape=(3, 4, 3)), initial_state=[k.Input((2,)), *states(k, 2)]
    ),
    only=2,
    reason="states are all symbols or all arrays",
)
refuse(
    "refuse_constants",
    ValueError,
    lambda k: k.layers.RNN(make_cell(k, minimal, 2, MINIMAL))(
        tensor(k, X), constants=tensor(k, data(3, 2))
    ),
    only=2,
    reason=CONSTANTS,
)
refuse(
    "refuse_call_argument[no such]",
    TypeError,
    lambda k: lstm(k)(X, no_such=1),
)

# Stateful layers.

refuse(
    "refuse_reset[not stateful]",
    AttributeError,
    lambda k: lstm(k).reset_states(),
    ruled_by=2,
    reason="only stateful layers reset",
)
refuse(
    "refuse_reset[not built]",
    ValueError,
    lambda k: k.layers.LSTM(2, stateful=True).reset_states(),
    ruled_by=2,
    reason="the batch size must be known",
)
refuse("refuse_reset[Bidirectional]", AttributeError, lambda k: both(k).reset_states())
refuse(
    "refuse_batch[unknown]",
    ValueError,
    lambda k: k.layers.LSTM(2, stateful=True)(k.Input((4, 3))),
)
refuse(
    "refuse_batch[model]",
    ValueError,
    lambda k: k.Sequential([k.Input((4, 3)), k.layers.GRU(2, stateful=True)]),
)
refuse("refuse_batch[other]", ValueError, lambda k: lstm(k, stateful=True)(data(2, 4, 3)))
for name, given in {
    "count": [data(3, 2)],
    "count three": [data(3, 2)] * 3,
    "size": [data(3, 2), data(3, 5)],
    "batch": [data(2, 2), data(2, 2)],
}.items():
    refuse(
        f"refuse_reset_states[{name}]",
        ValueError,
        lambda k, given=given: lstm(k, stateful=True).reset_states(given),
        only=2,
        reason=RESET,
    )
refuse(
    "refuse_reset_states[Bidirectional]",
    ValueError,
    lambda k: ready(both(k, k.layers.GRU(2, stateful=True)), 3, 4, 3).reset_states(data(3, 2)),
    only=2,
    reason=RESET,
)

# Wrappers.

refuse(
    "refuse_time_distributed[mask]",
    ValueError,
    lambda k: k.layers.TimeDistributed(k.layers.LSTM(2))(
        data(3, 2, 4, 3), mask=tensor(k, np.ones((3, 4), bool))
    ),
    ruled_by=3,
    reason="the mask must fit",
)
for dims in ((0, 3), (5, 0), (-1, 3)):
    refuse(
        f"refuse_embedding[{dims[0]} {dims[1]}]",
        ValueError,
        lambda k, dims=dims: k.layers.Embedding(*dims),
    )

refuse("refuse_bidirectional[no layer]", ValueError, lambda k: k.layers.Bidirectional(3))
refuse("refuse_bidirectional[merge]", ValueError, lambda k: both(k, merge_mode="no such"))
refuse("refuse_bidirectional[backward no layer]", ValueError, lambda k: both(k, backward_layer=3))
refuse(
    "refuse_bidirectional[same direction]",
    ValueError,
    lambda k: both(k, backward_layer=k.layers.GRU(2)),
)
for flag in sorted(UNLIKE):
    refuse(
        f"refuse_bidirectional[{flag}]",
        ValueError,
        lambda k, flag=flag: both(
            k, backward_layer=k.layers.GRU(2, go_backwards=True, **{flag: True})
        ),
    )
refuse(
    "refuse_bidirectional[odd states]",
    ValueError,
    lambda k: both(k)(X, initial_state=states(k, 2, 2, 2)),
    ruled_by=2,
    reason="the states are checked",
)
refuse("refuse_time_distributed[no layer]", ValueError, lambda k: k.layers.TimeDistributed(3))
refuse(
    "refuse_time_distributed[2-D]",
    ValueError,
    lambda k: k.layers.TimeDistributed(k.layers.Dense(2))(X[0]),
)
refuse(
    "refuse_conv_lstm[strides and dilation]",
    ValueError,
    lambda k: k.layers.ConvLSTM2D(2, 2, strides=2, dilation_rate=2),
    ruled_by=3,
    reason="strides and dilation exclude each other",
)
for name, function in {
    "padding": lambda k: k.layers.ConvLSTM2D(2, 2, padding="no such"),
    "kernel": lambda k: k.layers.ConvLSTM2D(2, (2, 2, 2)),
    "inputs": lambda k: k.layers.ConvLSTM2D(2, 2)(data(2, 3, 4, 3)),
    "mode": lambda k: k.layers.ConvLSTM1D(2, 2, data_format="no such"),
}.items():
    refuse(f"refuse_conv_lstm[{name}]", ValueError, function)

# Weights.

for name, function in {
    "count": lambda k: gru(k).set_weights(gru(k).get_weights()[:2]),
    "shape": lambda k: gru(k).set_weights([w.T for w in gru(k).get_weights()]),
    "none": lambda k: lstm(k).set_weights([]),
    "not built": lambda k: k.layers.LSTM(2).set_weights([np.zeros((3, 8), "float32")]),
}.items():
    refuse(f"refuse_weights[{name}]", ValueError, function)
