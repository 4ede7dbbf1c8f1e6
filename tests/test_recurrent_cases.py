"""What recurrent layers do, case by case. golden/make_recurrent.py stored what the Kerases do."""

import json
from pathlib import Path

import numpy as np
import pytest
from golden.recurrent_cases import all_cases, values

import rnn_core

HERE = Path(__file__).parent / "golden/recurrent"
CASES = all_cases()
STORED = json.loads((HERE / "recurrent.json").read_text())["cases"]
ATOL = 2e-6


@pytest.fixture(scope="module")
def arrays():
    with np.load(HERE / "recurrent.npz") as content:
        return dict(content)


def compare(mine, theirs, array, where="result"):
    """Fail where two nested results differ; `array(i)` is the stored array of that index."""
    if isinstance(theirs, dict) and "array" in theirs:
        expected = array(theirs["array"])
        assert isinstance(mine, np.ndarray), f"{where} is {mine!r}, expected {expected!r}"
        assert (mine.shape, mine.dtype) == (expected.shape, expected.dtype), where
        np.testing.assert_allclose(mine, expected, rtol=0, atol=ATOL, err_msg=where)
    elif isinstance(theirs, dict):
        assert isinstance(mine, dict), f"{where} is {mine!r}, expected a dict"
        assert mine.keys() == theirs["dict"].keys(), where
        for key, expected in theirs["dict"].items():
            compare(mine[key], expected, array, f"{where}[{key!r}]")
    elif isinstance(theirs, list):
        assert isinstance(mine, list), f"{where} is {mine!r}, expected a list"
        assert len(mine) == len(theirs), f"{where} has {len(mine)} items, expected {len(theirs)}"
        for i, pair in enumerate(zip(mine, theirs, strict=True)):
            compare(*pair, array, f"{where}[{i}]")
    else:
        assert not isinstance(mine, np.ndarray), f"{where} is an array, expected {theirs!r}"
        assert mine == theirs, f"{where} is {mine!r}, expected {theirs!r}"


def test_every_case_is_stored():
    assert sorted(CASES) == sorted(STORED)


@pytest.mark.parametrize("name", CASES)
def test_case(name, arrays):
    case, stored = CASES[name], STORED[name]
    if case.raises:
        with pytest.raises(case.raises) as raised:
            case.function(rnn_core)
        assert raised.type is case.raises
        assert stored == {**stored, "raises": case.raises.__name__}
    else:
        mine = values(case.function(rnn_core))
        compare(mine, stored["structure"], lambda i: arrays[f"{name}/{i}"])
