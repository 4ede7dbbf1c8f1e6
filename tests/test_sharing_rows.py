"""Rows that are alike, which run once in predict: the same bits as without."""

import tracemalloc

import numpy as np
import pytest
from both_ways import assert_same, both_ways, randomized
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import rnn_core as rc
from rnn_core import _duplicates, _sharing


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    monkeypatch.setattr(_sharing, "WINDOW_ROWS", 192)
    monkeypatch.setattr(_duplicates, "_LEAST_FLOPS", 0)


def deep_graph():
    numbers, ids = rc.Input((6, 3), name="numbers"), rc.Input((4,), name="ids")
    steps = rc.Bidirectional(rc.GRU(5, return_sequences=True))(rc.Masking(0.0)(numbers))
    vectors = rc.MaxPooling1D(2)(rc.Embedding(9, 4)(ids))
    both = [rc.LSTM(7)(steps), rc.SimpleRNN(3)(vectors), rc.Flatten()(vectors)]
    y = rc.Activation("tanh")(rc.BatchNormalization(epsilon=2)(rc.Concatenate()(both)))
    return rc.Model([numbers, ids], [rc.Dense(3)(y), rc.TimeDistributed(rc.Dense(2))(steps)])


MODELS = {
    "lstm": lambda: rc.Sequential([rc.Input((6, 3)), rc.LSTM(7)]),
    "masked": lambda: rc.Sequential(
        [rc.Input((6, 3)), rc.Masking(0.0), rc.GRU(20, return_sequences=True), rc.Dense(3)]
    ),
    "stack": lambda: rc.Sequential(
        [rc.Input((6, 3)), rc.RNN([rc.LSTMCell(7), rc.GRUCell(4)]), rc.Dense(3, "softmax")]
    ),
    "bidirectional": lambda: rc.Sequential(
        [
            rc.Input((6, 3)),
            rc.Bidirectional(rc.LSTM(7, return_sequences=True)),
            rc.Bidirectional(rc.GRU(9), merge_mode=None),
        ]
    ),
    "states": lambda: rc.Sequential([rc.Input((6, 3)), rc.LSTM(7, return_state=True)]),
    "several inputs": deep_graph,
}


def inputs_of(model, rows, rng):
    leaves = []
    for layer in model.input_layers:
        shape = (rows, *layer.batch_shape[1:])
        values = rng.integers(0, 9, shape) if len(shape) == 2 else rng.standard_normal(shape)
        leaves.append(values if len(shape) == 2 else values.astype(np.float32))
    return leaves


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("threads", [1, 3])
def test_the_same_bits(name, threads, capsys, rng):
    model = randomized(MODELS[name]())
    leaves = inputs_of(model, 120, rng)
    numbers = rng.integers(0, 120, 500)
    for leaf in leaves:
        leaf[:30, -2:] = 0
    leaves = [leaf[numbers] for leaf in leaves]
    rc.set_num_threads(threads)
    shared, alone = both_ways(model, leaves if len(leaves) > 1 else leaves[0])
    rc.set_num_threads(None)
    assert_same(shared, alone)
    said = capsys.readouterr().out
    assert said.startswith("shared: ")
    assert said.endswith("of 500 rows are different\n")


@settings(max_examples=50, deadline=None)
@given(
    arrays(
        np.float32,
        st.tuples(st.integers(17, 80), st.just(2), st.just(1)),
        elements=st.sampled_from([0.0, -0.0, 1.0, np.nan, np.inf, 1e-40]),
    )
)
def test_any_rows(x):
    model = randomized(rc.Sequential([rc.Input((2, 1)), rc.GRU(3), rc.Dense(2)]))
    shared, alone = both_ways(model, x)
    assert_same(shared, alone)


def test_how_many_rows_are_different(capsys):
    """Zeros of two signs differ, NaNs of the same bits do not."""
    model = rc.Sequential([rc.Input((2, 1)), rc.LSTM(3)])
    x = np.array([[0.0, 1.0], [-0.0, 1.0], [np.nan, 1.0], [0.0, 1.0]] * 40, np.float32)
    model.predict(x[..., None], batch_size=16, explain=True)
    assert capsys.readouterr().out == "shared: 3 of 160 rows are different\n"


@pytest.mark.parametrize("dtype", ["u1", "i2", "f4", "f8", "?"])
@pytest.mark.parametrize("shape", [(3,), (2, 5), (1, 1, 7), (0,)])
def test_kinds_of_rows(dtype, shape, rng):
    rows = rng.integers(0, 256, (50, *shape)).astype(dtype)
    numbers = rng.integers(0, 50, 300)
    kinds, groups = _duplicates.alike([np.asfortranarray(rows[numbers])])
    np.testing.assert_array_equal(rows[numbers[kinds]][groups], rows[numbers])
    assert len(kinds) == len({row.tobytes() for row in rows[numbers]})


def test_rows_of_one_hash(monkeypatch, rng):
    def zeros(arrays, places):
        return np.zeros(len(places), np.uint64)

    monkeypatch.setattr(_duplicates, "_hashes", zeros)
    rows = np.repeat(rng.standard_normal((2, 3)), [60, 40], axis=0)
    kinds, groups = _duplicates.alike([rows])
    np.testing.assert_array_equal(rows[kinds][groups], rows)
    assert len(kinds) == 2


def test_rows_with_nothing_in_common(capsys, rng):
    model = rc.Sequential([rc.Input((6, 3)), rc.LSTM(7)])
    model.predict(rng.standard_normal((500, 6, 3)), batch_size=16, explain=True)
    assert capsys.readouterr().out == "nothing is shared: too few rows are alike\n"


def test_rows_that_are_computed_as_fast_as_compared(monkeypatch, capsys):
    model = rc.Sequential([rc.Input((6, 3)), rc.LSTM(7)])
    flops = 6 * 2 * (3 + 7) * 4 * 7
    for least, said in ((flops, "shared: 1 of 100 "), (flops + 1, "nothing is shared: ")):
        monkeypatch.setattr(_duplicates, "_LEAST_FLOPS", least)
        model.predict(np.ones((100, 6, 3)), batch_size=16, explain=True)
        assert capsys.readouterr().out.startswith(said)


UNSHARED = {
    "a product of BLAS below": lambda: [rc.Conv1D(4, 2), rc.LSTM(3)],
    "an embedding under a convolution": lambda: [
        rc.Embedding(9, 4),
        rc.Conv1D(4, 2),
        rc.LSTM(3),
    ],
    "no recurrent layer": lambda: [rc.Flatten(), rc.Dense(3)],
    "blas": lambda: [rc.LSTM(3, backend="blas")],
    "float64": lambda: [rc.GRU(3, dtype="float64")],
    "stateful": lambda: [rc.GRU(3, stateful=True)],
}


@pytest.mark.parametrize("name", UNSHARED)
def test_what_is_not_shared(name, capsys):
    layers = UNSHARED[name]()
    x = np.ones((60, 5)) if type(layers[0]) is rc.Embedding else np.ones((60, 5, 3))
    model = rc.Sequential([rc.Input(x.shape[1:], 20), *layers])
    model.predict(x, batch_size=20, explain=True)
    assert capsys.readouterr().out.startswith("nothing is shared: ")


def test_dropout_in_effect_is_not_shared(capsys):
    x = rc.Input((5, 3))
    model = rc.Model(x, rc.LSTM(3)(rc.Dropout(0.5)(x, training=True)))
    y = model.predict(np.ones((60, 5, 3)), batch_size=20, explain=True)
    assert capsys.readouterr().out.startswith("nothing is shared: ")
    assert len(np.unique(y, axis=0)) > 1


def test_states_given_as_an_array_are_not_shared(capsys, rng):
    x = rc.Input((5, 3))
    state = rng.standard_normal((20, 4)).astype(np.float32)
    model = rc.Model(x, rc.GRU(4)(x, initial_state=[state]))
    y = model.predict(np.ones((60, 5, 3)), batch_size=20, explain=True)
    assert capsys.readouterr().out.startswith("nothing is shared: ")
    assert len(np.unique(y, axis=0)) == 20


def test_memory_is_that_of_a_window(monkeypatch, rng):
    """Sequences of all rows would take 52 MB."""
    monkeypatch.setattr(_sharing, "WINDOW_BYTES", 2 << 20)
    layers = [rc.Embedding(9, 4), rc.LSTM(64, return_sequences=True), rc.GlobalMaxPooling1D()]
    model = rc.Sequential([rc.Input((None,)), *layers])
    ids = np.tile(rng.integers(0, 9, (200, 10)), (100, 1))
    model.predict(ids[:64], batch_size=16)
    tracemalloc.start()
    shared = model.predict(ids, batch_size=64)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < shared.nbytes + (16 << 20)


def test_an_error_names_the_row(rng):
    model = rc.Sequential([rc.Input((None,)), rc.Embedding(9, 4), rc.LSTM(3)])
    ids = rng.integers(0, 9, (500, 5))
    ids[200, 3] = 9
    with pytest.raises(ValueError, match=r"row 200: .*id at \(0, 3\) is 9"):
        model.predict(ids, batch_size=16)
