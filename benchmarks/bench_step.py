"""One step of an LSTM with one feature, as in an audio callback: the C API against RTNeural.

    python benchmarks/bench_step.py --rtneural ~/RTNeural

Nanoseconds a step for a stream of samples, each step waiting for the state of the one before it,
and RTNeural's as a multiple of ours. RTNeural's sizes are fixed at compile time; its outputs are
first compared with ours. Medians of interleaved rounds in one process, on one core.

`--rtneural` is a checkout of https://github.com/jatinchowdhury18/RTNeural; without it ours alone is
timed. `CXX` chooses the compiler, of both; `CC` that of rnn_core.
"""

import argparse
import os
import platform
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "benchmarks" / "bench_step.cpp"
CXX = (os.environ.get("CXX", "c++"), "-std=c++17", "-O3")
X86 = platform.machine() in ("x86_64", "AMD64")
# RTNeural's own, of its RTNEURAL_USE_AVX, and what it advises.
PEER_FLAGS = (*(("-mavx2", "-mfma") if X86 else ()), "-ffast-math")
ALIGNMENT = 32 if X86 else 16
BACKENDS = ("eigen", "xsimd", "stl")


def include_paths(options):
    return [path for path in (options.rtneural, options.eigen, options.xsimd) if path]


def peer_command(backend, options):
    return [
        *CXX,
        *PEER_FLAGS,
        f'-DBACKEND="{backend}"',
        f"-DRTNEURAL_NAMESPACE=RTNeural_{backend}",
        f"-DRTNEURAL_USE_{backend.upper()}=1",
        f"-DRTNEURAL_DEFAULT_ALIGNMENT={ALIGNMENT}",
        *(flag for path in include_paths(options) for flag in ("-isystem", path)),
        *("-c", SOURCE),
    ]


def build(options, folder):
    """Compile rnn_core, the benchmark and the peers; return the program."""

    def run(*command):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    run("make", "-C", ROOT / "pyx" / "kernels", f"BUILD={folder}")
    objects = []
    for backend in options.backends if options.rtneural else ():
        objects.append(folder / f"peer_{backend}.o")
        run(*peer_command(backend, options), "-o", objects[-1])
    program = folder / "bench_step"
    library = folder / "librnn_core.a"
    run(*CXX, "-I", ROOT / "include", SOURCE, *objects, library, "-lpthread", "-o", program)
    return program


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rtneural", type=Path, help="a checkout of RTNeural")
    parser.add_argument("--eigen", type=Path, default=Path("/usr/include/eigen3"))
    parser.add_argument("--xsimd", type=Path, help="its headers, if not the system's")
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, default=["eigen"])
    parser.add_argument("--runs", type=int, default=1, help="tables to print")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        program = build(options, Path(folder))
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        for _ in range(options.runs):
            subprocess.run([program], check=True)


if __name__ == "__main__":
    main()
