"""Rows of tables that are unusual: wrong in a list, without steps, long, of rare types."""

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from surname_tables import ROOT, left_in

import rnn_core as rc
from rnn_core import LSTM, Dense, Embedding, Input, Scorer, Sequential, _cli
from rnn_core._scoring import sizes, tables


@pytest.fixture(scope="module")
def of_steps():
    """A model of sequences of four features."""
    return Sequential([Input((None, 4)), LSTM(3)])


@pytest.mark.parametrize("wrong", [0, 3])
def test_steps_of_another_width_are_those_of_their_row(of_steps, wrong, rng):
    rows = [rng.standard_normal((2, 4)).astype(np.float32).tolist() for _ in range(5)]
    expected = of_steps.predict(np.array(rows, np.float32))
    rows[wrong][1] = [1.0, 2.0, 3.0]
    batch = pa.table({"x": rows})
    scored, faults = Scorer(of_steps, on_error="skip").score(batch)
    assert faults == [(wrong, "x", "has a step of 3 numbers, expected 4")]
    good = [row for row in range(5) if row != wrong]
    found = np.stack([scored.column(name).to_numpy() for name in scored.column_names], axis=1)
    np.testing.assert_array_equal(found[good], expected[good])
    assert np.isnan(found[wrong]).all()
    with pytest.raises(ValueError, match=rf"row {wrong}: steps are not all of 4"):
        of_steps.predict(batch.column("x"))


def test_rows_without_steps(of_steps):
    lists = pa.array([[], []], pa.list_(pa.list_(pa.float32())))
    scorer, nothing = Scorer(of_steps), of_steps.predict(np.zeros((2, 0, 4), np.float32))
    for table in (pa.table({"x": lists}), pa.table({"x": lists.slice(1)})):
        for name, column in zip(scorer(table).column_names, nothing.T, strict=True):
            np.testing.assert_array_equal(scorer(table).column(name), column[: len(table)])
    beside = pa.table({name: pa.array([[], []], pa.list_(pa.float32())) for name in "abcd"})
    assert scorer(beside).column("output_0").to_pylist() == nothing[:, 0].tolist()


def test_texts_without_steps(of_steps):
    def encoder(texts):
        return [np.ones((len(text) - 1, 4)) if len(text) > 1 else [] for text in texts]

    found = Scorer(of_steps, encoder=encoder)(pa.table({"text": ["a", "abc"]}))
    expected = [of_steps.predict(np.ones((1, n, 4), np.float32))[0] for n in (0, 2)]
    np.testing.assert_array_equal(found.column("output_1"), np.array(expected)[:, 1])


def test_nulls_in_the_texts_of_groups(tmp_path):
    model = Sequential([Input((None, 1)), LSTM(2)])
    steps = pa.table({"id": ["a", "a", "b", "b", "c"], "x": ["1", None, "2", "3", "?"]})
    pq.write_table(steps, tmp_path / "steps.parquet")
    given = model, tmp_path / "steps.parquet", tmp_path / "out.parquet"
    with pytest.raises(ValueError, match=r"row 5: column 'x' is '\?', expected a number"):
        rc.score_table(*given, group_by="id")
    pq.write_table(steps.slice(0, 4), tmp_path / "steps.parquet")
    with pytest.raises(ValueError, match="id 'a': column 'x' has a null"):
        rc.score_table(*given, group_by="id")
    pq.write_table(steps, tmp_path / "steps.parquet")
    assert rc.score_table(*given, group_by="id", on_error="skip").errors == 2
    found = pq.read_table(tmp_path / "out.parquet")
    expected = model.predict(np.array([[[2], [3]]], np.float32))[0]
    assert found.column("output_0").to_pylist() == [None, expected[0].item(), None]
    with pytest.raises(ValueError, match="'x' is both kept, once for an id, and an input"):
        rc.score_table(*given, ["x"], group_by="id", keep=["x"])


@pytest.mark.parametrize("suffix", [".parquet", ".feather"])
@pytest.mark.parametrize("kind", [pa.timestamp("s"), pa.time32("s"), pa.date64(), pa.float16()])
def test_types_that_parquet_has_not(kind, suffix, tmp_path):
    days = [86_400_000 * n for n in range(3)] if kind == pa.date64() else [0, 1, 2]
    kept = (
        pa.array(np.arange(3, dtype=np.float16)) if kind == pa.float16() else pa.array(days, kind)
    )
    table = pa.table({"x": [1.0, 2.0, 3.0], "kept": kept})
    pyarrow.feather.write_feather(table, tmp_path / "in.feather")
    model = Sequential([Dense(1, kernel_initializer="ones", input_shape=(1,))])
    out = tmp_path / f"out{suffix}"
    rc.score_table(model, tmp_path / "in.feather", out, ["x"], keep=["kept"])
    read = pq.read_table if suffix == ".parquet" else pyarrow.feather.read_table
    assert read(out).column("kept").cast(kind).to_pylist() == kept.to_pylist()


def test_rows_on_another_axis_are_refused():
    model = ROOT / "tests/golden/onnx/quantized_lstm_int8.onnx"
    table = pa.table({"x": pa.array(np.zeros((2, 8)).tolist())})
    with pytest.raises(ValueError, match=r"'x' has the axes .*, expected its rows first"):
        Scorer(model)(table)


def test_parts_are_smaller_where_rows_are_longer(tmp_path, monkeypatch, rng):
    monkeypatch.setattr(sizes, "PART_BYTES", 1 << 16)
    model = Sequential([Embedding(9, 2, input_shape=(None,)), LSTM(2)])
    lengths = np.where(np.arange(6000) < 3000, 1, rng.integers(1, 300, 6000))
    rows = [np.ones(n, np.int32) for n in lengths]
    pq.write_table(pa.table({"ids": rows}), tmp_path / "in.parquet", row_group_size=700)
    whole, out = tmp_path / "whole.parquet", tmp_path / "out.parquet"
    sizes_seen, score = [], tables._Job._score

    def seen(job, table, first_row):
        sizes_seen.append((first_row, table.num_rows, table.nbytes))
        if first_row >= 4000 and len(left_in(out.with_name("out.parquet.parts"))) > 20:
            raise InterruptedError
        return score(job, table, first_row)

    rc.score_table(model, tmp_path / "in.parquet", whole)
    monkeypatch.setattr(tables._Job, "_score", seen)
    with pytest.raises(InterruptedError):
        rc.score_table(model, tmp_path / "in.parquet", out)
    first = [sizes_seen[0][1], sizes_seen[-1][1]]
    assert first[1] < first[0] / 10
    # A piece of 4 rows more may be read, and offsets are counted besides.
    assert max(size for _, _, size in sizes_seen) < 2 << 16
    before = len(sizes_seen) - 1
    monkeypatch.setattr(tables._Job, "_score", score)
    assert rc.score_table(model, tmp_path / "in.parquet", out, resume=True).rows == 6000
    assert before > 3
    assert out.read_bytes() == whole.read_bytes()


def test_the_encoder_of_parts_is_that_of_the_rest(tmp_path, monkeypatch):
    source = tmp_path / "my_encoder.py"
    source.write_text("import numpy as np\ndef encode(t): return np.ones((len(t), 1))\n")
    monkeypatch.syspath_prepend(tmp_path)
    model = Sequential([Dense(1, input_shape=(1,))])
    options = Scorer(model, encoder="my_encoder:encode").options()
    assert options == Scorer(model, encoder="my_encoder:encode").options()
    source.write_text(source.read_text().replace("ones", "zeros"))
    assert options != Scorer(model, encoder="my_encoder:encode").options()
    monkeypatch.setenv("RNN_CORE_BACKEND", "blas")
    assert "blas" in Scorer(model).options()["computed_by"]


def test_an_encoder_is_known_by_its_own_text():
    def encode(texts):
        return np.ones((len(texts), 1))

    model = Sequential([Dense(1, input_shape=(1,))])
    options = Scorer(model, encoder=encode).options()
    assert options["encoder_source"] == Scorer(model, encoder=encode).options()["encoder_source"]

    def encode(texts):
        return np.zeros((len(texts), 1))

    assert options["encoder_source"] != Scorer(model, encoder=encode).options()["encoder_source"]


def test_odd_text_is_kept_as_it_is(tmp_path):
    """Bytes that are no UTF-8 in a column that is only copied."""
    lengths, text = np.array([0, 1, 3, 4], np.int32), b"a\xff\xfed"
    buffers = [None, pa.py_buffer(lengths), pa.py_buffer(text)]
    names = pa.StringArray.from_buffers(3, *buffers[1:])
    source, out = tmp_path / "in.arrow", tmp_path / "out.arrow"
    table = pa.table({"x": [1.0, 2.0, 3.0], "name": names})
    with pa.OSFile(str(source), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    model = Sequential([Dense(1, kernel_initializer="ones", input_shape=(1,))])
    assert rc.score_table(model, source, out, ["x"], keep=["name"]).errors == 0
    kept = pyarrow.feather.read_table(out).column("name").chunk(0)
    assert kept.view(pa.binary()).to_pylist() == [b"a", b"\xff\xfe", b"d"]


def test_sizes_of_parts_are_those_of_values(rng):
    fixed = pa.FixedSizeListArray.from_arrays(np.zeros(60, np.int16), 3)
    lists = pa.array([[1] * n for n in range(20)], pa.list_(pa.int32()))
    texts = pa.array(["x" * n for n in range(20)])
    assert sizes._row_bytes(fixed.type) == 6
    assert sizes._row_bytes(pa.bool_()) == 1
    assert sizes._value_bytes(lists.slice(5, 3)) == 4 * (5 + 6 + 7)
    assert sizes._value_bytes(texts.slice(5, 3)) == 5 + 6 + 7
    assert sizes._row_bytes(lists.type) is sizes._row_bytes(texts.type) is None


def test_outputs_of_different_lengths_need_lists(tmp_path, monkeypatch, capsys):
    Sequential([Input((None, 1)), LSTM(2, return_sequences=True)]).save(tmp_path / "m.safetensors")
    (tmp_path / "my_steps.py").write_text(
        "import numpy as np\ndef encode(t): return [np.ones((len(a), 1)) for a in t]\n"
    )
    (tmp_path / "in.csv").write_text("text\nabc\nab\n")
    monkeypatch.chdir(tmp_path)
    words = ["score", "m.safetensors", "in.csv", "-o", "out.csv", "--encoder", "my_steps:encode"]
    for more in ([], ["--which", "0"]):
        assert _cli.main([*words, *more]) == 2
        assert "out.csv cannot hold outputs of different lengths" in capsys.readouterr().err
    words[4] = "out.parquet"
    assert _cli.main([*words, "--list", "y"]) == 0
    assert list(map(len, pq.read_table("out.parquet").column("y").to_pylist())) == [3, 2]
