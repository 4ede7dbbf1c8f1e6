import numpy as np
import oracle
import pytest

from rnn_core import _activations, _engine

LANES = {"x86_64": 16, "x86_64_v3": 32, "x86_64_v4": 64, "arm64": 16}


def engine(name, x, dtype):
    y = np.array(x, dtype)
    _engine.activate(name, y)
    return y


def ulps(y, exact, dtype):
    """Distance in units of the last place of the exact value rounded to dtype."""
    with np.errstate(over="ignore"):
        rounded = exact.astype(dtype)
        return np.abs((y.astype(exact.dtype) - exact) / np.spacing(np.abs(rounded)))


def test_every_activation_is_in_the_oracle():
    assert sorted(_engine.activations()) == sorted(oracle.ACTIVATIONS)


@pytest.mark.parametrize("name", sorted(oracle.ACTIVATIONS))
def test_values(name, isa, dtype, rng):
    lanes = LANES[isa] // np.dtype(dtype).itemsize
    for n in (0, 1, lanes - 1, lanes, lanes + 1, 3 * lanes + 5):
        x = (4 * rng.standard_normal((3, n))).astype(dtype)
        expected = oracle.ACTIVATIONS[name](x.astype(np.float64)) if n else x
        error = np.abs(engine(name, x, dtype) - expected) / (1 + np.abs(expected))
        assert error.max(initial=0) < 8 * np.finfo(dtype).eps


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "exponential"])
def test_accuracy_of_two_units_in_the_last_place(name, isa, dtype, rng):
    largest = 104 if dtype == "float32" else 700
    x = np.concatenate(
        [scale * rng.uniform(-1, 1, 200_000) for scale in (1e-30, 1e-3, 0.1, 1, 3, 10, 30, largest)]
    ).astype(dtype)
    wide = x.astype(np.longdouble if dtype == "float64" else np.float64)
    with np.errstate(over="ignore", under="ignore"):
        exact = {
            "tanh": np.tanh(wide),
            "sigmoid": 1 / (1 + np.exp(-wide)),
            "exponential": np.exp(wide),
        }[name]
        y = engine(name, x, dtype)
        finite = np.isfinite(exact.astype(dtype))
    assert np.array_equal(np.isfinite(y), finite)
    assert ulps(y[finite], exact[finite], dtype).max() <= 2


SPECIAL = {
    "tanh": [(np.inf, 1), (-np.inf, -1), (-0.0, -0.0), (np.nan, np.nan)],
    "sigmoid": [(np.inf, 1), (-np.inf, 0), (0, 0.5), (np.nan, np.nan)],
    "exponential": [(np.inf, np.inf), (-np.inf, 0), (0, 1), (np.nan, np.nan)],
    "relu": [(np.inf, np.inf), (-np.inf, 0), (np.nan, np.nan)],
    "elu": [(np.inf, np.inf), (-np.inf, -1), (np.nan, np.nan)],
    "softplus": [(np.inf, np.inf), (-np.inf, 0), (np.nan, np.nan)],
    "hard_sigmoid": [(np.inf, 1), (-np.inf, 0), (np.nan, np.nan)],
}


@pytest.mark.parametrize("name", sorted(SPECIAL))
def test_infinities_zeros_and_nan(name, isa, dtype):
    x, expected = map(np.array, zip(*SPECIAL[name], strict=True))
    y = engine(name, x, dtype)
    np.testing.assert_array_equal(y, expected.astype(dtype))
    assert np.array_equal(np.signbit(y), np.signbit(expected)) or np.isnan(expected).any()


def test_denormal_results_are_not_lost(isa):
    x = np.array([-90, -100, -103], np.float32)
    for name in ("exponential", "sigmoid"):
        np.testing.assert_allclose(
            engine(name, x, "float32"), np.exp(x.astype(np.float64)), atol=1.5e-45
        )


def test_get_takes_names_configs_and_callables():
    assert _activations.get("swish").name == "silu"
    assert _activations.get(None).name == "linear"
    assert _activations.get({"class_name": "function", "config": "relu"}).name == "relu"
    assert _activations.get(np.sin) is np.sin


def test_an_unknown_name_gets_the_near_ones():
    with pytest.raises(ValueError, match=r"unknown activation 'sigmiod'; did you mean 'sigmoid'"):
        _activations.get("sigmiod")


def test_a_lambda_of_keras_2_is_refused():
    with pytest.raises(ValueError, match="as a lambda is written: expected a name"):
        _activations.get({"value": ("4wEAAAAA", None, None)})


def test_a_call_keeps_its_argument():
    x = np.array([-1.0, 2.0], np.float32)
    y = _activations.get("relu")(x)
    assert np.array_equal(x, [-1, 2])
    assert np.array_equal(y, [0, 2])


def test_an_isa_that_the_cpu_lacks():
    with pytest.raises(ValueError, match="does not run ISA 'z80'; it runs "):
        _engine.use_isa("z80")
