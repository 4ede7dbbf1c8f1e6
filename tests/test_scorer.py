"""Scorer: a model as a function of Arrow batches."""

import pickle

import numpy as np
import pyarrow as pa
import pytest

import rnn_core as rc
from rnn_core import LSTM, Dense, Embedding, Input, Model, Sequential


@pytest.fixture(scope="module")
def by_ids():
    return Sequential([Embedding(10, 4, input_shape=(None,)), LSTM(5), Dense(3, "softmax")])


@pytest.fixture(scope="module")
def by_features():
    return Sequential([LSTM(5, input_shape=(None, 2)), Dense(3)])


IDS = [[1, 2, 3], [4], [5, 6, 7], [], [9, 9]]


def alone(model, rows, dtype=np.int64):
    return np.concatenate([model.predict(np.asarray([row], dtype)) for row in rows])


def same(result, expected):
    """Return whether values are those of other batches: a Dense layer's may differ by rounding."""
    return result.shape == expected.shape and np.allclose(result, expected, rtol=0, atol=1e-6)


def values(table, names=("output_0", "output_1", "output_2")):
    return np.stack([table.column(name).to_numpy() for name in names], axis=1)


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.int32()), pa.large_list(pa.int64()), pa.list_(pa.float32())]
)
def test_lists_of_any_lengths(by_ids, kind):
    table = pa.table({"name": list("abcde"), "ids": pa.array(IDS, kind)})
    result = rc.Scorer(by_ids, ["ids"], keep=["name"])(table)
    assert result.column_names == ["name", "output_0", "output_1", "output_2"]
    assert result.column("name").to_pylist() == list("abcde")
    assert same(values(result), alone(by_ids, IDS))


def test_batches_are_slices_of_tables(by_ids):
    table = pa.table({"ids": pa.chunked_array([IDS[:2], IDS[2:]])})
    scorer = rc.Scorer(by_ids)
    expected = alone(by_ids, IDS)
    assert same(values(scorer(table)), expected)
    batch = table.combine_chunks().to_batches()[0].slice(1, 3)
    result = scorer(batch)
    assert isinstance(result, pa.RecordBatch)
    assert same(values(result), expected[1:4])
    parts = list(scorer.scored([batch, batch.slice(2)]))
    assert same(values(parts[1]), expected[3:4])


def test_what_holds_features(by_features, rng):
    x = rng.standard_normal((4, 3, 2)).astype(np.float32)
    expected = by_features.predict(x)
    flat = x.reshape(4, 6)
    tables = {
        "numbers": {f"c{i}": flat[:, i] for i in range(6)},
        "text": {f"c{i}": flat[:, i].astype(float).astype(str) for i in range(6)},
        "flat lists": {"x": list(flat)},
        "fixed lists": {"x": pa.FixedSizeListArray.from_arrays(flat.ravel(), 6)},
        "lists of steps": {"x": pa.array(x.tolist(), pa.list_(pa.list_(pa.float32(), 2)))},
        "a list a feature": {"a": list(x[:, :, 0]), "b": list(x[:, :, 1])},
    }
    for name, columns in tables.items():
        assert same(values(rc.Scorer(by_features)(pa.table(columns))), expected), name


def test_several_inputs(rng):
    a, b = Input((None,), name="a"), Input((2,), name="b")
    model = Model([a, b], Dense(3)(rc.Concatenate()([LSTM(4)(Embedding(10, 3)(a)), b])))
    b_values = rng.standard_normal((5, 2)).astype(np.float32)
    table = pa.table({"u": b_values[:, 0], "v": b_values[:, 1], "ids": IDS})
    result = rc.Scorer(model, {"a": ["ids"], "b": ["u", "v"]})(table)
    expected = [
        model.predict({"a": np.array([ids], int), "b": row[None]})
        for ids, row in zip(IDS, b_values, strict=True)
    ]
    assert same(values(result), np.concatenate(expected))
    with pytest.raises(ValueError, match="columns are of inputs"):
        rc.Scorer(model, {"a": ["ids"]})(table)


def ids_of(texts):
    return [[ord(c) - ord("a") for c in text] for text in texts]


def test_text_through_an_encoder(by_ids):
    table = pa.table({"name": ["abc", "b", "jj"], "n": [1, 2, 3]})
    expected = alone(by_ids, ids_of(["abc", "b", "jj"]))
    for encoder in (ids_of, "test_scorer:ids_of"):
        assert same(values(rc.Scorer(by_ids, encoder=encoder)(table)), expected)
    dictionary = table.set_column(0, "name", table.column("name").dictionary_encode())
    assert same(values(rc.Scorer(by_ids, encoder=ids_of)(dictionary)), expected)


def test_outputs_as_lists(by_ids):
    table = pa.table({"ids": IDS})
    result = rc.Scorer(by_ids, output="list", names=["p"])(table)
    assert same(np.array(result.column("p").to_pylist(), "f4"), alone(by_ids, IDS))
    steps = Sequential([Embedding(10, 4, input_shape=(None,)), LSTM(2, return_sequences=True)])
    with pytest.raises(ValueError, match="expected output='list'"):
        rc.Scorer(steps)(table)
    rows = rc.Scorer(steps, output="list")(table).column("output")
    assert rows.type == pa.list_(pa.list_(pa.float32()))
    for ids, row in zip(IDS, rows.to_pylist(), strict=True):
        assert same(np.array(row, "f4").reshape(-1, 2), steps.predict([ids])[0])
    fixed = pa.table({"ids": pa.FixedSizeListArray.from_arrays([1, 2, 3, 4], 2)})
    columns = rc.Scorer(steps, names=["u", "v"])(fixed)
    assert columns.column_names == ["0.u", "0.v", "1.u", "1.v"]
    expected = steps.predict(np.array([[1, 2], [3, 4]])).reshape(2, 4)
    assert same(values(columns, columns.column_names), expected)


def test_the_largest(by_ids):
    table = pa.table({"ids": IDS})
    scores = alone(by_ids, IDS)
    order = np.argsort(-scores, axis=1)
    labels = ["x", "y", "z"]
    result = rc.Scorer(by_ids, top_k=2, labels=labels)(table)
    assert result.column_names == ["label_1", "score_1", "label_2", "score_2"]
    for k in range(2):
        assert result.column(f"label_{k + 1}").to_pylist() == [labels[i] for i in order[:, k]]
        expected = np.take_along_axis(scores, order, axis=1)[:, k]
        assert same(result.column(f"score_{k + 1}").to_numpy(), expected)
    best = rc.Scorer(by_ids, top_k=1, names=["place", "p"])(table)
    assert best.column("place").to_pylist() == order[:, 0].tolist()
    lists = rc.Scorer(by_ids, top_k=3, output="list")(table)
    assert lists.column("labels").to_pylist() == order.tolist()


def test_equal_values_and_nan_are_ordered():
    model = Sequential([Dense(3, kernel_initializer="ones", use_bias=False, input_shape=(1,))])
    kernel = np.array([[1, 1, 0]], np.float32)
    model.set_weights([kernel])
    result = rc.Scorer(model, top_k=3)(pa.table({"x": [2.0, np.nan, -1.0]}))
    places = values(result, ["label_1", "label_2", "label_3"])
    assert places.tolist() == [[0, 1, 2], [0, 1, 2], [2, 0, 1]]


BAD_ROWS = {
    "a null": ([[1], None, [2]], pa.list_(pa.int64()), "column 'ids' is null"),
    "a null inside": ([[1], [2, None], [2]], pa.list_(pa.int64()), "column 'ids' has a null"),
    "too large": ([[1], [2, 99], [2]], pa.list_(pa.int64()), "column 'ids' is 99, expected 0 to 9"),
    "below 0": ([[1], [-2], [2]], pa.list_(pa.int64()), "column 'ids' is -2, expected 0 to 9"),
    "a fraction": ([[1], [1.5], [2]], None, "column 'ids' is 1.5, expected a whole number, 0 to 9"),
    "nan": ([[1.0], [np.nan], [2]], None, "column 'ids' is nan, expected a whole number"),
    "a word": (["1", "x", "2"], pa.string(), "column 'ids' is 'x', expected a number"),
    "an empty cell": (["1", "", "2"], pa.string(), "column 'ids' is empty"),
}


@pytest.mark.parametrize("case", sorted(BAD_ROWS))
def test_bad_rows(by_ids, case):
    rows, kind, message = BAD_ROWS[case]
    table = pa.table({"ids": pa.array(rows, kind)})
    with pytest.raises(ValueError, match="row 1,000,002: ") as caught:
        rc.Scorer(by_ids)(table, first_row=1_000_000)
    assert message in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    result, faults = rc.Scorer(by_ids, on_error="skip").score(table, 10)
    assert [(fault.row, fault.column) for fault in faults] == [(11, "ids")]
    assert result.column(1).to_pylist()[1] is None
    kept = [[int(np.ravel(row)[0])] for row in (rows[0], rows[2])]
    assert same(values(result)[[0, 2]], alone(by_ids, kept))


def test_rows_that_only_the_model_refuses(by_features):
    inner = Sequential([Embedding(10, 4, input_shape=(None,))])
    nested = Sequential([Input((None,)), inner, LSTM(3)])
    table = pa.table({"x": [[1], [99], [2, 3], [-1]]})
    with pytest.raises(ValueError, match=r"row 2: column 'x' is refused: .* expected below 10"):
        rc.Scorer(nested)(table)
    result, faults = rc.Scorer(nested, on_error="skip").score(table)
    assert [fault.row for fault in faults] == [1, 3]
    assert same(values(result)[[0, 2]], alone(nested, [[1], [2, 3]]))
    with pytest.raises(ValueError, match="row 2: column 'x' has 3 values, expected a multiple"):
        rc.Scorer(by_features)(pa.table({"x": [[1.0, 2.0], [1.0, 2.0, 3.0]]}))
    with pytest.raises(ValueError, match="row 2: column 'b' has 2 steps, expected 1 as 'a'"):
        rc.Scorer(by_features)(pa.table({"a": [[1.0], [2.0]], "b": [[1.0], [2.0, 3.0]]}))


def refuse_b(texts):
    if "b" in texts:
        raise KeyError("b")
    return ids_of(texts)


def test_rows_that_only_the_encoder_refuses(by_ids):
    table = pa.table({"name": ["abc", "b", None, "jj", ""]})
    result, faults = rc.Scorer(by_ids, encoder=refuse_b, on_error="skip").score(table)
    assert [(fault.row, fault.why.split()[-1]) for fault in faults] == [
        (1, "'b'"),
        (2, "null"),
        (4, "empty"),
    ]
    assert same(values(result)[[0, 3]], alone(by_ids, ids_of(["abc", "jj"])))


def test_pickled_models_give_the_same(by_ids, tmp_path):
    table = pa.table({"ids": IDS})
    expected = alone(by_ids, IDS)
    by_ids.save(tmp_path / "model.safetensors")
    for model in (by_ids, tmp_path / "model.safetensors"):
        scorer = rc.Scorer(model)
        for _ in range(2):
            assert same(values(scorer(table)), expected)
            scorer = pickle.loads(pickle.dumps(scorer))
    assert len(pickle.dumps(rc.Scorer(tmp_path / "model.safetensors"))) < 1000


def test_no_rows(by_ids):
    table = pa.table({"ids": pa.array([], pa.list_(pa.int64()))})
    result = rc.Scorer(by_ids)(table)
    assert (result.num_rows, result.schema) == (0, rc.Scorer(by_ids).schema(table.schema))


BAD_OPTIONS = {
    "no column 'none'": {"columns": ["none"]},
    "two columns 'n'": {"columns": ["ids"], "keep": ["n"], "names": ["n", "o", "p"]},
    "has 2 names, expected 3": {"columns": ["ids"], "names": ["a", "b"]},
    "top_k is 4, expected 1 to 3": {"columns": ["ids"], "top_k": 4},
    "labels has 1 names, expected 3": {"columns": ["ids"], "top_k": 1, "labels": ["a"]},
    "labels are given without top_k": {"columns": ["ids"], "labels": ["a", "b", "c"]},
    "which is 1, expected 0": {"columns": ["ids"], "which": 1},
    "output is 'row', expected 'columns'": {"output": "row"},
    "on_error is 'go', expected 'stop'": {"on_error": "go"},
    "batch_size is 0, expected at least 1": {"batch_size": 0},
    "keep is 'n', expected a list of names": {"keep": "n"},
    "lists and numbers": {"columns": ["ids", "n"]},
    "column 'day' is date32": {"columns": ["day"]},
}


@pytest.mark.parametrize("message", sorted(BAD_OPTIONS))
def test_bad_options(by_ids, message):
    days = pa.array([1, 2], pa.int32()).cast(pa.date32())
    table = pa.table({"ids": IDS[:2], "n": [1, 2], "day": days})
    with pytest.raises(ValueError, match=message):
        rc.Scorer(by_ids, **BAD_OPTIONS[message])(table)


def test_models_that_cannot_score():
    with pytest.raises(ValueError, match="is stateful"):
        rc.Scorer(Sequential([LSTM(2, stateful=True, batch_input_shape=(1, None, 2))]))
    with pytest.raises(ValueError, match="holds weights"):
        rc.Scorer({"w": np.ones(2)})
