"""Calls of layers in graphs: what they refuse, and the order of what they make."""

import json

import numpy as np
import pytest

import rnn_core as rc

X = np.ones((2, 4, 3), np.float32)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: rc.LSTM(2)(x, initial_state=[rc.Input((2,))]), "2 states but was passed 1"),
        (
            lambda x: rc.LSTM(2)(x, initial_state=[rc.Input((2,)), rc.Input((3,))]),
            r"a state has shape \(None, 3\), expected \(batch, 2\)",
        ),
        (
            lambda x: rc.Bidirectional(rc.GRU(2))(x, initial_state=[rc.Input((2,))]),
            "a list of as many",
        ),
        (
            lambda x: rc.RNN(rc.LSTMCell(2))(x, constants=[rc.Input((2,))]),
            "1 constants, expected none",
        ),
        (lambda x: rc.GRU(2)(rc.Input((3,))), "expected 3 axes"),
        (lambda x: rc.Model(x, X), "expected a symbolic tensor"),
        (lambda x: rc.Model([x, x], rc.GRU(2)(x)), "an input is given twice"),
        (lambda x: rc.Model(rc.Input((2,)), rc.GRU(2)(x)), "which is no input"),
        (
            lambda x: rc.Model(x, rc.GRU(2, name="a")(rc.Dense(2, name="a")(x))),
            "the same name: a",
        ),
        (
            lambda x: rc.Sequential([rc.Dense(2, name="a"), rc.Dense(2, name="a")]),
            "the same name: a",
        ),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make(rc.Input((4, 3)))


def test_a_built_layer_refuses_other_features():
    layer = rc.GRU(2)
    layer(X)
    with pytest.raises(ValueError, match="expected 3 features"):
        layer(rc.Input((4, 5)))


@pytest.mark.parametrize("give", [lambda i, j: (i, j), lambda i, j: {"j": j, "i": i}])
def test_a_nested_model_takes_tuples_and_dicts(give):
    i, j = rc.Input((4, 3), name="i"), rc.Input((4, 3), name="j")
    inner = rc.Model([i, j], rc.Subtract()([i, j]))
    a, b = rc.Input((4, 3)), rc.Input((4, 3))
    outer = rc.Model([a, b], inner(give(a, b)))
    assert np.array_equal(outer([2 * X, X]), X)


def test_keras_3_has_arguments_in_another_order():
    x, h = rc.Input((4, 3)), rc.Input((2,))
    model = rc.Model([x, h], rc.GRU(2)(x, initial_state=[h]))
    config = json.loads(json.dumps(model.get_config()))
    (node,) = config["layers"][-1]["inbound_nodes"]
    node["args"].append(node["kwargs"].pop("initial_state"))
    twin = rc.Model.from_config(config)
    twin.set_weights(model.get_weights())
    values = [X, np.ones((2, 2))]
    np.testing.assert_array_equal(twin(values), model(values))
    assert not np.array_equal(model(values), model([X, np.zeros((2, 2))]))


def test_training_that_a_graph_says():
    x = rc.Input((4, 3))
    model = rc.Model(x, rc.Dropout(1.0)(x, training=True))
    twin = rc.Model.from_config(json.loads(json.dumps(model.get_config())))
    assert not model(X).any()
    assert not twin(X).any()


NOISE = {
    "Dropout": lambda **kwargs: rc.Dropout(0.25, **kwargs),
    "SpatialDropout1D": lambda **kwargs: rc.SpatialDropout1D(0.25, **kwargs),
    "AlphaDropout": lambda **kwargs: rc.AlphaDropout(0.25, **kwargs),
    "GaussianDropout": lambda **kwargs: rc.GaussianDropout(0.25, **kwargs),
    "GaussianNoise": lambda **kwargs: rc.GaussianNoise(0.5, **kwargs),
}


@pytest.mark.parametrize("kind", NOISE)
def test_noise_in_training_only(kind, rng):
    x = rng.standard_normal((100, 20, 50)).astype(np.float32)
    layer = NOISE[kind](seed=1)
    assert layer(x) is layer(x, training=False)
    noisy = layer(x, training=True)
    assert noisy.dtype == x.dtype
    np.testing.assert_array_equal(NOISE[kind](seed=1)(x, training=True), noisy)
    assert not np.array_equal(layer(x, training=True), noisy)
    assert abs(noisy.mean() - x.mean()) < 0.03
    if kind == "AlphaDropout":
        assert abs(noisy.std() - x.std()) < 0.03
    if kind.endswith("1D") or kind == "Dropout":
        dropped = noisy == 0
        assert abs(dropped.mean() - 0.25) < 0.03
        np.testing.assert_allclose(noisy[~dropped], x[~dropped] / 0.75, rtol=1e-6)
        if kind == "SpatialDropout1D":
            assert (dropped.all(axis=1) == dropped.any(axis=1)).all()


def test_dropout_between_a_folded_embedding_and_its_layer():
    model = rc.Sequential(
        [rc.Input((4,)), rc.Embedding(5, 3), rc.Dropout(1.0), rc.SimpleRNN(2, use_bias=False)]
    )
    ids = np.ones((2, 4), int)
    assert model(ids).any()
    assert not model(ids, training=True).any()


def test_initializers_of_ones_own():
    layer = rc.Dense(2, kernel_initializer=lambda shape, dtype: np.full(shape, 3, dtype))
    assert np.array_equal(layer(np.ones((1, 3))), [[9, 9]])
    with pytest.raises(ValueError, match=r"returned shape \(1,\), expected \(3, 2\)"):
        rc.Dense(2, kernel_initializer=lambda shape, dtype: np.ones(1))(np.ones((1, 3)))


def test_models_of_parts_of_models(rng):
    x = rc.Input((4, 3))
    steps = rc.GRU(3, return_sequences=True)(x)
    model = rc.Model(x, rc.LSTM(2)(steps))
    part = rc.Model(model.inputs, steps)
    whole = rc.Sequential([rc.Input((4, 3)), rc.LSTM(2)])
    whole.set_weights(model.get_weights()[3:])
    joined = rc.Model(model.inputs, whole(steps))
    assert np.array_equal(whole(part(X)), model(X))
    assert np.array_equal(joined(X), model(X))
    assert np.array_equal(rc.Model(whole.inputs, whole.outputs)(X)[0], whole(X))


@pytest.mark.parametrize("run", [lambda m, x: m(x), lambda m, x: m.predict(x)])
def test_a_chain_over_an_embedding_takes_any_length(run):
    model = rc.Sequential([rc.Embedding(9, 3), rc.LSTM(2)])
    for length in (10, 15, 1):
        assert run(model, np.ones((3, length), int)).shape == (3, 2)


@pytest.mark.parametrize(
    "make",
    [
        lambda: rc.Dense(3),
        lambda: rc.Masking(),
        lambda: rc.TimeDistributed(rc.Dense(3)),
        lambda: rc.Embedding(3, 2),
        lambda: rc.Conv1D(2, 2),
        lambda: rc.Dropout(0.5),
        lambda: rc.LayerNormalization(),
    ],
)
def test_a_list_where_one_array_is_expected(make):
    with pytest.raises(ValueError, match="2 inputs in a list, expected one array"):
        make()([X, X])


def test_a_chain_through_a_layer_of_several_outputs():
    model = rc.Sequential([rc.LSTM(3, return_state=True), rc.Dense(2)])
    with pytest.raises(ValueError, match="3 outputs come to 'dense.*', expected one"):
        model(X)


@pytest.mark.parametrize(
    "make",
    [
        lambda: rc.LSTM(3),
        lambda: rc.Bidirectional(rc.LSTM(3)),
        lambda: rc.RNN([rc.LSTMCell(3), rc.GRUCell(2)]),
        lambda: rc.Sequential([rc.Input((4, 3)), rc.LSTM(3), rc.Dense(2)]),
    ],
)
def test_trainable_reaches_down(make):
    layer = make()
    layer(X)
    count = len(layer.weights)
    assert (len(layer.trainable_weights), len(layer.non_trainable_weights)) == (count, 0)
    layer.trainable = False
    assert (len(layer.trainable_weights), len(layer.non_trainable_weights)) == (0, count)


def test_arguments_of_early_keras(rng):
    assert rc.LSTM(3, input_dim=3, input_length=5).batch_input_shape == (None, 5, 3)
    assert rc.GRU(3, input_dim=3).batch_input_shape == (None, None, 3)
    assert len(rc.Sequential([rc.Dense(3, input_dim=3)]).weights) == 2
    values = [rng.standard_normal((3, 2)), rng.standard_normal(2)]
    np.testing.assert_allclose(
        rc.Dense(2, weights=values)(X[:, 0]), X[:, 0] @ values[0] + values[1], rtol=1e-6
    )
    with pytest.raises(ValueError, match=r"has shape \(2, 2\), expected \(3, 2\)"):
        rc.Dense(2, weights=[np.ones((2, 2)), np.ones(2)])(X[:, 0])
    with pytest.raises(ValueError, match="mask_zero and sparse"):
        rc.Embedding(3, 2, mask_zero=True, sparse=True)


def test_a_build_that_fails_leaves_no_weights():
    class Picky(rc.Layer):
        def build(self, input_shape):
            self.kernel = self.add_weight((2,), "ones")
            if self.picky:
                raise ValueError("not yet")

        def call(self, inputs):
            return inputs

    layer = Picky()
    layer.picky = True
    with pytest.raises(ValueError, match="not yet"):
        layer(X)
    layer.picky = False
    layer(X)
    assert len(layer.weights) == 1


def test_bidirectional_around_a_subclass_of_ones_own():
    class Own(rc.RNN):
        def __init__(self, units, **kwargs):
            kwargs.pop("cell", None)
            super().__init__(rc.GRUCell(units), **kwargs)
            self.units = units

        def get_config(self):
            config = super().get_config()
            return {**config, "units": self.units}

        @classmethod
        def from_config(cls, config):
            return cls(**config)

    assert rc.Bidirectional(Own(3))(X).shape == (2, 6)


def test_directions_that_cannot_be_summed():
    backward = rc.GRU(4, go_backwards=True)
    with pytest.raises(ValueError, match="merge_mode is 'sum', but the layers' outputs"):
        rc.Bidirectional(rc.GRU(3), "sum", backward_layer=backward)
    assert rc.Bidirectional(rc.GRU(3), backward_layer=backward)(X).shape == (2, 7)


def test_implementation_is_kept():
    layer = rc.Bidirectional(rc.LSTM(3, implementation=1, dropout=0.5))
    assert layer.backward_layer.implementation == 1
    assert layer.get_config()["layer"]["config"]["implementation"] == 1


def test_values_of_numpy_in_configs():
    masking = json.loads(json.dumps(rc.Masking(np.float32(0.5)).get_config()))
    assert masking["mask_value"] == 0.5
    lstm = rc.LSTM(np.int64(3), dropout=np.float32(0.5), seed=np.int32(7))
    config = json.loads(json.dumps(lstm.get_config()))
    assert (config["units"], config["dropout"], config["seed"]) == (3, 0.5, 7)


def test_the_third_argument_of_bidirectional_is_its_weights():
    layer = rc.Bidirectional(rc.GRU(2))
    expected = layer(X)
    twin = rc.Bidirectional(rc.GRU(2), "concat", layer.get_weights())
    np.testing.assert_array_equal(twin(X), expected)


def test_what_keras_has_elsewhere_is_not_taken_by_position():
    for make in (rc.LSTM, rc.GRUCell, rc.SimpleRNN):
        with pytest.raises(TypeError, match="positional arguments"):
            make(2, "tanh", "sigmoid", True, "zeros", "zeros", "zeros", 0.5, 0.5)
    with pytest.raises(TypeError, match="positional arguments"):
        rc.Embedding(3, 2, "uniform", True)
