"""Steps that sequences of ids share in predict: the same bits as without."""

import tracemalloc

import numpy as np
import pytest
from both_ways import assert_same, both_ways
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import rnn_core as rc
from rnn_core import _sharing, _walk

IDS = 6


def chain(*layers, mask_zero=False, batch_size=None):
    x = rc.Input((None,), batch_size)
    model = rc.Sequential([x, rc.Embedding(IDS, 5, mask_zero=mask_zero), *layers])
    rng = np.random.default_rng(1)
    model.set_weights([rng.standard_normal(w.shape) for w in model.get_weights()])
    return model


class Users(rc.Layer):
    def call(self, inputs):
        return inputs - inputs.mean(axis=0)


class UsersCell(rc.LSTMCell):
    pass


CHAINS = {
    "lstm": lambda: [rc.LSTM(7)],
    "gru": lambda: [rc.GRU(20), rc.Dense(3, "softmax")],
    "gru, reset before": lambda: [rc.GRU(7, reset_after=False)],
    "simple rnn": lambda: [rc.SimpleRNN(9, "relu")],
    "backwards": lambda: [rc.LSTM(7, go_backwards=True), rc.Dense(2)],
    "stacked": lambda: [
        rc.LSTM(7, return_sequences=True),
        rc.Dropout(0.5),
        rc.GRU(33, return_sequences=True),
        rc.SimpleRNN(4),
        rc.Dense(2),
    ],
    "dropout below": lambda: [rc.SpatialDropout1D(0.5), rc.GRU(7)],
    "bidirectional": lambda: [rc.Bidirectional(rc.LSTM(7)), rc.Dense(2)],
    "bidirectional sum": lambda: [rc.Bidirectional(rc.GRU(7), merge_mode="sum")],
}
CHAINS |= {
    "sequences": lambda: [rc.LSTM(7, return_sequences=True)],
    "sequences, zeros": lambda: [
        rc.GRU(7, return_sequences=True, zero_output_for_mask=True),
        rc.TimeDistributed(rc.Dense(3)),
    ],
    "last, zeros": lambda: [rc.LSTM(7, zero_output_for_mask=True), rc.Dense(2)],
    "sequences backwards": lambda: [
        rc.LSTM(7, return_sequences=True, go_backwards=True),
        rc.Dense(3),
    ],
    "turned below": lambda: [rc.LSTM(7, return_sequences=True, go_backwards=True), rc.GRU(5)],
    "turned above": lambda: [
        rc.LSTM(7, return_sequences=True),
        rc.GRU(5, go_backwards=True, return_sequences=True),
    ],
    "stacked sequences": lambda: [
        rc.LSTM(7, return_sequences=True),
        rc.Dropout(0.5),
        rc.GRU(5, return_sequences=True),
        rc.BatchNormalization(),
        rc.Conv1D(3, 2, padding="causal"),
        rc.GlobalMaxPooling1D(),
    ],
    "stacked cells above": lambda: [
        rc.LSTM(7, return_sequences=True),
        rc.RNN([rc.LSTMCell(4), rc.GRUCell(3)]),
    ],
    "bidirectional sequences": lambda: [
        rc.Bidirectional(rc.LSTM(7, return_sequences=True)),
        rc.Dense(2),
    ],
    "bidirectional held": lambda: [
        rc.Bidirectional(
            rc.GRU(7, return_sequences=True), merge_mode="ave", zero_output_for_mask=False
        ),
        rc.LSTM(4),
    ],
    "two bidirectional": lambda: [
        rc.Bidirectional(rc.GRU(7, return_sequences=True), merge_mode="mul"),
        rc.Bidirectional(rc.LSTM(4)),
    ],
    "bidirectional above": lambda: [
        rc.GRU(7, return_sequences=True),
        rc.Bidirectional(rc.LSTM(4, return_sequences=True)),
    ],
    "not merged": lambda: [rc.Bidirectional(rc.LSTM(7, return_sequences=True), merge_mode=None)],
    "states": lambda: [rc.LSTM(7, return_state=True)],
    "sequences and states": lambda: [rc.GRU(7, return_sequences=True, return_state=True)],
    "bidirectional states": lambda: [
        rc.Bidirectional(rc.LSTM(7, return_state=True, return_sequences=True))
    ],
    "models within": lambda: [
        rc.Sequential([rc.SpatialDropout1D(0.2), rc.LSTM(7, return_sequences=True)]),
        rc.Sequential([rc.GRU(5), rc.Dense(4, "relu")]),
        rc.Dense(2),
    ],
    "a layer of the user's above": lambda: [rc.GRU(5), Users()],
}
SHARED = pytest.mark.parametrize("name", CHAINS)


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    monkeypatch.setattr(_walk, "WINDOW_ROWS", 32)
    monkeypatch.setattr(_sharing, "WINDOW_ROWS", 96)


@pytest.mark.parametrize("mask_zero", [False, True])
@SHARED
def test_the_same_bits(name, mask_zero, capsys, rng):
    model = chain(*CHAINS[name](), mask_zero=mask_zero)
    ids = rng.integers(0, IDS, (150, 4))
    ids = np.hstack([np.zeros((150, 3), int), ids])  # padding on the left
    ids[::7, 4:] = 0  # and on the right
    shared, alone = both_ways(model, ids)
    assert_same(shared, alone)
    said = capsys.readouterr().out
    assert said.startswith("shared: ")


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(sorted(CHAINS)),
    st.booleans(),
    arrays(np.int64, st.tuples(st.integers(17, 60), st.integers(1, 9)), elements=st.integers(0, 2)),
)
def test_any_rows(name, mask_zero, ids):
    model = chain(*CHAINS[name](), mask_zero=mask_zero)
    shared, alone = both_ways(model, ids)
    assert_same(shared, alone)


@SHARED
def test_embeddings_that_are_not_folded(name, monkeypatch, rng):
    monkeypatch.setattr("rnn_core._folding.TABLE_BYTES", 0)
    model = chain(*CHAINS[name](), mask_zero=True)
    shared, alone = both_ways(model, rng.integers(0, IDS, (150, 5)))
    assert_same(shared, alone)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("top", [2, 3, 200])
def test_what_is_above_runs_with_the_steps_or_after_them(top, threads, rng):
    """After them if its outputs take more memory; other inputs of a model go with their rows."""
    ids, numbers = rc.Input((5,), name="ids"), rc.Input((2,), name="numbers")
    vectors = rc.Embedding(IDS, 3, mask_zero=True)(ids)
    last, *states = rc.LSTM(7, return_state=True)(vectors)
    y = rc.Dense(top, "softmax")(rc.Concatenate()([last, numbers]))
    model = rc.Model([ids, numbers], [y, rc.Dense(1)(states[1])])
    model.set_weights([rng.standard_normal(w.shape) for w in model.get_weights()])
    rows = [rng.integers(0, IDS, (300, 5)), rng.standard_normal((300, 2)).astype("f")]
    rc.set_num_threads(threads)
    shared, alone = both_ways(model, rows)
    rc.set_num_threads(None)
    assert_same(shared, alone)
    assert_same([y[17:18] for y in shared], model([x[17:18] for x in rows]))


def test_memory_of_what_rows_end_with(monkeypatch, rng):
    """All 20,000 rows end with 10 MB, of which a model's outputs need little."""
    monkeypatch.setattr(_sharing, "WINDOW_ROWS", 1 << 18)
    model = chain(rc.SimpleRNN(128), rc.Dense(1))
    ids = rng.integers(0, IDS, (20_000, 4)).astype(np.int32)
    model.predict(ids[:5000])
    tracemalloc.start()
    model.predict(ids)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


def test_how_many_steps_are_different(capsys):
    model = chain(rc.LSTM(3))
    ids = np.array([[1, 2, 3], [1, 2, 4], [1, 2, 3], [2, 2, 3]] * 10)
    model.predict(ids, batch_size=16, explain=True)
    assert capsys.readouterr().out == "shared: 7 of 120 steps are different\n"


def test_rows_with_nothing_in_common(capsys):
    model = rc.Sequential([rc.Input((None,)), rc.Embedding(1000, 2), rc.LSTM(3)])
    ids = np.arange(1000).reshape(500, 2) * [1, 0] + [0, 5]
    model.predict(ids, batch_size=64, explain=True)
    assert capsys.readouterr().out == "nothing is shared: 1,000 of 1,000 steps are different\n"


def test_ids_of_many_bits(rng):
    """Rows of several words to sort by, of one id each."""
    vocabulary = 1 << 17
    model = rc.Sequential([rc.Input((None,)), rc.Embedding(vocabulary, 1), rc.SimpleRNN(2)])
    ids = rng.integers(0, vocabulary, (40, 9))[rng.integers(0, 40, 300)]
    ids[:, 8] = rng.integers(0, vocabulary, 300)
    shared, alone = both_ways(model, ids)
    assert_same(shared, alone)


def test_every_number_of_threads(rng):
    model = chain(rc.LSTM(7), rc.Dense(2))
    ids = rng.integers(0, IDS, (300, 5))
    results = []
    for threads in (1, 2, 3):
        rc.set_num_threads(threads)
        results.append(model.predict(ids, batch_size=32))
    rc.set_num_threads(None)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


UNSHARED = {
    "float64": lambda: [rc.LSTM(3, dtype="float64")],
    "blas": lambda: [rc.LSTM(3, backend="blas")],
    "softmax": lambda: [rc.LSTM(3, "softmax")],
    "convolution": lambda: [rc.Conv1D(3, 2), rc.LSTM(3)],
    "stateful": lambda: [rc.LSTM(3, stateful=True)],
    "a layer of the user's": lambda: [Users(), rc.LSTM(3)],
    "a cell of the user's": lambda: [rc.RNN(UsersCell(3))],
}


@pytest.mark.parametrize("name", UNSHARED)
def test_what_is_not_shared(name, capsys, rng):
    model = chain(*UNSHARED[name](), batch_size=20 if name == "stateful" else None)
    ids = rng.integers(0, IDS, (60, 5))
    model.predict(ids, batch_size=20, explain=True)
    assert capsys.readouterr().out.startswith("nothing is shared")


@pytest.mark.parametrize("wrong", [-1, IDS])
def test_ids_outside_the_table(wrong, rng):
    model = chain(rc.LSTM(3))
    ids = rng.integers(0, IDS, (60, 5))
    ids[41, 2] = wrong
    with pytest.raises(ValueError, match=r"id at \(41, 2\)"):
        model.predict(ids, batch_size=16)


ID_ERRORS = {
    "a layer below that all rows share": lambda ids, other: rc.Dense(1)(
        rc.LSTM(32)(rc.Dense(8)(rc.Embedding(IDS, 4)(other)))
    ),
    "another input above": lambda ids, other: rc.Dense(1)(
        rc.Concatenate()(
            [rc.LSTM(5)(rc.Embedding(IDS, 4)(ids)), rc.Flatten()(rc.Embedding(IDS, 3)(other))]
        )
    ),
    "another input above a layer of BLAS": lambda ids, other: rc.Concatenate()(
        [
            rc.LSTM(5)(rc.Embedding(IDS, 4)(ids)),
            rc.GlobalMaxPooling1D()(rc.Conv1D(2, 2)(rc.Embedding(IDS, 3)(other))),
        ]
    ),
}


@pytest.mark.parametrize("name", ID_ERRORS)
def test_ids_that_are_not_walked(name, rng):
    """The row in the message is that of the input, whatever order rows run in."""
    ids, other = rc.Input((5,), name="ids"), rc.Input((5,), name="other")
    model = rc.Model([ids, other], ID_ERRORS[name](ids, other))
    rows = [rng.integers(0, IDS, (20, 5))[rng.integers(0, 20, 300)] for _ in range(2)]
    rows[1][200, 3] = IDS
    with pytest.raises(ValueError, match=r"row 200: .*id at \(0, 3\)|id at \(200, 3\)"):
        model.predict(rows, batch_size=16)


def test_softmax_looks_at_one_row(rng):
    model = chain(rc.LSTM(3), rc.Dense(1), rc.Reshape(()), rc.Activation("softmax"))
    with pytest.raises(ValueError, match="expected an axis beside the batch"):
        model.predict(rng.integers(0, IDS, (60, 5)), batch_size=16)
