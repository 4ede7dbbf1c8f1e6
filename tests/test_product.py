"""x.W + b on the packed backend: values against float64, and the same bits for a row anywhere."""

import copy
import pickle

import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rnn_core as rc
from rnn_core import _engine

# Around the ends of panels, tiles and blocks.
UNITS = (1, 7, 8, 9, 16, 17, 24, 31, 33, 64, 65, 129)
ROWS = (0, 1, 2, 6, 7, 12, 13, 96, 97, 200)
SHAPES = [
    *((rows, 5, units) for rows in (1, 13) for units in UNITS),
    *((rows, features, 17) for rows in ROWS for features in (1, 40)),
    *((rows, 0, 9) for rows in (0, 1, 97)),
]


@pytest.fixture(autouse=True)
def default_threads():
    yield
    rc.set_num_threads(None)


def normal(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


def dense(rng, features, units, activation=None, **options):
    layer = rc.Dense(units, activation, **options)
    layer.build((None, features))
    layer.set_weights([rng.standard_normal(w.shape) for w in layer.get_weights()])
    return layer


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("rows", "features", "units"), SHAPES)
def test_values(rows, features, units, bias, isa, rng):
    x, kernel = normal(rng, rows, features), normal(rng, features, units)
    b = normal(rng, units) if bias else None
    exact = x.astype(float) @ kernel.astype(float) + (b if bias else 0)
    ours = _engine.Product(kernel, b)(x)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, exact, rtol=0, atol=1e-5)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(
    ("rows", "features", "units"), [(1, 300, 700), (97, 300, 65), (500, 64, 9)]
)
def test_threads_change_no_bit(rows, features, units, threads, rng):
    """By rows where there are enough, else by units."""
    product, x = _engine.Product(normal(rng, features, units)), normal(rng, rows, features)
    rc.set_num_threads(1)
    expected = product(x)
    rc.set_num_threads(threads)
    for _ in range(20):
        np.testing.assert_array_equal(product(x), expected)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 70), st.integers(1, 40), st.data())
def test_a_row_depends_on_no_other(units, rows, data):
    rng = np.random.default_rng(1)
    product, x = _engine.Product(normal(rng, 19, units), normal(rng, units)), normal(rng, rows, 19)
    some = data.draw(st.lists(st.integers(0, rows - 1), max_size=30))
    np.testing.assert_array_equal(product(x[some]), product(x)[some])


@pytest.mark.parametrize("change", [
    np.asfortranarray,
    lambda x: np.repeat(x, 2, axis=0)[::2],
    lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    lambda x: x[::-1].copy()[::-1],
    lambda x: np.frombuffer(b"." + x.tobytes(), np.float32, offset=1).reshape(x.shape),
])  # fmt: skip
def test_inputs_that_lie_otherwise(change, rng):
    product, x = _engine.Product(normal(rng, 6, 10)), normal(rng, 9, 6)
    np.testing.assert_array_equal(product(change(x)), product(x))


@pytest.mark.parametrize(
    ("kernel", "bias", "message"),
    [
        (np.zeros((3, 2)), None, r"kernel is float64 \(3, 2\), expected float32"),
        (np.zeros(3, np.float32), None, r"kernel is float32 \(3,\), expected"),
        (
            np.zeros((3, 2), np.float32),
            np.zeros(3, np.float32),
            r"bias is float32 \(3,\), expected float32 \(2,\)",
        ),
    ],
)
def test_wrong_weights(kernel, bias, message):
    with pytest.raises(ValueError, match=message):
        _engine.Product(kernel, bias)


@pytest.mark.parametrize("x", [np.zeros((2, 3)), np.zeros((2, 4), "f"), np.zeros(3, "f")])
def test_wrong_inputs(x):
    product = _engine.Product(np.zeros((3, 2), np.float32))
    with pytest.raises(ValueError, match=r"expected float32 \(rows, 3\)"):
        product(x)


@pytest.mark.parametrize("activation", [None, "relu", "softmax"])
def test_dense_is_batch_invariant(activation, rng):
    layer, x = dense(rng, 33, 18, activation), normal(rng, 100, 4, 33)
    whole = layer(x)
    exact = x.astype(float) @ layer.kernel + layer.bias
    np.testing.assert_allclose(whole, oracle.ACTIVATIONS[activation or "linear"](exact), atol=1e-5)
    for rows in (1, 3, 64):
        np.testing.assert_array_equal(layer(x[:rows]), whole[:rows])
    np.testing.assert_array_equal(layer(x[5:6, 2]), whole[5:6, 2])


@pytest.mark.parametrize("backend", ["blas", "packed"])
def test_the_backend_that_is_asked_for(backend, monkeypatch, rng):
    monkeypatch.setenv("RNN_CORE_BACKEND", backend)
    layer, x = dense(rng, 5, 3), normal(rng, 4, 5)
    np.testing.assert_allclose(layer(x), x @ layer.kernel + layer.bias, atol=1e-6)
    assert layer._is_packed() == (backend == "packed")
    assert not dense(rng, 5, 3, dtype="float64")._is_packed()


def test_new_weights_count(rng):
    layer, x = dense(rng, 5, 3), normal(rng, 4, 5)
    before = layer(x)
    copies = [copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))]
    layer.set_weights([np.ones((5, 3)), np.zeros(3)])
    np.testing.assert_allclose(layer(x), x.sum(1, keepdims=True).repeat(3, 1), atol=1e-6)
    for other in copies:
        np.testing.assert_array_equal(other(x), before)


def test_weights_put_in_the_place_of_others(rng):
    layer, x = dense(rng, 5, 3), normal(rng, 4, 5)
    layer(x)
    layer.kernel = 2 * layer.kernel
    np.testing.assert_allclose(layer(x), x @ layer.kernel + layer.bias, atol=1e-5)
    layer.bias = np.ones((1, 3), np.float32)
    np.testing.assert_allclose(layer(x), x @ layer.kernel + 1, atol=1e-5)


class Scaled(rc.Dense):
    def call(self, inputs):
        return super().call(inputs * np.linspace(0, 1, 5))


def test_a_subclass_may_compute_in_float64(rng):
    layer, x = Scaled(3), normal(rng, 4, 5)
    y = layer(x)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, (x * np.linspace(0, 1, 5)) @ layer.kernel, atol=1e-6)


def test_more_units_than_a_recurrent_layer_may_have():
    product = _engine.Product(np.ones((1, (1 << 24) + 1), np.float32))
    assert (product(np.full((1, 1), 2, np.float32)) == 2).all()
