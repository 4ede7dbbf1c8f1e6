"""Makes tests/golden/onnx/: models exported by torch and Keras, with ONNX Runtime's outputs.

Run in an environment of ``torch==2.13.* onnxscript==0.7.* onnx==1.23.* onnxruntime==1.31.*``,
with ``tensorflow-cpu==2.21.* tf_keras==2.21.* keras==3.15.* tf2onnx==1.17.*`` for the Keras ones:

    python tests/golden/make_onnx.py [model ...]
"""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["TF_USE_LEGACY_KERAS"] = "1"

from pathlib import Path

import numpy as np
import onnx
import onnxruntime

HERE = Path(__file__).parent / "onnx"


def keep(path, inputs):
    """Store ONNX Runtime's outputs for inputs by name, two sets of them beside the model."""
    session = onnxruntime.InferenceSession(path)
    outputs = session.run(None, inputs)
    stored = {f"in_{name}": value for name, value in inputs.items()}
    stored |= {f"out_{n}": value for n, value in enumerate(outputs)}
    np.savez_compressed(path.with_suffix(".npz"), **stored)


def strip(path):
    """Drop what does not matter when the model runs: where in the source a node is from."""
    model = onnx.load(path, load_external_data=False)
    for node in model.graph.node:
        del node.metadata_props[:]
        node.ClearField("doc_string")
    del model.graph.value_info[:]
    del model.graph.metadata_props[:]
    path.write_bytes(model.SerializeToString())


# torch


def torch_models():
    import torch
    from torch import nn
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    class Tagger(nn.Module):
        def __init__(self, layer, batch_first):
            super().__init__()
            self.embedding = nn.Embedding(20, 5)
            self.recurrent = layer(5, 4, num_layers=2, bidirectional=True, batch_first=batch_first)
            self.linear = nn.Linear(8, 3)

        def forward(self, ids):
            return self.linear(self.recurrent(self.embedding(ids))[0]).log_softmax(-1)

    class Packed(nn.Module):
        def __init__(self):
            super().__init__()
            self.recurrent = nn.GRU(3, 4, bidirectional=True, batch_first=True)

        def forward(self, x, lengths):
            packed = pack_padded_sequence(x, lengths, batch_first=True)
            output, h = self.recurrent(packed)
            return pad_packed_sequence(output, batch_first=True)[0], h

    class Stream(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(3, 4)
            self.rnn = nn.RNN(4, 4, nonlinearity="relu")
            self.head = nn.Conv1d(4, 2, 3, padding=1)

        def forward(self, x, h, c):
            y, (h, c) = self.lstm(x, (h, c))
            y, _ = self.rnn(y)
            return torch.sigmoid(self.head(y.permute(1, 2, 0))), h, c

    class Scripted(nn.Module):
        def __init__(self):
            super().__init__()
            self.kernel = nn.Linear(3, 4)
            self.recurrent_kernel = nn.Linear(4, 4)

        def forward(self, x, h):
            for t in range(x.size(0)):
                new = torch.tanh(self.kernel(x[t]) + self.recurrent_kernel(h))
                if bool(new.sum() > 0):  # noqa: SIM108 - the exporter makes an If of it
                    h = new
                else:
                    h = h * 0.5 + new
            return h

    rng = np.random.default_rng(1)
    ids = torch.tensor(rng.integers(0, 20, (3, 6)))
    x = torch.tensor(rng.standard_normal((3, 6, 3)).astype(np.float32))
    lengths = torch.tensor([6, 4, 1])
    h, c = (torch.tensor(rng.standard_normal((1, 6, 4)).astype(np.float32)) for _ in range(2))

    def export(name, model, inputs, names, dynamo, axes, **kwargs):
        torch.manual_seed(7)
        for parameter in model.parameters():
            nn.init.uniform_(parameter, -0.8, 0.8)
        path = HERE / f"{name}.onnx"
        model = model.eval()
        if dynamo:
            shapes = tuple(
                dict.fromkeys(range(n), torch.export.Dim.DYNAMIC) if n else None for n in axes
            )
            kwargs |= {"dynamic_shapes": shapes, "verbose": False}
        else:
            kwargs |= {
                "dynamic_axes": {
                    key: {axis: f"{key}_{axis}" for axis in range(n)}
                    for key, n in zip(names, axes, strict=True)
                    if n
                },
                "opset_version": kwargs.get("opset_version", 17),
            }
        torch.onnx.export(model, inputs, path, input_names=names, dynamo=dynamo, **kwargs)
        strip(path)
        keep(path, {n: i.numpy() for n, i in zip(names, inputs, strict=True)})

    def tagger(layer, batch_first, dynamo, **kwargs):
        name = f"torch_{layer.__name__.lower()}_{'batch' if batch_first else 'time'}_first"
        model = Tagger(layer, batch_first)
        name += "_dynamo" * dynamo
        export(name, model, (ids,), ["ids"], dynamo, [2], **kwargs)

    stream = (x, h, c)
    return {
        "torch_lstm_batch_first": lambda: tagger(nn.LSTM, True, False),
        "torch_lstm_time_first": lambda: tagger(nn.LSTM, False, False, opset_version=11),
        "torch_gru_batch_first": lambda: tagger(nn.GRU, True, False, opset_version=9),
        "torch_lstm_batch_first_dynamo": lambda: tagger(nn.LSTM, True, True, external_data=True),
        "torch_gru_time_first_dynamo": lambda: tagger(nn.GRU, False, True, external_data=False),
        "torch_packed": lambda: export(
            "torch_packed", Packed(), (x, lengths), ["x", "lengths"], False, [2, 1]
        ),
        "torch_stream": lambda: export(
            "torch_stream", Stream(), stream, ["x", "h", "c"], False, [1, 0, 0]
        ),
        "torch_stream_dynamo": lambda: export(
            "torch_stream_dynamo",
            Stream(),
            stream,
            ["x", "h", "c"],
            True,
            [0, 0, 0],
            external_data=False,
        ),
        "torch_scripted": lambda: export(
            "torch_scripted",
            torch.jit.script(Scripted()),
            (x, torch.zeros(6, 4)),
            ["x", "h"],
            False,
            [1, 0],
        ),
    }


# Keras, by tf2onnx


def keras_models():
    import keras as keras3
    import tensorflow as tf
    import tf2onnx
    import tf_keras as keras2

    class Leaky(keras2.layers.Layer):
        state_size = 4

        def build(self, shape):
            self.kernel = self.add_weight("kernel", (shape[-1], 4))

        def call(self, inputs, states):
            h = 0.9 * states[0] + tf.tanh(inputs @ self.kernel)
            return h, [h]

    L = keras2.layers
    models = {
        "lstm": [L.LSTM(4, return_sequences=True), L.LSTM(3)],
        "gru": [L.GRU(4, return_sequences=True), L.GRU(3, reset_after=False)],
        "masked": [L.Masking(-1.0), L.LSTM(4, return_sequences=True), L.GRU(3)],
        "bidirectional": [
            L.Bidirectional(L.LSTM(4, return_sequences=True)),
            L.Bidirectional(L.GRU(3)),
            L.Dense(2, "softmax"),
        ],
        "time_distributed": [
            L.TimeDistributed(L.Dense(4, "elu")),
            L.SimpleRNN(4, return_sequences=True),
            L.LayerNormalization(),
            L.Conv1D(3, 3, padding="same"),
            L.GlobalMaxPooling1D(),
        ],
        "custom_cell": [L.RNN(Leaky(), return_sequences=True), L.Dense(2)],
    }
    rng = np.random.default_rng(2)
    x = rng.standard_normal((3, 6, 5)).astype(np.float32)
    x[1, 3:] = x[2, :2] = -1

    def export(name):
        keras2.utils.set_random_seed(3)
        model = keras2.Sequential([L.Input((None, 5)), *models[name]])
        for weight in model.weights:
            weight.assign(rng.uniform(-0.8, 0.8, weight.shape))
        signature = [tf.TensorSpec((None, None, 5), tf.float32, name="x")]
        proto, _ = tf2onnx.convert.from_function(
            tf.function(lambda x: model(x), input_signature=signature),
            input_signature=signature,
            opset=15,
        )
        path = HERE / f"tf2onnx_{name}.onnx"
        path.write_bytes(proto.SerializeToString())
        strip(path)
        keep(path, {"x": x})

    def export_keras3():
        keras3.utils.set_random_seed(3)
        K = keras3.layers
        model = keras3.Sequential(
            [K.Input((6, 5)), K.Bidirectional(K.LSTM(4, return_sequences=True)), K.GRU(3)]
        )
        model(x)
        path = HERE / "keras3.onnx"
        model.export(path, format="onnx", verbose=False)
        strip(path)
        session = onnxruntime.InferenceSession(path)
        keep(path, {session.get_inputs()[0].name: x})

    return {
        **{f"tf2onnx_{name}": lambda name=name: export(name) for name in models},
        "keras3": export_keras3,
    }


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    wanted = sys.argv[1:]
    made = torch_models()
    if not wanted or any(not name.startswith("torch") for name in wanted):
        made |= keras_models()
    for name in wanted or made:
        made[name]()
        print(name, (HERE / f"{name}.onnx").stat().st_size, "bytes")
