"""Cases of whole models, of weights and of configs."""

import numpy as np
from golden.recurrent_cases import (
    ACTIVATIONS,
    CONSTANTS,
    LAYERS,
    MASKS,
    case,
    data,
    fill,
    layer_of,
    mask_of,
    ready,
    shape_of,
    tensor,
)
from golden.recurrent_custom import MINIMAL, attending, make_cell
from golden.recurrent_wrappers import IDS, conv_of, stack_of

# Whole models.


@case()
def model_many_to_many(k):
    L = k.layers
    a, b = k.Input((4, 3), name="a"), k.Input((None, 2), name="b")
    shared = L.GRU(3)
    left, h, c = L.LSTM(3, return_state=True)(a)
    right = L.LSTM(3, return_sequences=True)(b, initial_state=[h, c])
    merged = L.Concatenate()([left, L.GRU(2)(right), shared(a)])
    model = fill(k.Model([a, b], [L.Dense(2)(merged), right, h]))
    x = [data(3, 4, 3), data(3, 5, 2, seed=1)]
    return [model(x), model.predict(x, batch_size=2, verbose=0)]


@case()
def model_shared_layer(k):
    a, b = k.Input((4, 3)), k.Input((5, 3))
    shared = k.layers.LSTM(2)
    model = fill(k.Model([a, b], [shared(a), shared(b)]))
    return [len(model.get_weights()), model([data(3, 4, 3), data(3, 5, 3)])]


@case()
def model_in_a_model(k):
    L = k.layers
    inner = k.Sequential([k.Input((4, 3)), L.GRU(3, return_sequences=True), L.Dense(3)])
    x = k.Input((4, 3))
    model = fill(k.Model(x, L.LSTM(2)(inner(inner(x)))))
    return [model(data(2, 4, 3)), [w.shape for w in model.get_weights()]]


def two_branches(k):
    L = k.layers
    a, b = k.Input((4, 3), name="a"), k.Input((4, 3), name="b")
    deep = L.Dense(3, name="d2")(L.Dense(3, name="d1")(a))
    return [a, b], L.Add(name="add")([deep, L.Dense(3, name="d3")(b)])


def encoder_decoder(k):
    L = k.layers
    enc, dec = k.Input((None,), name="enc"), k.Input((None,), name="dec")
    _, h, c = L.LSTM(3, return_state=True, name="el")(L.Embedding(5, 3, name="e1")(enc))
    words = L.Embedding(5, 3, name="e2")(dec)
    y = L.LSTM(3, return_sequences=True, name="dl")(words, initial_state=[h, c])
    return [enc, dec], L.Dense(2, name="out")(y)


def uneven(k, backwards):
    L = k.layers
    a = k.Input((4, 3), name="a")
    deep, flat = L.Dense(3, name="z1")(L.Dense(3, name="z0")(a)), L.Dense(3, name="y1")(a)
    return a, [flat, deep] if backwards else [deep, flat]


def with_unused_input(k):
    a, b = k.Input((4, 3), name="a"), k.Input((4, 3), name="b")
    return [b, a], k.layers.GRU(2, name="g")(a)


ORDERS = {
    "two branches": two_branches,
    "encoder decoder": encoder_decoder,
    "deep first": lambda k: uneven(k, False),
    "deep last": lambda k: uneven(k, True),
    "unused": with_unused_input,
}


@case(list(ORDERS))
def model_layer_order(k, kind):
    return [layer.name for layer in k.Model(*ORDERS[kind](k)).layers]


@case(["equal", "deeper"])
def model_shared_stateful(k, kind):
    """A layer with states that is called twice: which call comes first is in the values."""
    a, b = k.Input(batch_shape=(1, 2, 1)), k.Input(batch_shape=(1, 2, 1))
    layer = k.layers.SimpleRNN(1, activation=None, stateful=True)
    second = k.layers.Dense(1)(b) if kind == "deeper" else b
    model = k.Model([a, b], [layer(a), layer(second)])
    model.set_weights([np.ones_like(w) for w in model.get_weights()])
    return model([np.full((1, 2, 1), 1.0, "float32"), np.full((1, 2, 1), 10.0, "float32")])


@case(["gaps", "row"])
def model_mask_flow(k, mask):
    L = k.layers
    x = k.Input((4, 3))
    y = L.LSTM(3, return_sequences=True)(L.Masking()(x))
    y = L.GRU(2, return_sequences=True)(L.TimeDistributed(L.Dense(3))(L.Dropout(0.5)(y)))
    model = fill(k.Model(x, [y, L.Dense(2)(L.SimpleRNN(2)(y))]))
    return model(data(3, 4, 3) * np.array(MASKS[mask], "float32")[:, :, None])


@case()
def model_mask_of_embedding_reaches_stack(k):
    L = k.layers
    x = k.Input((4,), dtype="int32")
    y = L.RNN([L.LSTMCell(2), L.GRUCell(3)])(L.Embedding(5, 3, mask_zero=True)(x))
    return fill(k.Model(x, y))(IDS)


@case()
def model_bidirectional_states(k):
    L = k.layers
    x = k.Input((4, 3))
    y, *states = L.Bidirectional(L.LSTM(2, return_sequences=True, return_state=True))(x)
    y = L.Bidirectional(L.LSTM(2))(y, initial_state=list(states))
    return fill(k.Model(x, y))(data(3, 4, 3))


@case(only=2, reason=CONSTANTS)
def model_constants(k):
    x, constant, h = k.Input((4, 3)), k.Input((2,)), k.Input((2,))
    layer = k.layers.RNN(make_cell(k, attending, 2, MINIMAL), return_sequences=True)
    y = layer(x, initial_state=h, constants=constant)
    model = fill(k.Model([x, h, constant], y))
    return model([data(3, 4, 3), data(3, 2, seed=1), data(3, 2, seed=2)])


@case(only=2, reason="nested inputs are kept")
def model_nested_input(k):
    def step(self, inputs, states):
        a, b = inputs
        return a + b + states[0], [a + states[0]]

    a, b = k.Input((4, 3)), k.Input((4, 3))
    y = k.layers.RNN(make_cell(k, step, 3), return_sequences=True)((a, b))
    return k.Model([a, b], y)([data(3, 4, 3), data(3, 4, 3, seed=1)])


@case()
def model_unknown_steps(k):
    model = fill(k.Sequential([k.Input((None, 3)), k.layers.GRU(2, return_sequences=True)]))
    shape = model.layers[-1].compute_output_shape((None, None, 3))
    return [shape, model(data(2, 3, 3)), model(data(2, 6, 3))]


@case()
def model_symbolic_shapes(k):
    L, x = k.layers, k.Input((4, 3))
    outputs = [
        L.LSTM(2)(x),
        *L.LSTM(2, return_sequences=True, return_state=True)(x),
        L.Bidirectional(L.GRU(5, return_sequences=True))(x),
        L.TimeDistributed(L.Dense(7))(x),
    ]
    return [list(y.shape) for y in outputs]


# Weights and configs.


@case(only=2, reason="high-dimensional states are kept")
def shapes_of_sizes(k):
    return [shape_of(k, 3, 4), shape_of(k, 5)]


@case(["Stack", "RNN", "Bidirectional", "TimeDistributed", "nested", "stateful"])
def weight_order(k, name):
    L = k.layers
    layer = {
        "Stack": lambda: layer_of(k, "Stack"),
        "RNN": lambda: layer_of(k, "RNN"),
        "Bidirectional": lambda: L.Bidirectional(L.RNN([L.LSTMCell(2), L.GRUCell(3)])),
        "TimeDistributed": lambda: L.TimeDistributed(L.GRU(2, reset_after=False)),
        "nested": lambda: L.RNN([L.StackedRNNCells([L.GRUCell(4), L.LSTMCell(2)]), L.GRUCell(5)]),
        "stateful": lambda: L.LSTM(2, stateful=True),
    }[name]()
    layer.build((3, 4, 5, 3) if name == "TimeDistributed" else (3, 4, 3))
    kinds = [layer.weights, layer.trainable_weights, layer.non_trainable_weights]
    return [[w.shape for w in layer.get_weights()], [len(kind) for kind in kinds]]


@case()
def weights_come_back(k):
    layer = ready(k.layers.GRU(2), None, 4, 3)
    twin = k.layers.GRU(2)
    twin.build((None, 4, 3))
    twin.set_weights(layer.get_weights())
    return [twin.get_weights(), twin(data(2, 4, 3))]


COMMON = [
    "units",
    "activation",
    "use_bias",
    "dropout",
    "recurrent_dropout",
    "return_sequences",
    "return_state",
    "go_backwards",
    "stateful",
    "unroll",
    "name",
    "trainable",
]
MORE = {
    "SimpleRNN": [],
    "LSTM": ["recurrent_activation", "unit_forget_bias"],
    "GRU": ["recurrent_activation", "reset_after"],
}


@case(LAYERS)
def config(k, name):
    layer = getattr(k.layers, name)(5, dropout=0.25, go_backwards=True, name="foo")
    config = layer.get_config()
    kernel, regularizer = config["kernel_initializer"], config["kernel_regularizer"]
    return [{key: config[key] for key in COMMON + MORE[name]}, kernel["class_name"], regularizer]


@case(["SimpleRNNCell", "LSTMCell", "GRUCell"])
def cell_config(k, name):
    config = getattr(k.layers, name)(5, activation="relu", name="foo").get_config()
    return {key: config[key] for key in COMMON if key in config}


@case()
def conv_lstm_config(k):
    config = conv_of(k, 2, padding="same", name="foo").get_config()
    keys = "filters kernel_size strides padding data_format dilation_rate use_bias unit_forget_bias"
    return {key: config[key] for key in [*keys.split(), "recurrent_activation"]}


@case()
def wrapper_configs(k):
    L = k.layers
    both = L.Bidirectional(L.LSTM(2), merge_mode="sum", name="foo").get_config()
    steps = L.TimeDistributed(L.Dense(2), name="bar").get_config()
    stack = stack_of(k, 2, 3).get_config()
    return [
        [both["merge_mode"], both["name"], both["layer"]["class_name"]],
        [steps["name"], steps["layer"]["class_name"], steps["layer"]["config"]["units"]],
        [[cell["class_name"], cell["config"]["units"]] for cell in stack["cells"]],
        L.RNN(L.GRUCell(2)).get_config()["cell"]["class_name"],
        L.Masking(2.5).get_config()["mask_value"],
    ]


@case(only=2, reason=CONSTANTS)
def num_constants_in_config(k):
    layer = k.layers.RNN(make_cell(k, attending, 2, MINIMAL))
    layer(tensor(k, data(3, 4, 3)), constants=tensor(k, data(3, 2)))
    return layer.get_config()["num_constants"]


@case(["LSTM", "GRU", "RNN", "Stack", "Bidirectional", "TimeDistributed", "ConvLSTM1D"])
def round_trip(k, name):
    L, kwargs = k.layers, {"return_sequences": True}
    if name == "Bidirectional":
        layer = L.Bidirectional(L.LSTM(2, **kwargs), backward_layer=L.GRU(2, **kwargs, **BACK))
    elif name == "TimeDistributed":
        layer = L.TimeDistributed(L.Dense(2, activation="relu"))
    elif name == "ConvLSTM1D":
        layer = conv_of(k, 1, padding="same")
    else:
        layer = layer_of(k, name, activation="relu", **kwargs) if name in LAYERS else None
        layer = layer or layer_of(k, name, zero_output_for_mask=True, **kwargs)
    shape = (4, 5, 3) if name == "ConvLSTM1D" else (4, 3)
    twin = ready(type(layer).from_config(layer.get_config()), None, *shape)
    return twin(data(3, *shape), **({} if name == "ConvLSTM1D" else {"mask": mask_of(k, "gaps")}))


BACK = {"go_backwards": True}


def custom_cell_class(k):
    class Cell(k.layers.Layer):
        def __init__(self, units, **kwargs):
            super().__init__(**kwargs)
            self.units = self.state_size = units

        def build(self, input_shape):
            shape = (input_shape[-1], self.units)
            self.kernel = self.add_weight(shape=shape, initializer="uniform", name="kernel")
            self.built = True

        def call(self, inputs, states):
            h = inputs @ self.kernel + states[0]
            return h, [h]

        def get_config(self):
            return {**super().get_config(), "units": self.units}

    return Cell


@case(["one", "stack"])
def round_trip_custom(k, form):
    kind = custom_cell_class(k)
    cell = kind(2) if form == "one" else [kind(2), kind(3)]
    config = k.layers.RNN(cell, return_sequences=True).get_config()
    twin = k.layers.RNN.from_config(config, custom_objects={"Cell": kind})
    return ready(twin, None, 4, 3)(data(3, 4, 3))


@case()
def round_trip_model(k):
    x = k.Input((4, 3))
    y, h, c = k.layers.LSTM(3, return_state=True)(k.layers.Masking()(x))
    y = k.layers.Bidirectional(k.layers.GRU(3))(x, initial_state=[h, c])
    model = k.Model(x, k.layers.Dense(2)(y))
    return fill(k.Model.from_config(model.get_config()))(data(3, 4, 3))


@case()
def regularizers_have_no_effect(k):
    layer = k.layers.LSTM(2, kernel_regularizer="l2", bias_constraint="non_neg", return_state=True)
    return ready(layer, None, 4, 3)(data(3, 4, 3))


@case(ACTIVATIONS[:4])
def activation_in_config(k, name):
    return k.layers.GRU(2, activation=name, recurrent_activation=name).get_config()["activation"]
