"""Convolution and convolutional LSTMs, against SciPy's correlation in float64."""

import json
import pickle
from itertools import product
from unittest import mock

import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import correlate

import rnn_core as rc
from rnn_core import _convolution
from rnn_core._conv_lstm import ConvLSTM1D, ConvLSTM2D, ConvLSTM3D, ConvLSTMCell

LAYERS = {1: ConvLSTM1D, 2: ConvLSTM2D, 3: ConvLSTM3D}
SPACE = {1: (7,), 2: (7, 5), 3: (4, 5, 3)}


def spread(kernel, dilation):
    """A kernel with zeros between its values."""
    window = [(k - 1) * d + 1 for k, d in zip(kernel.shape[:-2], dilation, strict=True)]
    spread = np.zeros((*window, *kernel.shape[-2:]))
    spread[tuple(slice(None, None, d) for d in dilation)] = kernel
    return spread


def convolve(x, kernel, strides, padding, dilation, groups=1):
    """Each filter's correlation with each channel, strides taken out of the whole."""
    x, kernel = np.asarray(x, float), spread(np.asarray(kernel, float), dilation)
    *window, channels, filters = kernel.shape
    around = [(0, 0)] * len(window)
    if padding != "valid":
        for axis, (n, w, s) in enumerate(zip(x.shape[1:-1], window, strides, strict=True)):
            windows = -(-n // s)
            beyond = max((windows - 1) * s + w - n, 0)
            around[axis] = (w - 1, 0) if padding == "causal" else (beyond // 2, -(-beyond // 2))
    x = np.pad(x, ((0, 0), *around, (0, 0)))
    whole = [max(0, n - w + 1) for n, w in zip(x.shape[1:-1], window, strict=True)]
    y = np.zeros((len(x), *whole, filters))
    for image, f, c in product(range(len(x)), range(filters), range(channels)):
        if y.size:
            signal = x[image, ..., f // (filters // groups) * channels + c]
            y[image, ..., f] += correlate(signal, kernel[..., c, f], "valid", "direct")
    return y[(slice(None), *(slice(None, None, s) for s in strides))]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_convolve(data):
    rank = data.draw(st.integers(1, 3))

    def per_axis(low, high):
        return tuple(data.draw(st.integers(low, high)) for _ in range(rank))

    groups = data.draw(st.integers(1, 3))
    channels, filters = groups * data.draw(st.integers(0, 2)), groups * data.draw(st.integers(1, 2))
    shape = (data.draw(st.integers(0, 3)), *per_axis(0, 6), channels)
    kernel_shape = (*per_axis(1, 3), channels // groups, filters)
    padding = data.draw(st.sampled_from(["valid", "same", "causal"][: 3 if rank == 1 else 2]))
    strides, dilation = per_axis(1, 3), per_axis(1, 2)
    dtype = data.draw(st.sampled_from(["float32", "float64"]))
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape[::-1]).astype(dtype)
    x = x.T if data.draw(st.booleans()) else np.ascontiguousarray(x.T)
    kernel = rng.standard_normal(kernel_shape).astype(dtype)
    with mock.patch.object(_convolution, "_BLOCK", data.draw(st.sampled_from([1, 300, 1 << 20]))):
        y = _convolution.convolve(x, kernel, strides, padding, dilation, groups)
    exact = convolve(x, kernel, strides, padding, dilation, groups)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, exact, atol=1e-5 if dtype == "float32" else 1e-13)
    space = _convolution.output_space(shape[1:-1], kernel_shape[:-2], strides, padding, dilation)
    assert space == y.shape[1:-1]


def test_convolve_refuses_other_channels():
    with pytest.raises(ValueError, match=r"\(2, 5, 3\), expected 3 axes, 4 channels on the last"):
        _convolution.convolve(np.zeros((2, 5, 3)), np.zeros((3, 2, 4)), (1,), "same", (1,), 2)


@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
def test_conv1d_with_channels_first(padding, rng):
    x = rng.standard_normal((2, 7, 4)).astype(np.float32)
    last = rc.Conv1D(6, 3, 2, padding, groups=2, activation="softmax")
    first = rc.Conv1D(6, 3, 2, padding, groups=2, data_format="channels_first")
    assert first.compute_output_shape((2, 4, None)) == (2, 6, None)
    y, x_first = last(x), x.swapaxes(1, 2)
    first(x_first)
    first.set_weights(last.get_weights())
    exact = convolve(x, last.kernel, (2,), padding, (1,), 2)
    np.testing.assert_allclose(first(x_first).swapaxes(1, 2), exact, atol=1e-6)
    np.testing.assert_allclose(y, oracle.softmax(exact), atol=1e-6)
    assert first(x_first).shape == first.compute_output_shape(x_first.shape)
    with pytest.raises(ValueError, match="4 channels"):
        first(x)


# Cells and layers


def randomize(layer, input_shape):
    layer.build(input_shape)
    rng = np.random.default_rng(3)
    layer.set_weights([rng.uniform(-0.5, 0.5, w.shape) for w in layer.weights])
    return layer


def step(cell, x, h, c):
    """The equations in float64, channels last; with the cell's weights."""
    kernel, recurrent_kernel, *bias = cell.get_weights()
    ones = (1,) * cell.rank
    z = convolve(x, kernel, cell.strides, cell.padding, cell.dilation_rate)
    z += convolve(h, recurrent_kernel, ones, "same", ones) + (bias[0] if bias else 0)
    i, f, g, o = np.split(z, 4, axis=-1)
    act, rec = (oracle.ACTIVATIONS[a.name] for a in (cell.activation, cell.recurrent_activation))
    c = rec(f) * c + rec(i) * act(g)
    return rec(o) * act(c), c


def run(cell, x, states=None, mask=None, go_backwards=False, zero_output=False):
    """Return all outputs (batch, timesteps, ...) in processing order, and the last states."""
    shape = cell.compute_output_shape((len(x), *x.shape[2:]))
    h, c = states or (np.zeros(shape), np.zeros(shape))
    mask = np.ones(x.shape[:2], bool) if mask is None else mask
    outputs = np.zeros((len(x), x.shape[1], *shape[1:]))
    last = np.zeros(shape)
    order = range(x.shape[1])[:: -1 if go_backwards else 1]
    for position, t in enumerate(order):
        keep = mask[:, t].reshape(-1, *(1,) * (len(shape) - 1))
        new_h, new_c = step(cell, np.where(keep[..., :1], x[:, t], 0.0), h, c)
        h, c = np.where(keep, new_h, h), np.where(keep, new_c, c)
        last = np.where(keep, new_h, 0.0 if zero_output else last)
        outputs[:, position] = last
    return outputs, [h, c]


OPTIONS = {
    "plain": {},
    "same": {"padding": "same"},
    "strides": {"strides": 2},
    "same strides": {"strides": 3, "padding": "same"},
    "dilation": {"dilation_rate": 2, "padding": "same"},
    "no bias": {"use_bias": False},
    "activations": {"activation": None, "recurrent_activation": "hard_sigmoid"},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_cell(rank, options, dtype, rng):
    space = SPACE[rank]
    cell = ConvLSTMCell(rank, 3, 2 if rank == 3 else 3, dtype=dtype, **options)
    randomize(cell, (None, *space, 2))
    x = rng.standard_normal((4, *space, 2)).astype(dtype)
    states = [rng.standard_normal(s.shape).astype(dtype) for s in cell.get_initial_state(x)]
    output, (h, c) = cell(x, states)
    exact = step(cell, x, *states)
    assert output is h
    for mine, theirs in zip((h, c), exact, strict=True):
        assert mine.dtype == dtype
        np.testing.assert_allclose(mine, theirs, atol=2e-6 if dtype == "float32" else 1e-13)
    assert [(4, *size) for size in cell.state_size] == [s.shape for s in states]


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_channels_first_is_channels_last_with_axes_moved(rank, rng):
    x = rng.standard_normal((2, 3, *SPACE[rank], 2)).astype(np.float32)
    moved = np.moveaxis(x, -1, 2)
    options = {"strides": 2, "return_state": True, "return_sequences": True}
    last = randomize(LAYERS[rank](3, 2, **options), x.shape)
    first = LAYERS[rank](3, 2, data_format="channels_first", **options)
    first(moved)
    first.set_weights(last.get_weights())
    ours, theirs = first(moved), last(x)
    for mine, other, axis in zip(ours, theirs, (2, 1, 1), strict=True):
        np.testing.assert_allclose(np.moveaxis(mine, axis, -1), other, atol=1e-6)
    assert [tuple(s) for s in first.compute_output_shape(moved.shape)] == [y.shape for y in ours]
    with pytest.raises(ValueError, match=r"expected 2, \?"):
        first(np.concatenate([moved, moved], axis=2))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("unit_forget_bias", [True, False])
def test_weights_to_begin_with(rank, unit_forget_bias):
    cell = ConvLSTMCell(rank, 3, (2, 3, 1)[:rank], unit_forget_bias=unit_forget_bias)
    cell.build((None, *(None,) * rank, 5))
    kernel, recurrent_kernel, bias = cell.get_weights()
    assert kernel.shape == (*(2, 3, 1)[:rank], 5, 12)
    assert recurrent_kernel.shape == (*(2, 3, 1)[:rank], 3, 12)
    assert bias.tolist() == [0] * 3 + [int(unit_forget_bias)] * 3 + [0] * 6


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_layer_under_any_mask(data):
    rank = data.draw(st.integers(1, 3))
    batch, timesteps = data.draw(st.integers(0, 3)), data.draw(st.integers(0, 4))
    space = tuple(data.draw(st.integers(0, 4)) for _ in range(rank))
    options = {
        "padding": data.draw(st.sampled_from(["valid", "same"])),
        "strides": data.draw(st.integers(1, 2)),
        "go_backwards": data.draw(st.booleans()),
        "zero_output_for_mask": data.draw(st.booleans()),
        "unroll": data.draw(st.booleans()),
    }
    layer = LAYERS[rank](2, 2, return_sequences=True, return_state=True, dtype="float64", **options)
    randomize(layer, (None, None, *space, 3))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    x = rng.standard_normal((batch, timesteps, *space, 3))
    mask = rng.random((batch, timesteps)) < data.draw(st.sampled_from([0.0, 0.5, 1.0]))
    x[~mask] = np.nan
    shape = layer.cell.compute_output_shape((batch, *space, 3))
    initial = data.draw(st.sampled_from([None, [rng.standard_normal(shape) for _ in range(2)]]))
    outputs, states = run(
        layer.cell, x, initial, mask, layer.go_backwards, layer.zero_output_for_mask
    )
    ours = layer(x, mask=mask, initial_state=initial)
    for mine, exact in zip(ours, [outputs, *states], strict=True):
        np.testing.assert_allclose(mine, exact, atol=1e-12)
    assert [tuple(s) for s in layer.compute_output_shape(x.shape)] == [y.shape for y in ours]
    layer.return_sequences = layer.return_state = False
    last = outputs[:, -1] if timesteps else np.zeros(shape)
    np.testing.assert_allclose(layer(x, mask=mask, initial_state=initial), last, atol=1e-12)
    assert tuple(layer.compute_output_shape(x.shape)) == last.shape


@pytest.mark.parametrize("shape", [(2, 50, 6, 5, 3), (1, 1, 1, 1, 1)])
def test_last_output_in_float32(shape, rng):
    x = rng.standard_normal(shape).astype(np.float32)
    layer = randomize(ConvLSTM2D(4, 3, padding="same"), x.shape)
    np.testing.assert_allclose(layer(x), run(layer.cell, x)[0][:, -1], atol=5e-6)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_two_halves_through_a_stateful_layer_are_the_whole(rank, rng):
    x = rng.standard_normal((2, 6, *SPACE[rank], 3)).astype(np.float32)
    shape = (2, None, *x.shape[2:])
    layer = LAYERS[rank](2, 2, return_sequences=True, stateful=True, batch_input_shape=shape)
    layer.reset_states()
    whole = randomize(layer, x.shape)(x)
    layer.reset_states()
    halves = [layer(x[:, :2]), layer(x[:, 2:])]
    assert np.array_equal(np.concatenate(halves, axis=1), whole)
    states = [np.ones_like(state) for state in layer.states]
    layer.reset_states(states)
    outputs, _ = run(layer.cell, x, states)
    np.testing.assert_allclose(layer(x), outputs, atol=2e-6)
    with pytest.raises(ValueError, match="expected"):
        layer.reset_states([states[0], states[1][:, :1]])


def test_states_follow_the_inputs_from_call_to_call(rng):
    layer = randomize(ConvLSTM2D(2, 3, return_state=True), (None, None, None, None, 3))
    for rows, columns in ((5, 4), (6, 9), (3, 3), (5, 4)):
        x = rng.standard_normal((2, 3, rows, columns, 3)).astype(np.float32)
        outputs, states = run(layer.cell, x)
        for mine, exact in zip(layer(x), [outputs[:, -1], *states], strict=True):
            np.testing.assert_allclose(mine, exact, atol=2e-6)
    assert layer.compute_output_shape((None, 7, None, 9, 3))[0] == (None, None, 7, 2)


def test_states_of_another_space_are_refused(rng):
    x = rng.standard_normal((2, 3, 5, 4, 3)).astype(np.float32)
    layer = randomize(ConvLSTM2D(2, 3, padding="same", stateful=True), x.shape)
    layer(x)
    for rows in (1, 6):
        with pytest.raises(ValueError, match="expected"):
            layer(x[:, :, np.arange(rows) % 5])
    # Of one row, the states would fit any number by NumPy's broadcasting.
    with pytest.raises(ValueError, match=r"expected \(2, 5, 4, 2\) for inputs \(2, 5, 4, 3\)"):
        layer.cell(x[:, 0], [np.zeros((2, 1, 4, 2))] * 2)
    with pytest.raises(ValueError, match=r"initial_state has shape .* expected \(2, 5, 4, 2\)"):
        layer(x, initial_state=[np.zeros((2, 1, 4, 2))] * 2)


def test_dropout_acts_in_training_only_and_is_seeded():
    x = np.ones((8, 3, 6, 6, 2), np.float32)

    def make(**options):
        return randomize(ConvLSTM2D(2, 3, padding="same", **options), x.shape)

    rates = {"dropout": 0.5, "recurrent_dropout": 0.25, "seed": 1}
    layer, plain = make(**rates), make()(x)
    assert np.array_equal(layer(x), plain)
    trained = layer(x, training=True)
    assert np.abs(trained - plain).max() > 1e-2
    assert np.array_equal(make(**rates)(x, training=True), trained)
    assert not np.array_equal(layer(x, training=True), trained)


def test_dropout_has_a_mask_for_each_gate_that_lasts_the_sequence():
    cell = ConvLSTMCell(1, 1, 1, use_bias=False, activation=None, dropout=0.5, seed=0)
    cell.build((None, 64, 1))
    cell.set_weights([np.ones((1, 1, 4)), np.zeros((1, 1, 4))])
    first, second = (cell._input_product(np.ones((1, 64, 1), np.float32), True) for _ in range(2))
    assert np.array_equal(first, second)
    assert set(first.ravel()) == {0.0, 2.0}
    assert all((first[..., a] != first[..., b]).any() for a in range(4) for b in range(a))
    cell.reset_dropout_mask()
    assert (cell._input_product(np.ones((1, 64, 1), np.float32), True) != first).any()


ARGUMENTS = {
    **dict.fromkeys(["return_sequences", "use_bias", "unit_forget_bias", "trainable"], True),
    **dict.fromkeys(["return_state", "go_backwards", "stateful", "unroll"], False),
    **dict.fromkeys(["kernel_regularizer", "recurrent_regularizer", "bias_regularizer"]),
    **dict.fromkeys(["kernel_constraint", "recurrent_constraint", "bias_constraint"]),
    **dict.fromkeys(["dropout", "recurrent_dropout"], 0.0),
    "name": "conv_lstm2d",
    "filters": 3,
    "kernel_size": [3, 2],
    "strides": [1, 1],
    "padding": "same",
    "data_format": "channels_last",
    "dilation_rate": [1, 1],
    "activation": "tanh",
    "kernel_initializer": {"class_name": "GlorotUniform", "config": {"seed": None}},
    "recurrent_initializer": {"class_name": "Orthogonal", "config": {"gain": 1.0, "seed": None}},
    "bias_initializer": {"class_name": "Zeros", "config": {}},
    "activity_regularizer": None,
}
KERAS_2 = {
    "recurrent_activation": "hard_sigmoid",
    "dtype": "float32",
    "batch_input_shape": [None, 4, 7, 5, 2],
    "time_major": False,
}
KERAS_3 = {
    "recurrent_activation": "sigmoid",
    "dtype": {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}},
    "seed": None,
}


@pytest.mark.parametrize("more", [KERAS_2, KERAS_3], ids=["Keras 2", "Keras 3"])
def test_configs_of_keras(more):
    config = {**ARGUMENTS, **more}
    layer = ConvLSTM2D.from_config(config)
    assert layer.kernel_size == (3, 2)
    ours = json.loads(json.dumps(layer.get_config()))
    assert "rank" not in ours
    assert {key: ours[key] for key in config} == {**config, "dtype": "float32"}
    assert ConvLSTM2D.from_config(ours).get_config() == layer.get_config()


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_config_round_trip(rank, rng):
    x = rng.standard_normal((2, 2, *SPACE[rank], 2)).astype(np.float32)
    layer = LAYERS[rank](
        2, [2] * rank, dilation_rate=2, padding="SAME", activation="relu", kernel_regularizer="l2"
    )
    cell = ConvLSTMCell(rank, 2, 2, strides=2)
    for made in (randomize(layer, x.shape), randomize(rc.RNN(cell, go_backwards=True), x.shape)):
        twin = type(made).from_config(json.loads(json.dumps(made.get_config())))
        twin(x)
        twin.set_weights(made.get_weights())
        assert np.array_equal(twin(x), made(x))
        assert twin.get_config() == made.get_config()
        assert np.array_equal(pickle.loads(pickle.dumps(made))(x), made(x))


def test_positional_arguments_are_those_of_keras():
    args = (3, "same", "channels_first", 1, "relu", "tanh", False, "ones", "zeros", "ones", False)
    layer = ConvLSTM1D(4, 2, *args)
    config = layer.get_config()
    names = ["strides", "padding", "data_format", "dilation_rate"]
    assert [config[name] for name in names] == [(3,), "same", "channels_first", (1,)]
    assert [config["activation"], config["recurrent_activation"]] == ["relu", "tanh"]
    assert [config["use_bias"], config["unit_forget_bias"]] == [False, False]
    assert config["recurrent_initializer"]["class_name"] == "Zeros"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ConvLSTM2D(0, 3), "filters is 0, expected a positive number"),
        (lambda: ConvLSTM2D(4, (3, 3, 3)), r"kernel_size is \(3, 3, 3\), expected 2 positive"),
        (lambda: ConvLSTM2D(4, 0), "kernel_size is 0, expected 2 positive"),
        (lambda: ConvLSTM1D(4, 3, (1, 2)), r"strides is \(1, 2\), expected 1 positive"),
        (lambda: ConvLSTM2D(4, 3, (1, 2), dilation_rate=2), r"strides is \(1, 2\) and dilation"),
        (lambda: ConvLSTM2D(4, 3, padding="causal"), "padding is 'causal', expected one of"),
        (lambda: ConvLSTM2D(4, 3, data_format="last"), "data_format is 'last', expected one of"),
        (lambda: ConvLSTM2D(4, 3, activation="tahn"), "did you mean 'tanh'"),
        (lambda: ConvLSTMCell(4, 4, 3), "rank is 4, expected 1, 2 or 3"),
        (lambda: ConvLSTMCell(1, 4, 3).get_initial_state(), "expected inputs, or a batch_size"),
        (lambda: ConvLSTMCell(1, 4, 3).get_initial_state(None, 2), r"\(2, None, 4\), expected inp"),
        (lambda: ConvLSTMCell(1, 4, 3).build((None, 5)), "expected 3 axes for rank 1"),
        (lambda: ConvLSTMCell(1, 4, 3).build((None, 5, None)), "expected known channels"),
        (lambda: ConvLSTM1D(4, 3).compute_output_shape((2, 3, 5)), "expected 3 axes for rank 1"),
        (lambda: ConvLSTM1D(4, 3)(np.zeros((2, 3, 5))), r"\(2, 3, 5\), expected 4 axes"),
        (lambda: ConvLSTM2D(4, 3)(np.zeros((2, 3, 5, 1))), r"\(2, 3, 5, 1\), expected 5 axes"),
        (lambda: ConvLSTM3D(4, 3)(np.zeros((2, 3, 5, 1))), r"\(2, 3, 5, 1\), expected 6 axes"),
    ],
)
def test_errors_say_expected_and_given(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_within_models(rng):
    x = rng.standard_normal((2, 3, 7, 5, 2)).astype(np.float32)
    first = ConvLSTM2D(3, 3, padding="same", return_sequences=True)
    both = rc.Bidirectional(ConvLSTM2D(2, (3, 2)), merge_mode="concat")
    model = rc.Sequential([rc.Input((3, 7, 5, 2)), first, both])
    y = model.predict(x)
    inner = run(first.cell, x)[0]
    there, back = (
        run(child.cell, inner, go_backwards=child.go_backwards)[0][:, -1]
        for child in (both.forward_layer, both.backward_layer)
    )
    np.testing.assert_allclose(y, np.concatenate([there, back], axis=-1), atol=2e-6)
    assert both.compute_output_shape((None, 3, 7, None, 3)) == (None, 5, None, 4)
    with pytest.raises(ValueError, match="expected"):
        model.predict(x[..., :1])
