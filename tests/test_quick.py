"""Plain calls of a layer: the shorter way gives what the longer one does, on any array."""

import copy
import inspect
import pickle

import numpy as np
import pytest

import rnn_core as rc

LAYERS = {
    "simple_rnn": lambda **options: rc.SimpleRNN(9, **options),
    "lstm": lambda **options: rc.LSTM(9, **options),
    "gru_after": lambda **options: rc.GRU(9, **options),
    "gru_before": lambda **options: rc.GRU(9, reset_after=False, **options),
}


def numbers(rng, *shape):
    """Values that float16 holds too."""
    return (rng.integers(-16, 17, shape) / 8).astype(np.float32)


def used(layer, x):
    """Return the layer after a call, with its shorter way ready."""
    layer(x)
    assert layer._quick is not None
    return layer


def anew(layer, **changes):
    """Return a layer that has not been called, with the same weights and other options."""
    other = type(layer).from_config({**layer.get_config(), **changes})
    other.build((2, None, 3))
    other.set_weights(layer.get_weights())
    return other


def misaligned(x):
    return np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(x.dtype).reshape(x.shape)


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


# Each returns an array of the same values.
LAYOUTS = {
    "every other step": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "every other row": lambda x: np.repeat(x, 2, axis=0)[::2],
    "every other feature": lambda x: np.repeat(x, 2, axis=2)[..., ::2],
    "time-major": lambda x: np.ascontiguousarray(x.swapaxes(0, 1)).swapaxes(0, 1),
    "features first": lambda x: np.ascontiguousarray(x.transpose(2, 0, 1)).transpose(1, 2, 0),
    "rows reversed": lambda x: x[::-1].copy()[::-1],
    "steps reversed": lambda x: x[:, ::-1].copy()[:, ::-1],
    "features reversed": lambda x: x[..., ::-1].copy()[..., ::-1],
    "fortran": np.asfortranarray,
    "part of wider features": lambda x: np.pad(x, ((0, 0), (0, 0), (1, 2)))[..., 1:-2],
    "misaligned": misaligned,
    "read-only": read_only,
    "float64": lambda x: x.astype(np.float64),
    "float16": lambda x: x.astype(np.float16),
    "big-endian": lambda x: x.astype(">f4"),
    "a subclass": lambda x: x.view(np.recarray),
    "misaligned record": lambda x: _record_field(x),
}


def _record_field(x):
    records = np.zeros(x.shape[:2], [("odd", "u1"), ("x", "f4", x.shape[2:])])
    records["x"] = x
    return records["x"]


@pytest.mark.parametrize("cell", sorted(LAYERS))
@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_inputs_of_any_layout(layout, cell, rng):
    x = numbers(rng, 3, 6, 3)
    layer = LAYERS[cell](return_sequences=True)
    expected = layer(x)
    variant = LAYOUTS[layout](x)
    assert np.array_equal(variant, x)
    assert np.array_equal(layer(variant), expected)
    assert np.array_equal(anew(layer)(variant), expected)
    assert np.array_equal(variant, x)


@pytest.mark.parametrize("shape", [(0, 4, 3), (2, 0, 3), (1, 1, 3), (2, 4, 1), (2, 4, 0)])
@pytest.mark.parametrize("sequences", [False, True])
def test_small_and_empty_inputs(shape, sequences, rng):
    x = numbers(rng, *shape)
    layer = rc.GRU(4, return_sequences=sequences)
    first = layer(x)
    assert layer._quick is not None
    again = layer(x)
    assert again.shape == first.shape
    assert np.array_equal(again, first)


@pytest.mark.parametrize("layout", ["steps reversed", "every other feature", "misaligned"])
def test_one_feature_of_any_layout(layout, rng):
    x = numbers(rng, 3, 6, 1)
    layer = rc.LSTM(4)
    expected = layer(x)
    assert np.array_equal(layer(LAYOUTS[layout](x)), expected)


@pytest.mark.parametrize("cell", sorted(LAYERS))
@pytest.mark.parametrize("go_backwards", [False, True])
def test_both_ways_give_the_same(cell, go_backwards, rng):
    x = numbers(rng, 4, 6, 3)
    for sequences in (False, True):
        layer = LAYERS[cell](return_sequences=sequences, go_backwards=go_backwards)
        longer = layer(x)
        assert layer._quick is not None
        assert np.array_equal(layer(x), longer)
        assert np.array_equal(layer(x, mask=np.ones((4, 6), bool)), longer)


@pytest.mark.parametrize("cell", sorted(LAYERS))
@pytest.mark.parametrize("batch", [1, 5])
def test_step_by_step(cell, batch, isa, rng):
    x = numbers(rng, batch, 12, 3)
    layer = LAYERS[cell](stateful=True)
    steps = [layer(x[:, t : t + 1]) for t in range(12)]
    assert layer._quick is not None
    whole = anew(layer, stateful=False, return_sequences=True, return_state=True)
    outputs, *states = whole(x)
    assert np.array_equal(np.stack(steps, axis=1), outputs)
    for ours, theirs in zip(layer.states, states, strict=True):
        assert np.array_equal(ours, theirs)


def test_an_output_is_not_changed_by_the_next_call(rng):
    layer = used(rc.LSTM(4, stateful=True), numbers(rng, 2, 1, 3))
    x = numbers(rng, 2, 1, 3)
    first = layer(x)
    kept = first.copy()
    layer(x)
    assert np.array_equal(first, kept)


@pytest.mark.parametrize("cell", sorted(LAYERS))
def test_new_weights_are_heeded(cell, rng):
    x = numbers(rng, 2, 5, 3)
    layer = used(LAYERS[cell](), x)
    before = layer(x)
    layer.set_weights([2 * w + 0.25 for w in layer.get_weights()])
    changed = layer(x)
    assert not np.array_equal(changed, before)
    assert np.array_equal(changed, anew(layer)(x))
    layer.cell.set_weights([w / 3 for w in layer.get_weights()])
    assert np.array_equal(layer(x), anew(layer)(x))
    assert not np.array_equal(layer(x), changed)


@pytest.mark.parametrize(
    "name",
    ["return_sequences", "return_state", "go_backwards", "time_major", "zero_output_for_mask"],
)
def test_changed_options_are_heeded(name, rng):
    x = numbers(rng, 3, 3, 3)
    layer = used(rc.LSTM(4, return_sequences=name == "go_backwards"), x)
    setattr(layer, name, True)
    for _ in range(2):
        ours, theirs = layer(x), anew(layer)(x)
        assert type(ours) is type(theirs)
        for mine, other in zip(ours, theirs, strict=True):
            assert np.array_equal(mine, other)


def test_a_layer_made_stateful_and_back(rng):
    x = numbers(rng, 2, 5, 3)
    layer = used(rc.GRU(4), x)
    plain = layer(x)
    layer.stateful = True
    assert np.array_equal(layer(x), plain)
    assert np.array_equal(layer(x), anew(layer, stateful=False)(np.concatenate([x, x], axis=1)))
    layer.stateful = False
    assert np.array_equal(layer(x), plain)
    assert np.array_equal(layer(x), plain)


@pytest.mark.parametrize("cell", sorted(LAYERS))
def test_reset_states_is_heeded(cell, rng):
    x = numbers(rng, 2, 1, 3)
    layer = LAYERS[cell](stateful=True)
    first = [layer(x) for _ in range(4)]
    layer.reset_states()
    assert np.array_equal([layer(x) for _ in range(4)], first)
    values = [numbers(rng, 2, 9) for _ in layer.states]
    layer.reset_states(values)
    expected = anew(layer, stateful=False)(x, initial_state=values)
    assert np.array_equal(layer(x), expected)


def test_another_batch_than_the_states(rng):
    layer = used(rc.LSTM(4, stateful=True), numbers(rng, 2, 1, 3))
    before = [state.copy() for state in layer.states]
    with pytest.raises(ValueError, match="states of batch 2 was given a batch of 3"):
        layer(numbers(rng, 3, 1, 3))
    assert np.array_equal(before, layer.states)


@pytest.mark.parametrize("wrong", [(2, 5, 4), (2, 3), (2, 5, 3, 1)])
def test_other_shapes_are_refused_as_before(wrong, rng):
    layer = rc.LSTM(4)
    layer.build((None, None, 3))
    with pytest.raises(ValueError, match="shape") as before:
        layer(np.zeros(wrong, np.float32))
    used(layer, numbers(rng, 2, 5, 3))
    with pytest.raises(ValueError, match="shape") as after:
        layer(np.zeros(wrong, np.float32))
    assert str(after.value) == str(before.value)


def pickled(protocol):
    return lambda layer: pickle.loads(pickle.dumps(layer, protocol))


@pytest.mark.parametrize("duplicate", [copy.deepcopy, *map(pickled, range(6))])
@pytest.mark.parametrize("stateful", [False, True])
def test_copies_of_a_used_layer(duplicate, stateful, rng):
    x = numbers(rng, 2, 5, 3)
    layer = used(rc.LSTM(4, stateful=stateful), x)
    twin = duplicate(layer)
    for _ in range(3):
        assert np.array_equal(twin(x), layer(x))
    expected = twin(x).copy()
    for _ in range(2):
        layer.set_weights([0 * w for w in layer.get_weights()])
        layer(x)
    if not stateful:
        assert np.array_equal(twin(x), expected)
    assert not np.array_equal(twin(x), layer(x))


class Doubled(rc.LSTM):
    def call(self, inputs, *args, **kwargs):
        return 2 * super().call(inputs, *args, **kwargs)


class HalvedCell(rc.LSTMCell):
    def call(self, inputs, states, training=None):
        output, states = super().call(inputs, states, training)
        return output / 2, states


def test_a_subclass_has_its_own_call(rng):
    x = numbers(rng, 2, 5, 3)
    plain = rc.LSTM(4)
    plain(x)
    for layer, factor in ((Doubled(4), 2), (rc.RNN(HalvedCell(4)), 0.5)):
        layer.build(x.shape)
        layer.set_weights(plain.get_weights())
        for _ in range(3):
            np.testing.assert_allclose(layer(x), factor * plain(x), atol=2e-6)


@pytest.mark.parametrize("layer", [rc.GRU(2), rc.RNN(rc.LSTMCell(2)), rc.Bidirectional(rc.LSTM(2))])
def test_a_layer_tells_what_its_call_takes(layer):
    assert inspect.signature(layer) == inspect.signature(layer.call)
    assert "inputs" not in inspect.signature(type(layer)).parameters
