"""Quantized ONNX models. golden/make_onnx_quantized.py makes them and ONNX Runtime's outputs."""

import numpy as np
import pytest
from test_onnx_operators import GOLDEN, assert_same, cases, run

import rnn_core as rc

QUANTIZED = cases("quantized.npz")


@pytest.mark.parametrize("name", QUANTIZED)
def test_onnx_runtime_gives_the_same(name, tmp_path):
    case = QUANTIZED[name]
    assert_same(run(case, tmp_path)[1], {f"out{n}": y for n, y in case["out"].items()}, 2e-6)


@pytest.mark.parametrize("name", ["int8", "uint8", "int8_columns"])
def test_dynamically_quantized_models(name, tmp_path):
    path = GOLDEN / f"quantized_lstm_{name}.onnx"
    model = rc.load(path)
    assert "DynamicQuantizeLSTM" in {row[1] for row in model.describe()}
    saved = tmp_path / "saved.safetensors"
    model.save(saved)
    with np.load(path.with_suffix(".npz")) as stored:
        for loaded in (model, rc.load(saved)):
            np.testing.assert_allclose(loaded(stored["x"]), stored["out"], rtol=0, atol=1e-5)
