"""The kernels for machines that are not this one: cross-compiled, and run in an emulator."""

import importlib.util
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import oracle
import pytest
from conftest import TOLERANCE

ROOT = Path(__file__).parents[1]
KERNELS = ROOT / "pyx/kernels"
PROGRAMS = ["check_c_api", "check_kernels", "check_pool", "check_values"]
# The compiler, and what runs its programs.
TARGETS = {
    "clang": (["clang"], []),
    "arm64-gcc": (["aarch64-linux-gnu-gcc"], ["qemu-aarch64"]),
    "arm64-clang": (["clang", "--target=aarch64-linux-gnu"], ["qemu-aarch64"]),
}
ZIG_TARGETS = ["x86_64-windows-gnu", "aarch64-windows-gnu", "x86_64-macos", "aarch64-macos"]

IN_LAST_PLACES = {"tanh", "sigmoid", "exponential"}
MOST_LAST_PLACES = 2
MOST_EPSILONS = 8
SPECIAL = [np.inf, -np.inf, np.nan, 0.0, -0.0, 1e-40, -1e-40]
SPECIAL_VALUES_KNOWN = IN_LAST_PLACES | {"relu", "elu", "softplus", "hard_sigmoid"}
REALS = [np.float32, np.float64]

CELLS = ["simple_rnn", "lstm", "gru_after", "gru_before"]  # in the order of packed.h
UNITS = [1, 7, 8, 16, 17, 64, 130]
BATCHES = [1, 5, 6, 7, 33]
FEATURES, TIMESTEPS = 5, 6
ACTIVATIONS = [("tanh", "sigmoid"), ("softsign", "hard_sigmoid")]  # in registers, and by function


def execute(*command, timeout=300):
    """Return what a command prints; fail with what it says."""
    run = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    assert run.returncode == 0, run.stderr + run.stdout
    return run.stdout


def build(folder, compiler, *flags):
    cc, cflags = " ".join(map(str, compiler)), "-O2 -Wall -Wextra -Werror"
    variables = f"BUILD={folder}", f"CC={cc}", f"CFLAGS={cflags} {' '.join(flags)}"
    execute("make", f"-j{os.cpu_count()}", "-C", KERNELS, *variables, timeout=600)
    return folder / "librnn_core.a"


def link(name, library, compiler, *flags):
    program = library.parent / name
    includes = f"-I{ROOT}/include", f"-I{KERNELS}"
    source = ROOT / f"tests/{name}.c"
    libraries = library, "-lm", "-lpthread"
    execute(*compiler, "-O1", *flags, *includes, source, *libraries, "-o", program)
    return program


def activation_case(name, real, rng):
    scales = [1] if name == "softmax" else [1e-30, 1e-3, 0.1, 1, 3, 10, 30]
    if name in IN_LAST_PLACES:  # to denormal results and infinite ones
        scales.append(104 if real is np.float32 else 746)
    x = np.concatenate([scale * rng.uniform(-1, 1, 301) for scale in scales])
    if name in SPECIAL_VALUES_KNOWN:
        x = np.concatenate([x, SPECIAL])
    x = x.astype(real)
    with np.errstate(all="ignore"):
        wide = np.longdouble if name in IN_LAST_PLACES else np.float64
        exact = oracle.ACTIVATIONS[name](x.astype(wide)).astype(np.float64)
    head = struct.pack("<24sii", name.encode(), REALS.index(real), len(x))
    return head + x.tobytes() + exact.tobytes()


def layer_case(cell, units, batch, number, rng):
    features = FEATURES if number % 4 else 2  # few are projected in the step
    weights = oracle.random_weights(rng, cell, features, units)
    weights = {name: value.astype(np.float32) for name, value in weights.items()}
    x = rng.standard_normal((batch, TIMESTEPS, features)).astype(np.float32)
    mask = rng.random((batch, TIMESTEPS)) < (0.7 if number % 2 else 1)
    states = rng.standard_normal((2, batch, units)).astype(np.float32) / 2
    backwards = number % 3 == 0
    names = ACTIVATIONS[number % 5 == 0]
    used = states[: oracle.CELLS[cell][2]]
    out, last = oracle.run(cell, weights, x, used, mask, backwards, False, *names)
    exact = [out, last[0], last[1] if len(last) > 1 else states[1].astype(np.float64)]
    sizes = CELLS.index(cell), features, units, batch, TIMESTEPS, backwards
    order = "kernel", "recurrent_kernel", "bias", "recurrent_bias"
    arrays = [*(weights[name] for name in order), x, mask, *states, *exact]
    head = struct.pack("<24s24s6i", *(name.encode() for name in names), *sizes)
    return head + b"".join(array.tobytes() for array in arrays)


def write_cases(path):
    """Write what check_values.c reads, and return how many lines it prints for each ISA."""
    rng = np.random.default_rng(20240607)
    activations = [
        activation_case(name, real, rng) for name in oracle.ACTIVATIONS for real in REALS
    ]
    shapes = [(cell, units, batch) for cell in CELLS for units in UNITS for batch in BATCHES]
    layers = [layer_case(*shape, number, rng) for number, shape in enumerate(shapes)]
    head = struct.pack("<2i", len(activations), len(layers))
    path.write_bytes(head + b"".join(activations + layers))
    return len(activations) + len(layers)


def judge(printed, count):
    """Check what check_values.c has printed; return the ISAs and the largest errors."""
    lines = [line.split() for line in printed.splitlines()]
    isas = {line[0] for line in lines}
    largest = {"layer": 0.0, "ulps": 0.0, "epsilons": 0.0}
    assert len(lines) == count * len(isas) > 0
    for line in lines:
        if line[1] == "layer":
            error, alone, threads = float(line[-3]), line[-2], line[-1]
            assert error < TOLERANCE["float32"], line
            assert (alone, threads) == ("1", "1"), line
            largest["layer"] = max(largest["layer"], error)
            continue
        if line[2] in IN_LAST_PLACES:
            ulps = float(line[4])
            assert ulps <= MOST_LAST_PLACES, line
            largest["ulps"] = max(largest["ulps"], ulps)
            continue
        epsilons = float(line[5]) / float(np.finfo(REALS[int(line[3])]).eps)
        assert epsilons < MOST_EPSILONS, line
        largest["epsilons"] = max(largest["epsilons"], epsilons)
    return isas, largest


@pytest.mark.parametrize("target", TARGETS)
def test_values_and_checks(target, tmp_path):
    """The C tests, and values of every cell and activation: against the oracle, row by row."""
    compiler, emulator = TARGETS[target]
    missing = [tool for tool in ("make", compiler[0], *emulator) if not shutil.which(tool)]
    if missing or sys.platform != "linux":
        pytest.skip(f"no {', '.join(missing) or 'Linux'}")
    library = build(tmp_path, compiler)
    programs = {name: link(name, library, compiler, "-static") for name in PROGRAMS}
    for name in PROGRAMS[:-1]:
        assert "checked " in execute(*emulator, programs[name])
    count = write_cases(tmp_path / "cases")
    isas, _ = judge(execute(*emulator, programs["check_values"], tmp_path / "cases"), count)
    assert ("arm64" in isas) == bool(emulator)


@pytest.mark.parametrize("target", ZIG_TARGETS)
def test_other_systems_compile(target, tmp_path):
    """No warning, and a program that links, for the systems that zig brings the libraries of."""
    if not importlib.util.find_spec("ziglang") or not shutil.which("make"):
        pytest.skip("no ziglang and make")
    compiler = [sys.executable, "-m", "ziglang", "cc", "-target", target]
    library = build(tmp_path, compiler, "-O0", "-fno-sanitize=undefined")
    assert link("check_values", library, compiler).stat().st_size > 0
