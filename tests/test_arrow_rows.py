"""Arrow's lists as rows of predict."""

import tracemalloc

import numpy as np
import pytest

import rnn_core as rc
from rnn_core import _predict, _ragged

pa = pytest.importorskip("pyarrow")

IDS = [[1, 2, 3], [4], [], [2, 2], [5, 1, 0, 3]]
STEPS = [[[1.0, 2.0], [3.0, 4.0]], [], [[5.0, 6.0]]]


def of_ids():
    return rc.Sequential([rc.Input((None,)), rc.Embedding(6, 4), rc.LSTM(3)])


def of_features():
    return rc.Sequential([rc.Input((None, 2)), rc.LSTM(3, return_sequences=True)])


KINDS = {
    "list": pa.list_(pa.int64()),
    "large list": pa.large_list(pa.int32()),
    "floats": pa.list_(pa.float32()),
    "bytes": pa.list_(pa.uint8()),
}


@pytest.mark.parametrize("kind", KINDS)
def test_lists_of_ids(kind):
    model = of_ids()
    column = pa.array(IDS, KINDS[kind])
    np.testing.assert_array_equal(model.predict(column), model.predict(IDS))
    # A slice begins in the middle of its buffers.
    np.testing.assert_array_equal(model.predict(column[1:4]), model.predict(IDS[1:4]))
    chunks = pa.chunked_array([column[3:], column[:0], column[:2]])
    np.testing.assert_array_equal(model.predict(chunks), model.predict(IDS[3:] + IDS[:2]))
    batches = iter([column[:2], column[2:]])
    np.testing.assert_array_equal(model.predict(batches), model.predict(IDS))


STEP_KINDS = {
    "lists": pa.list_(pa.list_(pa.float32())),
    "large lists": pa.large_list(pa.large_list(pa.float64())),
    "steps of fixed size": pa.list_(pa.list_(pa.float32(), 2)),
}


@pytest.mark.parametrize("kind", STEP_KINDS)
def test_lists_of_steps(kind):
    model = of_features()
    column = pa.array(STEPS, STEP_KINDS[kind])
    for rows in (slice(0, 3), slice(1, 3), slice(2, 3), slice(1, 2), slice(0, 0)):
        expected = model.predict(STEPS[rows])
        outputs = model.predict(column[rows])
        assert len(outputs) == len(expected)
        for mine, exact in zip(outputs, expected, strict=True):
            np.testing.assert_array_equal(mine, exact)


def test_lists_of_fixed_size():
    rows = np.arange(12).reshape(6, 2) % 6
    column = pa.array(rows.tolist(), pa.list_(pa.int64(), 2))
    model = of_ids()
    np.testing.assert_array_equal(model.predict(column[1:]), model.predict(rows[1:]))
    steps = np.arange(24.0).reshape(2, 6, 2)
    column = pa.array(steps.tolist(), pa.list_(pa.list_(pa.float32(), 2), 6))
    model = of_features()
    np.testing.assert_array_equal(model.predict(column), model.predict(steps))
    np.testing.assert_array_equal(model.predict(column[1:]), model.predict(steps[1:]))
    fixed = rc.Sequential([rc.Input((6, 2)), rc.GRU(3)])
    np.testing.assert_array_equal(fixed.predict(column), fixed.predict(steps))


def test_the_numbers_are_not_copied():
    column = pa.array(IDS, pa.list_(pa.int64()))
    values = _ragged.from_arrow(column, (), 0).values
    assert values.ctypes.data == column.values.buffers()[1].address


def test_a_column_beside_an_array(rng):
    ids, x = rc.Input((None,)), rc.Input((2,))
    model = rc.Model([ids, x], rc.Concatenate()([rc.GRU(2)(rc.Embedding(6, 4)(ids)), x]))
    fixed = rng.standard_normal((5, 2))
    column = pa.array(IDS, pa.list_(pa.int64()))
    np.testing.assert_array_equal(model.predict([column, fixed]), model.predict([IDS, fixed]))


WRONG = {
    "a null row": (of_ids, [[1], None, [2]], None, "row 1 is null"),
    "a null id": (of_ids, [[1], [], [2, None]], None, "row 2: a number is null"),
    "a null step": (of_features, [[[1.0, 2.0]], [None]], None, "row 1: a step is null"),
    "a null feature": (of_features, [[], [[1.0, None]]], None, "row 1: a number is null"),
    "an id": (of_ids, [[1], [], [2, 6]], None, "row 2: .*is 6, expected below 6"),
    "steps": (of_features, [[[1.0, 2.0]], [], [[1.0]]], None, "row 2: steps are not all of 2"),
    "features": (of_features, [[[1.0]], [[2.0]]], None, r"axes \[1\], expected \[2\]"),
    "axes": (of_features, [[1.0], [2.0]], None, r"axes \[\], expected \[2\]"),
    "text": (of_ids, [["a"], ["b"]], None, "lists are of string, expected numbers"),
    "a null fixed row": (of_ids, [[1, 2], None], pa.list_(pa.int64(), 2), "row 1 is null"),
    "a null fixed id": (
        of_ids,
        [[1, 2], [3, 4], [5, None]],
        pa.list_(pa.int64(), 2),
        "row 2: a number is null",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_name_the_row(name):
    make, rows, kind, message = WRONG[name]
    column = pa.array([[], *rows] if kind is None else rows, kind)
    if kind is None:
        column = column[1:]
    with pytest.raises((ValueError, TypeError), match=message):
        make().predict(column)
    # Lists too flat for a batch are taken for one row of it.
    streamed = "row 0 is of object" if name == "axes" else message
    with pytest.raises((ValueError, TypeError), match=streamed):
        make().predict(iter([column]))


def test_chunks_are_not_copied(monkeypatch, rng):
    """Four times the chunks, hardly more memory: each row has its length, and nothing else."""
    monkeypatch.setattr(_predict, "WINDOW_ROWS", 1 << 10)
    model = rc.Sequential([rc.Input((None, 50)), rc.SimpleRNN(1)])
    peaks = []
    for count in (4, 16):
        rows = rng.standard_normal((1 << 9, 4, 50)).astype(np.float32)
        inner = pa.FixedSizeListArray.from_arrays(rows.ravel(), 50)
        chunk = pa.FixedSizeListArray.from_arrays(inner, 4).cast(pa.list_(inner.type))
        column = pa.chunked_array([chunk] * count)
        model.predict(column[:2])
        tracemalloc.start()
        found = model.predict(column)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        np.testing.assert_array_equal(found, np.tile(model.predict(rows), (count, 1)))
    assert peaks[1] < 1.3 * peaks[0]
