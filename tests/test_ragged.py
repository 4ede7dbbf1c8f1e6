"""Rows of any lengths in predict: each gets, bit for bit, what the model gives it alone."""

import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rnn_core as rc
from rnn_core import _padding, _predict, _walk, _windows

IDS, FEATURES = 6, 3


def filled(model):
    """Return a model with weights of any values; variances are among those of one axis."""
    rng = np.random.default_rng(1)
    shapes = [w.shape for w in model.get_weights()]
    model.set_weights(
        [rng.standard_normal(s) if len(s) > 1 else rng.uniform(0.5, 1.5, s) for s in shapes]
    )
    return model


def of_ids(*layers, mask_zero=False):
    return filled(
        rc.Sequential([rc.Input((None,)), rc.Embedding(IDS, 5, mask_zero=mask_zero), *layers])
    )


def of_features(*layers):
    return filled(rc.Sequential([rc.Input((None, FEATURES)), *layers]))


def lists(*lengths, seed=0, masked=False):
    """Return sequences of features, some steps all zeros."""
    rng = np.random.default_rng(seed)
    rows = [rng.standard_normal((n, FEATURES)).astype(np.float32) for n in lengths]
    for row in rows:
        row[rng.random(len(row)) < 0.2] = 0
    return rows


def alone(model, rows):
    return [model(np.asarray(row)[None])[0] for row in rows]


def assert_equal(ours, theirs):
    assert len(ours) == len(theirs)
    for mine, exact in zip(ours, theirs, strict=True):
        assert mine.dtype == exact.dtype
        np.testing.assert_array_equal(mine, exact)


EXACT = {
    "lstm": lambda: of_features(rc.LSTM(7)),
    "dense layers": lambda: of_features(
        rc.TimeDistributed(rc.Dense(4, "tanh")),
        rc.LSTM(5, return_sequences=True),
        rc.Dense(9, "softmax"),
    ),
    "a dense layer above": lambda: of_features(rc.GRU(7), rc.Dense(3, "sigmoid")),
    "gru, backwards": lambda: of_features(rc.GRU(9, go_backwards=True)),
    "simple": lambda: of_features(rc.SimpleRNN(9, "relu"), rc.Activation("softmax")),
    "sequences": lambda: of_features(rc.LSTM(7, return_sequences=True), rc.ReLU()),
    "stacked": lambda: of_features(
        rc.Masking(0.0), rc.LSTM(7, return_sequences=True), rc.Dropout(0.5), rc.GRU(4)
    ),
    "a stack of cells": lambda: of_features(rc.RNN([rc.GRUCell(7), rc.LSTMCell(3)])),
    "masking": lambda: of_features(rc.Masking(0.0), rc.GRU(7, return_sequences=True)),
    "both ways": lambda: of_features(rc.Bidirectional(rc.LSTM(5))),
    "sequences both ways": lambda: of_features(
        rc.Masking(0.0),
        rc.Bidirectional(rc.GRU(5, return_sequences=True), merge_mode="sum"),
        rc.LayerNormalization(),
        rc.Bidirectional(rc.LSTM(4, return_sequences=True)),
        rc.BatchNormalization(),
    ),
}
NOT_PADDED = {
    "backwards in order": lambda: of_features(rc.LSTM(4, return_sequences=True, go_backwards=True)),
    "pooling": lambda: of_features(rc.LSTM(4, return_sequences=True), rc.GlobalMaxPooling1D()),
    "convolution": lambda: of_features(rc.layers.ZeroPadding1D(3), rc.GRU(3)),
}
EVERY = {**EXACT, **NOT_PADDED}


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(_predict, "_MIN_ROWS", 4)


@pytest.mark.parametrize("name", EVERY)
def test_any_lengths(name):
    model = EVERY[name]()
    rows = lists(*np.random.default_rng(3).integers(1, 12, 60), 30, 1, 1)
    assert_equal(model.predict(rows), alone(model, rows))
    assert_equal(model.predict(tuple(rows), batch_size=7), alone(model, rows))


@pytest.mark.parametrize("name", EVERY)
def test_what_is_padded(name, monkeypatch):
    calls = []
    original = _padding.call
    monkeypatch.setattr(_padding, "call", lambda *a: (calls.append(1), original(*a))[1])
    EVERY[name]().predict(lists(3, 4, 5, 6))
    assert bool(calls) == (name in EXACT)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(1, 12))
def test_lengths_of_hypothesis(lengths, batch_size):
    rows = lists(*lengths, seed=batch_size)
    for name in ("lstm", "sequences both ways", "stacked"):
        model = EVERY[name]()
        assert_equal(model.predict(rows, batch_size=batch_size), alone(model, rows))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 2), max_size=8), min_size=1, max_size=60),
    st.booleans(),
    st.booleans(),
)
def test_ids_of_hypothesis(rows, mask_zero, share):
    for layers in ([rc.LSTM(3)], [rc.Bidirectional(rc.GRU(4))], [rc.GRU(3, go_backwards=True)]):
        model = of_ids(*layers, mask_zero=mask_zero)
        model.share_prefixes = share
        assert_equal(model.predict(rows), alone(model, [np.array(row, int) for row in rows]))


def test_ids_that_are_not_folded(monkeypatch, rng):
    monkeypatch.setattr("rnn_core._folding.TABLE_BYTES", 0)
    rows = [rng.integers(0, IDS, n) for n in rng.integers(0, 9, 80)]
    for mask_zero in (False, True):
        model = of_ids(rc.LSTM(7, return_sequences=True), rc.GRU(3), mask_zero=mask_zero)
        model.share_prefixes = False
        assert_equal(model.predict(rows), alone(model, rows))


IDS_ABOVE = {
    "sequences": lambda: [rc.LSTM(3, return_sequences=True)],
    "sequences both ways": lambda: [rc.Bidirectional(rc.GRU(3, return_sequences=True))],
    "sequences of a stack": lambda: [
        rc.LSTM(3, return_sequences=True),
        rc.GRU(4, return_sequences=True),
        rc.Activation("tanh"),
    ],
    "pooled": lambda: [rc.LSTM(3, return_sequences=True), rc.GlobalAveragePooling1D()],
    "backwards in order": lambda: [rc.GRU(3, return_sequences=True, go_backwards=True)],
    "backwards above": lambda: [rc.GRU(3, return_sequences=True), rc.GRU(3, go_backwards=True)],
    "states": lambda: [rc.LSTM(3), rc.RepeatVector(3), rc.GRU(2, return_sequences=True)],
}


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("mask_zero", [False, True])
@pytest.mark.parametrize("name", IDS_ABOVE)
def test_ids_below(name, mask_zero, threads, rng):
    """Whatever rows may share below: padding is to be seen nowhere."""
    model = of_ids(*IDS_ABOVE[name](), mask_zero=mask_zero)
    rows = [rng.integers(0, 3, n) for n in rng.integers(1, 9, 80)]
    expected = alone(model, rows)
    rc.set_num_threads(threads)
    try:
        assert_equal(model.predict(rows, batch_size=16), expected)
    finally:
        rc.set_num_threads(None)


def test_shorter_rows_are_beginnings_of_longer_ones(capsys):
    model = of_ids(rc.LSTM(3))
    longest = [1, 2, 3, 4, 5, 1, 2, 3]
    rows = [longest[:n] for n in range(1, 9)] * 5
    ours = model.predict(rows, batch_size=16, explain=True)
    assert_equal(ours, alone(model, rows))
    assert capsys.readouterr().out == "shared: 8 of 180 steps are different\n"


def test_ids_in_several_parts(monkeypatch, capsys, rng):
    """What is padded together, walked together and read together may be less than all."""
    monkeypatch.setattr(_predict, "_PADDED_BYTES", 1000)
    monkeypatch.setattr(_walk, "WINDOW_ROWS", 8)
    monkeypatch.setattr(_predict, "WINDOW_ROWS", 100)
    rows = [rng.integers(0, 2, n) for n in rng.integers(0, 9, 250)]
    model = of_ids(rc.LSTM(3))
    ours = model.predict(rows, batch_size=16, explain=True)
    assert_equal(ours, alone(model, rows))
    computed = int(re.match(r"shared: (\d+) of", capsys.readouterr().out)[1])
    assert computed > len({tuple(row[:n]) for row in rows for n in range(1, len(row) + 1)})


@pytest.mark.parametrize("layer", [{"dtype": "float64"}, {"backend": "blas"}])
def test_the_other_backend_is_not_padded(layer, rng, monkeypatch):
    monkeypatch.setattr(_padding, "call", None)
    model = of_features(rc.LSTM(5, **layer))
    rows = lists(*rng.integers(0, 9, 50))
    for mine, exact in zip(model.predict(rows), alone(model, rows), strict=True):
        np.testing.assert_allclose(mine, exact, atol=1e-6)


def test_a_chain_as_a_graph(monkeypatch):
    x = rc.Input((None, FEATURES))
    model = filled(rc.Model(x, rc.GRU(4)(rc.LSTM(5, return_sequences=True)(rc.Masking()(x)))))
    rows = lists(3, 1, 4, 1, 5, 0)
    expected = alone(model, rows)
    assert_equal(model.predict(rows), expected)
    assert_equal(model.predict([np.stack([rows[0]])]), expected[:1])
    monkeypatch.setattr(model, "call", None)  # it runs padded
    assert_equal(model.predict(rows), expected)


def two_inputs():
    ids, x, fixed = rc.Input((None,)), rc.Input((None, FEATURES)), rc.Input((2,))
    read = rc.GRU(4)(rc.Embedding(IDS, 5, mask_zero=True)(ids))
    steps = rc.LSTM(4, return_sequences=True)(x)
    merged = rc.Concatenate()([read, rc.GRU(3)(steps), fixed])
    return filled(rc.Model({"ids": ids, "x": x, "fixed": fixed}, {"last": merged, "steps": steps}))


def test_several_inputs_and_outputs(rng):
    model = two_inputs()
    ids = [rng.integers(0, IDS, n) for n in rng.integers(1, 4, 60)]
    x = lists(*rng.integers(1, 4, 60))
    fixed = rng.standard_normal((60, 2))
    expected = [model([i[None], y[None], z[None]]) for i, y, z in zip(ids, x, fixed, strict=True)]
    named = {"fixed": fixed, "x": x, "ids": ids}
    rows = zip(ids, x, fixed, strict=True)
    for data in ([ids, x, fixed], named, rows):
        outputs = model.predict(data)
        assert outputs["last"].shape == (60, 9)
        assert_equal(outputs["last"], [y["last"][0] for y in expected])
        assert_equal(outputs["steps"], [y["steps"][0] for y in expected])
    none = model.predict([[], [], np.zeros((0, 2))])
    assert none["last"].shape == (0, 9)
    assert none["steps"] == []
    with pytest.raises(ValueError, match=r"inputs have \[59, 60\] rows"):
        model.predict([ids, x[1:], fixed])


def test_a_chain_without_an_input_takes_sequences():
    for first in ([], [rc.Masking()]):
        model = rc.Sequential([*first, rc.LSTM(4)])
        rows = lists(2, 5, 3)
        outputs = model.predict(rows)
        assert_equal(outputs, alone(model, rows))
    assert rc.Sequential([rc.Embedding(5, 2), rc.GRU(2)]).predict([[1, 2], [3]]).shape == (2, 2)


def test_no_rows():
    assert of_ids(rc.LSTM(3)).predict([]).shape == (0, 3)
    assert of_ids(rc.LSTM(3)).predict(iter([])).shape == (0, 3)
    assert of_features(rc.LSTM(3, return_sequences=True)).predict([]) == []
    assert of_features(rc.LSTM(3)).predict([[], []]).tolist() == [[0] * 3] * 2
    assert of_features(rc.LSTM(3)).predict(iter([[[1.0] * 3], np.zeros((0, 3))])).shape == (2, 3)


def test_rows_of_one_length_are_a_list_too():
    model = of_features(rc.LSTM(3, return_sequences=True))
    rows = lists(4, 4, 4)
    outputs = model.predict(rows)
    assert isinstance(outputs, list)
    assert_equal(outputs, list(model.predict(np.stack(rows))))


STREAMS = {
    "rows": lambda rows: iter(rows),
    "batches": lambda rows: (rows[i : i + 3] for i in range(0, len(rows), 3)),
    "both": lambda rows: iter([rows[:5], *rows[5:9], rows[9:10], *rows[10:]]),
    "arrays": lambda rows: (row[None] for row in rows),
}


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("name", STREAMS)
def test_iterators(name, size, monkeypatch, rng):
    monkeypatch.setattr(_predict, "WINDOW_ROWS", size)
    rows = lists(*rng.integers(0, 9, 50))
    for model in (of_features(rc.LSTM(3)), of_features(rc.GRU(3, return_sequences=True))):
        assert_equal(model.predict(STREAMS[name](rows)), alone(model, rows))


def test_an_iterator_that_fills_one_array_again():
    def rows():
        row = np.zeros((4, FEATURES), np.float32)
        for n in range(10):
            row[:] = n
            yield row

    model = of_features(rc.LSTM(3))
    expected = alone(model, [np.full((4, FEATURES), n, np.float32) for n in range(10)])
    assert_equal(model.predict(rows()), expected)


def test_windows_and_batches_by_bytes(monkeypatch, rng):
    monkeypatch.setattr(_windows, "WINDOW_BYTES", 500)
    monkeypatch.setattr(_predict, "_PADDED_BYTES", 500)
    rows = lists(*rng.integers(0, 30, 50), 300)
    model = of_features(rc.LSTM(3))
    assert_equal(model.predict(rows), alone(model, rows))
    assert_equal(model.predict(iter(rows)), alone(model, rows))


def test_arrays_by_windows(monkeypatch, rng):
    ids = rng.integers(0, IDS, (250, 4))
    model = of_ids(rc.LSTM(3))
    expected = model.predict(ids)
    monkeypatch.setattr(_predict, "WINDOW_ROWS", 100)
    assert_equal(model.predict(ids), expected)


def test_out(rng):
    rows = lists(*rng.integers(0, 9, 50))
    model = of_features(rc.LSTM(3))
    expected = alone(model, rows)
    for data in (rows, iter(rows)):
        out = np.zeros((50, 3), np.float64)
        assert np.shares_memory(model.predict(data, out=out), out)
        np.testing.assert_array_equal(out, expected)
    longer = np.zeros((70, 3), np.float32)
    assert_equal(model.predict(iter(rows), out=longer), expected)
    assert not longer[50:].any()
    array = np.stack(lists(5, 5, 5))
    out = np.zeros((3, 3), np.float32)
    assert model.predict(array, out=out) is out
    assert_equal(out, model.predict(array))


WRONG_OUT = {
    "rows": (np.zeros((4, 3), np.float32), r"out is float32 \(4, 3\), expected 3 rows"),
    "axes": (np.zeros((3, 2), np.float32), r"of float32 \(3,\)"),
    "kind": (np.zeros((3, 3), np.int64), r"out is int64"),
    "no array": (5, "out is a int, expected an array"),
    "number": ([np.zeros((3, 3)), np.zeros((3, 3))], "out has 2 arrays for 1"),
}


@pytest.mark.parametrize("name", WRONG_OUT)
def test_wrong_out(name):
    out, message = WRONG_OUT[name]
    for rows in (lists(2, 3, 4), np.zeros((3, 2, FEATURES))):
        with pytest.raises((ValueError, TypeError), match=message):
            of_features(rc.LSTM(3)).predict(rows, out=out)


def test_out_of_too_few_rows_or_for_steps():
    with pytest.raises(ValueError, match="out has 2 rows, but more have come"):
        of_features(rc.LSTM(3)).predict(iter(lists(2, 3, 4)), out=np.zeros((2, 3)))
    with pytest.raises(ValueError, match="own lengths"):
        of_features(rc.LSTM(3, return_sequences=True)).predict(lists(2, 3), out=np.zeros((2, 3)))


def ids_and(row, place=41, rows=60):
    good = [[1, 2, 3][: 1 + i % 3] for i in range(rows)]
    good[place] = row
    return good


WRONG = {
    "id": (lambda: of_ids(rc.LSTM(3)).predict(ids_and([1, IDS])), "row 41: .*is 6, expected"),
    "id, streamed": (
        lambda: of_ids(rc.LSTM(3)).predict(iter(ids_and([1, -1]))),
        "row 41: .*is -1, expected at least 0",
    ),
    "axes": (lambda: of_ids(rc.LSTM(3)).predict(ids_and([[1], [2]])), r"row 41 has shape \(2, 1\)"),
    "no array": (lambda: of_ids(rc.LSTM(3)).predict(ids_and([[1], [2, 3]])), "row 41 is no array"),
    "number": (lambda: of_ids(rc.LSTM(3)).predict(ids_and(5)), "row 41 is 5, expected a sequence"),
    "text": (lambda: of_ids(rc.LSTM(3)).predict(ids_and(["a"])), "row 41 is of <U1"),
    "features": (
        lambda: of_features(rc.LSTM(3)).predict([*lists(2, 3), np.ones((4, 2))]),
        r"row 2 has shape \(4, 2\), expected \(timesteps, 3\)",
    ),
    "streamed features": (
        lambda: of_features(rc.LSTM(3)).predict(iter([*lists(2, 3), np.ones(4)])),
        r"row 2 has \[1\] axes, expected \[3\]",
    ),
    "odd": (
        lambda: of_features(rc.Reshape((-1, 6)), rc.LSTM(3)).predict(lists(4, 6, 3, 2)),
        "row 2: ",
    ),
    "fixed": (
        lambda: rc.Sequential([rc.Input((2, 3)), rc.LSTM(3)]).predict(lists(2, 2, 4)),
        r"row 2 has shape \(4, 3\), expected \(2, 3\)",
    ),
    "stateful": (
        lambda: rc.Sequential([rc.LSTM(3, stateful=True)]).predict(lists(2, 3)),
        "is stateful, expected an array of rows of one length: row 1",
    ),
    "stateful stream": (
        lambda: rc.Sequential([rc.LSTM(3, stateful=True)]).predict(iter(lists(2, 3))),
        "is stateful, .* not an iterator",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_name_the_row(name):
    run, message = WRONG[name]
    with pytest.raises((ValueError, TypeError), match=message):
        run()


def test_a_wrong_id_far_down_an_array(monkeypatch, rng):
    monkeypatch.setattr(_predict, "WINDOW_ROWS", 100)
    ids = rng.integers(0, IDS, (300, 5))
    ids[241, 2] = IDS
    for share in (True, False):
        model = of_ids(rc.LSTM(3))
        model.share_prefixes = share
        with pytest.raises(ValueError, match=r"row 241: .*is 6, expected below 6"):
            model.predict(ids, batch_size=16)


def peak_of(run):
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_constant_memory(monkeypatch, tmp_path, rng):
    """Four times the rows, the same memory: of a mapped file and of a generator."""
    monkeypatch.setattr(_predict, "WINDOW_ROWS", 1 << 11)
    model = of_ids(rc.LSTM(3))
    model.predict(np.ones((100, 4), int))
    peaks = {}
    for rows in (1 << 13, 1 << 15):
        np.save(tmp_path / "ids.npy", rng.integers(0, IDS, (rows, 20)))
        ids = np.load(tmp_path / "ids.npy", mmap_mode="r")
        out = np.lib.format.open_memmap(tmp_path / "out.npy", "w+", np.float32, (rows, 3))
        peaks[rows] = peak_of(lambda ids=ids, out=out: model.predict(ids, out=out))
        np.testing.assert_array_equal(out[-100:], model.predict(ids[-100:]))
        stream = (row for row in ids)
        peaks[-rows] = peak_of(lambda s=stream, out=out: model.predict(s, out=out))
        np.testing.assert_array_equal(out[-100:], model.predict(ids[-100:]))
    assert peaks[1 << 15] < 1.2 * peaks[1 << 13] < ids.nbytes
    assert peaks[-(1 << 15)] < 1.2 * peaks[-(1 << 13)] < ids.nbytes
