"""score_table and ``rnn-core score``: files through a model to files."""

import csv
import gzip
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

import rnn_core as rc
from rnn_core import LSTM, Dense, Embedding, Sequential, _cli
from rnn_core._scoring import sizes, tables

ROOT = Path(__file__).parents[1]
SURNAMES = ROOT / "examples/surnames"
MODEL = SURNAMES / "census2010_ln_lstm.h5"
ROWS = 5000
NAMES = ["api", "black", "hispanic", "white"]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(sizes, "MAX_ROWS", 1024)
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope="module")
def ids():
    return np.random.default_rng(3).integers(0, 977, (ROWS, 20)).astype(np.int32)


@pytest.fixture(scope="module")
def expected(ids):
    return rc.load(MODEL).predict(ids)


@pytest.fixture(scope="module")
def table(ids):
    lists = pa.FixedSizeListArray.from_arrays(ids.ravel(), 20).cast(pa.list_(pa.int32()))
    names = pa.array([f'r"{i}", é' for i in range(ROWS)])
    return pa.table({"id": np.arange(ROWS), "name": names, "ids": lists})


@pytest.fixture
def parquet(table, tmp_path):
    path = tmp_path / "ids.parquet"
    pq.write_table(table, path, row_group_size=700)
    return path


def read(path):
    if path.suffix == ".parquet":
        return pq.read_table(path)
    if path.suffix in (".arrow", ".feather"):
        return pa.feather.read_table(path)
    floats = {name: pa.float32() for name in NAMES}
    return pa.csv.read_csv(path, convert_options=pa.csv.ConvertOptions(column_types=floats))


def values(result, names=NAMES):
    return np.stack([result.column(name).to_numpy() for name in names], axis=1)


def left_in(directory):
    return sorted(path.name for path in directory.iterdir())


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


# Interrupted runs


class Interrupted(Exception):
    pass


def interrupt_after(monkeypatch, parts):
    score = tables._Job._score

    def until(self, table, first_row):
        if first_row >= parts * self.part_rows:
            raise Interrupted
        return score(self, table, first_row)

    monkeypatch.setattr(tables._Job, "_score", until)


@pytest.mark.parametrize("suffix", [".parquet", ".feather", ".csv.gz", ".npy"])
def test_a_run_goes_on_where_it_ended(suffix, parquet, tmp_path, monkeypatch):
    whole, out = tmp_path / f"whole{suffix}", tmp_path / f"out{suffix}"
    keep = [] if suffix == ".npy" else ["id"]
    rc.score_table(MODEL, parquet, whole, ["ids"], keep=keep)
    with monkeypatch.context() as patch:
        interrupt_after(patch, 3)
        with pytest.raises(Interrupted):
            rc.score_table(MODEL, parquet, out, ["ids"], keep=keep)
    parts = [name for name in left_in(out.with_name(out.name + ".parts")) if name.endswith(suffix)]
    assert len(parts) == 3
    assert not out.exists()
    with pytest.raises(ValueError, match="3 finished parts of an interrupted run: go on with"):
        rc.score_table(MODEL, parquet, out, ["ids"], keep=keep)
    scored = []
    score = tables._Job._score
    monkeypatch.setattr(
        tables._Job, "_score", lambda *given: scored.append(given[2]) or score(*given)
    )
    assert rc.score_table(MODEL, parquet, out, ["ids"], keep=keep, resume=True).rows == ROWS
    assert scored == [3072, 4096]
    assert out.read_bytes() == whole.read_bytes()
    assert not out.with_name(out.name + ".parts").exists()


def test_a_run_goes_on_as_it_began_only(parquet, table, tmp_path, monkeypatch):
    out = tmp_path / "out.csv"
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2)
        with pytest.raises(Interrupted):
            rc.score_table(MODEL, parquet, out, ["ids"])
    with pytest.raises(ValueError, match=r"cannot resume: keep differs .* it was \[\], it is"):
        rc.score_table(MODEL, parquet, out, ["ids"], keep=["id"], resume=True)
    other = tmp_path / "other.keras"
    rc.Sequential([Embedding(977, 2, input_shape=(20,)), LSTM(4)]).save(other)
    with pytest.raises(ValueError, match="cannot resume: model differs"):
        rc.score_table(other, parquet, out, ["ids"], resume=True)
    journal = tmp_path / "out.csv.parts/journal.json"
    good = journal.read_bytes()
    for broken in (b"", b"[1]", good[:-9]):
        journal.write_bytes(broken)
        with pytest.raises(ValueError, match="is broken"):
            rc.score_table(MODEL, parquet, out, ["ids"], resume=True)
    journal.write_bytes(good)
    os.utime(parquet, (1, 1))
    with pytest.raises(ValueError, match="input_modified_ns differs"):
        rc.score_table(MODEL, parquet, out, ["ids"], resume=True)
    rc.score_table(MODEL, parquet, out, ["ids"], overwrite=True)
    assert read(out).num_rows == ROWS


def test_two_runs_to_one_output(parquet, tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    directory = tmp_path / "out.csv.parts"
    directory.mkdir()
    with open(directory / "lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="another process is writing"):
            rc.score_table(MODEL, parquet, tmp_path / "out.csv", ["ids"])


KILLED = """
import sys
from rnn_core._scoring import sizes
sizes.MAX_ROWS = 256
from rnn_core import _cli
sys.exit(_cli.main(sys.argv[1:]))
"""


def parts_of(out):
    try:
        return sum(name.endswith(".parquet") for name in os.listdir(f"{out}.parts"))
    except FileNotFoundError:
        return 0


def test_killed_at_any_moment(parquet, tmp_path, rng):
    arguments = ["score", str(MODEL), str(parquet), "--columns", "ids", "--keep", "id,name"]

    def run(out, *more):
        command = [sys.executable, "-c", KILLED, *arguments, "-o", str(out), *more]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL)

    whole, out = tmp_path / "whole.parquet", tmp_path / "out.parquet"
    assert run(whole).wait(60) == 0
    kills = 0
    # A random moment after so many of the 20 parts are finished; the last may be while they are
    # joined, or after that.
    for finished in (0, 4, 9, 15, 20):
        process = run(out, "--resume")
        while process.poll() is None and parts_of(out) < finished:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.03))
        kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert kills >= 2
    assert run(out, "--resume").wait(60) == 0
    assert out.read_bytes() == whole.read_bytes()
    assert left_in(tmp_path) == ["ids.parquet", "out.parquet", "whole.parquet"]


# Bad input


def with_bad_rows(table):
    rows = table.column("ids").to_pylist()
    rows[1500] = [99999] * 20
    rows[4200] = None
    return table.set_column(2, "ids", pa.array(rows, pa.list_(pa.int32())))


def test_a_bad_row_stops_the_run(table, tmp_path):
    source, out = tmp_path / "ids.parquet", tmp_path / "out.parquet"
    pq.write_table(with_bad_rows(table), source)
    with pytest.raises(ValueError, match="ids.parquet, row 1,501: ") as caught:
        rc.score_table(MODEL, source, out, ["ids"])
    assert str(caught.value).endswith("row 1,501: column 'ids' is 99999, expected 0 to 976")
    first = pq.read_table(tmp_path / "out.parquet.parts/part-000000.parquet")
    assert first.num_rows == 1024
    done = rc.score_table(MODEL, source, out, ["ids"], on_error="skip", resume=True)
    assert (done.rows, done.errors) == (ROWS, 2)


def test_bad_rows_are_skipped(table, expected, tmp_path):
    source, out = tmp_path / "ids.parquet", tmp_path / "out.parquet"
    pq.write_table(with_bad_rows(table), source)
    done = rc.score_table(MODEL, source, out, ["ids"], names=NAMES, keep=["id"], on_error="skip")
    assert (done.rows, done.errors) == (ROWS, 2)
    result = read(out)
    bad = np.isin(np.arange(ROWS), [1500, 4200])
    assert np.array_equal(result.column("white").is_null().to_numpy(), bad)
    assert np.allclose(values(result)[~bad], expected[~bad], rtol=0, atol=1e-6)
    with open(tmp_path / "out.parquet.errors.csv", newline="") as file:
        assert list(csv.reader(file)) == [
            ["row", "column", "why"],
            ["1501", "ids", "is 99999, expected 0 to 976"],
            ["4201", "ids", "is null"],
        ]


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".feather", ".csv", ".csv.gz", ".npy"])
def test_damaged_files(suffix, parquet, ids, tmp_path, rng):
    good = tmp_path / f"good{suffix}"
    if suffix == ".npy":
        np.save(good, ids[:300])
    elif suffix.startswith(".csv"):
        text = "\n".join(",".join(map(str, row)) for row in ids[:300]).encode()
        good.write_bytes(gzip.compress(text) if suffix == ".csv.gz" else text)
    else:
        table = pq.read_table(parquet, columns=["ids"]).slice(0, 300)
        write = pq.write_table if suffix == ".parquet" else pa.feather.write_feather
        write(table, good)
    content = good.read_bytes()
    source, out = tmp_path / f"bad{suffix}", tmp_path / "out.npy"
    refused = 0
    for case in range(40):
        broken = bytearray(content[: rng.integers(len(content))] if case % 2 else content)
        for place in rng.integers(0, max(len(broken), 1), case % 5 + 1):
            broken[place : place + 1] = bytes([rng.integers(256)])
        source.write_bytes(broken)
        try:
            assert rc.score_table(MODEL, source, out).rows <= 301
        except ValueError:
            refused += 1
    assert refused > 10
    assert sorted(set(left_in(tmp_path)) - {"out.npy"}) == sorted(
        {"ids.parquet", source.name, good.name}
    )


def test_a_broken_record_batch_is_named(parquet, tmp_path):
    file = pq.ParquetFile(parquet)
    column = file.metadata.row_group(4).column(2)
    content = bytearray(parquet.read_bytes())
    start = column.dictionary_page_offset or column.data_page_offset
    content[start : start + column.total_compressed_size] = bytes(column.total_compressed_size)
    parquet.write_bytes(content)
    out = tmp_path / "out.parquet"
    with pytest.raises(ValueError, match=r"cannot read .*ids.parquet after row 2,\d00"):
        rc.score_table(MODEL, parquet, out, ["ids"])
    assert pq.read_table(tmp_path / "out.parquet.parts/part-000001.parquet").num_rows == 1024


FULL = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (60000, 60000))
"""


def test_a_full_disk(parquet, tmp_path):
    out = tmp_path / "out.npy"
    arguments = ["score", str(MODEL), str(parquet), "--columns", "ids", "-o", str(out)]
    command = [sys.executable, "-c", FULL + KILLED.replace("256", "1024"), *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    # A part fits the limit; all of them together do not.
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert "File too large; 5 finished parts are kept for --resume" in run.stderr
    assert np.load(tmp_path / "out.npy.parts/part-000004.npy").shape == (ROWS - 4096, 4)
    assert "unfinished" not in left_in(tmp_path / "out.npy.parts")
    assert _cli.main([*arguments, "--resume"]) == 0
    assert np.load(out).shape == (ROWS, 4)


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
