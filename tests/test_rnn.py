"""Recurrent layers: masks, states, stacks and directions, against the oracle and each other."""

import copy
import pickle

import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rnn_core as rc

LAYERS = {
    "simple_rnn": lambda **kwargs: rc.SimpleRNN(5, **kwargs),
    "lstm": lambda **kwargs: rc.LSTM(5, **kwargs),
    "gru_after": lambda **kwargs: rc.GRU(5, **kwargs),
    "gru_before": lambda **kwargs: rc.GRU(5, reset_after=False, **kwargs),
}
CELLS = sorted(LAYERS)


def build(cell, features=3, **options):
    layer = LAYERS[cell](**options)
    layer.build((None, None, features))
    layer.built = True
    rng = np.random.default_rng(3)
    layer.set_weights([rng.uniform(-0.6, 0.6, w.shape) for w in layer.weights])
    return layer


def weights_of(layer):
    kernel, recurrent_kernel, bias = layer.get_weights()
    biases = bias if bias.ndim == 2 else (bias, np.zeros_like(bias))
    return {
        "kernel": kernel,
        "recurrent_kernel": recurrent_kernel,
        "bias": biases[0],
        "recurrent_bias": biases[1],
    }


def steps_in_python(layer):
    """A copy of the layer whose cell runs step by step, through its `call`."""
    cell = layer.cell

    class Wrapped:
        state_size, output_size = cell.state_size, cell.output_size
        call = staticmethod(cell.call)

    twin = rc.RNN(Wrapped(), dtype=layer.dtype, **{k: getattr(layer, k) for k in rc.RNN.rnn_keys})
    twin.built = True
    return twin


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_engine_steps_and_oracle_agree_under_any_mask(data):
    cell = data.draw(st.sampled_from(CELLS))
    dtype = data.draw(st.sampled_from(["float32", "float64"]))
    batch, timesteps = data.draw(st.integers(0, 4)), data.draw(st.integers(0, 6))
    options = {
        "go_backwards": data.draw(st.booleans()),
        "zero_output_for_mask": data.draw(st.booleans()),
        "time_major": data.draw(st.booleans()),
        "unroll": data.draw(st.booleans()),
    }
    layer = build(cell, dtype=dtype, return_sequences=True, return_state=True, **options)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    x = rng.standard_normal((batch, timesteps, 3))
    mask = rng.random((batch, timesteps)) < data.draw(st.sampled_from([0.0, 0.5, 1.0]))
    x[~mask] = np.nan
    initial = [rng.standard_normal((batch, 5)) for _ in range(oracle.CELLS[cell][2])]
    given_x, given_mask = (x.swapaxes(0, 1), mask.T) if layer.time_major else (x, mask)
    outputs, states = oracle.run(
        cell, weights_of(layer), x, initial, mask, layer.go_backwards, layer.zero_output_for_mask
    )
    for runner in (layer, steps_in_python(layer)):
        ours = runner(given_x, mask=given_mask, initial_state=initial)
        ours[0] = ours[0].swapaxes(0, 1) if layer.time_major else ours[0]
        for mine, exact in zip(ours, [outputs, *states], strict=True):
            np.testing.assert_allclose(mine, exact, atol=2e-6 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize("cell", CELLS)
def test_last_output_and_states(cell, dtype, tolerance, rng):
    x = rng.standard_normal((4, 50, 3))
    layer = build(cell, dtype=dtype, return_state=True)
    output, *states = layer(x)
    outputs, exact = oracle.run(cell, weights_of(layer), x.astype(dtype))
    assert output.dtype == dtype
    np.testing.assert_allclose(output, outputs[:, -1], atol=tolerance)
    for mine, theirs in zip(states, exact, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=tolerance)


@pytest.mark.parametrize("cell", CELLS)
def test_without_bias(cell, rng):
    x = rng.standard_normal((4, 6, 3))
    layer = build(cell, use_bias=False)
    assert len(layer.weights) == 2
    kernel, recurrent_kernel = layer.get_weights()
    zeros = np.zeros(kernel.shape[1])
    weights = {
        "kernel": kernel,
        "recurrent_kernel": recurrent_kernel,
        "bias": zeros,
        "recurrent_bias": zeros,
    }
    np.testing.assert_allclose(layer(x), oracle.run(cell, weights, x)[0][:, -1], atol=2e-6)


@pytest.mark.parametrize("go_backwards", [False, True])
def test_a_stack_is_its_cells_one_after_another(go_backwards, rng):
    cells = [rc.LSTMCell(4), rc.GRUCell(6), rc.SimpleRNNCell(3)]
    stack = rc.RNN(cells, return_sequences=True, return_state=True, go_backwards=go_backwards)
    x = rng.standard_normal((5, 7, 3))
    mask = rng.random((5, 7)) < 0.6
    output, *states = stack(x, mask=mask)
    assert [np.shape(s) for s in states] == [(2, 5, 4), (5, 6), (5, 3)]
    y, y_mask = x, mask
    if go_backwards:
        y, y_mask = y[:, ::-1], y_mask[:, ::-1]
    for cell in cells:
        layer = rc.RNN(cell, return_sequences=True)
        y = layer(y, mask=y_mask)
    np.testing.assert_allclose(output, y, atol=1e-6)


def test_a_stack_of_one_cell(rng):
    x = rng.standard_normal((2, 4, 3))
    cell = rc.LSTMCell(4)
    assert np.array_equal(rc.RNN([cell])(x), rc.RNN(cell)(x))


@pytest.mark.parametrize("merge_mode", ["concat", "sum", "mul", "ave", None])
@pytest.mark.parametrize("return_sequences", [False, True])
def test_bidirectional(merge_mode, return_sequences, rng):
    x = rng.standard_normal((4, 6, 3))
    mask = rng.random((4, 6)) < 0.6
    layer = rc.Bidirectional(
        rc.LSTM(5, return_sequences=return_sequences, return_state=True), merge_mode
    )
    result = layer(x, mask=mask)
    there, back = (
        oracle.run("lstm", weights_of(child), x, None, mask, child.go_backwards, return_sequences)
        for child in (layer.forward_layer, layer.backward_layer)
    )
    ends = [side[0] if return_sequences else side[0][:, -1] for side in (there, back)]
    if return_sequences:
        ends[1] = ends[1][:, ::-1]
    merged = {
        "concat": lambda a, b: [np.concatenate([a, b], axis=-1)],
        "sum": lambda a, b: [a + b],
        "mul": lambda a, b: [a * b],
        "ave": lambda a, b: [(a + b) / 2],
        None: lambda a, b: [a, b],
    }[merge_mode](*ends)
    expected = [*merged, *there[1], *back[1]]
    for mine, exact in zip(result, expected, strict=True):
        np.testing.assert_allclose(mine, exact, atol=2e-6)
    shapes = layer.compute_output_shape(x.shape)
    assert [tuple(s) for s in shapes] == [y.shape for y in result]


@pytest.mark.parametrize("cell", CELLS)
def test_two_halves_through_a_stateful_layer_are_the_whole(cell, rng):
    x = rng.standard_normal((4, 8, 3)).astype(np.float32)
    layer = build(cell, return_sequences=True, stateful=True, batch_input_shape=(4, None, 3))
    whole = layer(x)
    layer.reset_states()
    halves = [layer(x[:, :3]), layer(x[:, 3:])]
    assert np.array_equal(np.concatenate(halves, axis=1), whole)


def test_reset_states_sets_states(rng):
    x = rng.standard_normal((4, 3, 3))
    layer = build("lstm", stateful=True, batch_input_shape=(4, None, 3))
    states = [rng.standard_normal((4, 5)), rng.standard_normal((4, 5))]
    layer.reset_states(states)
    expected = build("lstm")(x, initial_state=states)
    assert np.array_equal(layer(x), expected)
    with pytest.raises(ValueError, match=r"reset_states has shape \(4, 6\), expected \(4, 5\)"):
        layer.reset_states([states[0], np.zeros((4, 6))])
    with pytest.raises(AttributeError, match="must be stateful"):
        build("lstm").reset_states()


def test_a_failed_call_keeps_the_states(rng):
    layer = build("lstm", stateful=True, batch_input_shape=(4, None, 3))
    layer(rng.standard_normal((4, 3, 3)))
    before = copy.deepcopy(layer.states)
    with pytest.raises(ValueError, match="expected"):
        layer(np.zeros((4, 3, 3)), mask=np.ones((4, 2)))
    with pytest.raises(ValueError, match="stateful layer with states of batch 4"):
        layer(np.zeros((5, 3, 3)))
    assert all(map(np.array_equal, layer.states, before))


class WithStates(rc.LSTM):
    """Begins with states that are not C-contiguous."""

    def get_initial_state(self, inputs=None, batch_size=None):
        return [np.asfortranarray(np.full((4, 5), i, self.dtype)) for i in (1, 2)]


@pytest.mark.parametrize("stateful", [False, True])
@pytest.mark.parametrize("wrap", [lambda layer: layer, rc.Bidirectional])
def test_states_of_any_layout(wrap, stateful, dtype, rng):
    x = rng.standard_normal((4, 3, 3)).astype(dtype)
    layer = wrap(build("lstm", dtype=dtype, stateful=stateful, batch_input_shape=(4, None, 3)))
    row = rng.standard_normal((1, 5)).astype(dtype)
    count = 4 if wrap is rc.Bidirectional else 2
    expected = layer(x, initial_state=[np.repeat(row, 4, axis=0)] * count)
    wide = np.empty((4, 10), dtype)
    wide[:, ::2] = row
    for state in (np.broadcast_to(row, (4, 5)), np.repeat(row.T, 4, axis=1).T, wide[:, ::2]):
        assert np.array_equal(layer(x, initial_state=[state] * count), expected)
        if stateful:
            layer.reset_states([state] * count)
            assert np.array_equal(layer(x), expected)


def test_own_states_of_any_layout(rng):
    x = rng.standard_normal((4, 3, 3))
    layer, plain = WithStates(5), rc.LSTM(5)
    layer(x), plain(x)
    plain.set_weights(layer.get_weights())
    states = [np.ones((4, 5)), np.full((4, 5), 2.0)]
    assert np.array_equal(layer(x), plain(x, initial_state=states))


def test_a_failed_bidirectional_call_keeps_both_states(rng):
    layer = rc.Bidirectional(rc.LSTM(3, stateful=True))
    layer(rng.standard_normal((2, 4, 3)))
    before = copy.deepcopy([layer.forward_layer.states, layer.backward_layer.states])
    wrong = [np.ones((2, 3)), np.ones((2, 3)), np.ones((9, 3)), np.ones((9, 3))]
    with pytest.raises(ValueError, match=r"initial_state has shape \(9, 3\)"):
        layer(np.zeros((2, 4, 3)), initial_state=wrong)
    with pytest.raises(ValueError, match=r"reset_states has shape \(9, 3\)"):
        layer.reset_states(wrong)
    after = [layer.forward_layer.states, layer.backward_layer.states]
    assert np.array_equal(before, after)


def test_time_major_states(rng):
    layer = rc.LSTM(3, stateful=True, time_major=True, batch_input_shape=(None, 2, 3))
    layer.reset_states([np.ones((2, 3)), np.ones((2, 3))])
    assert np.array_equal(layer.states, np.ones((2, 2, 3)))


def test_one_cell_twice_in_a_stack(rng):
    cell = rc.GRUCell(3)
    x = rng.standard_normal((2, 4, 3))
    layer = rc.RNN(cell, return_sequences=True)
    np.testing.assert_allclose(rc.RNN([cell, cell])(x), layer(layer(x))[:, -1], atol=1e-6)


def test_dropout_acts_in_training_only_and_is_seeded(rng):
    x = np.ones((64, 4, 3))
    layer = build("lstm", dropout=0.5, recurrent_dropout=0.25, seed=1)
    plain = build("lstm")(x)
    np.testing.assert_allclose(layer(x), plain, atol=1e-6)
    trained = layer(x, training=True)
    assert np.abs(trained - plain).max() > 1e-3
    again = build("lstm", dropout=0.5, recurrent_dropout=0.25, seed=1)
    assert np.array_equal(again(x, training=True), trained)


@pytest.mark.parametrize("make", [rc.LSTM, rc.GRU, rc.LSTMCell, rc.GRUCell])
def test_positional_arguments_are_those_of_keras(make):
    layer = make(3, "relu", "hard_sigmoid", False, "zeros", "ones", "normal")
    config = layer.get_config()
    assert (config["activation"], config["recurrent_activation"]) == ("relu", "hard_sigmoid")
    assert config["use_bias"] is False
    names = [
        config[f"{kind}_initializer"]["class_name"] for kind in ("kernel", "recurrent", "bias")
    ]
    assert names == ["Zeros", "Ones", "RandomNormal"]


def test_activations_that_are_callables(rng):
    x = rng.standard_normal((4, 6, 3)).astype(np.float32)
    named, called = build("gru_after"), build("gru_after", activation=np.tanh)
    assert called.cell._ready_plan() is None
    np.testing.assert_allclose(called(x), named(x), atol=1e-6)


class Accumulator(rc.AbstractRNNCell):
    """Returns what the state is not: mistakes that mix up the two show."""

    state_size, output_size = 3, 3

    def call(self, inputs, states, constants=None):
        total = inputs + states[0] + (constants[0] if constants else 0)
        return 10 * total, [total]


def test_a_cell_of_ones_own_under_a_mask():
    x = np.array([[[1.0] * 3, [2.0] * 3, [4.0] * 3]])
    layer = rc.RNN(Accumulator(), return_sequences=True, return_state=True)
    outputs, state = layer(x, mask=[[False, True, False]], initial_state=np.full((1, 3), 5.0))
    assert outputs[0, :, 0].tolist() == [0, 70, 70]
    assert state[0, 0] == 7


def test_constants_reach_a_cell_that_takes_them():
    layer = rc.RNN(Accumulator())
    assert layer(np.ones((1, 2, 3)), constants=[np.full((1, 3), 0.5)])[0, 0] == 30


def test_output_shapes_without_running():
    shape = (None, 7, 3)
    assert rc.LSTM(4).compute_output_shape(shape) == (None, 4)
    layer = rc.LSTM(4, return_sequences=True, return_state=True)
    assert layer.compute_output_shape(shape) == [(None, 7, 4), (None, 4), (None, 4)]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: rc.LSTM(0), ValueError, "units is 0, expected a positive number"),
        (lambda: rc.LSTM(4, activation="tahn"), ValueError, "did you mean 'tanh'"),
        (lambda: rc.LSTM(4, kernel_initializer="glorot"), ValueError, "did you mean"),
        (lambda: rc.LSTM(4, colour=1), TypeError, "takes no argument 'colour'"),
        (lambda: rc.RNN(object()), ValueError, "has no 'call'"),
        (lambda: rc.Bidirectional(rc.Dense(3)), ValueError, "wraps a recurrent layer"),
        (lambda: rc.Bidirectional(rc.GRU(3), "max"), ValueError, "merge_mode is 'max'"),
        (lambda: rc.LSTM(4)(np.zeros((2, 3))), ValueError, r"\(2, 3\), expected 3 axes \(batch"),
        (lambda: rc.LSTM(4)(np.full((2, 3, 1), "a")), TypeError, "expected real numbers"),
        (lambda: rc.LSTM(4)(np.full((2, 3, 1), None)), TypeError, "expected real numbers"),
        (lambda: rc.LSTM(4)(np.zeros((2, 3, 1), complex)), TypeError, "expected real numbers"),
        (
            lambda: rc.LSTM(4, name="a")(np.zeros((8, 10, 4)), mask=np.ones((8, 11))),
            ValueError,
            r"mask has shape \(8, 11\), expected \(8, 10\) for inputs \(8, 10, 4\)",
        ),
        (
            lambda: rc.LSTM(4)(np.zeros((8, 10, 4)), initial_state=[np.zeros((7, 4))] * 2),
            ValueError,
            r"initial_state has shape \(7, 4\), expected \(8, 4\)",
        ),
        (
            lambda: rc.LSTM(4)(np.zeros((8, 10, 4)), initial_state=np.zeros((8, 4))),
            ValueError,
            "layer has 2 states but was passed 1",
        ),
        (lambda: build("lstm")(np.zeros((8, 10, 4))), ValueError, "expected 3 features"),
    ],
)
def test_errors_say_expected_and_given(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("cell", CELLS)
def test_config_round_trip(cell, rng):
    layer = build(cell, return_sequences=True, go_backwards=True, kernel_regularizer="l2")
    config = layer.get_config()
    assert config["kernel_regularizer"] == "l2"
    twin = type(layer).from_config(config)
    x = rng.standard_normal((2, 4, 3))
    twin(x)
    twin.set_weights(layer.get_weights())
    assert np.array_equal(twin(x), layer(x))
    assert twin.get_config() == config


def test_layers_can_be_pickled(rng):
    layer = build("lstm")
    x = rng.standard_normal((2, 4, 3))
    expected = layer(x)
    assert np.array_equal(pickle.loads(pickle.dumps(layer))(x), expected)


def test_set_weights_takes_effect_or_changes_nothing(rng):
    layer = build("gru_after")
    x = rng.standard_normal((2, 4, 3))
    before = layer(x)
    weights = layer.get_weights()
    with pytest.raises(ValueError, match=r"'bias' has shape \(15,\), expected \(2, 15\)"):
        layer.set_weights([weights[0] * 2, weights[1], weights[2][0]])
    with pytest.raises(ValueError, match="2 weights, expected 3"):
        layer.set_weights(weights[:2])
    assert np.array_equal(layer(x), before)
    layer.set_weights([w * 2 for w in weights])
    exact = oracle.run("gru_after", weights_of(layer), x)[0][:, -1]
    np.testing.assert_allclose(layer(x), exact, atol=2e-6)
