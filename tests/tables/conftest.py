import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from surname_tables import MODEL, ROOT, ROWS

import rnn_core as rc
from rnn_core._scoring import sizes


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
