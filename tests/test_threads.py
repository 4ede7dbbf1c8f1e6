import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

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
    assert rc.get_num_threads() == 3


@pytest.mark.parametrize("text", ["none", "0", "-1", "1.5", str(2**31), "9" * 5000])
def test_a_wrong_number_in_the_environment(text, monkeypatch):
    monkeypatch.setenv("RNN_CORE_NUM_THREADS", text)
    with pytest.raises(ValueError, match="^RNN_CORE_NUM_THREADS is '.{1,40}', expected a number"):
        rc.get_num_threads()


@pytest.mark.parametrize(
    ("threads", "error"),
    [(0, ValueError), (2**31, ValueError), (2.0, TypeError), (np.nan, TypeError), ("2", TypeError)],
)
def test_a_wrong_number_changes_nothing(threads, error, rng):
    rc.set_num_threads(np.int64(2))
    with pytest.raises(error, match=f"threads is '?{threads}"):
        rc.set_num_threads(threads)
    assert rc.get_num_threads() == 2
    layer, x, expected = layer_and_inputs(rng)
    assert np.array_equal(layer(x), expected)


@pytest.mark.parametrize(
    ("text", "cores"), [("100000 100000", 1), ("max 100000", None), ("50000 100000", 1), ("", None)]
)
@pytest.mark.parametrize("place", ["", "a", "a/b"])
def test_available_cores_heeds_the_cgroup(tmp_path, text, cores, place):
    cgroups, own = tmp_path / "cgroups", tmp_path / "own"
    own.write_text("3:memory:/c\n0::/a/b\n")
    (cgroups / place).mkdir(parents=True)
    (cgroups / place / "cpu.max").write_text(text)
    everything = _threads.available_cores(tmp_path / "-", tmp_path / "-")
    assert _threads.available_cores(cgroups, own) == (cores or everything)


@pytest.mark.parametrize(("quota", "cores"), [("100000", 1), ("50000", 1), ("-1", None)])
@pytest.mark.parametrize("place", ["", "a"])
def test_available_cores_heeds_a_cgroup_of_version_1(tmp_path, quota, cores, place):
    cgroups, own = tmp_path / "cgroups", tmp_path / "own"
    own.write_text("3:memory:/c\n4:cpu,cpuacct:/a/b\n")
    (cgroups / "cpu" / place).mkdir(parents=True)
    (cgroups / "cpu" / place / "cpu.cfs_quota_us").write_text(quota)
    (cgroups / "cpu" / place / "cpu.cfs_period_us").write_text("100000\n")
    everything = _threads.available_cores(tmp_path / "-", tmp_path / "-")
    assert _threads.available_cores(cgroups, own) == (cores or everything)


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


def layer_and_inputs(rng, units=96, batch=64):
    layer = rc.LSTM(units, return_sequences=True)
    x = rng.standard_normal((batch, 40, 8)).astype(np.float32)
    rc.set_num_threads(1)
    return layer, x, layer(x)


def test_many_threads_at_one_layer(rng):
    for units, batch in ((96, 64), (320, 1)):
        layer, x, expected = layer_and_inputs(rng, units, batch)
        rc.set_num_threads(2)
        start = threading.Barrier(8)

        def work(_, layer=layer, x=x, expected=expected, start=start):
            start.wait(30)
            return [np.array_equal(layer(x), expected) for _ in range(4)]

        with ThreadPoolExecutor(8) as pool:
            assert np.all(list(pool.map(work, range(8), timeout=60)))


@pytest.mark.parametrize(("units", "batch"), [(96, 64), (320, 1)])
def test_more_threads_than_cores(units, batch, rng):
    layer, x, expected = layer_and_inputs(rng, units, batch)
    for threads in (8, 3, 2, 8):
        rc.set_num_threads(threads)
        for _ in range(3):
            assert np.array_equal(layer(x), expected)


def has_a_worker():
    return sys.platform != "linux" or len(os.listdir("/proc/self/task")) > 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_while_another_thread_is_inside_a_call(rng):
    layer, x, expected = layer_and_inputs(rng, batch=256)
    rc.set_num_threads(2)
    ends = threading.Event()

    def call_on():
        while not ends.is_set():
            layer(x)

    caller = threading.Thread(target=call_on)
    caller.start()
    try:
        for _ in range(8):
            time.sleep(0.005)
            child = os.fork()
            if child == 0:
                signal.alarm(30)
                same = all(np.array_equal(layer(x), expected) for _ in range(2))
                os._exit(0 if same and has_a_worker() else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        ends.set()
        caller.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_while_another_thread_builds_a_layer():
    class Slow(rc.Dense):
        def build(self, input_shape):
            begun.set()
            ends.wait(30)
            super().build(input_shape)

    begun, ends, x = threading.Event(), threading.Event(), np.ones((1, 3), np.float32)
    builder = threading.Thread(target=Slow(2), args=(x,))
    builder.start()
    try:
        assert begun.wait(30)
        child = os.fork()
        if child == 0:
            signal.alarm(30)
            os._exit(0 if rc.Dense(2)(x).shape == (1, 2) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        ends.set()
        builder.join()


@pytest.mark.parametrize("make", [lambda: rc.LSTM(512), lambda: rc.Dense(2048)])
def test_weights_set_while_another_thread_packs_the_old_ones(make, rng):
    layer, x = make(), np.ones((1, 2, 512), np.float32)
    layer(x)
    old = layer.get_weights()
    zeros = [np.zeros_like(array) for array in old]
    for _ in range(10):
        layer.set_weights(old)
        packing = threading.Thread(target=layer, args=(x,))
        packing.start()
        time.sleep(0.0003)
        layer.set_weights(zeros)
        packing.join()
        assert not layer(x).any()


COUNT_WORKERS = """
import os, threading, time
import numpy as np
import rnn_core as rc
from rnn_core import _engine

def threads():
    return len(os.listdir("/proc/self/task"))

layer, x = rc.LSTM(96), np.ones((64, 40, 8), np.float32)
rc.set_num_threads(1)
expected = layer(x)
rc.set_num_threads(3)
before = threads()

def alone():
    _engine.stay_alone()
    global own
    own = np.array_equal(layer(x), expected), threads() - before

thread = threading.Thread(target=alone)
thread.start()
thread.join()
while threads() > before:
    time.sleep(0.001)
print(own, (np.array_equal(layer(x), expected), threads() - before))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
def test_a_thread_that_stays_alone():
    command = [sys.executable, "-c", COUNT_WORKERS]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    # The first count has that thread itself; the second one is of the two that were hired.
    assert run.stdout == "(True, 1) (True, 2)\n"
