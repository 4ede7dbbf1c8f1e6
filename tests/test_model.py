"""Chains and graphs of layers, and prediction over many rows."""

import json
import threading

import numpy as np
import pytest

import rnn_core as rc
from rnn_core import _folding


def chain():
    return rc.Sequential(
        [
            rc.Embedding(50, 8, mask_zero=True),
            rc.SpatialDropout1D(0.1),
            rc.Bidirectional(rc.LSTM(4, return_sequences=True)),
            rc.GRU(5),
            rc.Dense(3, "softmax"),
        ]
    )


def graph():
    ids, x = rc.Input((None,), name="ids"), rc.Input((None, 3), name="x")
    words = rc.GRU(4)(rc.Embedding(50, 8, mask_zero=True)(ids))
    output, h, _ = rc.LSTM(4, return_state=True)(rc.Masking()(x))
    shared = rc.Dense(4)
    merged = rc.Concatenate()([shared(words), shared(output)])
    again = rc.GRU(4, return_sequences=True)(x, initial_state=h)
    return rc.Model([ids, x], [rc.Dense(2, "softmax")(merged), again])


def inputs(rng, rows=7):
    ids = rng.integers(0, 50, (rows, 6)) * (rng.random((rows, 6)) < 0.6)
    x = rng.standard_normal((rows, 5, 3)) * (rng.random((rows, 5, 1)) < 0.6)
    return ids, x


def test_masks_travel_through_a_chain(rng):
    ids, _ = inputs(rng)
    model = chain()
    model(ids)
    model.set_weights([rng.uniform(-0.6, 0.6, weight.shape) for weight in model.weights])
    y = model(ids)
    mask = ids != 0
    hidden = model.layers[0](ids)
    hidden = model.layers[2](hidden, mask=mask)
    exact = model.layers[4](model.layers[3](hidden, mask=mask))
    np.testing.assert_allclose(y, exact, atol=1e-6)
    unmasked = model.layers[4](model.layers[3](model.layers[2](model.layers[0](ids))))
    assert np.abs(y - unmasked).max() > 1e-3


def test_a_graph_is_its_layers_called_by_hand(rng):
    ids, x = inputs(rng)
    model = graph()
    probabilities, again = model([ids, x])
    by_class = {type(layer).__name__: layer for layer in model.layers}
    gru_words, gru_again = (layer for layer in model.layers if isinstance(layer, rc.GRU))
    if gru_words.return_sequences:
        gru_words, gru_again = gru_again, gru_words
    dense_shared, dense_last = (layer for layer in model.layers if isinstance(layer, rc.Dense))
    words = gru_words(by_class["Embedding"](ids), mask=ids != 0)
    mask = (x != 0).any(axis=-1)
    output, h, _ = by_class["LSTM"](x, mask=mask)
    merged = np.concatenate([dense_shared(words), dense_shared(output)], axis=-1)
    np.testing.assert_allclose(probabilities, dense_last(merged), atol=1e-6)
    np.testing.assert_allclose(again, gru_again(x, initial_state=h), atol=1e-6)


@pytest.mark.parametrize("make", [chain, graph])
def test_config_round_trip(make, rng):
    ids, x = inputs(rng)
    data = ids if make is chain else [ids, x]
    model = make()
    expected = model.predict(data)
    twin = type(model).from_config(json.loads(json.dumps(model.get_config())))
    twin.predict(data)
    twin.set_weights(model.get_weights())
    for mine, theirs in zip(twin.predict(data), expected, strict=True):
        assert np.array_equal(mine, theirs)


def test_inputs_by_name(rng):
    ids, x = inputs(rng)
    model = graph()
    for mine, theirs in zip(model({"x": x, "ids": ids}), model([ids, x]), strict=True):
        assert np.array_equal(mine, theirs)
    with pytest.raises(ValueError, match="no input 'x'"):
        model({"ids": ids})


def test_dict_inputs_go_by_key():
    a, b = rc.Input((2,)), rc.Input((2,))
    model = rc.Model({"zz": a, "aa": b}, rc.Subtract()([a, b]))
    data = {"aa": np.ones((1, 2)), "zz": np.full((1, 2), 3.0)}
    assert model.predict(data).tolist() == [[2, 2]]


def test_layers_of_several_dtypes(rng):
    ids = rng.integers(0, 5, (4, 3))
    model = rc.Sequential([rc.Embedding(5, 3), rc.LSTM(2, dtype="float64")])
    assert model(ids).dtype == np.float64


@pytest.mark.parametrize("batch_size", [1, 5, 64, 100, 1000])
@pytest.mark.parametrize("threads", [1, 3])
def test_predict_is_the_call_on_every_row_in_order(batch_size, threads, rng):
    ids, x = inputs(rng, rows=100)
    rc.set_num_threads(threads)
    try:
        for model, data in ((chain(), ids), (graph(), [ids, x])):
            ours, theirs = model.predict(data, batch_size=batch_size), model(data)
            if isinstance(theirs, np.ndarray):
                ours, theirs = [ours], [theirs]
            for mine, exact in zip(ours, theirs, strict=True):
                np.testing.assert_allclose(mine, exact, atol=1e-6)
    finally:
        rc.set_num_threads(None)


def test_predict_with_a_progress_bar(rng, capsys):
    ids, _ = inputs(rng, rows=30)
    chain().predict(ids, batch_size=7, progress=True)
    assert "30.0/30.0" in capsys.readouterr().err


def test_predict_of_no_rows():
    assert chain().predict(np.zeros((0, 6), int)).shape == (0, 3)


def test_an_error_in_a_late_batch_comes_out(rng):
    ids, _ = inputs(rng, rows=100)
    ids[77, 2] = 50
    with pytest.raises(ValueError, match="is 50, expected below 50"):
        chain().predict(ids, batch_size=10)


def test_calls_from_many_threads(rng):
    ids, _ = inputs(rng, rows=50)
    model = chain()
    expected = model(ids)
    wrong = []

    def work():
        for _ in range(20):
            if not np.array_equal(model(ids), expected):
                wrong.append(1)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


@pytest.mark.parametrize("mask_zero", [False, True])
@pytest.mark.parametrize("layer", [rc.LSTM, rc.GRU, rc.SimpleRNN])
def test_folding_an_embedding_changes_nothing_but_rounding(mask_zero, layer, rng, monkeypatch):
    ids, _ = inputs(rng, rows=40)
    layers = [
        rc.Embedding(50, 8, mask_zero=mask_zero),
        rc.Dropout(0.2),
        layer(6, return_sequences=True, go_backwards=True),
    ]
    folded = rc.Sequential(layers)
    y = folded(ids)
    assert [type(step) for step in folded._steps] == [_folding.FoldedEmbedding]
    monkeypatch.setattr(_folding, "TABLE_BYTES", 0)
    plain = rc.Sequential(layers)
    np.testing.assert_allclose(y, plain(ids), atol=1e-6)
    assert plain._steps == layers
    folded.set_weights([2 * weight for weight in folded.get_weights()])
    np.testing.assert_allclose(folded(ids), plain(ids), atol=1e-6)


@pytest.mark.parametrize("mask_zero", [False, True])
@pytest.mark.parametrize("merge_mode", ["concat", "sum"])
def test_folding_in_a_graph_and_in_both_directions(mask_zero, merge_mode, rng):
    ids, _ = inputs(rng, rows=20)
    x = rc.Input((None,))
    vectors = rc.Dropout(0.1)(rc.Embedding(50, 8, mask_zero=mask_zero)(x))
    layer = rc.Bidirectional(rc.GRU(5, return_sequences=True), merge_mode=merge_mode)
    model = rc.Model(x, layer(vectors))
    folded = model(ids)
    calls = [type(node.layer) for node in model._calls()]
    assert calls == [_folding.FoldedEmbedding]
    model.fold_embeddings = False
    plain = model(ids)
    assert len(model._calls()) == 3
    np.testing.assert_allclose(folded, plain, atol=1e-6)
    model.fold_embeddings = True
    model.set_weights([2 * weight for weight in model.get_weights()])
    changed = model(ids)
    model.fold_embeddings = False
    np.testing.assert_allclose(changed, model(ids), atol=1e-6)


def test_vectors_that_something_else_uses_are_not_folded_away(rng):
    ids, _ = inputs(rng, rows=4)
    x = rc.Input((None,))
    vectors = rc.Embedding(50, 8)(x)
    model = rc.Model(x, [rc.LSTM(5)(vectors), vectors])
    assert not any(type(node.layer) is _folding.FoldedEmbedding for node in model._calls())
    assert model(ids)[1].shape == (*ids.shape, 8)


def test_subclasses_are_not_folded(rng):
    class Shifted(rc.LSTM):
        def call(self, inputs, **kwargs):
            return super().call(inputs, **kwargs) + 100

    ids = rng.integers(0, 9, (4, 5))
    assert (rc.Sequential([rc.Embedding(9, 3), Shifted(2)])(ids) > 90).all()


def test_first_calls_from_many_threads_build_once():
    for _ in range(20):
        model = rc.Sequential([rc.Dense(20), rc.LSTM(16), rc.Dense(3)])
        x = np.ones((2, 4, 3))
        workers = [threading.Thread(target=model, args=(x,)) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert len(model.get_weights()) == 7


def test_a_stateful_model_wants_whole_batches(rng):
    model = rc.Sequential([rc.LSTM(4, stateful=True, batch_input_shape=(2, None, 3))])
    with pytest.raises(ValueError, match="5 rows, expected a multiple of 2"):
        model.predict(np.zeros((5, 3, 3)))
    assert model.layers[0].states == [None, None]


def test_a_stateful_model_goes_through_batches_in_order(rng):
    model = rc.Sequential([rc.LSTM(4, stateful=True, batch_input_shape=(5, None, 3))])
    x = rng.standard_normal((15, 2, 3))
    y = model.predict(x, batch_size=5)
    model.reset_states()
    by_hand = [model(x[start : start + 5]) for start in (0, 5, 10)]
    assert np.array_equal(y, np.concatenate(by_hand))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: graph()([np.zeros((2, 3))]), ValueError, "1 inputs, expected 2"),
        (
            lambda: graph().predict([np.zeros((2, 3)), np.zeros((3, 4, 3))]),
            ValueError,
            r"inputs have \[2, 3\] rows",
        ),
        (
            lambda: graph()([np.zeros((2, 3)), np.zeros((2, 4, 5))]),
            ValueError,
            r"x: input has shape \(2, 4, 5\), expected \(None, None, 3\)",
        ),
        (lambda: chain().predict(np.zeros((3, 4)), batch_size=0), ValueError, "batch_size is 0"),
        (lambda: rc.Sequential([3]), TypeError, "expected a layer"),
        (lambda: chain().get_layer("lsmt"), ValueError, "no layer 'lsmt'; there are"),
        (lambda: chain().predict(np.full((3, 4), "x")), TypeError, "expected whole numbers"),
    ],
)
def test_errors_say_expected_and_given(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_summary(capsys):
    model = chain()
    model(np.zeros((1, 4), int))
    model.summary()
    text = capsys.readouterr().out
    assert "bidirectional" in text
    assert f"{model.count_params():,} weights in all" in text


class Pooled(rc.Layer):
    def call(self, inputs):
        return inputs.mean(axis=1)


class Twice(rc.Layer):
    def call(self, inputs):
        return np.concatenate([inputs, inputs], axis=-1)


class Both(rc.Layer):
    def call(self, inputs):
        return [inputs[0] + inputs[1], inputs[0].sum(axis=(1, 2))]


def test_shapes_of_layers_that_do_not_say(rng):
    """As in Keras, a graph finds them by calling the layer."""
    x = rc.Input((None, 3))
    first, second = Both()([x, x])
    assert (first.shape, second.shape) == ((None, None, 3), (None,))
    assert Twice()(x).shape == (None, None, 6)
    model = rc.Model(x, rc.LSTM(4)(rc.RepeatVector(6)(Pooled()(Twice()(x)))))
    values = rng.standard_normal((2, 5, 3)).astype("f4")
    pooled = np.concatenate([values, values], axis=-1).mean(axis=1)
    expected = model.layers[-1](np.repeat(pooled[:, None], 6, axis=1))
    np.testing.assert_array_equal(model(values), expected)
    assert Pooled().compute_output_shape((None, 7, 3)) == (None, 3)


class Particular(rc.Layer):
    def call(self, inputs):
        if not inputs.any():
            raise RuntimeError("nothing there")
        return inputs


def test_a_layer_whose_shape_cannot_be_found():
    with pytest.raises(ValueError, match="nothing there.*define compute_output_shape"):
        Particular(name="p")(rc.Input((3,)))
