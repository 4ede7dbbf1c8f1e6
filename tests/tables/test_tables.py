"""score_table and ``rnn-core score``: files through a model to files."""

import csv
import gzip
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from surname_tables import MODEL, NAMES, ROWS, left_in, read, values

import rnn_core as rc
from rnn_core import LSTM, Dense, Embedding, Sequential, _cli


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".feather", ".csv", ".csv.gz"])
def test_every_output(suffix, parquet, table, expected, tmp_path):
    out = tmp_path / f"out{suffix}"
    done = rc.score_table(MODEL, parquet, out, ["ids"], keep=["name", "id"], names=NAMES)
    assert (done.rows, done.errors) == (ROWS, 0)
    result = read(out)
    assert result.column_names == ["name", "id", *NAMES]
    assert result.column("name").to_pylist() == table.column("name").to_pylist()
    assert result.column("id").to_pylist() == list(range(ROWS))
    assert np.array_equal(values(result), expected)
    assert left_in(tmp_path) == ["ids.parquet", f"out{suffix}"]


def test_arrays_to_arrays(ids, expected, tmp_path):
    np.save(tmp_path / "ids.npy", ids.astype(">i2"))
    rc.score_table(MODEL, tmp_path / "ids.npy", tmp_path / "out.npy")
    assert np.array_equal(np.load(tmp_path / "out.npy"), expected)


@pytest.mark.parametrize("suffix", [".arrow", ".feather", ".csv", ".csv.gz"])
def test_every_input(suffix, ids, table, expected, tmp_path):
    source = tmp_path / f"ids{suffix}"
    columns = ["ids"]
    if suffix in (".arrow", ".feather"):
        coded = table.set_column(1, "name", table.column("name").dictionary_encode())
        pa.feather.write_feather(coded, source, chunksize=600)
    else:
        columns = [f"t{t}" for t in range(20)]
        opener = gzip.open if suffix == ".csv.gz" else open
        with opener(source, "wt", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["name", *columns])
            writer.writerows(zip(table.column("name").to_pylist(), *ids.T, strict=True))
    rc.score_table(MODEL, source, tmp_path / "out.parquet", columns, keep=["name"], names=NAMES)
    result = read(tmp_path / "out.parquet")
    assert result.column("name").to_pylist() == table.column("name").to_pylist()
    assert np.array_equal(values(result), expected)


def test_a_csv_without_a_header_and_cells_kept_as_they_are(tmp_path):
    model = Sequential([Dense(1, kernel_initializer="ones", input_shape=(2,))])
    (tmp_path / "x.csv").write_text("007,1,2\n1e3,3,4\n")
    rc.score_table(model, tmp_path / "x.csv", tmp_path / "y.csv", ["1", "2"], keep=["0"])
    assert (tmp_path / "y.csv").read_text().splitlines()[1:] == ['"007",3', '"1e3",7']


def test_progress_is_shown(parquet, tmp_path, capsys):
    rc.score_table(MODEL, parquet, tmp_path / "out.npy", ["ids"], progress=True)
    shown = capsys.readouterr().err
    assert "100%" in shown
    assert "5.00k/5.00k" in shown
    assert "rows/s" in shown


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".npy"])
def test_no_rows(suffix, table, tmp_path):
    source, out = tmp_path / "none.parquet", tmp_path / f"out{suffix}"
    pq.write_table(table.slice(0, 0), source)
    assert rc.score_table(MODEL, source, out, ["ids"]).rows == 0
    if suffix == ".npy":
        assert np.load(out).shape == (0, 4)
    else:
        assert read(out).column_names == [f"output_{i}" for i in range(4)]
        assert read(out).num_rows == 0


# Groups


@pytest.fixture(scope="module")
def by_steps():
    return Sequential([LSTM(5, input_shape=(None, 2)), Dense(2)])


def long_table(rng):
    """Return steps of 40 devices of different lengths, shuffled, and the sequences."""
    lengths = rng.integers(1, 9, 40)
    device = np.repeat([f"d{i}" for i in range(40)], lengths)
    ts = np.concatenate([np.arange(n) for n in lengths])
    x = rng.standard_normal((len(ts), 2)).astype(np.float32)
    order = rng.permutation(len(ts))
    sequences = np.split(x, np.cumsum(lengths)[:-1])
    first = list(dict.fromkeys(device[order]))
    table = {"device": device[order], "ts": ts[order], "a": x[order, 0], "b": x[order, 1]}
    return pa.table(table), first, [sequences[int(name[1:])] for name in first]


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_long_table(suffix, by_steps, tmp_path, rng):
    table, first, sequences = long_table(rng)
    source = tmp_path / f"long{suffix}"
    (pq.write_table if suffix == ".parquet" else pa.csv.write_csv)(table, source)
    out = tmp_path / "out.parquet"
    rc.score_table(by_steps, source, out, ["a", "b"], group_by="device", order_by="ts")
    result = read(out)
    assert result.column("device").to_pylist() == first
    expected = np.concatenate([by_steps.predict(s[None]) for s in sequences])
    found = values(result, ["output_0", "output_1"])
    assert np.allclose(found, expected, rtol=0, atol=1e-6)


def test_ids_of_a_long_table(tmp_path):
    model = Sequential([Embedding(10, 3, input_shape=(None,)), LSTM(2)])
    table = pa.table({"user": [7, 3, 7, 7, 3], "item": [1, 2, 3, 4, 5], "day": [2, 1, 1, 2, 0]})
    pq.write_table(table, tmp_path / "in.parquet")
    rc.score_table(
        *(model, tmp_path / "in.parquet", tmp_path / "out.parquet"),
        group_by="user",
        order_by="day",
        keep=["day"],
    )
    result = read(tmp_path / "out.parquet")
    # Steps of one day stay in the file's order; the kept day is the first.
    assert result.column("user").to_pylist() == [7, 3]
    assert result.column("day").to_pylist() == [1, 0]
    expected = np.concatenate([model.predict([[3, 1, 4]]), model.predict([[5, 2]])])
    assert np.allclose(values(result, ["output_0", "output_1"]), expected, rtol=0, atol=1e-6)


def test_bad_rows_of_a_long_table(by_steps, tmp_path):
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("id,a,b\nu,1,2\nv,x,2\nu,1,1\n")
    with pytest.raises(ValueError, match="in.csv, row 2: column 'a' is 'x', expected a number"):
        rc.score_table(by_steps, source, out, group_by="id")
    done = rc.score_table(by_steps, source, out, group_by="id", on_error="skip")
    assert (done.rows, done.errors) == (2, 1)
    assert (tmp_path / "out.csv.errors.csv").read_text().splitlines()[1] == "v,a,has a null"
    assert out.read_text().splitlines()[2] == '"v",,'
    with pytest.raises(ValueError, match="order_by is given without group_by"):
        rc.score_table(by_steps, source, out, order_by="id")
    with pytest.raises(ValueError, match="no column 'none'"):
        rc.score_table(by_steps, source, out, group_by="none")


# The command


def score(*arguments):
    return _cli.main(["score", *map(str, arguments)])


def test_the_command(parquet, expected, tmp_path, capsys):
    out, labels = tmp_path / "out.parquet", tmp_path / "labels.txt"
    labels.write_text("\n".join(NAMES))
    base = [MODEL, parquet, "-o", out, "--columns", "ids"]
    assert score(*base, "--keep", "id", "--argmax", "--labels", labels) == 0
    assert capsys.readouterr().out.startswith("5,000 rows in ")
    result = pq.read_table(out)
    best = expected.argmax(axis=1)
    assert result.column_names == ["id", "label", "score"]
    assert result.column("label").to_pylist() == [NAMES[i] for i in best]
    assert np.array_equal(result.column("score").to_numpy(), expected.max(axis=1))
    assert score(*base, "--top-k", "2", "--labels", ",".join(NAMES), "--list", "top") == 0
    second = np.argsort(-expected, axis=1)[:, 1]
    found = [row[1] for row in pq.read_table(out).column("top_labels").to_pylist()]
    assert found == [NAMES[i] for i in second]
    assert score(*base, "--list", "p") == 0
    lists = pq.read_table(out).column("p")
    assert np.array_equal(np.array(lists.to_pylist(), np.float32), expected)


def test_the_command_on_texts(tmp_path):
    names, out = tmp_path / "names.csv", tmp_path / "out.parquet"
    names.write_text("name,n\nSmith,1\nGarcia,2\n")
    encoder = ["--encoder", "examples.surnames.encoder:encode"]
    assert score(MODEL, names, "-o", out, *encoder, "--keep", "n", "--names", ",".join(NAMES)) == 0
    from examples.surnames.encoder import encode

    expected = rc.load(MODEL).predict(encode(["Smith", "Garcia"]))
    assert np.array_equal(values(pq.read_table(out)), expected)


BAD = {
    "--columns none": "the table has no column 'none'; it has id, name, ids",
    "--columns id": "ids.parquet, row 1: column 'id' has 1 steps, expected 20",
    "--columns name": "column 'name' is 'r\"0\", é', expected a number",
    "--columns ids --top-k 9": "top_k is 9, expected 1 to 4",
    "--columns ids --labels a,b": "labels are given without top_k",
    "--columns ids --argmax --top-k 2": "--argmax and --top-k are both given",
    "--columns ids --list p --names q": "--names and --list are both given",
    "--columns ids --order-by id": "order_by is given without group_by",
    "--columns ids --keep id --names id,a,b,c": "two columns 'id'",
}


@pytest.mark.parametrize("options", sorted(BAD))
def test_bad_options(options, parquet, tmp_path, capsys):
    assert score(MODEL, parquet, "-o", tmp_path / "out.parquet", *options.split()) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert BAD[options] in error
    assert left_in(tmp_path) == ["ids.parquet"]


@pytest.mark.parametrize(
    ("output", "options", "message"),
    [
        ("out.csv", ["--list", "p"], "cannot hold column 'p', which is list<"),
        ("out.npy", ["--keep", "name"], "cannot hold column 'name', which is string"),
        ("out.txt", [], "output is"),
        ("none/out.csv", [], "is no directory"),
        ("ids.parquet", [], "which is also what it is made from"),
    ],
)
def test_bad_outputs(output, options, message, parquet, tmp_path, capsys):
    arguments = [MODEL, parquet, "-o", tmp_path / output, "--columns", "ids", *options]
    assert score(*arguments) == 2
    assert message in capsys.readouterr().err
    assert left_in(tmp_path) == ["ids.parquet"]


def test_what_needs_no_pyarrow_does_without(tmp_path, ids):
    np.save(tmp_path / "ids.npy", ids[:50])
    code = "import sys; sys.modules['pyarrow'] = None\nfrom rnn_core import _cli\n"
    code += "sys.exit(_cli.main(sys.argv[1:]))"
    run = [sys.executable, "-c", code, "score", str(MODEL), str(tmp_path / "ids.npy"), "-o"]
    subprocess.run([*run, str(tmp_path / "out.csv")], check=True, capture_output=True)
    refused = subprocess.run(
        [*run, str(tmp_path / "out.parquet")], check=False, capture_output=True, text=True
    )
    assert refused.returncode == 2
    assert "pip install 'rnn_core[table]'" in refused.stderr


MEASURED = """
import resource, sys
import rnn_core as rc
from rnn_core._scoring import sizes
sizes.MAX_ROWS = 1 << 14
rc.score_table(sys.argv[1], sys.argv[2], sys.argv[3], ["ids"], keep=["id"])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_rows(tmp_path):
    model = tmp_path / "model.safetensors"
    Sequential([Embedding(1000, 2, input_shape=(20,)), LSTM(2)]).save(model)
    rng = np.random.default_rng(1)
    block = rng.integers(0, 1000, (1 << 16, 20)).astype(np.int32)
    lists = pa.FixedSizeListArray.from_arrays(block.ravel(), 20)
    table = pa.table({"id": np.arange(len(block)), "ids": lists})
    peaks = []
    for blocks in (2, 12):
        source = tmp_path / f"{blocks}.parquet"
        with pq.ParquetWriter(source, table.schema) as writer:
            for _ in range(blocks):
                writer.write_table(table)
        command = [sys.executable, "-c", MEASURED, model, source, tmp_path / "out.parquet"]
        run = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
        peaks.append(int(run.stdout) / 1024)
    # Ten blocks are 55 MB.
    assert peaks[1] - peaks[0] < 25, peaks
