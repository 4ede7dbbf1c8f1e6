"""Cases of stacks, wrappers, convolutional layers, whole models and their configs."""

from itertools import product

import numpy as np
from golden.recurrent_cases import (
    CONSTANTS,
    LAYERS,
    LIST_CALL,
    MASKS,
    RESET,
    STACKED_STATE,
    STATE_FORM,
    TIME_MAJOR,
    case,
    data,
    fill,
    layer_of,
    mask_of,
    ready,
    states_of,
    tensor,
)
from golden.recurrent_custom import MINIMAL, attending, make_cell, minimal

ONE = "a stack of one cell is a stack"
BACKWARDS = "a layer that goes backwards may be wrapped"
STATE_MASKS = "the states of Bidirectional have masks of None"
SIGMOID = "ConvLSTM's recurrent_activation is sigmoid by default"

# Stacks.


def stack_of(k, *units):
    L = k.layers
    kinds = [L.LSTMCell, L.GRUCell, L.SimpleRNNCell]
    return L.StackedRNNCells([kind(n) for kind, n in zip(kinds, units, strict=False)])


def stack_states(k, *units):
    h, *others = (tensor(k, data(3, n, seed=n)) for n in units)
    return [[h, tensor(k, data(3, units[0], seed=1))], *others]


@case([(2,), (2, 3), (2, 3, 4)])
def stack_sizes(k, *units):
    stack = stack_of(k, *units)
    return [stack.state_size, stack.output_size, len(stack.cells)]


@case([(2, 3), (2, 3, 4)])
def stack_step(k, *units):
    stack = ready(stack_of(k, *units), None, 3)
    return stack(data(3, 3), stack_states(k, *units))


@case([(2,), (3, 2)], only=2, reason="Keras 3 takes no dtype")
def stack_initial_state(k, *units):
    return stack_of(k, *units).get_initial_state(batch_size=2, dtype="float32")


@case(ruled_by=2, reason=ONE)
def stack_of_one(k):
    layer = k.layers.RNN([k.layers.LSTMCell(2)], return_sequences=True, return_state=True)
    return ready(layer, None, 4, 3)(data(3, 4, 3), mask=mask_of(k, "gaps"))


@case([(2, 3), (2, 3, 4)])
def stack_with_initial_state(k, *units):
    layer = k.layers.RNN(stack_of(k, *units), return_sequences=True, return_state=True)
    ready(layer, None, 4, 3)
    states = stack_states(k, *units)
    return layer(data(3, 4, 3), mask=mask_of(k, "head"), initial_state=states)


@case(ruled_by=2, reason=STATE_FORM)
def stack_in_a_stack(k):
    cells = [stack_of(k, 2, 3), k.layers.GRUCell(4)]
    layer = k.layers.RNN(cells, return_sequences=True, return_state=True)
    return ready(layer, None, 4, 3)(data(3, 4, 3), mask=mask_of(k, "gaps"))


@case()
def stack_of_custom_cells(k):
    cells = [make_cell(k, minimal, 2, MINIMAL), k.layers.SimpleRNNCell(3)]
    return ready(k.layers.RNN(cells, return_sequences=True), None, 4, 3)(data(3, 4, 3))


@case(only=2, reason=CONSTANTS)
def stack_with_constants(k):
    cells = [make_cell(k, attending, 2, MINIMAL), k.layers.GRUCell(3)]
    layer = k.layers.RNN(cells, return_sequences=True, return_state=True)
    x, constant = tensor(k, data(3, 4, 3)), tensor(k, data(3, 2, seed=1))
    layer(x, constants=constant)
    return fill(layer)(x, constants=constant, mask=mask_of(k, "gaps"))


@case(ruled_by=2, reason=STACKED_STATE)
def stack_states_after_calls(k):
    layer = ready(layer_of(k, "Stack", stateful=True), 3, 4, 3)
    layer(data(3, 4, 3))
    before = layer(data(3, 4, 3))
    layer.reset_states()
    return [before, layer(data(3, 4, 3))]


# Bidirectional.

MERGES = ["concat", "sum", "mul", "ave", "None"]


def merge_of(name):
    return None if name == "None" else name


@case(product(MERGES, ["last", "sequences"], ["LSTM"]))
@case(product(["concat", "None"], ["last", "sequences"], ["RNN"]))
def bidirectional(k, merge, flags, name):
    inner = layer_of(k, name, return_sequences=flags == "sequences")
    layer = ready(k.layers.Bidirectional(inner, merge_mode=merge_of(merge)), None, 4, 3)
    x = data(3, 4, 3)
    return [layer(x), layer(x, mask=mask_of(k, "gaps")), layer(x, mask=mask_of(k, "row"))]


@case(product(["concat", "None"], [False, True], LAYERS))
def bidirectional_return_state(k, merge, sequences, name):
    inner = layer_of(k, name, return_sequences=sequences, return_state=True)
    layer = ready(k.layers.Bidirectional(inner, merge_mode=merge_of(merge)), None, 4, 3)
    return layer(data(3, 4, 3), mask=mask_of(k, "head"))


@case(ruled_by=2, reason=STATE_FORM)
def bidirectional_stack(k):
    inner = layer_of(k, "Stack", return_sequences=True, return_state=True)
    return ready(k.layers.Bidirectional(inner), None, 4, 3)(data(3, 4, 3))


@case(["LSTM", "GRU"])
def bidirectional_initial_state(k, name):
    inner = layer_of(k, name, return_sequences=True)
    layer = ready(k.layers.Bidirectional(inner), None, 4, 3)
    states = tensor(k, states_of(name) + states_of(name, seed=20))
    return layer(data(3, 4, 3), initial_state=states, mask=mask_of(k, "row"))


@case(only=2, reason=LIST_CALL)
def bidirectional_initial_state_in_a_list(k):
    layer = ready(k.layers.Bidirectional(k.layers.GRU(2)), None, 4, 3)
    return layer(tensor(k, [data(3, 4, 3), data(3, 2, seed=1), data(3, 2, seed=2)]))


@case(["last", "sequences"])
def bidirectional_backward_layer(k, flags):
    L, sequences = k.layers, flags == "sequences"
    back = L.GRU(5, return_sequences=sequences, go_backwards=True, activation="relu")
    layer = L.Bidirectional(L.LSTM(2, return_sequences=sequences), backward_layer=back)
    ready(layer, None, 4, 3)
    shapes = [w.shape for w in layer.get_weights()]
    return [shapes, layer(data(3, 4, 3), mask=mask_of(k, "tail"))]


@case(["last", "sequences"], ruled_by=2, reason=BACKWARDS)
def bidirectional_go_backwards(k, flags):
    inner = k.layers.GRU(2, go_backwards=True, return_sequences=flags == "sequences")
    return ready(k.layers.Bidirectional(inner), None, 4, 3)(data(3, 4, 3))


@case(only=2, reason=TIME_MAJOR)
def bidirectional_time_major(k):
    inner = k.layers.LSTM(2, time_major=True, return_sequences=True)
    return ready(k.layers.Bidirectional(inner), 4, None, 3)(data(4, 3, 3))


@case(only=2, reason=CONSTANTS)
def bidirectional_constants(k):
    class Cell(k.layers.Layer):
        state_size = output_size = 3

        def call(self, inputs, states, constants):
            return inputs + states[0] + constants[0], [inputs + states[0]]

    layer = k.layers.Bidirectional(k.layers.RNN(Cell(), return_sequences=True))
    return layer(tensor(k, data(3, 4, 3)), constants=tensor(k, data(3, 3, seed=1)))


@case(["LSTM", "GRU"])
def bidirectional_stateful(k, name):
    inner = layer_of(k, name, stateful=True, return_sequences=True)
    layer = ready(k.layers.Bidirectional(inner), 3, 4, 3)
    results = [layer(data(3, 4, 3)), layer(data(3, 4, 3))]
    layer.reset_states()
    return [*results, layer(data(3, 4, 3))]


@case(only=2, reason=RESET)
def bidirectional_reset_to_states(k):
    layer = ready(k.layers.Bidirectional(k.layers.GRU(2, stateful=True)), 3, 4, 3)
    layer.reset_states([data(3, 2, seed=1), data(3, 2, seed=2)])
    return layer(data(3, 4, 3))


@case(product(["concat", "None"], ["last", "sequences"]))
@case(product(["concat", "None"], ["state", "both"]), ruled_by=2, reason=STATE_MASKS)
def bidirectional_mask_and_shape(k, merge, flags):
    inner = k.layers.LSTM(
        2, return_sequences=flags in ("sequences", "both"), return_state=flags in ("state", "both")
    )
    layer = k.layers.Bidirectional(inner, merge_mode=merge_of(merge))
    mask = layer.compute_mask(data(3, 4, 3), mask_of(k, "gaps"))
    return [mask, layer.compute_output_shape((None, 4, 3))]


@case()
def bidirectional_names(k):
    layer = k.layers.Bidirectional(k.layers.GRU(2, name="words"), name="both")
    return [layer.name, layer.forward_layer.name, layer.backward_layer.name]


@case(["gaps", "row"])
def bidirectional_twice(k, mask):
    L = k.layers
    x = k.Input((4, 3))
    y = L.Bidirectional(L.LSTM(2, return_sequences=True))(L.Masking()(x))
    model = fill(k.Model(x, L.Bidirectional(L.GRU(2))(y)))
    return model(data(3, 4, 3) * np.array(MASKS[mask], "float32")[:, :, None])


# TimeDistributed, Masking, Embedding.


@case([(4, 3), (4, 5, 3), (2, 4, 5, 3)])
def time_distributed_dense(k, *shape):
    layer = k.layers.TimeDistributed(k.layers.Dense(2, activation="tanh"))
    y = ready(layer, None, *shape)(data(3, *shape))
    return [y, layer.compute_output_shape((None, *shape)), layer.get_weights()[0].shape]


@case(["last", "sequences"])
def time_distributed_lstm(k, flags):
    layer = k.layers.TimeDistributed(layer_of(k, "LSTM", return_sequences=flags == "sequences"))
    y = ready(layer, None, 2, 4, 3)(data(3, 2, 4, 3))
    return [y, layer.compute_output_shape((None, 2, 4, 3))]


@case()
def time_distributed_lstm_masked(k):
    layer = k.layers.TimeDistributed(layer_of(k, "LSTM", return_sequences=True))
    mask = np.stack([MASKS["gaps"], MASKS["head"]], axis=1).astype(bool)
    return ready(layer, None, 2, 4, 3)(data(3, 2, 4, 3), mask=tensor(k, mask))


@case()
def time_distributed_dense_masked(k):
    layer = ready(k.layers.TimeDistributed(k.layers.Dense(2)), None, 4, 3)
    x, mask = data(3, 4, 3), mask_of(k, "gaps")
    return [layer(x, mask=mask), layer.compute_mask(tensor(k, x), mask)]


@case()
def time_distributed_model(k):
    x, steps = k.Input((4, 3)), k.Input((2, 4, 3))
    inner = k.Model(x, k.layers.Dense(2)(k.layers.GRU(3)(x)))
    return fill(k.Model(steps, k.layers.TimeDistributed(inner)(steps)))(data(3, 2, 4, 3))


@case()
def time_distributed_bidirectional(k):
    inner = k.layers.Bidirectional(k.layers.LSTM(2))
    x = k.Input((2, 4, 3))
    model = fill(k.Model(x, k.layers.GRU(2)(k.layers.TimeDistributed(inner)(x))))
    return model(data(3, 2, 4, 3))


@case([0.0, -1.0, 2.5])
def masking(k, value):
    layer = k.layers.Masking(value)
    x = data(3, 4, 3)
    x[np.array(MASKS["gaps"]) == 0] = value
    x[0, 0, 1] = value
    masks = layer.compute_mask(tensor(k, x), None)
    return [layer(x), masks, layer.compute_output_shape((None, 4, 3))]


IDS = np.array([[3, 1, 0, 0], [0, 0, 0, 0], [2, 0, 4, 1]], "int32")


@case([True, False])
def embedding(k, mask_zero):
    layer = k.layers.Embedding(5, 3, mask_zero=mask_zero)
    layer(IDS)
    fill(layer)
    mask = layer.compute_mask(tensor(k, IDS), None)
    return [layer(IDS), mask, layer(IDS.astype("float32")), layer(IDS.astype("int64"))]


@case(["LSTM", "Bidirectional", "RNN"])
def embedding_masks(k, name):
    L = k.layers
    inner = L.Bidirectional(L.LSTM(2)) if name == "Bidirectional" else layer_of(k, name)
    model = k.Sequential([k.Input((4,), dtype="int32"), L.Embedding(5, 3, mask_zero=True), inner])
    return fill(model)(IDS)


# ConvLSTM.

CONV = {1: (3, 6, 2), 2: (3, 5, 4, 2), 3: (2, 4, 3, 3, 1)}
CONV_OPTIONS = {
    "valid": {},
    "same": {"padding": "same"},
    "strides": {"strides": 2, "padding": "same"},
    "strides_valid": {"strides": 2, "return_sequences": True},
    "dilation": {"dilation_rate": 2, "padding": "same", "return_sequences": True},
    "no_bias": {"use_bias": False, "activation": "relu"},
    "sequences": {"return_sequences": True, "return_state": True},
    "backwards": {"return_sequences": True, "go_backwards": True},
}


def conv_of(k, rank, **options):
    options.setdefault("recurrent_activation", "sigmoid")
    return getattr(k.layers, f"ConvLSTM{rank}D")(2, 2, **options)


@case(product(CONV, CONV_OPTIONS))
def conv_lstm(k, rank, options):
    layer = ready(conv_of(k, rank, **CONV_OPTIONS[options]), None, *CONV[rank])
    shapes = [w.shape for w in layer.get_weights()]
    return [shapes, layer(data(2, *CONV[rank])), layer.compute_output_shape((None, *CONV[rank]))]


@case(product(CONV, ["ones", "head", "gaps"]))
def conv_lstm_masked(k, rank, mask):
    layer = conv_of(k, rank, return_sequences=True, return_state=True)
    shape = (4, *CONV[rank][1:])
    return ready(layer, None, *shape)(data(3, *shape), mask=mask_of(k, mask))


@case(CONV)
def conv_lstm_initial_state(k, rank):
    layer = conv_of(k, rank, padding="same", return_state=True)
    shape = CONV[rank]
    states = [data(3, *shape[1:-1], 2, seed=seed) for seed in (1, 2)]
    return ready(layer, None, *shape)(data(3, *shape), initial_state=tensor(k, states))


@case([1, 2])
def conv_lstm_cell(k, rank):
    layer = ready(conv_of(k, rank, padding="same"), None, *CONV[rank])
    step = CONV[rank][1:]
    states = [tensor(k, data(2, *step[:-1], 2, seed=seed)) for seed in (1, 2)]
    return layer.cell(tensor(k, data(2, *step)), states)


@case([1, 2], ruled_by=3, reason=SIGMOID)
def conv_lstm_default_activation(k, rank):
    layer = getattr(k.layers, f"ConvLSTM{rank}D")(2, 2)
    return ready(layer, None, *CONV[rank])(data(2, *CONV[rank]))


@case()
def conv_lstm_stateful(k):
    layer = ready(conv_of(k, 2, stateful=True, padding="same"), 2, *CONV[2])
    results = [layer(data(2, *CONV[2])), layer(data(2, *CONV[2]))]
    layer.reset_states()
    return [*results, layer(data(2, *CONV[2]))]


@case()
def conv_lstm_kernel_shapes(k):
    layer = k.layers.ConvLSTM2D(3, (1, 3), strides=(2, 1), recurrent_activation="sigmoid")
    ready(layer, None, *CONV[2])
    return [[w.shape for w in layer.get_weights()], layer(data(2, *CONV[2]))]
