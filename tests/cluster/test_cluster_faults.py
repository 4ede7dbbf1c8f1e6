"""Rows, files, workers and disks that are bad, where an engine's parts are scored."""

import csv

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cluster_tables import PART, contents, expected, spoil

import rnn_core as rc
from rnn_core._scoring import cluster
from rnn_core._scoring.cluster import score_parts


def test_a_bad_row_is_named_and_finished_parts_stay(table, scorer, tmp_path, here):
    spoil(table / "1.parquet", 133, [1, 99])
    with pytest.raises(ValueError, match=r"1\.parquet, row 134: column 'ids' .*99.*29"):
        score_parts(scorer, table, tmp_path / "out", "ray", part_rows=PART)
    assert here[0] == list(range(13))
    done = contents(tmp_path / "out")
    assert len(done) == 6  # two of the first file, four before the part with the row
    keys = pq.read_table(tmp_path / "out")["key"].to_pylist()
    assert keys == list(range(178))


def test_skipped_rows_are_null_and_reported(table, model_path, tmp_path, here):
    spoil(table / "1.parquet", 133, [1, 99])
    spoil(table / "2.parquet", 0, None)
    scorer = rc.Scorer(model_path, ["ids"], keep=["key"], on_error="skip")
    out = tmp_path / "out"
    assert score_parts(scorer, table, out, "ray", part_rows=PART) == (350, 2)
    assert pq.read_table(out).equals(expected(scorer, table))
    nulls = [i for i, y in enumerate(pq.read_table(out)["output_0"].to_pylist()) if y is None]
    assert nulls == [183, 250]
    with open(tmp_path / "out.errors.csv") as file:
        lines = list(csv.reader(file))
    assert lines[0] == ["file", "row", "column", "why"]
    assert [line[:3] for line in lines[1:]] == [
        [str(table / "1.parquet"), "134", "ids"],
        [str(table / "2.parquet"), "1", "ids"],
    ]


def test_rows_that_kill_every_worker_are_named(table, scorer, tmp_path, here):
    def dies(job, left, workers):
        for attempt in range(cluster.ATTEMPTS):
            (tmp_path / f"out/_part-00003.{attempt}.tmp").touch()
        here_run(job, left, workers)

    here_run = cluster.importlib.import_module("rnn_core._scoring.ray").run
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rnn_core._scoring.ray.run", dies)
        message = r"1\.parquet, rows 33 to 64: 3 workers died"
        with pytest.raises(ValueError, match=message):
            score_parts(scorer, table, tmp_path / "out", "ray", part_rows=PART)
    assert len(contents(tmp_path / "out")) == 3
    score_parts(scorer, table, tmp_path / "out", "ray", part_rows=PART, resume=True)
    assert pq.read_table(tmp_path / "out").equals(expected(scorer, table))


def test_a_damaged_file_is_named(table, scorer, tmp_path, here):
    path = table / "2.parquet"
    content = bytearray(path.read_bytes())
    content[4 : len(content) // 2] = bytes(len(content) // 2 - 4)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"cannot read .*2\.parquet, rows 1 to 32"):
        score_parts(scorer, table, tmp_path / "out", "ray", part_rows=PART)
    path.write_bytes(b"no parquet")
    with pytest.raises(ValueError, match=r"2\.parquet is no Parquet file"):
        score_parts(scorer, table, tmp_path / "out2", "ray", part_rows=PART)
    assert not (tmp_path / "out2").exists()


def test_damaged_parts_are_skipped(table, model_path, tmp_path, here):
    path, out = table / "2.parquet", tmp_path / "out"
    chunk = pq.ParquetFile(path).metadata.row_group(0).column(2)
    content = bytearray(path.read_bytes())
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    content[start : start + chunk.total_compressed_size] = bytes(chunk.total_compressed_size)
    path.write_bytes(content)
    scorer = rc.Scorer(model_path, ["ids"], keep=["key"], names=["no", "yes"], on_error="skip")
    # Rows 1 to 45 are damaged, and parts of 32 rows are read whole.
    assert score_parts(scorer, table, out, "ray", part_rows=PART) == (350, 64)
    found = pq.read_table(out)
    assert found.column("key").to_pylist() == list(range(350))
    good = pa.concat_tables([pq.read_table(table / f"{file}.parquet") for file in (0, 1)])
    assert found.slice(0, 250).equals(scorer(good))
    assert [found.slice(at, 32).column("yes").null_count for at in (250, 282, 314)] == [32, 32, 0]
    report = (tmp_path / "out.errors.csv").read_text().splitlines()
    assert len(report) == 65
    assert "2.parquet,1,ids,cannot be read:" in report[1]


def test_a_damaged_beginning_is_skipped(table, model_path, tmp_path, here):
    path = table / "1.parquet"
    chunk = pq.ParquetFile(path).metadata.row_group(0).column(2)
    content = bytearray(path.read_bytes())
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    content[start : start + chunk.total_compressed_size] = bytes(chunk.total_compressed_size)
    path.write_bytes(content)
    given = model_path, path, tmp_path / "out", ["ids"]
    with pytest.raises(ValueError, match=r"cannot read .*1\.parquet, rows 1 to "):
        rc.score_table(*given, engine="ray")
    assert rc.score_table(*given, engine="ray", on_error="skip").errors == 200


def test_a_file_that_was_out_of_reach_once_is_read(table, model_path, tmp_path, here, monkeypatch):
    scorer = rc.Scorer(model_path, ["ids"], keep=["key"], names=["no", "yes"], on_error="skip")
    calls, read = [], cluster.read

    def once(*given):
        calls.append(given)
        if len(calls) == 2:
            raise OSError("the network is down")
        return read(*given)

    monkeypatch.setattr(cluster, "read", once)
    assert score_parts(scorer, table, tmp_path / "out", "ray", part_rows=PART) == (350, 0)
    assert pq.read_table(tmp_path / "out").equals(expected(scorer, table))


def test_files_of_other_columns_are_named(table, scorer, tmp_path, here):
    pq.write_table(pa.table({"key": [1], "ids": ["1 2"]}), table / "2.parquet")
    with pytest.raises(ValueError, match=r"2\.parquet: column 'ids' is string, expected list"):
        score_parts(scorer, table, tmp_path / "out", "ray")
    pq.write_table(pa.table({"ids": [[1]]}), table / "2.parquet")
    with pytest.raises(ValueError, match=r"2\.parquet: column 'key' is missing, expected int64"):
        score_parts(scorer, table, tmp_path / "out", "ray")


def test_a_full_disk_is_told_and_what_is_finished_stays(table, scorer, tmp_path, here, monkeypatch):
    write, out = cluster._write, tmp_path / "out"

    def full(target, path, content):
        if "part-00004" in path and len(content):
            write(target, path, memoryview(content)[:100])
            raise OSError(28, "No space left on device")
        write(target, path, content)

    with monkeypatch.context() as patch:
        patch.setattr(cluster, "_write", full)
        with pytest.raises(ValueError, match="No space left on device"):
            score_parts(scorer, table, out, "ray", part_rows=PART)
    assert len(contents(out)) == 4

    def quite_full(target, path, content):
        write(target, path, b"")
        raise OSError(28, "No space left on device")

    # No room for the reason either: it is the engine's error.
    (out / "_failed.txt").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(cluster, "_prepare", lambda *given: None)
        patch.setattr(cluster, "_write", quite_full)
        with pytest.raises(RuntimeError, match="No space left on device"):
            score_parts(scorer, table, out, "ray", part_rows=PART, resume=True)
    score_parts(scorer, table, out, "ray", part_rows=PART, resume=True)
    assert pq.read_table(out).equals(expected(scorer, table))
