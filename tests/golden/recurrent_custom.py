"""Cases of cells of the user's own, and of layers that keep their states."""

from collections import namedtuple
from itertools import product

import numpy as np
from golden.recurrent_cases import (
    ABSTRACT,
    CONSTANTS,
    EXPLICIT,
    LAYERS,
    MASKS,
    NESTED,
    RESET,
    STACKED_STATE,
    TIME_MAJOR,
    case,
    data,
    fill,
    layer_of,
    mask_of,
    ready,
    shape_of,
    states_of,
    tensor,
)

# Cells of the user's own.


def make_cell(k, step, state_size, weights=(), base=None, **attributes):
    """Return a cell whose ``call`` is `step`, with square weights of the given names' sizes."""

    def build(self, input_shape):
        for name, shape in dict(weights).items():
            setattr(self, name, self.add_weight(shape=shape, initializer="uniform", name=name))
        self.built = True

    members = {"build": build, "call": step, "state_size": state_size, **attributes}
    return type("Cell", (base or k.layers.Layer,), members)()


def minimal(self, inputs, states):
    h = inputs @ self.kernel + states[0] @ self.recurrent
    return h, [h]


def bare(self, inputs, states):
    h = inputs @ self.kernel + states[0] @ self.recurrent
    return h, h


def doubled(self, inputs, states):
    h = inputs + states[0]
    return h * 2 + 1, [h]


MINIMAL = {"kernel": (3, 2), "recurrent": (2, 2)}


@case([(2, "list"), (2, "bare")])
def custom_cell(k, units, form):
    step = {"list": minimal, "bare": bare}[form]
    cell = make_cell(k, step, units, MINIMAL)
    layer = k.layers.RNN(cell, return_sequences=True, return_state=True)
    return ready(layer, None, 4, 3)(data(3, 4, 3), mask=mask_of(k, "gaps"))


@case(["list", "bare"], only=2, reason=ABSTRACT)
def abstract_cell(k, form):
    step = {"list": minimal, "bare": bare}[form]
    cell = make_cell(k, step, 2, MINIMAL, k.layers.AbstractRNNCell, output_size=2)
    layer = k.layers.RNN(cell, return_sequences=True, return_state=True)
    return ready(layer, None, 4, 3)(data(3, 4, 3), mask=mask_of(k, "gaps"))


@case(only=2, reason=ABSTRACT)
def abstract_cell_initial_state(k):
    base = k.layers.AbstractRNNCell
    cell = make_cell(k, minimal, [2, shape_of(k, 3, 4)], base=base)
    return cell.get_initial_state(batch_size=2, dtype="float32")


@case(product(MASKS, ["loop"]))
@case(product(["head", "gaps"], ["unroll"]))
def output_differs_from_state(k, mask, loop):
    results = []
    for backwards, zeros in product([False, True], repeat=2):
        if loop == "unroll" and backwards and zeros:
            continue  # both Kerases lay the mask the wrong way round
        layer = k.layers.RNN(
            make_cell(k, doubled, 3),
            return_sequences=True,
            return_state=True,
            unroll=loop == "unroll",
            go_backwards=backwards,
            zero_output_for_mask=zeros,
        )
        results.append(layer(data(3, 4, 3), mask=mask_of(k, mask)))
    return results


@case(["head", "gaps"])
def output_wider_than_state(k, mask):
    def step(self, inputs, states):
        h = inputs @ self.kernel + states[0]
        return h @ self.out, [h]

    cell = make_cell(k, step, 2, {"kernel": (3, 2), "out": (2, 5)}, output_size=5)
    layer = k.layers.RNN(cell, return_sequences=True, return_state=True)
    y = ready(layer, None, 4, 3)(data(3, 4, 3), mask=mask_of(k, mask))
    return [y, layer.compute_output_shape((None, 4, 3))]


@case(["list", "tuple"])
def two_states_without_output_size(k, form):
    def step(self, inputs, states):
        a, b = states
        a = a + inputs
        b = b * 0.5 + inputs @ self.kernel
        return a, [a, b] if form == "list" else (a, b)

    sizes = [3, 2] if form == "list" else (3, 2)
    layer = k.layers.RNN(make_cell(k, step, sizes, {"kernel": (3, 2)}), return_state=True)
    y = ready(layer, None, 4, 3)(data(3, 4, 3), mask=mask_of(k, "row"))
    return [y, layer.compute_output_shape((None, 4, 3))]


@case(["list", "tuple"], only=2, reason="cells without a state are kept")
def stateless_cell(k, form):
    state_size = [] if form == "list" else ()
    cell = make_cell(k, lambda self, inputs, states: (inputs * 2, []), state_size, output_size=3)
    layer = k.layers.RNN(cell, return_sequences=True, return_state=True)
    return [layer(data(3, 4, 3)), layer.compute_output_shape((None, 4, 3))]


@case(ruled_by=2, reason="any object with call and state_size is a cell")
def cell_that_is_no_layer(k):
    class Cell:
        state_size = output_size = 3

        def call(self, inputs, states):
            return inputs + states[0], [inputs + states[0]]

        def __call__(self, inputs, states):
            return self.call(inputs, states)

    return k.layers.RNN(Cell(), return_sequences=True, return_state=True)(data(3, 4, 3))


@case()
def training_goes_to_cells_that_take_it(k):
    def step(self, inputs, states, training=False):
        h = inputs + states[0]
        return (h * 2 if training else h), [h]

    layer = k.layers.RNN(make_cell(k, step, 3), return_sequences=True)
    plain = k.layers.RNN(make_cell(k, doubled, 3))
    x = data(3, 4, 3)
    calls = [layer(x), layer(x, training=True), layer(x, training=False)]
    return [*calls, plain(x, training=True)]


@case(["ones", "head"])
def cell_with_its_own_initial_state(k, mask):
    def start(self, inputs=None, batch_size=None, dtype=None):
        return [tensor(k, np.full((int(batch_size), 3), 0.5, "float32"))]

    layer = k.layers.RNN(
        make_cell(k, doubled, 3, get_initial_state=start), return_sequences=True, return_state=True
    )
    return layer(data(3, 4, 3), mask=mask_of(k, mask))


def pooled(self, inputs, states):
    h = (inputs @ self.kernel)[..., 0] + states[0]
    return h, [h]


@case(["ones", "gaps"])
def four_dimensional_inputs(k, mask):
    cell = make_cell(k, pooled, 5, {"kernel": (2, 1)})
    layer = k.layers.RNN(cell, return_sequences=True, return_state=True)
    return ready(layer, None, 4, 5, 2)(data(3, 4, 5, 2), mask=mask_of(k, mask))


@case(product(["ones", "head", "gaps"], ["loop", "unroll"]), only=2, reason=NESTED)
def high_dimensional_state(k, mask, loop):
    cell = make_cell(k, doubled, shape_of(k, 5, 2), output_size=shape_of(k, 5, 2))
    layer = k.layers.RNN(cell, return_sequences=True, return_state=True, unroll=loop == "unroll")
    y = layer(data(3, 4, 5, 2), mask=mask_of(k, mask))
    return [y, layer.compute_output_shape((None, 4, 5, 2))]


Pair = namedtuple("Pair", "flat deep")


@case(product(["tuple", "namedtuple"], ["ones", "gaps"]), only=2, reason=NESTED)
def nested_everything(k, form, mask):
    make = Pair if form == "namedtuple" else lambda *items: items

    def step(self, inputs, states):
        flat, deep = inputs
        s1, s2 = states
        new = make(flat @ self.kernel + s1, deep + s2)
        return make(new[0] * 2, new[1]), new

    sizes = make(2, shape_of(k, 3, 4))
    cell = make_cell(k, step, sizes, {"kernel": (5, 2)}, output_size=sizes)
    layer = k.layers.RNN(cell, return_sequences=True, return_state=True)
    x = make(data(3, 4, 5), data(3, 4, 3, 4))
    layer(make(*map(tensor, (k, k), x)))
    return fill(layer)(make(*map(tensor, (k, k), x)), mask=mask_of(k, mask))


@case(product(["ones", "gaps"], ["loop", "unroll"]), only=2, reason=NESTED)
def nested_inputs_and_states(k, mask, loop):
    def step(self, inputs, states):
        (a, b), (s, (t, u)) = inputs, states
        s = s + a @ self.kernel
        return s * 2, (s, (t + b, u + a))

    sizes = (2, (shape_of(k, 3, 4), 5))
    cell = make_cell(k, step, sizes, {"kernel": (5, 2)}, output_size=2)
    layer = k.layers.RNN(cell, return_sequences=True, return_state=True, unroll=loop == "unroll")
    x = (tensor(k, data(3, 4, 5)), tensor(k, data(3, 4, 3, 4)))
    layer(x)
    return fill(layer)(x, mask=mask_of(k, mask))


def attending(self, inputs, states, constants):
    h = inputs @ self.kernel + constants[0] @ self.recurrent + states[0]
    return h, [h]


def with_constants(k, **kwargs):
    cell = make_cell(k, attending, 2, MINIMAL)
    layer = k.layers.RNN(cell, return_sequences=True, return_state=True, **kwargs)
    x, constant = tensor(k, data(3, 4, 3)), tensor(k, data(3, 2, seed=1))
    layer(x, constants=constant)
    return fill(layer), x, constant


@case(["ones", "gaps"], only=2, reason=CONSTANTS)
def constants(k, mask):
    layer, x, constant = with_constants(k)
    return layer(x, constants=[constant], mask=mask_of(k, mask))


@case(only=2, reason=CONSTANTS)
def constants_in_a_list(k):
    layer, x, constant = with_constants(k)
    return [layer([x, constant]), layer([x, tensor(k, data(3, 2, seed=2)), constant])]


@case(only=2, reason=CONSTANTS)
def constants_with_initial_state(k):
    layer, x, constant = with_constants(k, go_backwards=True)
    return layer(x, constants=constant, initial_state=tensor(k, data(3, 2, seed=2)))


# Stateful layers.


@case(only=3, reason="reset_state is the same")
def reset_state(k):
    layer = ready(layer_of(k, "LSTM", stateful=True), 3, 4, 3)
    first = layer(data(3, 4, 3))
    layer.reset_state()
    return [first, layer(data(3, 4, 3))]


@case()
def stateful_cell_with_its_own_initial_state(k):
    def start(self, inputs=None, batch_size=None, dtype=None):
        return [tensor(k, np.full((int(batch_size), 3), 0.5, "float32"))]

    layer = k.layers.RNN(make_cell(k, doubled, 3, get_initial_state=start), stateful=True)
    results = [layer(data(3, 4, 3)), layer(data(3, 4, 3))]
    layer.reset_states()
    return [*results, layer(data(3, 4, 3))]


@case([*LAYERS, "RNN"])
@case(["Stack"], ruled_by=2, reason=STACKED_STATE)
def stateful(k, name):
    layer = ready(layer_of(k, name, stateful=True, return_sequences=True), 3, 4, 3)
    first, second = layer(data(3, 4, 3)), layer(data(3, 4, 3, seed=1))
    layer.reset_states()
    return [first, second, layer(data(3, 4, 3, seed=1)), layer.states]


@case(LAYERS)
def stateful_masked_backwards(k, name):
    layer = layer_of(k, name, stateful=True, return_state=True, go_backwards=True)
    ready(layer, 3, 4, 3)
    return [layer(data(3, 4, 3), mask=mask_of(k, mask)) for mask in ("head", "gaps", "row")]


@case([*LAYERS, "Stack"], only=2, reason=RESET)
def reset_to_states(k, name):
    layer = ready(layer_of(k, name, stateful=True), 3, 4, 3)
    states = [data(3, 3, seed=1), data(3, 3, seed=2), data(3, 2, seed=3)]
    layer.reset_states(states if name == "Stack" else states_of(name))
    return [layer(data(3, 4, 3)), layer(data(3, 4, 3))]


@case(only=2, reason=RESET)
def reset_to_a_bare_state(k):
    layer = ready(layer_of(k, "GRU", stateful=True), 3, 4, 3)
    layer.reset_states(states=data(3, 2, seed=1))
    return layer(data(3, 4, 3))


@case(LAYERS, ruled_by=3, reason=EXPLICIT)
def stateful_initial_state(k, name):
    layer = ready(layer_of(k, name, stateful=True), 3, 4, 3)
    layer(data(3, 4, 3))
    states = tensor(k, states_of(name))
    return [layer(data(3, 4, 3), initial_state=states), layer(data(3, 4, 3)), layer.states]


@case(LAYERS, only=2, reason=TIME_MAJOR)
def stateful_time_major(k, name):
    layer = ready(layer_of(k, name, stateful=True, time_major=True), 4, 3, 3)
    return [layer(data(4, 3, 3)), layer(data(4, 3, 3))]


@case(only=2, reason=NESTED)
def stateful_high_dimensional(k):
    cell = make_cell(k, doubled, shape_of(k, 5, 2), output_size=shape_of(k, 5, 2))
    layer = k.layers.RNN(cell, stateful=True)
    first, second = layer(data(3, 4, 5, 2)), layer(data(3, 4, 5, 2))
    layer.reset_states([data(3, 5, 2, seed=1)])
    return [first, second, layer(data(3, 4, 5, 2))]


@case(only=2, reason="models of Keras 3 have no reset_states")
def model_reset_states(k):
    x = k.Input(batch_shape=(3, 4, 3))
    y = k.layers.GRU(3, stateful=True, return_sequences=True)(x)
    model = fill(k.Model(x, k.layers.LSTM(2, stateful=True)(y)))
    first, second = model(data(3, 4, 3)), model(data(3, 4, 3))
    model.reset_states()
    return [first, second, model(data(3, 4, 3))]


@case()
def stateful_model(k):
    x = k.Input(batch_shape=(3, 4, 3))
    model = fill(k.Model(x, k.layers.LSTM(2, stateful=True, return_sequences=True)(x)))
    return [model.predict(data(3, 4, 3), verbose=0) for _ in range(2)]
