"""Tables on engines of many workers, in this process: the parts and their order."""

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cluster_tables import PART, contents, expected, spoil

import rnn_core as rc
from rnn_core._cli import main
from rnn_core._scoring.cluster import score_parts, shares


def test_parts_are_the_table_in_order(table, scorer, tmp_path, here):
    out = tmp_path / "out"
    assert score_parts(scorer, table, out, "ray", part_rows=PART) == (350, 0)
    parts = sorted(out.glob("part-*"))
    assert [pq.read_metadata(path).num_rows for path in parts] == [
        32,
        18,
        *6 * [32],
        8,
        *3 * [32],
        4,
    ]
    assert pq.read_table(out).equals(expected(scorer, table))
    assert sorted(set(os.listdir(out)) - set(contents(out))) == ["_SUCCESS", "_job.json"]


def test_a_file_and_a_uri_are_tables_too(table, scorer, tmp_path, here):
    for name, given in (("a", table / "1.parquet"), ("b", (table / "1.parquet").as_uri())):
        out = (tmp_path / name).as_uri()
        assert score_parts(scorer, given, out, "ray", part_rows=PART) == (200, 0)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    keys = pq.read_table(tmp_path / "a")["key"].to_pylist()
    assert keys == list(range(50, 250))


def test_no_rows_are_a_table_of_none(scorer, tmp_path, here):
    data = pa.table({"key": pa.array([], pa.int64()), "ids": pa.array([], pa.list_(pa.int32()))})
    pq.write_table(data, tmp_path / "none.parquet")
    assert score_parts(scorer, tmp_path / "none.parquet", tmp_path / "out", "ray") == (0, 0)
    assert pq.read_table(tmp_path / "out").schema.names == ["key", "no", "yes"]


def test_resuming_runs_what_is_missing_and_gives_the_same_files(table, scorer, tmp_path, here):
    ran, limit = here
    whole, out = tmp_path / "whole", tmp_path / "out"
    score_parts(scorer, table, whole, "ray", part_rows=PART)
    ran.clear()
    limit[0] = 5
    with pytest.raises(RuntimeError, match="^ray failed: has gone$"):
        score_parts(scorer, table, out, "ray", part_rows=PART)
    assert not (out / "_SUCCESS").exists()
    # A worker died while it wrote the sixth part, and one when it had named but not counted it.
    (out / "_part-00005.0.tmp").write_bytes(b"PAR1")
    limit[0] = None
    with pytest.raises(ValueError, match="holds parts already: resume or overwrite"):
        score_parts(scorer, table, out, "ray", part_rows=PART)
    assert score_parts(scorer, table, out, "ray", part_rows=PART, resume=True) == (350, 0)
    assert ran == list(range(13))
    assert contents(out) == contents(whole)
    assert not list(out.glob("*.tmp"))
    assert score_parts(scorer, table, out, "ray", part_rows=PART, resume=True) == (350, 0)
    assert ran == list(range(13))
    score_parts(scorer, table, out, "ray", part_rows=PART, overwrite=True)
    assert ran == 2 * list(range(13))


def test_resuming_something_else_says_what_differs(table, scorer, model_path, tmp_path, here):
    out = tmp_path / "out"
    score_parts(scorer, table, out, "ray", part_rows=PART)
    before = contents(out)
    other = rc.Scorer(model_path, ["ids"], keep=["key"], names=["a", "b"])
    with pytest.raises(ValueError, match=r'its names is \["no", "yes"\], now \["a", "b"\]'):
        score_parts(other, table, out, "ray", part_rows=PART, resume=True)
    with pytest.raises(ValueError, match="its part_rows is 32, now 33"):
        score_parts(scorer, table, out, "ray", part_rows=33, resume=True)
    os.utime(table / "1.parquet", ns=(0, 0))
    with pytest.raises(ValueError, match="its input is "):
        score_parts(scorer, table, out, "ray", part_rows=PART, resume=True)
    for broken in (b"", b'{"in', b"7", b"[" * 10**6):
        (out / "_job.json").write_bytes(broken)
        with pytest.raises(ValueError, match="its _job.json is broken"):
            score_parts(scorer, table, out, "ray", part_rows=PART, resume=True)
    assert contents(out) == before


@pytest.mark.parametrize("option", [{}, {"resume": True}, {"overwrite": True}])
def test_a_directory_of_other_files_is_left_alone(table, scorer, tmp_path, here, option):
    out = tmp_path / "out"
    out.mkdir()
    (out / "part-00000.parquet").write_text("someone's")
    with pytest.raises(ValueError, match="holds other files"):
        score_parts(scorer, table, out, "ray", **option)
    assert (out / "part-00000.parquet").read_text() == "someone's"


def test_wrong_options(table, scorer, tmp_path, here):
    with pytest.raises(ValueError, match="engine is 'dask', expected 'ray' or 'spark'"):
        score_parts(scorer, table, tmp_path / "out", "dask")
    with pytest.raises(ValueError, match="workers is 0"):
        score_parts(scorer, table, tmp_path / "out", "ray", workers=0)
    with pytest.raises(FileNotFoundError, match="missing"):
        score_parts(scorer, tmp_path / "missing", tmp_path / "out", "ray")
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="a file; an engine writes a directory"):
        score_parts(scorer, table, tmp_path / "file", "ray")


def test_score_table_and_the_command_take_an_engine(table, scorer, model_path, tmp_path, here):
    done = rc.score_table(scorer, table, tmp_path / "out", engine="ray", workers=2)
    assert (done.rows, done.errors) == (350, 0)
    words = ["score", model_path, table.as_uri(), "-o", (tmp_path / "by command").as_uri()]
    words += ["--columns", "ids", "--keep", "key", "--names", "no,yes", "--engine", "ray"]
    assert main([str(word) for word in words]) == 0
    for out in ("out", "by command"):
        assert pq.read_table(tmp_path / out).equals(expected(scorer, table))
    local = tmp_path / "local.parquet"
    rc.score_table(scorer, table / "1.parquet", local)
    rc.score_table(scorer, table / "1.parquet", tmp_path / "one", engine="ray")
    assert pq.read_table(local).equals(pq.read_table(tmp_path / "one"))


def test_the_command_says_what_is_wrong_in_a_line(table, model_path, tmp_path, here, capsys):
    words = ["score", model_path, table, "-o", tmp_path / "out", "--columns", "ids"]
    spoil(table / "0.parquet", 7, [1, 99])
    assert main([str(word) for word in [*words, "--engine", "ray"]]) == 2
    assert "0.parquet, row 8: column 'ids'" in capsys.readouterr().err
    assert main([str(word) for word in [*words, "--workers", "2"]]) == 2
    assert "workers are an engine's" in capsys.readouterr().err
    assert main([str(word) for word in [*words, "--engine", "ray", "--group-by", "key"]]) == 2
    assert "group_by is for one process" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("nodes", "workers", "threads", "shared"),
    [
        ([8], None, None, (8, 1)),
        ([8], 2, None, (2, 4)),
        ([8], 3, None, (3, 2)),
        ([8], None, 4, (2, 4)),
        ([8], 1, 2, (1, 2)),
        ([1], None, None, (1, 1)),
        # A worker is on one machine.
        ([4, 4], 1, None, (1, 4)),
        ([3, 3, 3], 4, None, (4, 1)),
        ([3, 3, 3], None, 2, (3, 2)),
        ([0, 2], None, None, (2, 1)),
    ],
)
def test_workers_share_the_cores(nodes, workers, threads, shared):
    assert shares(nodes, workers, threads) == shared


@pytest.mark.parametrize(
    ("nodes", "workers", "threads"), [([8], 9, None), ([8], 2, 5), ([8], None, 9), ([4, 4], 1, 8)]
)
def test_what_does_not_fit_is_refused(nodes, workers, threads):
    with pytest.raises(ValueError, match="threads do not fit on"):
        shares(nodes, workers, threads)


def test_the_bar_counts_all_rows(table, scorer, tmp_path, here, capsys):
    score_parts(scorer, table, tmp_path / "out", "ray", part_rows=PART, progress=True)
    assert "350/350" in capsys.readouterr().err
