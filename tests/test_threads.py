import os

import numpy as np
import pytest

import rnn_core as rc
from rnn_core import _threads


@pytest.fixture(autouse=True)
def default_threads():
    yield
    rc.set_num_threads(None)


def test_the_environment_and_set_num_threads(monkeypatch):
    monkeypatch.setenv("RNN_CORE_NUM_THREADS", "3")
    assert rc.get_num_threads() == 3
    rc.set_num_threads(2)
    assert rc.get_num_threads() == 2
    rc.set_num_threads(None)
    monkeypatch.setenv("RNN_CORE_NUM_THREADS", "none")
    with pytest.raises(ValueError, match="is 'none', expected a number"):
        rc.get_num_threads()
    with pytest.raises(ValueError, match="threads is 0"):
        rc.set_num_threads(0)


@pytest.mark.parametrize(
    ("text", "cores"), [("100000 100000", 1), ("max 100000", None), ("50000 100000", 1), ("", None)]
)
def test_available_cores_heeds_the_cgroup(tmp_path, text, cores):
    (tmp_path / "cpu.max").write_text(text)
    assert _threads.available_cores(tmp_path) == (cores or _threads.available_cores(tmp_path / "-"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_inside_begins_anew():
    pairs = _threads._thread_functions()
    before = [get() for get, _ in pairs]
    with _threads.one_blas_thread():
        child = os.fork()
        if child == 0:
            free = _threads._lock.acquire(timeout=5)
            os._exit(
                0 if free and _threads._inside == 0 and before == [g() for g, _ in pairs] else 1
            )
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_blas_gets_its_threads_back():
    np.ones((2, 2)) @ np.ones((2, 2))
    pairs = _threads._thread_functions()
    before = [get() for get, _ in pairs]
    with _threads.one_blas_thread():
        with _threads.one_blas_thread():
            assert all(get() == 1 for get, _ in pairs)
        assert all(get() == 1 for get, _ in pairs)
    assert [get() for get, _ in pairs] == before
