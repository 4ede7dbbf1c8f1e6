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


def keras1_images(v):
    """Images with the channels first, kernels as Theano has them, and paddings of all forms."""
    if v.at_least(2):
        return None
    L = v.layers
    v.keras.backend.set_image_dim_ordering("tf")  # for layers whose configs do not say
    x = v.input((3, 8, 7))
    first = {"dim_ordering": "th"}
    y = L.Convolution2D(3, 3, 3, border_mode="same", activation="relu", **first)(x)
    y = L.BatchNormalization(axis=1)(y)
    y = L.Convolution2D(3, 3, 3, subsample=(2, 1), **first)(y)
    y = L.AveragePooling2D((2, 2), strides=(1, 2), **first)(L.MaxPooling2D((1, 2), **first)(y))
    z = L.Permute((2, 3, 1))(x)
    z = L.ZeroPadding2D({"top_pad": 1, "left_pad": 2})(L.ZeroPadding2D((0, 1, 2, 0))(z))
    z = L.UpSampling2D((1, 2))(L.ZeroPadding2D((1, 2))(z))
    z = L.Cropping2D(((1, 0), (2, 3)), dim_ordering="tf")(z)
    z = L.Convolution2D(2, 3, 2, subsample=(2, 3), dim_ordering="tf")(z)
    steps = L.ZeroPadding1D({"right_pad": 2})(L.Reshape((-1, 3))(y))
    outputs = [y, z, L.LSTM(2)(L.TimeDistributed(L.Flatten())(z)), L.GRU(2)(steps)]
    return v.model(x, [*outputs, L.GlobalAveragePooling2D(**first)(y)]), values(3, 8, 7)


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


def operated(v):
    """Nodes of a graph that are functions of the framework, not layers."""
    if not (v.at_least(3, 15) or (v.is_tensorflow and v.at_least(2, 7))):
        return None
    x = v.input((4, 3))
    h = v.layers.LSTM(3, return_sequences=True)(x)
    outputs = [h[:, -1, :], h[:, 1:3], 1.0 - h, h / 2.0, h**2, -h, h * np.float32([1, 2, 3])]
    if v.at_least(3):
        ops = v.keras.ops
        outputs += [h[..., 0], 2.0**h, ops.sum(h, axis=1), ops.mean(h, axis=[1, 2])]
        outputs += [ops.stack([h, h], axis=1), ops.concatenate([h, x], axis=-1)]
        outputs += [ops.reshape(h, (-1, 12)), ops.transpose(h, (0, 2, 1)), ops.expand_dims(h, 1)]
        outputs += [ops.squeeze(h[:, :1], 1), ops.matmul(h, ops.transpose(x, (0, 2, 1)))]
        outputs += [
            ops.softmax(h, axis=1),
            ops.where(ops.greater(h, 0), h, x),
            ops.clip(h, -0.1, 0.1),
        ]
        outputs += [ops.one_hot(ops.argmax(h, -1), 3), ops.cast(ops.argmax(h, axis=-1), "float32")]
        outputs += [ops.einsum("btf,bsf->bts", h, x), ops.split(h, 3, axis=-1)[1]]
        outputs += [ops.repeat(h, 2, axis=1), ops.tile(h, (1, 2, 1)), ops.take(h, [0, 2], axis=1)]
        outputs += [ops.flip(h, axis=1), ops.max(h, axis=1, keepdims=True), ops.maximum(h, 0.0)]
        outputs += [ops.gelu(h), ops.leaky_relu(h), ops.logsumexp(h, axis=-1), ops.std(h, axis=1)]
        outputs += [ops.rsqrt(ops.square(h) + 1.0), ops.moveaxis(h, 1, 2), ops.cumsum(h, axis=1)]
        outputs += [
            ops.pad(h, [[0, 0], [1, 1], [0, 0]]),
            ops.top_k(h, 2)[0],
            ops.roll(h, 1, axis=1),
        ]
        outputs += [
            ops.var(h, axis=1),
            ops.sigmoid(h),
            ops.tanh(h),
            ops.exp(h),
            ops.log(h * h + 1.0),
        ]
    else:
        tf = importlib.import_module("tensorflow")
        outputs += [
            tf.reduce_sum(h, axis=1),
            tf.reduce_mean(h, axis=[1, 2]),
            h + x,
            tf.multiply(h, x),
        ]
        outputs += [tf.stack([h, h], axis=1), tf.concat([h, x], axis=-1), tf.reshape(h, (-1, 12))]
        outputs += [tf.transpose(h, (0, 2, 1)), tf.expand_dims(h, 1), tf.squeeze(h[:, :1], 1)]
        outputs += [
            tf.matmul(h, x, transpose_b=True),
            tf.nn.softmax(h, axis=1),
            tf.where(h > 0, h, x),
        ]
        outputs += [tf.one_hot(tf.argmax(h, -1), 3), tf.cast(tf.argmax(h, axis=-1), "float32")]
        outputs += [tf.clip_by_value(h, -0.1, 0.1), tf.norm(h, axis=-1), tf.split(h, 3, axis=-1)[1]]
        outputs += [tf.split(h, [1, 2], axis=-1)[1], tf.repeat(h, 2, axis=1), tf.tile(h, [1, 2, 1])]
        outputs += [tf.gather(h, [0, 2], axis=1), tf.reverse(h, axis=[1]), tf.maximum(h, 0.0)]
        outputs += [tf.reduce_max(h, axis=1, keepdims=True), tf.nn.relu(h), tf.math.tanh(h)]
        outputs += [v.keras.backend.sum(h, axis=1), v.keras.backend.expand_dims(h), tf.abs(h)]
        outputs += [
            tf.unstack(h, axis=1)[1],
            tf.pad(h, [[0, 0], [1, 1], [0, 0]]),
            tf.not_equal(h, 0),
        ]
        outputs += [tf.nn.l2_normalize(h, axis=-1), tf.math.top_k(h, 2)[0], tf.identity(h)]
    return v.model(x, outputs), values(4, 3)


def customized(v):
    """A layer, a cell and an activation of the user's, registered in a package."""
    if not (v.at_least(3, 3) or (v.is_tensorflow and v.at_least(2, 12))):
        return None
    tf = None if v.at_least(3) else importlib.import_module("tensorflow")
    register = functools.partial(
        v.keras.saving.register_keras_serializable
        if v.at_least(3)
        else v.keras.utils.register_keras_serializable,
        package="mine",
    )
    matmul = v.keras.ops.matmul if tf is None else tf.matmul
    absolute = v.keras.ops.abs if tf is None else tf.abs

    @register()
    def squash(x):
        return x / (1 + absolute(x))

    @register()
    class Scale(v.layers.Layer):
        def __init__(self, power=1, **kwargs):
            super().__init__(**kwargs)
            self.power = power

        def build(self, input_shape):
            self.factor = self.add_weight(shape=(input_shape[-1],), name="factor")
            self.built = True

        def call(self, inputs):
            return inputs * self.factor**self.power

        def get_config(self):
            return dict(super().get_config(), power=self.power)

    @register()
    class Leaky(v.layers.Layer):
        def __init__(self, units, **kwargs):
            super().__init__(**kwargs)
            self.units = self.state_size = self.output_size = units

        def build(self, input_shape):
            self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")
            self.built = True

        def call(self, inputs, states):
            h = 0.9 * states[0] + matmul(inputs, self.kernel)
            return h, [h]

        def get_config(self):
            return dict(super().get_config(), units=self.units)

    x = v.input((4, 3))
    y = v.layers.RNN(Leaky(2), return_sequences=True)(Scale(2)(x))
    return v.model(x, v.layers.Dense(2, activation=squash)(v.layers.LSTM(2)(y))), values(4, 3)


def layered(v):
    """Layers that are met around recurrent ones."""
    if not (v.at_least(3, 15) or (v.is_tensorflow and v.at_least(2, 15))):
        return None
    L = v.layers
    x = v.input((8, 4))
    masked = L.Masking(-1.0)(x)
    h = L.GRU(4, return_sequences=True)(masked)
    keys = L.LSTM(4, return_sequences=True)(x)
    heads = L.MultiHeadAttention(2, 3, value_dim=2)(h, keys)
    outputs = [
        heads,
        L.MultiHeadAttention(1, 2, use_bias=False, output_shape=3)(keys, keys),
        L.Attention(use_scale=True)([h, keys]),
        L.Attention(score_mode="concat")([keys, h]),
        L.AdditiveAttention()([h, keys]),
        L.SeparableConv1D(3, 3, padding="same", depth_multiplier=2)(x),
        L.DepthwiseConv1D(3, strides=2, depth_multiplier=2, padding="same")(x),
        L.GlobalAveragePooling1D()(h),
        L.UnitNormalization()(keys),
        L.Rescaling(0.5, offset=1.0)(x),
        L.Normalization()(x),
        L.Normalization(mean=[0.0, 1.0, 2.0, 3.0], variance=[1.0, 4.0, 1.0, 9.0])(x),
        L.Dot((2, 2), normalize=True)([h, keys]),
        L.Dot(1)([h, x]),
        L.Cropping1D((1, 2))(keys),
        L.UpSampling1D(2)(x),
        L.GroupNormalization(2)(x),
        L.ReLU(max_value=0.5, negative_slope=0.1, threshold=0.2)(x),
    ]
    image = L.Reshape((8, 4, 1))(x)
    image = L.Conv2D(4, (3, 2), padding="same", activation="relu", strides=(1, 2))(image)
    image = L.SpatialDropout2D(0.1)(image) if hasattr(L, "SpatialDropout2D") else image
    outputs += [L.GlobalMaxPooling2D()(image), L.GlobalAveragePooling2D()(image)]
    # Keras's torch backend pads on the other side.
    outputs += [L.AveragePooling2D(2, padding="valid" if v.at_least(3) else "same")(image)]
    image = L.DepthwiseConv2D(2)(L.SeparableConv2D(3, 2, padding="same")(image))
    image = L.MaxPooling2D((2, 1), padding="same")(image)
    outputs += [image, L.LSTM(2)(L.TimeDistributed(L.Flatten())(image))]
    names = "gelu mish"
    if v.at_least(3):
        names += " relu6 leaky_relu log_softmax hard_silu celu tanh_shrink hard_tanh hard_shrink"
        names += " soft_shrink squareplus sparse_plus log_sigmoid sparsemax sparse_sigmoid"
    outputs += [L.Activation(name)(x) for name in names.split()]
    outputs += [L.GRU(2, activation=name)(x) for name in names.split()]
    return v.model(x, outputs), values(8, 4)


MODELS = (
    embedded,
    convolved,
    keras1_images,
    keras1_graph,
    graph,
    celled,
    stateful,
    cudnn,
    operated,
    customized,
    layered,
)


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
    if name == "graph" and v.at_least(3, 15):
        model.save_weights(stem + ".weights.json", max_shard_size=3e-7)  # gigabytes


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
