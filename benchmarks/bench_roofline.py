"""One core's limits, and how near to them recurrent layers come.

    python benchmarks/bench_roofline.py --json roofline.json

The limits are those of float32 fused multiply-adds in the widest registers, and of reading from
each level of cache and from memory, in buffers on huge pages. The shapes are those of one thread
in `bench_layers`, of more than one step, with as many features as units. The least time for one:

- of a batch of 32 or more, its products' operations, ``2 * batch * steps * gates * units *
  (features + units)``, at the peak of multiply-adds: "FMA";
- of a smaller batch, that or, where it is longer, reading the recurrent kernel once a step from the
  smallest cache that holds all of it, and then the operations of the projection of the inputs at
  the peak: named after the level read.

Activations, the inputs and the outputs count as nothing. A kernel that outgrows a cache by little
can beat the second limit: what stays in the smaller cache is read faster. One that nearly fills an
L3 cache with other users falls short of it.

A machine's speed wanders. So what limits a shape is measured again before and after each sample of
it, and the mean of these two neighbours is divided by what the sample took. The share printed is
the median of these ratios, other figures are medians too, all of samples whose neighbours agree
within a tenth if there are any. All the machine's rates are measured before the shapes and after
them too. Run it on an idle machine.

Needs Linux and a C compiler that knows GCC's extensions (`CC`, or else cc).
"""

import argparse
import ctypes
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from bench_layers import cores_for, machine, our_calls, sample, shapes
from peers import GATES, Problem

import rnn_core

FMA, MEMORY = "FMA", "memory"
FMA_ITERATIONS = 50_000
READ_BYTES = 1 << 25
HUGE_PAGE = 1 << 21
NUMPY_HUGE = 1 << 22  # NumPy asks for huge pages for arrays from this size on
MACHINE_ROUNDS = 5
SMALL_BATCH = 32
STEADY = 0.1


class Level(NamedTuple):
    """A level of the memory hierarchy, and how many bytes to read to measure it."""

    name: str
    size: float
    buffer: int


# The machine


def load():
    """Compile roofline.c for this machine; return its functions."""
    with tempfile.TemporaryDirectory() as directory:
        library = Path(directory, "roofline.so")
        compiler = os.environ.get("CC", "cc").split()
        flags = ["-O2", "-march=native", "-shared", "-fPIC", "-o", library]
        source = Path(__file__).with_name("roofline.c")
        subprocess.run([*compiler, *flags, source], check=True)
        functions = ctypes.CDLL(str(library))
    functions.roofline_fma.argtypes = [ctypes.c_ssize_t]
    functions.roofline_read.argtypes = [ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_ssize_t]
    functions.roofline_fma.restype = functions.roofline_read.restype = ctypes.c_double
    return functions


def cache_sizes(core):
    """Return the bytes of each level of this core's data caches."""
    sizes = {}
    for index in sorted(Path(f"/sys/devices/system/cpu/cpu{core}/cache").glob("index*")):
        level, kind, size = (Path(index, name).read_text() for name in ("level", "type", "size"))
        if kind.strip() != "Instruction":
            sizes[int(level)] = int(size.strip().removesuffix("K")) * 1024
    if not sizes:
        sys.exit("the sizes of the caches are not known here")
    return dict(sorted(sizes.items()))


def levels(sizes):
    """Return the levels, smallest first.

    Other users of an L3 cache evict parts of a buffer as large as it.
    """
    found = []
    for number, size in sizes.items():
        shared = number > 2
        length = min(size // 2, 8 * found[-1].size) if shared else size * 3 // 4
        found.append(Level(f"L{number}", size, length))
    return [*found, Level(MEMORY, float("inf"), 4 * found[-1].size)]


def on_huge_pages(size):
    """Return an array of this many bytes that starts at a huge page."""
    room = np.empty(max(size, NUMPY_HUGE) + HUGE_PAGE, np.uint8)
    skipped = -room.ctypes.data % HUGE_PAGE
    aligned = room[skipped : skipped + size // 4 * 4].view(np.float32)
    aligned.fill(1)  # else all of it is the one page of zeros
    return aligned


def meters(functions, hierarchy):
    """Return by limit a function that measures its rate, operations or bytes per microsecond."""

    def meter(function, *arguments):
        amount = function(*arguments)
        return lambda: amount / sample(lambda: function(*arguments))

    made = {FMA: meter(functions.roofline_fma, FMA_ITERATIONS)}
    for level in hierarchy:
        data = on_huge_pages(level.buffer)
        passes = -(-READ_BYTES // level.buffer)
        made[level.name] = meter(functions.roofline_read, data.ctypes, level.buffer, passes)
    return made


# Shapes


def operations(shape):
    """Return the floating-point operations of the inputs' projection, equal to the recurrence's."""
    return 2 * shape.batch * shape.timesteps * GATES[shape.cell] * shape.units**2


def least_times(shape, level, rates):
    """Return by limit the least microseconds that a shape can take."""
    projection = operations(shape) / rates[FMA]
    times = {FMA: 2 * projection}
    if shape.batch < SMALL_BATCH:
        read = 4 * GATES[shape.cell] * shape.units**2 * shape.timesteps
        times[level.name] = read / rates[level.name] + projection
    return times


def smallest_level(shape, hierarchy):
    kernel = 4 * GATES[shape.cell] * shape.units**2
    return next(level for level in hierarchy if kernel <= level.size)


def steady(samples):
    """Return the samples between whose neighbours the machine's speed hardly changed, or all."""

    def change(before, after):
        return max(abs(before[name] - after[name]) / after[name] for name in before)

    return [each for each in samples if change(each[0], each[2]) < STEADY] or samples


def middle(samples):
    """Return the median microseconds, the limit's name and microseconds, and the median share."""
    least = [
        {name: (before[name] + after[name]) / 2 for name in before} for before, _, after in samples
    ]
    taken = [microseconds for _, microseconds, _ in samples]
    medians = {name: statistics.median(times[name] for times in least) for name in least[0]}
    limit = max(medians, key=medians.get)
    shares = [max(times.values()) / spent for times, spent in zip(least, taken, strict=True)]
    return statistics.median(taken), limit, medians[limit], statistics.median(shares)


def measure_shape(shape, hierarchy, measured, rounds):
    """Return the row of a shape, and add to the rates what is measured beside it."""
    call = our_calls(Problem(shape), 1)["layer"]
    level = smallest_level(shape, hierarchy)
    limited_by = {FMA, level.name} if shape.batch < SMALL_BATCH else {FMA}

    def limits():
        return least_times(shape, level, measured(limited_by))

    samples, after = [], limits()
    for _ in range(rounds):
        before, microseconds, after = after, sample(call), limits()
        samples.append((before, microseconds, after))
    microseconds, limit, least, share = middle(steady(samples))
    return {
        **shape._asdict(),
        "microseconds": microseconds,
        "gflops": 2 * operations(shape) / microseconds / 1e3,
        "limit_microseconds": least,
        "limit": limit,
        "share": share,
    }


def recorder(rates, gauges):
    """Return a function that measures the rates of some limits, and keeps them."""

    def measured(names):
        found = {name: gauges[name]() for name in names}
        for name, rate in found.items():
            rates[name].append(rate)
        return found

    return measured


def measure(options, hierarchy):
    """Measure the machine, the shapes, printing each as it comes, and the machine again."""
    gauges = meters(load(), hierarchy)
    rates = {name: [] for name in gauges}
    measured = recorder(rates, gauges)
    for _ in range(MACHINE_ROUNDS):
        measured(gauges)
    rows = []
    print(f"{'batch·steps·units':18} {'us':>10} {'GFLOP/s':>8} {'limit us':>9}  {'of':6} share")
    for shape in shapes(1, options.only):
        if shape.timesteps > 1:
            rows.append(row := measure_shape(shape, hierarchy, measured, options.rounds))
            print_row(shape, row)
    for _ in range(MACHINE_ROUNDS):
        measured(gauges)
    return rows, rates


# Reporting


def print_row(shape, row):
    print(
        f"{shape!s:18} {row['microseconds']:10,.1f} {row['gflops']:8.1f}"
        f" {row['limit_microseconds']:9,.1f}  {row['limit']:6} {row['share']:5.0%}",
        flush=True,
    )


def summary(hierarchy, rates):
    """Return by limit its median rate and the range, and the bytes read."""
    sizes = {level.name: level.buffer for level in hierarchy}
    return {
        name: {
            "unit": "GFLOP/s" if name == FMA else "GB/s",
            "rate": statistics.median(found) / 1e3,
            "slowest": min(found) / 1e3,
            "fastest": max(found) / 1e3,
            "buffer": sizes.get(name),
        }
        for name, found in rates.items()
    }


def print_limits(limits):
    print(f"\n{'limit':6} {'KB read':>8} {'median':>7} {'slowest':>8} {'fastest':>8}")
    for name, limit in limits.items():
        size = limit["buffer"] // 1024 if limit["buffer"] else ""
        found = f"{limit['rate']:7.1f} {limit['slowest']:8.1f} {limit['fastest']:8.1f}"
        print(f"{name:6} {size:>8} {found}  {limit['unit']}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default="", metavar="PATTERN", help="as 'gru' or '1.100.32$'")
    parser.add_argument("--json", type=Path, help="where to write all figures")
    options = parser.parse_args()
    cores = cores_for(1) or sys.exit("a process cannot be bound to a core here")
    os.sched_setaffinity(0, cores[-1:])
    rnn_core.set_num_threads(1)
    hierarchy = levels(cache_sizes(cores[-1]))
    rows, rates = measure(options, hierarchy)
    limits = summary(hierarchy, rates)
    print_limits(limits)
    if options.json:
        figures = {"machine": machine(), "isa": rnn_core._engine.isa(), "rounds": options.rounds}
        figures |= {"limits": limits, "rows": rows}
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
