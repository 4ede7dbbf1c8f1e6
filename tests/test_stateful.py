"""States that stay from call to call."""

import copy
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

import rnn_core as rc

FEATURES = 3


class Running:
    """A user's cell: the sum so far, and how many steps there were."""

    state_size = (FEATURES, 1)
    output_size = FEATURES

    def call(self, inputs, states):
        total, count = states
        total, count = total + inputs, count + 1
        return total / count, (total, count)


LAYERS = {
    "simple_rnn": lambda **kwargs: rc.SimpleRNN(4, **kwargs),
    "lstm": lambda **kwargs: rc.LSTM(4, **kwargs),
    "gru": lambda **kwargs: rc.GRU(4, **kwargs),
    "gru_before": lambda **kwargs: rc.GRU(4, reset_after=False, **kwargs),
    "stack": lambda **kwargs: rc.RNN([rc.LSTMCell(4), rc.GRUCell(2), rc.LSTMCell(3)], **kwargs),
    "user": lambda **kwargs: rc.RNN(Running(), **kwargs),
    "mixed": lambda **kwargs: rc.RNN([rc.LSTMCell(FEATURES), Running()], **kwargs),
    "bidirectional": lambda **kwargs: rc.Bidirectional(rc.LSTM(4, **kwargs)),
}
ONE_WAY = sorted(set(LAYERS) - {"bidirectional"})


def leaves(states):
    """The arrays in nested states."""
    if isinstance(states, (list, tuple)):
        return [leaf for state in states for leaf in leaves(state)]
    return [states]


def snapshot(layer):
    return copy.deepcopy(leaves(layer.states))


def same(states, before):
    return all(
        a is b is None or np.array_equal(a, b) for a, b in zip(leaves(states), before, strict=True)
    )


@pytest.mark.parametrize("kind", ONE_WAY)
@pytest.mark.parametrize("cut", [0, 1, 3, 8])
def test_two_parts_are_the_whole(kind, cut, rng):
    x = rng.standard_normal((4, 8, FEATURES)).astype(np.float32)
    mask = rng.random((4, 8)) < 0.7
    layer = LAYERS[kind](return_sequences=True, stateful=True)
    whole = layer(x, mask=mask)
    states = snapshot(layer)
    layer.reset_states()
    parts = [layer(x[:, :cut], mask=mask[:, :cut]), layer(x[:, cut:], mask=mask[:, cut:])]
    assert same(layer.states, states)
    # A masked step right after the cut has no output before it to repeat.
    after = np.arange(8) >= cut
    repeats = after & ~np.maximum.accumulate(mask & after, axis=1)
    np.testing.assert_array_equal(
        np.concatenate(parts, axis=1)[~repeats], whole[~repeats], strict=True
    )
    assert not np.concatenate(parts, axis=1)[repeats].any()


@pytest.mark.parametrize("kind", sorted(LAYERS))
def test_states_stay_where_they_are(kind, rng):
    layer = LAYERS[kind](stateful=True)
    assert all(state is None for state in leaves(layer.states))
    layer(rng.standard_normal((2, 3, FEATURES)))
    arrays = leaves(layer.states)
    before = snapshot(layer)
    layer(rng.standard_normal((2, 3, FEATURES)))
    layer.reset_states()
    layer(rng.standard_normal((2, 3, FEATURES)))
    assert all(now is then for now, then in zip(leaves(layer.states), arrays, strict=True))
    assert not same(layer.states, before)


@pytest.mark.parametrize("kind", sorted(LAYERS))
def test_returned_states_are_the_callers(kind, rng):
    layer = LAYERS[kind](stateful=True, return_state=True)
    first = leaves(layer(rng.standard_normal((2, 3, FEATURES)))[1:])
    kept = copy.deepcopy(first)
    layer(rng.standard_normal((2, 3, FEATURES)))
    for state, then in zip(first, kept, strict=True):
        np.testing.assert_array_equal(state, then)
        state[...] = 9
    assert not any((state == 9).any() for state in leaves(layer.states))


@pytest.mark.parametrize("kind", sorted(LAYERS))
@pytest.mark.parametrize("called", [False, True])
def test_a_failed_call_leaves_the_states(kind, called, rng):
    x = rng.standard_normal((4, 3, FEATURES))
    layer = LAYERS[kind](stateful=True)
    if called:
        layer(x)
    before = snapshot(layer)
    for wrong in (
        lambda: layer(x, mask=np.ones((4, 2))),
        lambda: layer(x[:, :, :2]),
        lambda: layer(x, initial_state=[np.zeros((4, 9))]),
        lambda: layer(x, constants=[np.zeros(3)]),
        lambda: layer.reset_states([np.zeros((4, 9))] * len(leaves(layer.states))),
    ):
        with pytest.raises(ValueError, match="expected|passed|must know|as many"):
            wrong()
        assert same(layer.states, before)


def test_a_batch_of_another_size():
    layer = rc.LSTM(4, stateful=True)
    layer(np.zeros((4, 3, FEATURES)))
    with pytest.raises(ValueError, match="states of batch 4 was given a batch of 5"):
        layer(np.zeros((5, 3, FEATURES)))
    with pytest.raises(ValueError, match="states of batch 2 was given a batch of 5"):
        rc.LSTM(4, stateful=True, batch_input_shape=(2, None, 3))(np.zeros((5, 3, FEATURES)))


class Fails(rc.AbstractRNNCell):
    """Counts its steps, and stops at one of them."""

    state_size = output_size = 1

    def __init__(self, at, **kwargs):
        super().__init__(**kwargs)
        self.at = at

    def call(self, inputs, states):
        states[0][...] += 1  # in place, as cells should not
        if states[0][0, 0] == self.at:
            raise KeyboardInterrupt
        return states[0], states


def test_a_cell_that_fails_half_way():
    layer = rc.RNN(Fails(at=6), stateful=True)
    layer(np.zeros((1, 4, 2)))
    assert layer.states[0] == 4
    with pytest.raises(KeyboardInterrupt):
        layer(np.zeros((1, 4, 2)))
    assert layer.states[0] == 4


def chain(last):
    return rc.Sequential(
        [
            rc.Input(batch_shape=(2, None, FEATURES)),
            rc.LSTM(4, stateful=True, return_sequences=True),
            rc.Bidirectional(rc.GRU(3, stateful=True, return_sequences=True)),
            last,
        ]
    )


def nested(last):
    x = rc.Input(batch_shape=(2, None, FEATURES))
    return rc.Model(x, chain(last)(x))


@pytest.mark.parametrize("make", [chain, nested])
def test_a_model_keeps_all_states_or_none(make, rng):
    model = make(rc.RNN(Fails(at=6), stateful=True))
    layers = [layer for layer in model._walk_layers() if isinstance(layer, rc.RNN)]
    assert len(layers) == 4
    x = rng.standard_normal((2, 4, FEATURES))
    with pytest.raises(ValueError, match="multiple of 3"):
        model.predict(x, batch_size=3)
    assert all(state is None for layer in layers for state in leaves(layer.states))
    model(x)
    before = [snapshot(layer) for layer in layers]
    assert all(state.any() for states in before for state in states)
    for call in (model, model.predict):
        with pytest.raises(KeyboardInterrupt):
            call(x)
        assert all(map(same, [layer.states for layer in layers], before))
    model.reset_states()
    assert not any(state.any() for layer in layers for state in leaves(layer.states))
    model(x)
    assert all(map(same, [layer.states for layer in layers], before))


def test_predict_goes_on_from_batch_to_batch(rng):
    x = rng.standard_normal((6, 4, FEATURES))
    model = chain(rc.Dense(2))
    together = model.predict(x)
    model.reset_states()
    one_by_one = [model(x[i : i + 2]) for i in (0, 2, 4)]
    np.testing.assert_array_equal(together, np.concatenate(one_by_one))


def test_a_layer_used_twice_goes_on_from_itself(rng):
    x = rng.standard_normal((2, 8, FEATURES)).astype(np.float32)
    layer = rc.LSTM(4, stateful=True)
    first, second = rc.Input(batch_shape=(2, 5, 3)), rc.Input(batch_shape=(2, 3, 3))
    # Keras runs calls that are equally deep from the last output to the first.
    model = rc.Model([first, second], [layer(second), layer(first)])
    last, _ = model([x[:, :5], x[:, 5:]])
    layer.reset_states()
    np.testing.assert_array_equal(last, layer(x))


def test_explicit_states_win_over_recorded_ones(rng):
    x = rng.standard_normal((2, 3, FEATURES))
    layer = rc.GRU(4, stateful=True)
    layer(x)
    state = rng.standard_normal((2, 4))
    output = layer(x, initial_state=state)
    layer.reset_states(state)
    np.testing.assert_array_equal(layer(x), output)


def test_reset_of_a_layer_not_called_yet():
    class FromOnes(rc.AbstractRNNCell):
        state_size = output_size = 2

        def get_initial_state(self, inputs=None, batch_size=None, dtype=None):
            return np.ones((batch_size, 2), dtype)

        def call(self, inputs, states):
            return states[0], states

    layer = rc.RNN(FromOnes(), stateful=True, batch_input_shape=(3, None, 2))
    layer.reset_states()
    assert np.array_equal(layer.states[0], np.ones((3, 2)))  # the cell's own at first,
    layer.reset_states()
    assert np.array_equal(layer.states[0], np.zeros((3, 2)))  # zeros from then on
    with pytest.raises(ValueError, match="must know its batch size"):
        rc.RNN(FromOnes(), stateful=True).reset_states()
    with pytest.raises(AttributeError, match="must be stateful"):
        rc.RNN(FromOnes()).reset_states()


@pytest.mark.parametrize("kind", ["lstm", "stack", "bidirectional"])
def test_copies_have_states_of_their_own(kind, rng):
    x = rng.standard_normal((2, 3, FEATURES))
    layer = LAYERS[kind](stateful=True)
    layer(x)
    before = snapshot(layer)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert same(twin.states, before)
        twin(x)
        assert same(layer.states, before)


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("kind", ["lstm", "stack", "user", "model"])
def test_memory_stays_flat_over_single_steps(kind, rng):
    if kind == "model":
        layer = rc.Sequential(
            [
                rc.Input(batch_shape=(1, 1, FEATURES)),
                rc.GRU(8, stateful=True, return_sequences=True),
                rc.LSTM(8, stateful=True),
                rc.Dense(2),
            ]
        )
    else:
        layer = LAYERS[kind](stateful=True)
    x = rng.standard_normal((1, 1, FEATURES)).astype(np.float32)
    for _ in range(2000):
        layer(x)
    before = resident_bytes()
    for _ in range(100_000 if kind == "lstm" else 20_000):
        layer(x)
    assert resident_bytes() - before < 1 << 20


def test_states_can_be_exchanged(rng):
    layer = rc.LSTM(4, stateful=True)
    layer(rng.standard_normal((2, 3, FEATURES)))
    h, c = copy.deepcopy(layer.states)
    layer.reset_states(layer.states[::-1])
    assert same(layer.states, [c, h])


@pytest.mark.parametrize("kind", sorted(LAYERS))
def test_a_failed_first_call_says_nothing_of_the_batch(kind):
    layer = LAYERS[kind](stateful=True)
    with pytest.raises(ValueError, match="mask has shape"):
        layer(np.zeros((2, 3, FEATURES)), mask=np.ones((2, 9)))
    layer(np.zeros((3, 3, FEATURES)))


class Both(rc.Layer):
    """A user's layer of two recurrent ones, the second of which may fail."""

    def __init__(self, at):
        super().__init__()
        self.first = rc.GRU(3, stateful=True, return_sequences=True)
        self.second = rc.RNN(Fails(at), stateful=True)

    def call(self, inputs):
        return self.second(self.first(inputs))


def test_layers_of_layers_keep_all_states_or_none(rng):
    x = rng.standard_normal((2, 4, FEATURES))
    both = Both(at=6)
    both(x)
    before = snapshot(both.first)
    with pytest.raises(KeyboardInterrupt):
        both(x)
    assert same(both.first.states, before)
    each = rc.TimeDistributed(rc.RNN(Fails(at=6), stateful=True))
    each(x[:, :, None])
    with pytest.raises(KeyboardInterrupt):
        each(x[:, :, None])
    assert np.array_equal(each.layer.states[0], [[4], [4]])


def test_a_stateful_layer_in_time_distributed_goes_from_step_to_step(rng):
    x = rng.standard_normal((2, 3, 4, FEATURES)).astype(np.float32)
    layer = rc.GRU(4, stateful=True)
    outputs = rc.TimeDistributed(layer)(x)
    layer.reset_states()
    for t in range(3):
        np.testing.assert_array_equal(outputs[:, t], layer(x[:, t]))


def test_what_a_stateful_layer_must_know():
    with pytest.raises(ValueError, match="must know its batch size"):
        rc.LSTM(4, stateful=True).build((None, 4, FEATURES))
    model = rc.Sequential([rc.LSTM(3, stateful=True)])
    with pytest.raises(ValueError, match="expected"):
        model(np.zeros((2, 4, FEATURES)), mask=np.ones((2, 9)))
    model(np.zeros((3, 4, FEATURES)))


def test_a_stack_has_the_type_of_its_cells():
    cells = [rc.LSTMCell(3, dtype="float64"), rc.GRUCell(2, dtype="float64")]
    assert rc.RNN(cells)(np.zeros((1, 2, FEATURES))).dtype == np.float64
