"""Compares `rnn_core.from_keras` with what it converts: models, layers and cells in memory.

Run with rnn_core importable, in an environment of ``keras==3.15.* torch==2.13.*`` or of
``tf_keras==2.21.*``:

    KERAS_BACKEND=torch python tests/golden/check_from_keras.py keras
    python tests/golden/check_from_keras.py tf_keras
"""

import sys

import make_keras_versions as versions
import numpy as np

import rnn_core

MODELS = ("embedded", "convolved", "graph", "celled", "stateful", "operated")


def answer(tensor):
    return np.asarray(tensor.detach() if hasattr(tensor, "detach") else tensor)


def main(module):
    """Convert each model, then some of its layers and cells alone."""
    v = versions.Version(module, module)
    v.is_tensorflow = module == "tf_keras"
    for name in MODELS:
        model, draw = getattr(versions, name)(v)
        rng = np.random.RandomState(7)
        versions.draw_weights(model, rng)
        x = draw(rng)
        x = x if len(x) > 1 else x[0]
        theirs = model.predict(x, batch_size=5, verbose=0)
        ours = rnn_core.from_keras(model)(x)
        pairs = zip(ours, theirs, strict=True) if isinstance(ours, list) else [(ours, theirs)]
        worst = max(float(np.abs(a * 1.0 - b * 1.0).max()) for a, b in pairs)
        print(module, name, worst)
        assert worst < 2e-6
    x = np.random.RandomState(1).uniform(-1, 1, (5, 4, 3)).astype("float32")
    L = v.layers
    for layer in (L.LSTM(2), L.Bidirectional(L.GRU(2)), L.RNN([L.LSTMCell(2), L.GRUCell(3)])):
        theirs = answer(layer(x))
        worst = float(np.abs(rnn_core.from_keras(layer)(x) - theirs).max())
        print(module, type(layer).__name__, worst)
        assert worst < 2e-6
    layer = L.RNN(L.GRUCell(2))
    theirs = answer(layer(x))
    worst = float(np.abs(rnn_core.RNN(rnn_core.from_keras(layer.cell))(x) - theirs).max())
    print(module, "GRUCell", worst)
    assert worst < 2e-6


if __name__ == "__main__":
    main(*sys.argv[1:])
