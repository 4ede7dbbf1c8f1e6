import numpy as np
import pytest

from rnn_core import _engine

# Scripts that need the frameworks.
collect_ignore = ["golden"]

# Largest difference from the oracle after 50 steps with weights of ordinary size.
TOLERANCE = {"float32": 2e-6, "float64": 1e-12}


@pytest.fixture
def rng():
    return np.random.default_rng(20240607)


@pytest.fixture(params=_engine.available_isas())
def isa(request):
    """Each instruction set this CPU runs, in turn."""
    before = _engine.isa()
    _engine.use_isa(request.param)
    yield request.param
    _engine.use_isa(before)


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture
def tolerance(dtype):
    return TOLERANCE[dtype]
