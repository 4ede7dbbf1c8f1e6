"""The 162,254 surnames, encoded, through the census model: rnn_core's predict and other engines.

    python benchmarks/bench_predict.py

Rows a second in a process of its own for each engine, all on the same cores, taking turns; the best
batch size of several for the others, which a first turn finds. Embedding, LSTM(128) and the softmax
layer over 20 steps; torch, ONNX Runtime and OpenVINO compute embedding and softmax layer by NumPy's
look-up and product, and the last output only. Every engine's scores are compared with rnn_core's.
"""

import argparse
import csv
import gzip
import importlib.util
import multiprocessing
import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
SURNAMES = ROOT / "examples/surnames"
MODEL = SURNAMES / "census2010_ln_lstm.h5"
BATCHES = (64, 128, 256, 512, 1024, 4096)
TOLERANCE = 1e-5


def encoded():
    sys.path.insert(0, str(ROOT))
    from examples.surnames.encoder import encode

    with gzip.open(SURNAMES / "census_2010_surnames.csv.gz", "rt") as file:
        return encode([row["name"] for row in csv.DictReader(file)])


def softmax(z):
    z = np.exp(z - z.max(axis=-1, keepdims=True))
    return z / z.sum(axis=-1, keepdims=True)


def rnn_core_predict(threads):
    import rnn_core

    rnn_core.set_num_threads(threads)
    model = rnn_core.load(MODEL)
    return lambda x, batch: model.predict(x)


def tf_keras_predict(threads):
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow
    import tf_keras

    tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
    model = tf_keras.models.load_model(MODEL, compile=False)
    return lambda x, batch: model.predict(x, batch_size=batch, verbose=0)


def by_batches(last_output):
    """Return predict, from what the LSTM gives for vectors ``(timesteps, batch, features)``."""
    import rnn_core

    embeddings, *weights, dense, bias = rnn_core.load(MODEL).get_weights()
    run = last_output(*weights)

    def predict(x, batch):
        parts = (x[start : start + batch] for start in range(0, len(x), batch))
        return np.concatenate([softmax(run(embeddings[ids.T]) @ dense + bias) for ids in parts])

    return predict


def torch_predict(threads):
    import torch

    torch.set_num_threads(threads)

    def last_output(kernel, recurrent_kernel, bias):
        layer = torch.nn.LSTM(*kernel.shape[:1], recurrent_kernel.shape[0])
        values = kernel.T, recurrent_kernel.T, bias, 0 * bias
        with torch.no_grad():
            for parameter, value in zip(layer.parameters(), values, strict=True):
                parameter.copy_(torch.from_numpy(value))
        return torch.inference_mode()(lambda x: layer(torch.from_numpy(x))[0][-1].numpy())

    return by_batches(last_output)


def onnx_model(kernel, recurrent_kernel, bias):
    from onnx import TensorProto, helper, numpy_helper

    def gates(array):  # i f g o to i o f g
        i, f, g, o = np.split(array, 4, axis=-1)
        return np.concatenate([i, o, f, g], axis=-1)

    features, units = kernel.shape[0], recurrent_kernel.shape[0]
    weights = {
        "W": gates(kernel).T[None],
        "R": gates(recurrent_kernel).T[None],
        "B": np.concatenate([gates(bias), 0 * bias])[None],
    }
    node = helper.make_node("LSTM", ["X", *weights], ["", "H"], hidden_size=units)
    x = helper.make_tensor_value_info("X", TensorProto.FLOAT, (20, None, features))
    h = helper.make_tensor_value_info("H", TensorProto.FLOAT, (1, None, units))
    constants = [numpy_helper.from_array(np.ascontiguousarray(w), n) for n, w in weights.items()]
    graph = helper.make_graph([node], "lstm", [x], [h], constants)
    opsets = [helper.make_opsetid("", 14)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def onnx_runtime_predict(threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads

    def last_output(*weights):
        session = onnxruntime.InferenceSession(
            onnx_model(*weights), options, providers=["CPUExecutionProvider"]
        )
        return lambda x: session.run(None, {"X": x})[0][0]

    return by_batches(last_output)


def openvino_predict(threads):
    import openvino

    def last_output(*weights):
        core = openvino.Core()
        settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
        compiled = core.compile_model(core.read_model(onnx_model(*weights)), "CPU", settings)
        request = compiled.create_infer_request()
        return lambda x: request.infer({0: x})[compiled.output(0)][0]

    return by_batches(last_output)


ENGINES = {
    "rnn_core": (rnn_core_predict, []),
    "torch": (torch_predict, ["torch"]),
    "ONNX Runtime": (onnx_runtime_predict, ["onnx", "onnxruntime"]),
    "OpenVINO": (openvino_predict, ["onnx", "openvino"]),
    "tf_keras": (tf_keras_predict, ["tf_keras", "tensorflow"]),
}


def serve(name, threads, pipe):
    """Answer a batch size with seconds, after a first answer of some scores."""
    x = encoded()
    predict = ENGINES[name][0](threads)
    pipe.send((len(x), predict(x[:2000], 256)))
    while True:
        try:
            batch = pipe.recv()
        except EOFError:
            return
        predict(x[:2000], batch)
        start = time.perf_counter()
        predict(x, batch)
        pipe.send(time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-options.threads :])
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    context = multiprocessing.get_context("spawn")
    engines, expected = {}, None
    for name, (_, packages) in ENGINES.items():
        if not all(map(importlib.util.find_spec, packages)):
            print(f"{name} is left out: {', '.join(packages)} not installed")
            continue
        pipe, theirs = context.Pipe()
        context.Process(target=serve, args=(name, options.threads, theirs), daemon=True).start()
        rows, scores = pipe.recv()
        expected = scores if expected is None else expected
        difference = np.abs(scores - expected).max()
        if not difference <= TOLERANCE:
            raise ValueError(f"{name} differs from rnn_core by {difference:g}")
        engines[name] = pipe

    def seconds(name, batch):
        time.sleep(0.1)  # for the others' threads to stop
        engines[name].send(batch)
        return engines[name].recv()

    best = {"rnn_core": 0}
    for name in list(engines)[1:]:
        tried = {batch: seconds(name, batch) for batch in BATCHES}
        best[name] = min(tried, key=tried.get)
    taken = {name: [] for name in engines}
    for _ in range(options.rounds):
        for name, batch in best.items():
            taken[name].append(seconds(name, batch))
    ours = statistics.median(taken["rnn_core"])
    for name, samples in taken.items():
        median = statistics.median(samples)
        batch = f"batches of {best[name]}" if best[name] else "its own batches"
        print(
            f"{name:14}{batch:18}{median:7.2f} s{rows / median:10,.0f} rows/s{median / ours:7.2f}"
        )


if __name__ == "__main__":
    main()
