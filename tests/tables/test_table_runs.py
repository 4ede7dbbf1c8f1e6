"""Runs of `score_table` that are interrupted, or meet rows, files and disks that are bad."""

import csv
import gzip
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from surname_tables import MODEL, NAMES, ROWS, left_in, read, values

import rnn_core as rc
from rnn_core import LSTM, Embedding, _cli
from rnn_core._scoring import tables

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


def damage(parquet, column):
    """Overwrite a column's rows 2,801 to 3,500 in a Parquet file."""
    chunk = pq.ParquetFile(parquet).metadata.row_group(4).column(column)
    content = bytearray(parquet.read_bytes())
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    content[start : start + chunk.total_compressed_size] = bytes(chunk.total_compressed_size)
    parquet.write_bytes(content)


def test_a_broken_record_batch_is_named(parquet, tmp_path):
    damage(parquet, 2)
    out = tmp_path / "out.parquet"
    with pytest.raises(
        ValueError, match=r"cannot read .*ids.parquet after row 2,\d00, column 'ids'"
    ):
        rc.score_table(MODEL, parquet, out, ["ids"], keep=["id"])
    assert pq.read_table(tmp_path / "out.parquet.parts/part-000001.parquet").num_rows == 1024


@pytest.mark.parametrize("column", [0, 2])
def test_a_broken_record_batch_is_skipped(column, parquet, table, expected, tmp_path, monkeypatch):
    damage(parquet, column)
    out, options = tmp_path / "out.parquet", {"keep": ["id", "name"], "on_error": "skip"}
    given = MODEL, parquet, out, ["ids"]
    with monkeypatch.context() as patch:
        interrupt_after(patch, 3)
        with pytest.raises(Interrupted):
            rc.score_table(*given, names=NAMES, **options)
    done = rc.score_table(*given, names=NAMES, resume=True, **options)
    assert (done.rows, done.errors) == (ROWS, 700)
    result, bad = pq.read_table(out), np.arange(ROWS) // 700 == 4
    np.testing.assert_array_equal(values(result)[~bad], expected[~bad])
    assert np.isnan(values(result)[bad]).all()
    assert result.column("name").equals(table.column("name"))
    assert result.column("id").null_count == (700 if column == 0 else 0)
    with open(tmp_path / "out.parquet.errors.csv", newline="") as file:
        lines = list(csv.reader(file))[1:]
    assert [int(row) for row, _, _ in lines] == list(range(2801, 3501))
    assert {name for _, name, _ in lines} == {("id", "", "ids")[column]}
    assert all(why.startswith("cannot be read: ") for _, _, why in lines)


@pytest.mark.parametrize("suffix", [".parquet", ".feather"])
def test_a_broken_column_that_is_never_null(suffix, table, tmp_path):
    schema = table.schema.set(0, pa.field("id", pa.int64(), nullable=False))
    parquet, out = tmp_path / "ids.parquet", tmp_path / f"out{suffix}"
    pq.write_table(table.cast(schema), parquet, row_group_size=700)
    damage(parquet, 0)
    done = rc.score_table(MODEL, parquet, out, ["ids"], keep=["id"], on_error="skip")
    assert done.errors == read(out).column("id").null_count == 700


def test_a_broken_batch_of_arrow_is_skipped(table, expected, tmp_path):
    source, out = tmp_path / "ids.feather", tmp_path / "out.parquet"
    ids = pa.array(table.column("ids").to_pylist(), pa.list_(pa.int32()))
    plain = pa.table({"id": table.column("id"), "ids": ids})
    pyarrow.feather.write_feather(plain, source, compression="uncompressed", chunksize=1000)
    # The offsets of the fourth batch's lists: 0, 20, 40, ...
    content, offsets = source.read_bytes(), np.arange(0, 20_020, 20, dtype=np.int32).tobytes()
    at = -1
    for _ in range(4):
        at = content.index(offsets[:400], at + 1)
    source.write_bytes(content[:at] + b"\x7f" * 400 + content[at + 400 :])
    given = MODEL, source, out, ["ids"]
    with pytest.raises(ValueError, match=r"cannot read .* after row 3,000, column 'ids'"):
        rc.score_table(*given, keep=["id"])
    options = {"keep": ["id"], "on_error": "skip", "names": NAMES, "overwrite": True}
    assert rc.score_table(*given, **options).errors == 1000
    result, bad = pq.read_table(out), np.arange(ROWS) // 1000 == 3
    np.testing.assert_array_equal(values(result)[~bad], expected[~bad])
    assert result.column("id").to_pylist() == list(range(ROWS))
    assert np.isnan(values(result)[bad]).all()


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
