"""What recurrent layers do: small cases that run in both Kerases and in rnn_core alike.

A case is a function of `k`, a namespace with Keras's names (``k.layers.LSTM``, ``k.Input``, ...).
`make_recurrent.py` stores what the Kerases answer; the tests compare. Here are the helpers, single
steps and single layers; `all_cases` adds the other files.
"""

from dataclasses import dataclass
from importlib import import_module
from itertools import product

import numpy as np

CASES = {}

HARD_SIGMOID = "hard_sigmoid is Keras 3's clip(x/6+0.5)"
CONSTANTS = "constants are kept"
TIME_MAJOR = "time_major is kept"
NESTED = "nested and high-dimensional states are kept"
ABSTRACT = "AbstractRNNCell is kept"
LIST_CALL = "a list is [x, *states, *constants]"
STATE_FORM = "one state per cell, bare if the cell has one; shapes flat"
EXPLICIT = "an explicit initial_state wins over the recorded state"
RESET = "reset_states takes states, which Keras 3 dropped"
STACKED_STATE = "Keras 3 collapses or cannot reset the states of stacks"


@dataclass(frozen=True)
class Case:
    """`function(k)` returns arrays and plain values, or raises `raises`.

    `only` is the generation that can express it, `ruled_by` the one that is right where they
    differ, both with a `reason`.
    """

    function: object
    only: int | None = None
    ruled_by: int | None = None
    reason: str = ""
    raises: type | None = None


def all_cases():
    """Return `CASES` with those of every file."""
    for name in ("custom", "wrappers", "models", "errors"):
        import_module(f"golden.recurrent_{name}")
    return CASES


def case(each=None, **ruling):
    """Register a function as a case, or as one case for each tuple of further arguments."""

    def register(function):
        for arguments in [()] if each is None else each:
            arguments = arguments if isinstance(arguments, tuple) else (arguments,)
            label = "-".join(map(str, arguments))
            name = function.__name__ + (f"[{label}]" if label else "")
            assert name not in CASES, name
            CASES[name] = Case(lambda k, a=arguments: function(k, *a), **ruling)
        return function

    return register


def data(*shape, seed=0):
    """Return float32 inputs."""
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def fill(layer, seed=0):
    """Give a layer or model weights of ordinary size, and return it."""
    rng = np.random.default_rng(seed)
    layer.set_weights(
        [rng.uniform(-0.6, 0.6, np.shape(w)).astype(w.dtype) for w in layer.get_weights()]
    )
    return layer


def ready(layer, *shape):
    """Build a layer for inputs of that shape, and fill it."""
    layer.build(shape)
    return fill(layer)


def tensor(k, x):
    """Return what the framework takes as a state, a mask or a constant."""
    if isinstance(x, (list, tuple)):
        return [tensor(k, item) for item in x]
    if hasattr(k, "ops"):
        return k.ops.convert_to_tensor(x)
    make = getattr(getattr(k, "backend", None), "constant", None)
    return make(x, dtype=x.dtype.name) if make else x


def values(x):
    """Return nested lists of plain values and NumPy arrays."""
    if x is None or isinstance(x, (bool, int, float, str)):
        return x
    if isinstance(x, dict):
        return {key: values(item) for key, item in x.items()}
    if isinstance(x, (list, tuple)) or hasattr(x, "as_list"):
        return [values(item) for item in x]
    return np.asarray(x.numpy() if hasattr(x, "numpy") else x)


def shape_of(k, *sizes):
    """Return the size of a high-dimensional state."""
    if hasattr(k, "TensorShape"):
        return k.TensorShape(sizes)
    return k.Input(sizes, batch_size=1).shape[1:]


def layer_of(k, name, units=2, **kwargs):
    """Return a layer with cells of its own, or an RNN around ``cells``, for 3 features."""
    L = k.layers
    cells = {"RNN": L.GRUCell, "Stack": lambda n: [L.LSTMCell(n + 1), L.GRUCell(n)]}
    if name in cells:
        return L.RNN(cells[name](units), **kwargs)
    return getattr(L, name)(units, **kwargs)


def states_of(name, batch=3, units=2, seed=7):
    """Return initial states for `layer_of`, as wide as they must be."""
    sizes = {"LSTM": [units, units], "Bidirectional": [units, units]}.get(name, [units])
    return [data(batch, size, seed=seed + i) for i, size in enumerate(sizes)]


LAYERS = ["SimpleRNN", "LSTM", "GRU"]
ACTIVATIONS = [
    "tanh",
    "sigmoid",
    "relu",
    "linear",
    "elu",
    "selu",
    "softplus",
    "softsign",
    "exponential",
    "gelu",
    "swish",
    "None",
]
FLAGS = {
    "last": {},
    "sequences": {"return_sequences": True},
    "state": {"return_state": True},
    "backwards": {"go_backwards": True},
    "unroll": {"unroll": True, "return_sequences": True},
    "all": {"return_sequences": True, "return_state": True, "go_backwards": True},
    "all_unroll": {
        "return_sequences": True,
        "return_state": True,
        "go_backwards": True,
        "unroll": True,
    },
}
MASKS = {
    "ones": [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]],
    "tail": [[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]],
    "head": [[0, 1, 1, 1], [0, 0, 0, 1], [1, 1, 1, 1]],
    "gaps": [[1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 0, 1]],
    "row": [[1, 1, 1, 0], [0, 0, 0, 0], [0, 1, 1, 1]],
    "none": [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
}


def mask_of(k, name, dtype=bool):
    return tensor(k, np.array(MASKS[name], dtype))


# One step of one cell.


@case(["SimpleRNNCell", "LSTMCell", "GRUCell"])
def cell_step(k, name):
    cell = ready(getattr(k.layers, name)(4), None, 3)
    states = [tensor(k, data(2, 4, seed=i)) for i in range(1 + (name == "LSTMCell"))]
    output, states = cell(data(2, 3), states)
    return [output, cell(data(2, 3, seed=5), states)]


@case(["SimpleRNNCell", "GRUCell"])
def cell_bare_state(k, name):
    cell = ready(getattr(k.layers, name)(4), None, 3)
    return cell(data(2, 3), tensor(k, data(2, 4, seed=1)))


@case(ACTIVATIONS)
@case(["hard_sigmoid"], ruled_by=3, reason=HARD_SIGMOID)
def activation(k, name):
    name, L = None if name == "None" else name, k.layers
    layers = [L.SimpleRNN(4, activation=name)]
    for kind in (L.LSTM, L.GRU):
        layers.append(kind(4, activation=name))
        layers.append(kind(4, recurrent_activation=name))
    steps = 1 if name == "exponential" else 3  # exponentials of exponentials grow beyond float32
    return [ready(layer, None, steps, 3)(data(2, steps, 3) * 0.5) for layer in layers]


@case()
def activation_callable(k):
    layer = k.layers.LSTM(3, activation=lambda x: x * 0.5, return_sequences=True)
    return ready(layer, None, 4, 3)(data(2, 4, 3))


@case(["SimpleRNN", "LSTM", "GRU"])
def no_bias(k, name):
    layer = ready(getattr(k.layers, name)(4, use_bias=False), None, 4, 3)
    return [len(layer.get_weights()), layer(data(2, 4, 3))]


@case(product([True, False], [1, 2]))
def gru_reset_after(k, reset_after, implementation):
    kwargs = {"reset_after": reset_after, "implementation": implementation}
    layer = ready(k.layers.GRU(3, return_sequences=True, **kwargs), None, 4, 3)
    cell = ready(k.layers.GRUCell(3, **kwargs), None, 3)
    shapes = [list(w.shape) for w in layer.get_weights()]
    return [shapes, layer(data(2, 4, 3)), cell(data(2, 3), [tensor(k, data(2, 3, seed=1))])]


@case([1, 2])
def lstm_implementation(k, implementation):
    layer = k.layers.LSTM(3, return_sequences=True, implementation=implementation)
    return ready(layer, None, 4, 3)(data(2, 4, 3))


@case()
def lstm_unit_forget_bias(k):
    biases = []
    for kwargs in ({}, {"unit_forget_bias": False}, {"bias_initializer": "ones"}):
        layer = k.layers.LSTM(2, **kwargs)
        layer.build((None, 4, 3))
        biases.append(layer.get_weights()[2])
    return biases


@case(["SimpleRNN", "LSTM", "GRU"])
def initial_weights(k, name):
    layer = getattr(k.layers, name)(
        2,
        kernel_initializer="ones",
        recurrent_initializer="zeros",
        bias_initializer={"class_name": "Constant", "config": {"value": 0.25}},
    )
    layer.build((None, 4, 3))
    return layer.get_weights()


@case()
def cell_sizes(k):
    L = k.layers
    cells = [L.SimpleRNNCell(2), L.GRUCell(3), L.LSTMCell(4)]
    return [[cell.units, cell.state_size, cell.output_size] for cell in cells]


@case(["SimpleRNNCell", "GRUCell", "LSTMCell"], only=2, reason="Keras 3 takes no dtype")
def cell_initial_state(k, name):
    cell = getattr(k.layers, name)(3)
    by_size = cell.get_initial_state(batch_size=2, dtype="float32")
    return [by_size, cell.get_initial_state(inputs=tensor(k, data(2, 3)))]


@case(["SimpleRNN", "LSTM", "GRU"])
def dropout_is_idle(k, name):
    layer = ready(getattr(k.layers, name)(3, dropout=0.5, recurrent_dropout=0.4), None, 4, 3)
    return [layer(data(2, 4, 3)), layer(data(2, 4, 3), training=False)]


@case(LAYERS)
def dropout_is_clipped(k, name):
    config = getattr(k.layers, name)(3, dropout=1.5, recurrent_dropout=-1.0).get_config()
    return [config["dropout"], config["recurrent_dropout"]]


# Sequences: flags, masks, states.


STATE = {"state", "all", "all_unroll"}


@case(product([*LAYERS, "RNN"], FLAGS))
@case(product(["Stack"], [f for f in FLAGS if f not in STATE]))
@case(product(["Stack"], sorted(STATE)), ruled_by=2, reason=STATE_FORM)
def flags(k, name, flags):
    return ready(layer_of(k, name, **FLAGS[flags]), None, 4, 3)(data(3, 4, 3))


@case(product(LAYERS, MASKS))
@case([("Stack", "gaps"), ("Stack", "row")], ruled_by=2, reason=STATE_FORM)
def masked(k, name, mask):
    results = []
    for backwards, zeros, sequences in product([False, True], [False, True], [True, False]):
        layer = layer_of(
            k,
            name,
            return_sequences=sequences,
            return_state=sequences,
            go_backwards=backwards,
            zero_output_for_mask=zeros,
        )
        results.append(ready(layer, None, 4, 3)(data(3, 4, 3), mask=mask_of(k, mask)))
    return results


# Unrolled and backwards, both Kerases lay the mask the wrong way round over the zeroed outputs.
@case(product(["LSTM", "RNN"], ["head", "gaps", "none"]))
def masked_unroll(k, name, mask):
    results = []
    for backwards, zeros in [(False, False), (True, False), (False, True)]:
        layer = layer_of(
            k,
            name,
            return_sequences=True,
            return_state=True,
            unroll=True,
            go_backwards=backwards,
            zero_output_for_mask=zeros,
        )
        results.append(ready(layer, None, 4, 3)(data(3, 4, 3), mask=mask_of(k, mask)))
    return results


@case(product(LAYERS, ["head", "row"]))
def masked_initial_state(k, name, mask):
    layer = layer_of(k, name, return_sequences=True, return_state=True)
    states = tensor(k, states_of(name))
    return ready(layer, None, 4, 3)(data(3, 4, 3), mask=mask_of(k, mask), initial_state=states)


@case(["int32", "float32"])
def mask_dtype(k, dtype):
    layer = ready(k.layers.LSTM(2, return_sequences=True), None, 4, 3)
    return layer(data(3, 4, 3), mask=mask_of(k, "gaps", dtype))


@case(["GRU", "RNN"])
def mask_with_an_axis_more(k, name):
    layer = ready(layer_of(k, name, return_sequences=True), None, 4, 3)
    mask = tensor(k, np.array(MASKS["gaps"], bool)[:, :, None])
    return layer(data(3, 4, 3), mask=mask)


@case()
def masked_steps_may_hold_nan(k):
    x, mask = data(3, 4, 3), np.array(MASKS["tail"], bool)
    x[~mask] = np.nan
    return ready(layer_of(k, "RNN", return_sequences=True), None, 4, 3)(x, mask=tensor(k, mask))


@case(product([*LAYERS, "RNN"], [False, True]))
def initial_state(k, name, backwards):
    layer = layer_of(k, name, return_sequences=True, return_state=True, go_backwards=backwards)
    states = tensor(k, states_of(name))
    return ready(layer, None, 4, 3)(data(3, 4, 3), initial_state=states)


@case(ruled_by=2, reason="call takes (inputs, mask, training, initial_state)")
def positional_arguments(k):
    layer = ready(k.layers.GRU(2, return_sequences=True), None, 4, 3)
    states = tensor(k, states_of("GRU"))
    return layer.call(tensor(k, data(3, 4, 3)), mask_of(k, "gaps"), False, states)


@case()
def initial_state_bare(k):
    layer = ready(k.layers.GRU(2), None, 4, 3)
    return layer(data(3, 4, 3), initial_state=tensor(k, data(3, 2, seed=1)))


@case(LAYERS, only=2, reason=LIST_CALL)
def initial_state_in_a_list(k, name):
    layer = ready(layer_of(k, name), None, 4, 3)
    return layer([tensor(k, data(3, 4, 3)), *tensor(k, states_of(name))])


@case(product(["LSTM", "GRU"], [1, 6]))
def chunks_equal_the_whole(k, name, steps):
    layer = ready(layer_of(k, name, return_sequences=True, return_state=True), None, None, 3)
    first, *states = layer(data(3, steps, 3))
    return [first, layer(data(3, 2, 3, seed=1), initial_state=list(states))]


@case(product([*LAYERS, "Stack"], ["last", "all", "unroll"]), only=2, reason=TIME_MAJOR)
def time_major(k, name, flags):
    layer = ready(layer_of(k, name, time_major=True, **FLAGS[flags]), 4, None, 3)
    mask = tensor(k, np.array(MASKS["gaps"], bool).T)
    return [layer(data(4, 3, 3)), layer(data(4, 3, 3), mask=mask)]


@case(LAYERS, only=2, reason=TIME_MAJOR)
def time_major_initial_state(k, name):
    layer = layer_of(k, name, time_major=True, return_state=True, return_sequences=True)
    return ready(layer, 4, None, 3)(data(4, 3, 3), initial_state=tensor(k, states_of(name)))


@case()
def unroll_one_step(k):
    return ready(k.layers.LSTM(2, unroll=True, return_sequences=True), None, 1, 3)(data(2, 1, 3))


@case(LAYERS)
def float64_layer(k, name):
    layer = ready(layer_of(k, name, dtype="float64"), None, 4, 3)
    return layer(data(2, 4, 3).astype("float64"))


@case()
def float64_input_is_cast(k):
    return ready(k.layers.GRU(2), None, 4, 3)(data(2, 4, 3).astype("float64"))


@case(product([*LAYERS, "RNN"], ["last", "sequences", "state", "all"]))
@case([("Stack", "sequences")])
@case([("Stack", "state"), ("Stack", "all")], ruled_by=2, reason=STATE_FORM)
def output_shape(k, name, flags):
    layer = layer_of(k, name, **FLAGS[flags])
    return [layer.compute_output_shape(shape) for shape in [(None, 4, 3), (5, None, 3)]]


@case(product(["SimpleRNN", "LSTM"], ["last", "sequences", "state", "all"]))
def output_mask(k, name, flags):
    layer, mask = layer_of(k, name, **FLAGS[flags]), mask_of(k, "gaps")
    return [layer.compute_mask(data(3, 4, 3), mask), layer.compute_mask(data(3, 4, 3), None)]


@case(["SimpleRNN", "GRU"])
@case(["LSTM"], ruled_by=2, reason="N = 0 is legal")
def empty_batch(k, name):
    layer = layer_of(k, name, return_sequences=True, return_state=True)
    return ready(layer, None, 4, 3)(data(0, 4, 3))
