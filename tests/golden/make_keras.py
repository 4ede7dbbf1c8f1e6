"""Makes tests/golden/keras/: model files by Keras 3 and by tf_keras, with inputs and outputs.

Run in an environment of ``tensorflow-cpu==2.21.* tf_keras==2.21.* keras==3.15.*``:

    python tests/golden/make_keras.py [model ...]
"""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

from pathlib import Path

import keras as keras3
import numpy as np
import tensorflow as tf
import tf_keras as keras2

HERE = Path(__file__).parent / "keras"
ACTIVATIONS = (
    "tanh sigmoid hard_sigmoid relu linear elu selu softplus softsign exponential gelu "
    "swish softmax"
)
# Models that only Keras 3 can make, and those of many layers, of which one form is enough.
KERAS_3 = {"operations"}
ONE_FORM = {"images": (".keras",), "channels_first": (".h5",)}


def embedded(k):
    L = k.layers
    return k.Sequential(
        [
            L.Embedding(30, 6, mask_zero=True, input_shape=(9,)) if k is keras2 else L.Input((9,)),
            *([] if k is keras2 else [L.Embedding(30, 6, mask_zero=True)]),
            L.SpatialDropout1D(0.2),
            L.Bidirectional(L.LSTM(4, return_sequences=True, dropout=0.1)),
            L.GRU(5, recurrent_activation="hard_sigmoid"),
            L.Dropout(0.5),
            L.Dense(3, activation="softmax"),
        ]
    )


def masked(k):
    L = k.layers
    return k.Sequential(
        [
            L.Input((None, 4)),
            L.Masking(-1.0),
            L.GRU(5, reset_after=False, return_sequences=True, go_backwards=True),
            L.LayerNormalization(),
            L.TimeDistributed(L.Dense(6, activation="elu")),
            L.SimpleRNN(4, return_sequences=True, activation="relu"),
            L.GlobalAveragePooling1D(),
        ]
    )


def convolved(k):
    L = k.layers
    return k.Sequential(
        [
            L.Input((24, 3)),
            L.Conv1D(8, 3, padding="same", activation="relu"),
            L.MaxPooling1D(2),
            L.Conv1D(6, 2, padding="causal", dilation_rate=2),
            L.BatchNormalization(),
            L.LeakyReLU(),
            L.ZeroPadding1D(2),
            L.Conv1D(4, 4, strides=2, groups=2, use_bias=False),
            L.ReLU(max_value=0.7),
            L.AveragePooling1D(3, strides=2, padding="same"),
            L.PReLU(),
            L.Permute((2, 1)),
            L.Reshape((-1, 2)),
            L.ELU(0.5),
            L.Flatten(),
            L.RepeatVector(3),
            L.SimpleRNN(4, return_sequences=True),
            L.Softmax(),
            L.GlobalMaxPooling1D(),
            L.Activation("sigmoid"),
        ]
    )


def graph(k):
    L = k.layers
    ids, x = k.Input((7,), name="ids"), k.Input((5, 6), name="x")
    shared = L.Dense(6, activation="tanh", name="shared")
    words = L.LSTM(3, return_sequences=True)(L.Embedding(10, 4, mask_zero=True)(ids))
    words = L.GRU(6)(words)
    out, h, c = L.LSTM(6, return_state=True)(L.Masking(-1.0)(x))
    out = shared(out)
    words = shared(words)
    again = L.LSTM(6, return_sequences=True, name="again")(x, initial_state=[h, c])
    merged = [
        L.Add()([out, words]),
        L.Multiply()([out, words]),
        L.Average()([out, words]),
        L.Maximum()([out, words]),
    ]
    probs = L.Dense(2, activation="softmax")(L.Concatenate()(merged))
    return k.Model([ids, x], [probs, again])


def residual(k):
    L = k.layers
    ids, x = k.Input((7,), name="ids"), k.Input((7, 6), name="x")
    e = L.Embedding(10, 6, mask_zero=True)(ids)
    h = L.LSTM(6, return_sequences=True)(e)
    both, one = L.Add()([e, h]), L.Average()([e, x])
    gated = L.Multiply()([h, L.Dense(6, activation="sigmoid")(L.GRU(6)(x))])
    joined = L.Concatenate()([L.GRU(3, return_sequences=True)(both), one])
    step = k.Input((6,))
    steps = L.TimeDistributed(k.Model(step, L.Dense(4, activation="tanh")(step)))(gated)
    return k.Model([ids, x], [L.GRU(4)(joined), L.LSTM(3)(steps), L.LSTM(3)(L.Maximum()([e, h]))])


def translated(k):
    L = k.layers
    words, before = k.Input((5,), name="words"), k.Input((4,), name="before")
    states = L.LSTM(3, return_state=True)(L.Embedding(10, 4, mask_zero=True)(words))[1:]
    here = L.Embedding(10, 4, mask_zero=True)(before)
    steps = L.LSTM(3, return_sequences=True)(here, initial_state=states)
    both = L.Bidirectional(L.GRU(3))(here, initial_state=states)
    return k.Model([words, before], [L.GRU(2)(steps), both, L.Dense(10)(steps)])


def operations(k):
    x, o = k.Input((4, 3)), k.ops
    outputs = [
        o.celu(x, 0.5),
        o.hard_shrink(x, 0.9),
        o.soft_shrink(x, 0.9),
        o.squareplus(x, 2),
        o.elu(x, 0.5),
        o.leaky_relu(x, 0.4),
        *(f(x, axis=1) for f in (o.log_softmax, o.softmax, o.sparsemax)),
        *(f(x) for f in (o.celu, o.log_softmax, o.sparsemax, o.hard_shrink, o.soft_shrink)),
    ]
    return k.Model(x, outputs)


def nested(k):
    L = k.layers
    inner_in = k.Input((5, 3))
    inner = k.Model(inner_in, L.GRU(4, return_sequences=True)(inner_in), name="inner")
    chain = k.Sequential([L.Input((5, 4)), L.BatchNormalization(), L.LSTM(3)], name="chain")
    x = k.Input((5, 3))
    return k.Model(x, L.Dense(2)(chain(inner(x))))


def stacked(k):
    L = k.layers
    x = k.Input((6, 3))
    y = L.RNN([L.LSTMCell(4), L.GRUCell(3), L.SimpleRNNCell(5)], return_sequences=True)(x)
    y = L.Bidirectional(L.GRU(4, return_sequences=True), merge_mode="sum")(y)
    y = L.Bidirectional(L.SimpleRNN(4, return_sequences=True), merge_mode="mul")(y)
    y = L.Bidirectional(L.LSTM(4, return_sequences=True), merge_mode="ave")(y)
    return k.Model(x, L.Bidirectional(L.LSTM(2))(y))


def activations(k):
    L = k.layers
    x = k.Input((4, 3))
    outputs = []
    for name in ACTIVATIONS.split():
        outputs.append(L.Dense(4, activation=name)(x))
        if name != "softmax":
            outputs.append(L.LSTM(3, activation=name, recurrent_activation="hard_sigmoid")(x))
    return k.Model(x, outputs)


def conv_lstm(k):
    L = k.layers
    x = k.Input((4, 6, 5, 2))
    y = L.ConvLSTM2D(3, (3, 2), padding="same", return_sequences=True)(x)
    y = L.Bidirectional(L.ConvLSTM2D(2, 3, strides=2, return_sequences=True))(y)
    y = L.TimeDistributed(L.Flatten())(y)
    return k.Model(x, L.GRU(3)(y))


def _images(k, data_format):
    L = k.layers
    first = data_format == "channels_first"
    form, axis = {"data_format": data_format}, 1 if first else -1
    x = k.Input((2, 6, 5) if first else (6, 5, 2))
    y = L.ZeroPadding2D(((1, 0), (2, 1)), **form)(x)
    y = L.Conv2D(3, (3, 2), padding="same", activation="relu", **form)(y)
    y = L.BatchNormalization(axis=axis)(y)
    pooled = L.MaxPooling2D((2, 3), strides=2, padding="same", **form)(y)
    # XLA, which answers, takes a wrong pixel if the size is no power of two.
    up = L.UpSampling2D((2, 4), interpolation="bilinear", **form)(pooled)
    wide = L.Conv2DTranspose(2, (3, 2), strides=(2, 3), padding="same", **form)(pooled)
    outputs = [
        L.UpSampling2D((3, 2), **form)(pooled),
        L.Cropping2D(((1, 2), (0, 3)), **form)(up),
        wide,
        L.Conv2DTranspose(3, (2, 3), strides=(3, 2), activation="tanh", **form)(pooled),
        L.Conv2DTranspose(2, 3, strides=2, padding="same", output_padding=(1, 0), **form)(pooled),
        L.Conv2DTranspose(2, 3, strides=3, output_padding=(2, 1), use_bias=False, **form)(pooled),
        L.Conv2DTranspose(2, (3, 2), padding="same", dilation_rate=2, **form)(y),
        L.Conv2DTranspose(2, 2, dilation_rate=(2, 2), **form)(y),
        L.AveragePooling2D(2, **form)(y),
        L.GlobalAveragePooling2D(**form)(y),
        L.GlobalMaxPooling2D(keepdims=True, **form)(y),
    ]
    steps = L.Permute((2, 1, 3))(pooled) if first else pooled
    steps = L.Reshape((4, -1))(steps)
    outputs.append(L.GRU(3)(steps))
    outputs.append(L.Conv1DTranspose(3, 5, strides=2, padding="same")(steps))
    outputs.append(L.Conv1DTranspose(2, 2, strides=3)(steps))
    outputs.append(L.Dense(2)(L.Flatten(**form)(wide)))
    return k.Model(x, outputs)


def images(k):
    return _images(k, "channels_last")


def channels_first(k):
    return _images(k, "channels_first")


def inputs(name, rng):
    if name == "embedded":
        return [rng.integers(0, 30, (6, 9)) * (rng.random((6, 9)) > 0.3)]
    if name == "masked":
        x = rng.standard_normal((6, 8, 4))
        x[rng.random((6, 8)) < 0.3] = -1
        x[:, 0] = 0.5  # a row with no step at all has no mean
        return [x]
    if name == "translated":
        return [rng.integers(0, 10, (6, n)) * (rng.random((6, n)) > 0.3) for n in (5, 4)]
    if name in ("graph", "residual"):
        ids = rng.integers(0, 10, (6, 7)) * (rng.random((6, 7)) > 0.3)
        x = rng.standard_normal((6, 5 if name == "graph" else 7, 6))
        x[rng.random(x.shape[:2]) < 0.3] = -1
        return [ids, x]
    shape = {
        "activations": (4, 3),
        "channels_first": (2, 6, 5),
        "conv_lstm": (4, 6, 5, 2),
        "convolved": (24, 3),
        "images": (6, 5, 2),
        "nested": (5, 3),
        "operations": (4, 3),
        "stacked": (6, 3),
    }
    batch = 6 if name not in ONE_FORM else 2
    return [rng.standard_normal((batch, *shape[name]))]


MODELS = (
    embedded,
    masked,
    convolved,
    graph,
    residual,
    translated,
    nested,
    stacked,
    activations,
    operations,
    conv_lstm,
    images,
    channels_first,
)


def main(*names):
    """Make the models of these names, or all."""
    HERE.mkdir(exist_ok=True)
    for make in [model for model in MODELS if model.__name__ in names or not names]:
        name = make.__name__
        for k, version in ((keras3, "k3"), (keras2, "k2"))[: 1 if name in KERAS_3 else 2]:
            rng = np.random.default_rng(len(name))
            k.utils.set_random_seed(1)
            model = make(k)
            weights = [w + 0.2 * rng.random(w.shape) for w in model.get_weights()]
            model.set_weights(weights)
            x = [
                a.astype(np.int32 if a.dtype.kind == "i" else np.float32) for a in inputs(name, rng)
            ]
            if name in ONE_FORM:
                # TensorFlow's own kernels for CPUs lack channels first, and dilated transposes.
                y = [a.numpy() for a in tf.function(model, jit_compile=True)(x[0])]
            else:
                y = model.predict(x if len(x) > 1 else x[0], verbose=0)
            y = y if isinstance(y, (list, tuple)) else [y]
            stem = HERE / f"{name}_{version}"
            for ending in ONE_FORM.get(name, (".h5", ".keras")):
                model.save(f"{stem}{ending}")
            arrays = {f"in_{i}": a for i, a in enumerate(x)} | {
                f"out_{i}": a for i, a in enumerate(y)
            }
            np.savez(f"{stem}.npz", **arrays)
            print(stem.name, [a.shape for a in y])


main(*sys.argv[1:])
