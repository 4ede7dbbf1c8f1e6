"""The benchmarks start: what they measure with stands where they import it from."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.parametrize("name", sorted(path.stem for path in BENCHMARKS.glob("bench_*.py")))
def test_a_benchmark_starts(name):
    command = [sys.executable, "-c", f"import {name}"]
    subprocess.run(command, cwd=BENCHMARKS, check=True, timeout=60)
