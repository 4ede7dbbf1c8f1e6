"""Tables on real Ray and real Spark."""

import os
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cluster_tables import PART, ROWS, expected, spoil

import rnn_core as rc
from rnn_core._scoring.cluster import score_parts

# PySpark warns of the newest pandas, Ray of its own next version.
pytestmark = pytest.mark.filterwarnings("ignore")


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
