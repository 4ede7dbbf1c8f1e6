"""One recurrent layer: rnn_core against NumPy, torch, ONNX Runtime, OpenVINO and JAX.

    python benchmarks/bench_layers.py --json layers.json --chart docs/layers.svg

Microseconds for the full output sequence of a layer, float32, with as many features as units:
medians of interleaved rounds, and how many times faster rnn_core is than the best peer. A peer that
is not installed is left out. Every engine's output is first compared with rnn_core's. Where a peer
can be called in several ways, a short trial chooses the fastest.

Each engine has a process of its own, for each number of threads, on as many cores; in each round
every engine has its turn while the others wait. Idle pools of threads that still spin would take
cores from the next engine: ONNX Runtime's and OpenBLAS's spin for 2 ms only, which costs them
nothing (not to spin at all would), and with several threads a pause of 20 ms, in which the others'
stop too, comes before each sample. A sample is 2 ms or a call, after 5 ms or a call of warm-up. Run
it on an idle machine.
"""

import argparse
import json
import math
import multiprocessing
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

import numpy as np
import peers
from peers import Problem, Shape

import rnn_core

ONE_THREAD = {
    "lstm": (
        *((1, 1, 64), (1, 1, 256), (1, 100, 32), (1, 100, 128), (1, 100, 256), (1, 100, 512)),
        *((1, 50, 1024), (8, 100, 128), (32, 100, 128), (32, 100, 256), (128, 50, 64)),
        (256, 50, 256),
    ),
    "gru": ((1, 1, 128), (1, 100, 64), (1, 100, 256), (32, 100, 128), (128, 50, 256)),
    "rnn": ((1, 1, 64), (1, 100, 128), (32, 100, 128), (128, 50, 256)),
}
SEVERAL_THREADS = {
    "lstm": tuple(sizes for sizes in ONE_THREAD["lstm"] if math.prod(sizes) >= 1 * 100 * 128),
    "gru": ((1, 100, 256), (32, 100, 128), (128, 50, 256)),
    "rnn": ((32, 100, 128), (128, 50, 256)),
}
LAYERS = {"lstm": rnn_core.LSTM, "gru": rnn_core.GRU, "rnn": rnn_core.SimpleRNN}
OURS = "rnn_core"
TOLERANCE = 1e-4
TRIAL_ROUNDS = 5
WARM_UP_NS, SAMPLE_NS = 5_000_000, 2_000_000
PAUSE_SECONDS = 0.02

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
OPENBLAS_SPIN = {"OPENBLAS_THREAD_TIMEOUT": "22"}  # log2 of clock cycles
ONE_XLA_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


def shapes(threads, pattern):
    grid = ONE_THREAD if threads == 1 else SEVERAL_THREADS
    every = (Shape(cell, *sizes) for cell, rows in grid.items() for sizes in rows)
    return [shape for shape in every if re.search(pattern, str(shape))]


# Measuring


def our_calls(problem, threads):
    rnn_core.set_num_threads(threads)
    layer = LAYERS[problem.shape.cell](problem.shape.units, return_sequences=True)
    x = np.ascontiguousarray(problem.inputs.swapaxes(0, 1))
    layer.build(x.shape)
    layer.set_weights(problem.weights)
    return {"layer": lambda: layer(x)}


def sample(call):
    """Return microseconds per call, after a warm-up."""
    start, count = time.perf_counter_ns(), 0
    while (elapsed := time.perf_counter_ns() - start) < WARM_UP_NS:
        call()
        count += 1
    repetitions = math.ceil(count * SAMPLE_NS / elapsed)
    start = time.perf_counter_ns()
    for _ in range(repetitions):
        call()
    return (time.perf_counter_ns() - start) / repetitions / 1e3


def serve(name, threads, pipe):
    """Answer with the outputs of a shape, by way of calling it, or with a sample of a way."""
    make_calls = our_calls if name == OURS else peers.PEERS[name][0]
    while True:
        try:
            question = pipe.recv()
        except EOFError:
            return
        if isinstance(question, Shape):
            problem = Problem(question)  # whose arrays some calls read in place
            calls = make_calls(problem, threads)
            pipe.send({way: np.asarray(call()) for way, call in calls.items()})
        else:
            pipe.send(sample(calls[question]))


class Engine:
    """One engine in a process of its own."""

    def __init__(self, name, threads):
        self.name, self.threads = name, threads
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        context.Process(target=serve, args=(name, threads, theirs), daemon=True).start()

    def ask(self, question):
        self.pipe.send(question)
        return self.pipe.recv()

    def sample(self, way):
        if self.threads > 1:
            time.sleep(PAUSE_SECONDS)
        return self.ask(way)

    def prepare(self, shape):
        """Set the shape and the way of calling that a short trial finds fastest; return its name
        and outputs ``(timesteps, batch, units)``.
        """
        outputs = self.ask(shape)
        if self.name == OURS:
            outputs = {way: output.swapaxes(0, 1) for way, output in outputs.items()}
        trial = dict.fromkeys(outputs, 0.0)
        if len(outputs) > 1:
            taken = [{way: self.sample(way) for way in outputs} for _ in range(TRIAL_ROUNDS)]
            trial = {way: statistics.median(turn[way] for turn in taken) for way in outputs}
        way = min(trial, key=trial.get)
        return way, outputs[way]


def check(name, output, expected):
    difference = np.abs(output.reshape(expected.shape) - expected).max()
    if not difference <= TOLERANCE:
        raise ValueError(f"{name} differs from {OURS} by {difference:g}")


def measure_shape(shape, engines, threads, rounds):
    ways = {}
    for engine in engines:
        ways[engine], output = engine.prepare(shape)
        if engine is engines[0]:
            expected = output
        check(f"{shape}: {engine.name} ({ways[engine]})", output, expected)
    samples = {engine: [] for engine in engines}
    for turn in range(rounds):
        first = turn % len(engines)
        for engine in engines[first:] + engines[:first]:
            samples[engine].append(engine.sample(ways[engine]))
    taken = {engine.name: statistics.median(samples[engine]) for engine in engines}
    best = min((engine.name for engine in engines[1:]), key=taken.get)
    return {
        **shape._asdict(),
        "threads": threads,
        "microseconds": taken,
        "ways": {engine.name: way for engine, way in ways.items()},
        "best_peer": best,
        "ratio": taken[best] / taken[OURS],
    }


def measure(threads, rounds, pattern):
    """Measure in this process, printing each row as it comes; return the rows."""
    names = [OURS, *peers.installed()]
    engines = [Engine(name, threads) for name in names]
    print(f"{threads} {'thread' if threads == 1 else 'threads'}, microseconds per call")
    print(f"{'batch·steps·units':18}", *(f"{name:>12}" for name in names), "  best peer     ratio")
    rows = []
    for shape in shapes(threads, pattern):
        rows.append(row := measure_shape(shape, engines, threads, rounds))
        times = (f"{row['microseconds'][name]:12,.1f}" for name in names)
        print(f"{shape!s:18}", *times, f"  {row['best_peer']:12} {row['ratio']:6.2f}", flush=True)
    ratios = [row["ratio"] for row in rows]
    if ratios:
        mean = statistics.geometric_mean(ratios)
        print(f"ratio: geometric mean {mean:.2f}, smallest {min(ratios):.2f}\n")
    return rows


def child(options, threads, cores):
    """Measure in a process with this number of threads, on these cores; return its rows."""
    environment = dict.fromkeys(THREAD_VARIABLES, str(threads)) | OPENBLAS_SPIN
    if threads == 1:
        environment["XLA_FLAGS"] = ONE_XLA_THREAD
    with tempfile.TemporaryDirectory() as directory:
        results = Path(directory, "rows.json")
        arguments = ["--child", "--threads", threads, "--rounds", options.rounds]
        arguments += ["--only", options.only, "--json", results]
        subprocess.run(
            [sys.executable, __file__, *map(str, arguments)],
            env={"JAX_PLATFORMS": "cpu", **os.environ, **environment},
            preexec_fn=lambda: cores and os.sched_setaffinity(0, cores[-threads:]),
            check=True,
        )
        return json.loads(results.read_text())


def cores_for(threads):
    """Return the cores to choose from, none where a process cannot be bound to cores."""
    if not hasattr(os, "sched_getaffinity"):
        return []
    cores = sorted(os.sched_getaffinity(0))
    if threads > len(cores):
        sys.exit(f"{threads} threads asked for, {len(cores)} cores to run on")
    return cores


# Reporting


def machine():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def versions():
    packages = sorted({package for _, needed in peers.PEERS.values() for package in needed})
    found = {"python": platform.python_version(), OURS: rnn_core.__version__}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def report(rows, rounds):
    return {
        "machine": machine(),
        "cores": os.cpu_count(),
        "isa": rnn_core._engine.isa(),
        "versions": versions(),
        "rounds": rounds,
        "rows": rows,
    }


def chart(report):
    """Return an SVG: a row for each shape, a column of bars of the ratio for each thread count."""
    rows = {(Shape(*(r[k] for k in Shape._fields)), r["threads"]): r for r in report["rows"]}
    counts = sorted({threads for _, threads in rows})
    labels = list(dict.fromkeys(shape for shape, _ in rows))
    left, panel = 140, 660 // len(counts)
    scale = (panel - 145) / max(row["ratio"] for row in rows.values())
    height = 76 + 22 * len(labels)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="800" height="{height}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="800" height="{height}" fill="white"/>',
        f'<text x="{left}" y="20" fill="#555">times faster than the best peer, '
        f"which is named ({report['machine']}, {report['isa']})</text>",
        '<text x="130" y="44" text-anchor="end" fill="#555">batch·steps·units</text>',
    ]
    for column, threads in enumerate(counts):
        x = left + column * panel
        noun = "thread" if threads == 1 else "threads"
        lines.append(f'<text x="{x}" y="44" fill="#555">{threads} {noun}</text>')
        for index, shape in enumerate(labels):
            if (shape, threads) in rows:
                lines += bar(rows[shape, threads], x, 54 + 22 * index, scale)
        lines.append(
            f'<path d="M{x + scale:.1f} 50V{height - 20}" stroke="#555" stroke-dasharray="3 3"/>'
        )
        lines.append(
            f'<text x="{x + scale:.1f}" y="{height - 6}" text-anchor="middle" fill="#555">1</text>'
        )
    lines += [
        f'<text x="130" y="{68 + 22 * index}" text-anchor="end">{shape}</text>'
        for index, shape in enumerate(labels)
    ]
    return "\n".join([*lines, "</svg>", ""])


def bar(row, x, y, scale):
    width = scale * row["ratio"]
    colour = "#2563eb" if row["ratio"] >= 1 else "#9aa5b1"
    text = max(width, scale) + 6
    return [
        f'<rect x="{x}" y="{y}" width="{width:.0f}" height="18" fill="{colour}"/>',
        f'<text x="{x + text:.0f}" y="{y + 14}">{row["ratio"]:.2f} {row["best_peer"]}</text>',
    ]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default="", metavar="PATTERN", help="as 'gru' or '1.100.32$'")
    parser.add_argument("--json", type=Path, help="where to write all figures")
    parser.add_argument("--chart", type=Path, help="where to write an SVG of the ratios")
    parser.add_argument("--from-json", type=Path, help="draw from these figures, measure nothing")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        rows = measure(*options.threads, options.rounds, options.only)
        options.json.write_text(json.dumps(rows))
        return
    if options.from_json:
        figures = json.loads(options.from_json.read_text())
    else:
        cores = cores_for(max(options.threads))
        if not any(shapes(threads, options.only) for threads in options.threads):
            parser.error(f"no shape matches {options.only!r}")
        rows = [row for threads in options.threads for row in child(options, threads, cores)]
        figures = report(rows, options.rounds)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    if options.chart:
        options.chart.write_text(chart(figures))


if __name__ == "__main__":
    main()
