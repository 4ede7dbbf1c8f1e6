"""Makes tests/golden/keras_versions/NAME.zip: models that one version of Keras saved, with outputs.

    python tests/golden/make_keras_versions.py NAME MODULE

MODULE is what to import: ``keras`` or ``tensorflow.keras``. The archive holds, for each model below
that the version can make, its files and an ``.npz`` of inputs and outputs. It runs under Python
3.6 and later, in environments of

    keras1.2.2     keras==1.2.2 tensorflow==1.4.0 h5py<3, Python 3.6, KERAS_BACKEND=tensorflow
    keras2.0.9     keras==2.0.9 tensorflow==1.4.0 h5py<3, Python 3.6
    keras2.2.4     keras==2.2.4 theano==1.0.5 h5py<3, Python 3.6, KERAS_BACKEND=theano
    keras2.3.1     keras==2.3.1 tensorflow-cpu==1.15.0 h5py<3, Python 3.7
    tf1.15         tensorflow-cpu==1.15.0 h5py<3, Python 3.7
    tf2.N          tensorflow-cpu==2.N.*; Python 3.8 for 2.3, 3.9 for 2.7, 3.10 for 2.11, else 3.11
    keras3.N       keras==3.N.* torch==2.13.*, Python 3.11, KERAS_BACKEND=torch
"""

import functools
import importlib
import io
import os
import sys
import tempfile
import zipfile

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "keras_versions")


class Version:
    """A Keras: its module, its numbers, and what it can do."""

    def __init__(self, name, module):
        self.keras = importlib.import_module(module)
        self.layers = importlib.import_module(module + ".layers")
        self.name = name
        text = (
            getattr(self.keras, "__version__", None) or importlib.import_module("keras").__version__
        )
        self.numbers = tuple(int(n.split("-")[0]) for n in text.split(".")[:3])
        self.is_tensorflow = module == "tensorflow.keras"

    def at_least(self, *release):
        return self.numbers >= release

    def model(self, inputs, outputs, **kwargs):
        models = importlib.import_module(self.keras.__name__ + ".models")
        keys = ("inputs", "outputs") if self.at_least(2) else ("input", "output")
        return models.Model(**{keys[0]: inputs, keys[1]: outputs}, **kwargs)

    def input(self, shape, **kwargs):
        return self.layers.Input(shape=shape, **kwargs)

    def chain(self, *layers):
        models = importlib.import_module(self.keras.__name__ + ".models")
        model = models.Sequential()
        for layer in layers:
            model.add(layer)
        return model

    def first(self, make, shape, **kwargs):
        """Return a chain's first layers."""
        if self.at_least(3):
            return [self.input(shape), make(**kwargs)]
        return [make(input_shape=shape, **kwargs)]


def ids(rng):
    return [rng.randint(1, 12, (5, 6)) * (rng.rand(5, 6) > 0.3)]


def values(*shape):
    def draw(rng):
        x = rng.standard_normal((5, *shape))
        x[rng.rand(*x.shape[:2]) < 0.3] = -1
        return [x]

    return draw


# Models. Each returns the model and a function that draws its inputs, or None.


def embedded(v):
    L = v.layers
    arguments = {} if v.at_least(3) else {"input_length": 6}
    first = [v.input((6,))] if v.at_least(3) else []
    return v.chain(
        *[
            *first,
            L.Embedding(12, 3, mask_zero=True, **arguments),
            L.Dropout(0.2),
            L.Bidirectional(L.LSTM(2, return_sequences=True)),
            L.GRU(3, activation="relu", go_backwards=True, return_sequences=True),
            L.GRU(2, recurrent_activation="hard_sigmoid")
            if v.at_least(2)
            else L.GRU(2, inner_activation="hard_sigmoid"),
            L.Dense(3, activation="softmax"),
        ]
    ), ids


def convolved(v):
    L = v.layers
    if v.at_least(2):
        conv = {"filters": 4, "kernel_size": 3, "padding": "same", "activation": "relu"}
        pool, strided = {"pool_size": 2}, {"filters": 3, "kernel_size": 2, "strides": 2}
    else:
        conv = {"nb_filter": 4, "filter_length": 3, "border_mode": "same", "activation": "relu"}
        pool = {"pool_length": 2}
        strided = {"nb_filter": 3, "filter_length": 2, "subsample_length": 2}
    Conv = L.Conv1D if v.at_least(2) else L.Convolution1D
    dense = L.TimeDistributed(L.Dense(3, activation="elu"))
    return v.chain(
        *[
            *v.first(lambda **kw: Conv(**dict(conv, **kw)), (12, 3)),
            L.BatchNormalization(),
            L.MaxPooling1D(**pool),
            dense,
            Conv(**strided),
            L.LeakyReLU(),
            L.SimpleRNN(3, return_sequences=True),
            L.Flatten(),
            L.Dense(2),
        ]
    ), values(12, 3)


def keras1_graph(v):
    """Merges by mode, a layer called twice, a model within, Masking, two inputs and outputs."""
    if v.at_least(2):
        return None
    from keras.engine import merge

    L = v.layers
    a, b = v.input((5, 3), name="a"), v.input((5, 3), name="b")
    inner = v.chain(L.LSTM(2, input_shape=(5, 3), return_sequences=True), L.Activation("tanh"))
    shared = L.LSTM(2, return_sequences=True, consume_less="gpu")
    masked = L.Masking(-1.0)(a)
    x = merge([shared(masked), shared(b)], mode="concat")
    y = merge([inner(a), L.TimeDistributedDense(2)(b)], mode="sum")
    both = L.Bidirectional(L.GRU(2, return_sequences=True), merge_mode="sum")(masked)
    z = merge([y, both], mode="mul")
    return v.model(
        [a, b], [L.GRU(3)(x), L.SimpleRNN(2)(z), both]
    ), lambda rng: values(5, 3)(rng) + values(5, 3)(rng)


def graph(v):
    """Initial states, a layer called twice, models within, masks, two inputs and outputs."""
    if not v.at_least(2):
        return None
    L = v.layers
    a, b = v.input((5, 3), name="a"), v.input((5, 3), name="b")
    inner_in = v.input((5, 3))
    inner = v.model(inner_in, L.GRU(2, return_sequences=True)(inner_in), name="inner")
    nested = v.chain(*[*v.first(L.Dense, (5, 3), units=2), L.LSTM(2, return_sequences=True)])
    masked = L.Masking(-1.0)(a)
    out, h, c = L.LSTM(2, return_state=True, return_sequences=True)(masked)
    again = L.LSTM(2, return_sequences=True, name="again")(b, initial_state=[h, c])
    shared = L.Dense(2, activation="tanh", name="shared")
    added = L.add([shared(again), shared(inner(b))])
    joined = L.concatenate([added, L.multiply([out, nested(a)])])
    both = L.Bidirectional(L.GRU(2, return_sequences=True), merge_mode="ave")(masked)
    return v.model(
        [a, b], [L.SimpleRNN(2)(joined), again, both]
    ), lambda rng: values(5, 3)(rng) + values(5, 3)(rng)


def celled(v):
    """Stacked cells, an RNN of one cell, ConvLSTM2D."""
    L = v.layers
    if not v.at_least(2, 2):  # whose cells have no configs
        return None
    x = v.input((4, 4, 3, 2))
    # Theano pads for even kernels on the other side.
    size = (3, 3) if os.environ.get("KERAS_BACKEND") == "theano" else (2, 2)
    y = L.ConvLSTM2D(2, size, padding="same", return_sequences=True)(x)
    y = L.TimeDistributed(L.Flatten())(y)
    # Keras before 2.3 cannot save two cells of one stack, which it gives one name.
    above = [L.GRUCell(3)] if v.is_tensorflow or v.at_least(2, 3) else []
    y = L.RNN([L.LSTMCell(2), *above], return_sequences=True)(y)
    y = L.RNN(L.SimpleRNNCell(2), return_sequences=True)(y)
    return v.model(x, L.LSTM(2, unroll=v.at_least(2, 2))(y)), values(4, 4, 3, 2)


def stateful(v):
    L = v.layers
    arguments = {"return_sequences": True, "stateful": True}
    if v.at_least(3):
        first = [v.layers.Input(batch_shape=(5, 3, 2)), L.LSTM(2, **arguments)]
    else:
        first = [L.LSTM(2, batch_input_shape=(5, 3, 2), **arguments)]
    return v.chain(*[*first, L.GRU(2, stateful=True)]), values(3, 2)


def cudnn(v, plain=False):
    """CuDNNLSTM and CuDNNGRU, which a CPU can make but not run: plain layers answer for them."""
    L = v.layers
    if v.is_tensorflow and v.at_least(2, 4):
        L = importlib.import_module("tensorflow").compat.v1.keras.layers
    if (
        not v.at_least(2, 2)
        or not hasattr(L, "CuDNNLSTM")
        or "theano" in os.environ.get("KERAS_BACKEND", "")
    ):
        return None
    if plain:
        LSTM = functools.partial(L.LSTM, recurrent_activation="sigmoid")
        GRU = functools.partial(L.GRU, recurrent_activation="sigmoid", reset_after=True)
    else:
        LSTM, GRU = L.CuDNNLSTM, L.CuDNNGRU
    x = v.input((4, 3))
    y = L.Bidirectional(LSTM(2, return_sequences=True))(x)
    if v.numbers[:2] != (2, 4):  # which does not convert weights within a model
        inner_in = v.input((4, 4))
        y = v.model(inner_in, GRU(2, return_sequences=True)(inner_in))(y)
    return v.model(x, LSTM(3)(GRU(2, return_sequences=True)(y))), values(4, 3)


def ignore_cudnn():
    """Have TensorFlow 1 place the operations that it runs, not those that only a GPU has."""
    tf = importlib.import_module("tensorflow")
    options = tf.GraphOptions(place_pruned_graph=True)
    session = tf.Session(config=tf.ConfigProto(graph_options=options))
    importlib.import_module("tensorflow.keras.backend").set_session(session)
    importlib.import_module("keras.backend").set_session(session)


MODELS = (embedded, convolved, keras1_graph, graph, celled, stateful, cudnn)


def draw_weights(model, rng):
    model.set_weights(
        [
            rng.uniform(0.1, 0.5, w.shape) if w.ndim == 1 else rng.uniform(-0.6, 0.6, w.shape)
            for w in model.get_weights()
        ]
    )


def saved(v, model, name, folder):
    """Save a model in all forms that the version has."""
    stem = os.path.join(folder, name)
    if v.numbers[:2] != (3, 0):  # which gives two weights of a Bidirectional one name
        model.save(stem + ".h5")
    if v.at_least(2, 12) and name != "cudnn":
        model.save(stem + ".keras")
    if name in ("graph", "keras1_graph", "cudnn"):
        with open(stem + ".json", "w") as file:
            file.write(model.to_json())
        model.save_weights(stem + (".weights.h5" if v.at_least(2, 13) else "_weights.h5"))


def main(name, module):
    v = Version(name, module)
    if name in ("keras2.3.1", "tf1.15"):
        ignore_cudnn()
    if not os.path.isdir(HERE):
        os.mkdir(HERE)
    archive = zipfile.ZipFile(os.path.join(HERE, name + ".zip"), "w", zipfile.ZIP_DEFLATED)
    with archive, tempfile.TemporaryDirectory() as folder:
        for make in MODELS:
            made = make(v)
            if made is None:
                continue
            model, draw = made
            rng = np.random.RandomState(7)
            draw_weights(model, rng)
            x = draw(rng)
            x = [a.astype("int32" if a.dtype.kind == "i" else "float32") for a in x]
            saved(v, model, make.__name__, folder)
            answering = model
            if make is cudnn:
                answering = cudnn(v, plain=True)[0]
                answering.load_weights(os.path.join(folder, "cudnn.h5"))
            y = answering.predict(x if len(x) > 1 else x[0], batch_size=len(x[0]))
            y = y if isinstance(y, (list, tuple)) else [y]
            arrays = {f"in_{i}": a for i, a in enumerate(x)}
            arrays.update({f"out_{i}": a for i, a in enumerate(y)})
            content = io.BytesIO()
            np.savez(content, **arrays)
            archive.writestr(make.__name__ + ".npz", content.getvalue())
            print(name, make.__name__, [a.shape for a in y])
        for file in sorted(os.listdir(folder)):
            archive.write(os.path.join(folder, file), file)


if __name__ == "__main__":
    main(*sys.argv[1:])
