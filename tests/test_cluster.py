"""Tables on engines of many workers: the parts and their order, then real Ray and real Spark."""

import csv
import os
import sys

import pytest

import rnn_core as rc
from rnn_core import GRU, Embedding, Input, Sequential
from rnn_core._cli import main
from rnn_core._scoring import cluster
from rnn_core._scoring.cluster import score_parts, shares

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

ROWS, PART = 100, 32
# PySpark warns of the newest pandas, Ray of its own next version.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def model_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    # Recurrent layers alone give the same bits in any batch, so parts give those of the whole.
    layers = [Embedding(30, 8), GRU(16, return_sequences=True), GRU(2)]
    model = Sequential([Input((None,)), *layers])
    model.predict([[1, 2, 3]])
    model.save(path)
    return path


def rows_of(rng, first, rows):
    ids = [rng.integers(1, 30, rng.integers(1, 9)).tolist() for _ in range(rows)]
    return {"key": range(first, first + rows), "name": [f"n{first}"] * rows, "ids": ids}


@pytest.fixture
def table(tmp_path, rng):
    """Files whose sizes go up and down, of row groups that no part begins with."""
    directory = tmp_path / "table"
    directory.mkdir()
    first = 0
    for file, rows in enumerate((ROWS // 2, 2 * ROWS, ROWS)):
        data = pa.table(rows_of(rng, first, rows))
        pq.write_table(data, directory / f"{file}.parquet", row_group_size=45)
        first += rows
    return directory


@pytest.fixture
def scorer(model_path):
    return rc.Scorer(model_path, ["ids"], keep=["key"], names=["no", "yes"])


def expected(scorer, table):
    """What this process gives for the whole table at once."""
    files = [pq.read_table(path) for path in sorted(table.iterdir())]
    return scorer(pa.concat_tables(files))


def contents(directory):
    return {path.name: path.read_bytes() for path in sorted(directory.glob("part-*"))}


# What is the same for all engines, in this process


@pytest.fixture
def here(monkeypatch):
    """Stand in for an engine; returns the parts that were run, and how many may be."""
    ran, limit = [], [None]

    def run(job, left, workers):
        for index in left:
            if len(ran) == limit[0]:
                raise OSError("the cluster\nhas gone")
            ran.append(index)
            job.score(index)

    monkeypatch.setattr("rnn_core._scoring.ray.run", run)
    threads = rc.get_num_threads()
    yield ran, limit
    rc.set_num_threads(threads)
    rc.set_num_threads(None)


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


def spoil(path, row, value):
    data = pq.read_table(path)
    ids = data["ids"].to_pylist()
    ids[row] = value
    spoiled = data.set_column(2, "ids", pa.array(ids, pa.list_(pa.int64())))
    pq.write_table(spoiled, path, row_group_size=45)


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


def test_the_bar_counts_all_rows(table, scorer, tmp_path, here, capsys):
    score_parts(scorer, table, tmp_path / "out", "ray", part_rows=PART, progress=True)
    assert "350/350" in capsys.readouterr().err


# Real engines


@pytest.fixture(scope="module")
def local_ray():
    pytest.importorskip("ray.data", exc_type=ImportError)
    import ray

    ray.init(num_cpus=4, object_store_memory=100 << 20, include_dashboard=False)
    yield ray
    ray.shutdown()


@pytest.fixture(scope="module")
def local_spark():
    sql = pytest.importorskip("pyspark.sql")
    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = sql.SparkSession.builder.master("local[4,6]").config("spark.task.cpus", 2)
    session = builder.config("spark.ui.enabled", False).getOrCreate()
    yield session
    session.stop()


@pytest.fixture(params=["ray", "spark"])
def engine(request):
    request.getfixturevalue(f"local_{request.param}")
    return request.param, {"ray": {"workers": 2}, "spark": {}}[request.param]


def test_an_engine_gives_the_same_table(engine, table, scorer, tmp_path):
    name, options = engine
    out = tmp_path / "out"
    assert score_parts(scorer, table, out, name, part_rows=PART, **options) == (350, 0)
    assert pq.read_table(out).equals(expected(scorer, table))


def test_an_engine_names_a_bad_row(engine, table, scorer, tmp_path):
    name, options = engine
    spoil(table / "1.parquet", 133, [1, 99])
    with pytest.raises(ValueError, match=r"1\.parquet, row 134: column 'ids' .*99.*29"):
        score_parts(scorer, table, tmp_path / "out", name, part_rows=PART, **options)
    for path in (tmp_path / "out").glob("part-*"):
        assert pq.read_metadata(path).num_rows > 0


def killing(directory, times):
    """Return an encoder that kills its process at a name of file 1, so many times."""

    def encode(names):
        import os
        import signal

        import numpy as np

        import rnn_core

        (directory / f"{os.getpid()} {rnn_core.get_num_threads()}").touch()
        died = len(list(directory.glob("died*")))
        if "n50" in names and died < times:
            (directory / f"died{died}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return np.array([[len(name), 1] for name in names])

    return encode


def test_a_killed_worker_costs_nothing(engine, table, model_path, tmp_path):
    name, options = engine
    (tmp_path / "seen").mkdir()
    scorer = rc.Scorer(model_path, ["name"], encoder=killing(tmp_path / "seen", 1), keep=["key"])
    score_parts(scorer, table, tmp_path / "out", name, part_rows=PART, **options)
    assert (tmp_path / "seen/died0").exists()
    assert pq.read_table(tmp_path / "out").equals(expected(scorer, table))
    assert not list((tmp_path / "out").glob("*.tmp"))
    # Four cores, two workers.
    own = f"{os.getpid()} "
    seen = [each.name for each in (tmp_path / "seen").iterdir() if " " in each.name]
    assert {each.split()[1] for each in seen if not each.startswith(own)} == {"2"}


def test_workers_that_always_die_end_the_run(engine, table, model_path, tmp_path):
    name, options = engine
    (tmp_path / "seen").mkdir()
    scorer = rc.Scorer(model_path, ["name"], encoder=killing(tmp_path / "seen", 99), keep=["key"])
    with pytest.raises(ValueError, match=r"1\.parquet, rows .*: 3 workers died over them"):
        score_parts(scorer, table / "1.parquet", tmp_path / "out", name, part_rows=ROWS, **options)


def test_a_scorer_in_a_pipeline_of_ray(local_ray, table, scorer):
    dataset = local_ray.data.read_parquet(str(table))
    scored = dataset.map_batches(scorer, batch_format="pyarrow", batch_size=64)
    got = pa.concat_tables(scored.iter_batches(batch_format="pyarrow")).sort_by("key")
    assert got.combine_chunks().equals(expected(scorer, table).combine_chunks())


def test_a_scorer_in_a_pipeline_of_spark(local_spark, table, scorer):
    from pyspark.sql.pandas.types import from_arrow_schema

    frame = local_spark.read.parquet(str(table))
    schema = from_arrow_schema(expected(scorer, table).schema)
    got = frame.mapInArrow(scorer.scored, schema).toArrow().sort_by("key")
    assert got.combine_chunks().equals(expected(scorer, table).combine_chunks())
