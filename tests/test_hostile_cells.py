"""Cells that use their arrays again, change what they are given, or return what they should not."""

import numpy as np
import pytest

import rnn_core as rc

X = np.ones((2, 4, 3), np.float32)
MASK = np.array([[1, 0, 1, 0], [0, 1, 1, 1]], bool)


def cell_of(call, state_size=3, output_size=3):
    return type("Cell", (), {"call": call, "state_size": state_size, "output_size": output_size})()


def pure(self, inputs, states):
    total = states[0] + inputs
    return total, [total]


def in_place(self, inputs, states):
    states[0] += inputs
    return states[0], states


def one_buffer(self, inputs, states):
    if not hasattr(self, "buffer"):
        self.buffer = np.zeros_like(states[0])
    np.add(states[0], inputs, out=self.buffer)
    return self.buffer, [self.buffer]


def list_changed(self, inputs, states):
    states[0] = states[0] + inputs
    return states[0], states


def last_output_overwritten(self, inputs, states):
    if hasattr(self, "last"):
        self.last[...] = 99
    self.last = states[0] + inputs
    return self.last, [self.last.copy()]


def strided(self, inputs, states):
    wide = np.concatenate([inputs + states[0]] * 2, axis=1)
    return wide[:, 1::1][:, 2:5], (wide[:, :3],)


def transposed(self, inputs, states):
    total = np.asfortranarray(states[0] + inputs)
    return total, total


def doubles(self, inputs, states):
    total = states[0].astype(np.float64) + inputs
    return total, [total]


@pytest.mark.parametrize(
    "call",
    [in_place, one_buffer, list_changed, last_output_overwritten, strided, transposed, doubles],
)
@pytest.mark.parametrize("mask", [None, MASK, MASK & False, MASK | True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"return_sequences": True},
        {"zero_output_for_mask": True, "return_sequences": True},
        {"zero_output_for_mask": True},
        {"stateful": True},
        {"go_backwards": True, "return_sequences": True},
    ],
)
def test_arrays_used_again_give_what_fresh_ones_give(call, mask, options):
    layers = [rc.RNN(cell_of(each), return_state=True, **options) for each in (pure, call)]
    for _ in range(2):
        exact, mine = (layer(X, mask=mask) for layer in layers)
        for theirs, ours in zip(exact, mine, strict=True):
            assert ours.dtype == np.float32
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("what", ["inputs", "constants"])
def test_the_callers_arrays_are_safe(what):
    def greedy(self, inputs, states, constants=None):
        (inputs if what == "inputs" else constants[0])[...] = 7
        return inputs, states

    x, constant = X.copy(), np.ones(3, np.float32)
    with pytest.raises(ValueError, match="read-only"):
        rc.RNN(cell_of(greedy))(x, constants=[constant])
    assert np.array_equal(x, X)
    assert np.array_equal(constant, np.ones(3))
    x[...] = 1  # still the caller's to change
    constant[...] = 1


def late(wrong):
    """A cell that is well at the first step and returns `wrong` from the second on."""

    def call(self, inputs, states):
        self.steps = getattr(self, "steps", 0) + 1
        return (inputs, states) if self.steps == 1 else wrong(inputs, states)

    return call


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda self, x, s: (x, [s[0][:, :1]]), ValueError),
        (lambda self, x, s: (x, [np.zeros((2, 6))]), ValueError),
        (lambda self, x, s: (x, s.__setitem__(0, s[0][:, :1]) or s), ValueError),
        (lambda self, x, s: (x, [None]), ValueError),
        (lambda self, x, s: (x, None), ValueError),
        (lambda self, x, s: (x, []), ValueError),
        (lambda self, x, s: (None, s), ValueError),
        (lambda self, x, s: (x[:1], s), ValueError),
        (lambda self, x, s: (x.tolist(), s), ValueError),
        (lambda self, x, s: (x * 1j, s), TypeError),
        (lambda self, x, s: (x.astype(str), s), TypeError),
        (late(lambda x, s: (x[:, :1], s)), ValueError),
        (late(lambda x, s: (x, [s[0], s[0]])), ValueError),
        (late(lambda x, s: (x, [s[0][:1]])), ValueError),
        (late(lambda x, s: (None, s)), ValueError),
    ],
)
@pytest.mark.parametrize("mask", [None, MASK])
@pytest.mark.parametrize("sequences", [False, True])
def test_what_no_cell_may_return(call, error, mask, sequences):
    layer = rc.RNN(cell_of(call), return_sequences=sequences, stateful=True)
    with pytest.raises(error, match="expected|after"):
        layer(X, mask=mask)
    assert layer.states == [None]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: rc.RNN(rc.LSTMCell), ValueError, "is a class, expected a cell"),
        (lambda: rc.RNN([]), ValueError, "no cells, expected at least one"),
        (lambda: rc.RNN(cell_of(pure, None)), ValueError, "state_size None"),
        (lambda: rc.RNN(cell_of(pure, "3")), ValueError, "state_size '3'"),
        (lambda: rc.RNN(cell_of(pure, 3.5)), ValueError, "state_size 3.5"),
        (lambda: rc.LSTM("a"), TypeError, "units is 'a', expected a whole number"),
        (lambda: rc.LSTM(None), TypeError, "units is None"),
        (lambda: rc.Dense(0), ValueError, "units is 0, expected a positive"),
        (lambda: rc.Embedding(3.7, 2), TypeError, "input_dim is 3.7"),
        (lambda: rc.LSTM(2, dropout="a"), TypeError, "dropout is 'a'"),
        (lambda: rc.LSTM(2, seed="a"), TypeError, "seed is 'a'"),
        (lambda: rc.LSTM(2)({"a": X}), ValueError, "1 inputs, expected one array"),
        (lambda: rc.LSTM(2)(X, mask=[["a"] * 4] * 2), TypeError, "mask is <U1"),
        (lambda: rc.LSTM(2)(X, mask=[[None] * 4] * 2), TypeError, "mask is object"),
        (
            lambda: rc.GRU(2)(X, initial_state=[np.full((2, 2), "a")]),
            TypeError,
            "initial_state is of <U1",
        ),
        (lambda: rc.LSTMCell(2)(X[:, 0], [np.zeros((1, 2))] * 2), ValueError, "have batches"),
        (lambda: rc.LSTMCell(2)(X[:, 0], [np.zeros((2, 3))] * 2), ValueError, r"\(batch, 2\)"),
        (lambda: rc.GRUCell(2)(X[:, 0], [X[:, 0], X[:, 0]]), ValueError, "has 1 states but"),
    ],
)
def test_errors(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_call_with_constants_that_failed_is_forgotten():
    layer = rc.LSTM(3)
    with pytest.raises(ValueError, match="1 constants, expected none"):
        layer(X, constants=[X])
    state = np.zeros((2, 3))
    np.testing.assert_array_equal(layer([X, state, state]), layer(X))
    assert "num_constants" not in layer.get_config()


def test_initial_states_of_a_subclass():
    class FromOnes(rc.LSTM):
        def get_initial_state(self, batch_size):
            return [np.ones((batch_size, 3))] * 2

    layer, plain = FromOnes(3), rc.LSTM(3)
    layer(X), plain(X)
    plain.set_weights(layer.get_weights())
    ones = np.ones((2, 3))
    np.testing.assert_array_equal(layer(X), plain(X, initial_state=[ones, ones]))


def test_lists_of_numpy_numbers_are_data():
    rows = [[list(step) for step in row] for row in X]
    layer = rc.LSTM(3)
    np.testing.assert_array_equal(layer(rows), layer(X))
