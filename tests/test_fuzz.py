"""Damaged model files of each format: see fuzz.py, which does more of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import rnn_core as rc

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
FILES = {
    ".h5": GOLDEN / "keras/embedded_k2.h5",
    ".keras": GOLDEN / "keras/nested_k3.keras",
    ".safetensors": GOLDEN / "keras/nested_k3.keras",
    ".pt": GOLDEN / "torch/alone.pt",
    ".onnx": GOLDEN / "onnx/torch_lstm_batch_first.onnx",
}


@pytest.mark.skipif(sys.platform != "linux", reason="limits on memory are Linux's")
@pytest.mark.parametrize("suffix", FILES)
def test_damaged_files(suffix, tmp_path):
    source = FILES[suffix]
    if source.suffix != suffix:
        path = tmp_path / f"model{suffix}"
        rc.load(source).save(path)
        source = path
    run = subprocess.run(
        [sys.executable, HERE / "fuzz.py", source, "--count", "1000"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    assert run.returncode == 0, run.stderr
    assert "refused" in run.stdout
