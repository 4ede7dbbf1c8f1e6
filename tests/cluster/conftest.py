import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cluster_tables import ROWS, rows_of

import rnn_core as rc
from rnn_core import GRU, Embedding, Input, Sequential


@pytest.fixture(scope="module")
def model_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    # Recurrent layers alone give the same bits in any batch, so parts give those of the whole.
    layers = [Embedding(30, 8), GRU(16, return_sequences=True), GRU(2)]
    model = Sequential([Input((None,)), *layers])
    model.predict([[1, 2, 3]])
    model.save(path)
    return path


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
