"""Loading a model of 100 MB: a ``.safetensors`` file, and a legacy ``.h5`` against h5py alone.

    python benchmarks/bench_load.py

Milliseconds in a process that has just started, with what the first load imports: medians of
processes that take turns. h5py reads all arrays of the file and makes no model of them. The files
are in the system's cache.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np

import rnn_core

LOAD = """
import sys, time, rnn_core
start = time.perf_counter()
rnn_core.load(sys.argv[1])
print(1e3 * (time.perf_counter() - start))
"""
H5PY = """
import sys, time, h5py
arrays = []
def visit(name, found):
    if isinstance(found, h5py.Dataset):
        arrays.append(found[()])
start = time.perf_counter()
with h5py.File(sys.argv[1]) as file:
    file.visititems(visit)
print(1e3 * (time.perf_counter() - start))
"""


def model():
    layers = [rnn_core.LSTM(1600, return_sequences=True), rnn_core.LSTM(600), rnn_core.Dense(6000)]
    return rnn_core.Sequential([rnn_core.Input((None, 1000)), *layers])


def write_h5(path, model):
    """Write what Keras 2 does."""
    with h5py.File(path, "w") as file:
        config = {"class_name": "Sequential", "config": model.get_config()}
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = "2.9.0"
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [layer.name for layer in model.layers]
        for layer in model.layers:
            names = [f"{layer.name}/{index}:0" for index in range(len(layer.weights))]
            within = group.create_group(layer.name)
            within.attrs["weight_names"] = names
            for name, weight in zip(names, layer.weights, strict=True):
                within[name] = weight


def milliseconds(code, path):
    run = [sys.executable, "-c", code, str(path)]
    return float(subprocess.run(run, capture_output=True, text=True, check=True).stdout)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=11)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        tensors, legacy = Path(directory, "model.safetensors"), Path(directory, "model.h5")
        large = model()
        large.save(tensors)
        write_h5(legacy, large)
        ways = {
            "rnn_core.load of .safetensors": (LOAD, tensors),
            "rnn_core.load of .h5": (LOAD, legacy),
            "h5py's arrays of .h5": (H5PY, legacy),
        }
        taken = {name: [] for name in ways}
        for _ in range(options.rounds):
            for name, (code, path) in ways.items():
                taken[name].append(milliseconds(code, path))
        print(f"{tensors.stat().st_size / 1e6:.0f} MB, medians of {options.rounds}")
        for name, samples in taken.items():
            print(f"{name:32} {statistics.median(samples):7.1f} ms")
        loaded = rnn_core.load(legacy)
        assert all(map(np.array_equal, loaded.weights, large.weights))


if __name__ == "__main__":
    main()
