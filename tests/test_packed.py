"""The packed backend: values against the oracle, and the same bits however a batch is run."""

import numpy as np
import oracle
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rnn_core as rc
from rnn_core import _engine

CELLS = sorted(oracle.CELLS)
BY_VALUE = sorted(set(oracle.ACTIVATIONS) - {"softmax"})
TOLERANCE = 2e-6
# (units, batch, timesteps, features): panels end at units, tiles and blocks at batches.
SHAPES = [
    *((units, 1, 20, 5) for units in (1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65, 72, 100, 129)),
    *((units, 5, 2, 1) for units in (7, 8, 9, 15, 16, 17, 31, 32, 33, 65, 72, 129)),
    *((17, batch, 2, 5) for batch in (0, 2, 3, 4, 6, 7, 12, 13, 96, 97, 200)),
    *((33, batch, 20, 1) for batch in (2, 3, 6, 13)),
    *((72, batch, 1, 5) for batch in (1, 7, 12, 97)),
    *((100, batch, 20, 5) for batch in (4, 15, 16)),
    *((9, batch, 2, 0) for batch in (1, 7, 97)),
    *((9, batch, 0, 5) for batch in (0, 1, 7)),
]


@pytest.fixture(autouse=True)
def default_threads():
    yield
    rc.set_num_threads(None)


def make_plan(cell, weights, *activations, backend="packed", dtype=np.float32):
    arrays = {name: value.astype(dtype) for name, value in weights.items()}
    recurrent_bias = arrays["recurrent_bias"] if cell == "gru_after" else None
    names = activations or ("tanh", "sigmoid")
    kernels = arrays["kernel"], arrays["recurrent_kernel"]
    plan = _engine.Plan(cell, *kernels, arrays["bias"], recurrent_bias, *names, backend=backend)
    return plan, arrays


def random_plan(rng, cell, features, units):
    return make_plan(cell, oracle.random_weights(rng, cell, features, units))[0]


def normal(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


def run(plan, x, units, initial=None, *, cell, last_only=False, **options):
    """Return [outputs, *last states]."""
    batch, timesteps = x.shape[:2]
    count = oracle.CELLS[cell][2]
    initial = initial or [np.zeros((batch, units), np.float32)] * count
    states = tuple(np.array(state) for state in initial)
    shape = (batch, units) if last_only else (batch, timesteps, units)
    out = np.full(shape, np.nan, np.float32)
    plan.run(x, states, out, **options)
    return [out, *states]


def assert_near(ours, theirs, tolerance=TOLERANCE):
    outputs, states = theirs
    for mine, exact in zip(ours, [outputs, *states], strict=True):
        np.testing.assert_allclose(mine, exact, rtol=0, atol=tolerance)


def assert_equal(ours, theirs):
    for mine, other in zip(ours, theirs, strict=True):
        assert np.array_equal(mine, other)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("units", "batch", "timesteps", "features"), SHAPES)
def test_values(cell, units, batch, timesteps, features, isa, rng):
    plan, weights = make_plan(cell, oracle.random_weights(rng, cell, features, units))
    x = normal(rng, batch, timesteps, features)
    initial = [0.5 * normal(rng, batch, units) for _ in range(oracle.CELLS[cell][2])]
    ours = run(plan, x, units, initial, cell=cell)
    assert_near(ours, oracle.run(cell, weights, x, initial))


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("cell", CELLS)
def test_states_that_are_huge(cell, batch, isa, rng):
    weights = oracle.random_weights(rng, cell, 3, 17)
    weights["recurrent_kernel"] *= 1e-37
    plan, weights = make_plan(cell, weights)
    x = normal(rng, batch, 2, 3)
    initial = [1e37 * normal(rng, batch, 17) for _ in range(oracle.CELLS[cell][2])]
    outputs, states = oracle.run(cell, weights, x, initial)
    for mine, exact in zip(run(plan, x, 17, initial, cell=cell), [outputs, *states], strict=True):
        np.testing.assert_allclose(mine, exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_no_biases_are_zeros(cell, rng):
    weights = oracle.random_weights(rng, cell, 3, 9)
    kernels = [weights[key].astype(np.float32) for key in ("kernel", "recurrent_kernel")]
    plan = _engine.Plan(cell, *kernels, None, None, "tanh", "sigmoid", backend="packed")
    zeros = {"bias": np.zeros(weights["bias"].size), "recurrent_bias": np.zeros(27)}
    exact = dict(zip(("kernel", "recurrent_kernel"), kernels, strict=True)) | zeros
    x = normal(rng, 3, 7, 3)
    assert_near(run(plan, x, 9, cell=cell), oracle.run(cell, exact, x))


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("name", BY_VALUE)
def test_activations(name, recurrent, isa, rng):
    for cell in CELLS[:3] if recurrent else CELLS:
        names = ("tanh", name) if recurrent else (name, "sigmoid")
        plan, weights = make_plan(cell, oracle.random_weights(rng, cell, 4, 17), *names)
        x = normal(rng, 3, 2, 4)
        exact = oracle.run(cell, weights, x, activation=names[0], recurrent_activation=names[1])
        scale = max(1, *(np.abs(part).max() for part in (exact[0], *exact[1])))
        assert_near(run(plan, x, 17, cell=cell), exact, 4 * scale * TOLERANCE)


def test_softmax_and_float64_run_on_blas(rng):
    weights = oracle.random_weights(rng, "lstm", 3, 5)
    for names, dtype in [(("softmax", "sigmoid"), "f4"), (("tanh", "softmax"), "f4"), ((), "f8")]:
        with pytest.raises(ValueError, match="softmax" if names else "float64"):
            make_plan("lstm", weights, *names, dtype=dtype)
        for backend in (None, "auto", "blas"):
            plan, _ = make_plan("lstm", weights, *names, backend=backend, dtype=dtype)
            assert plan.backend == "blas"
    plan, arrays = make_plan("lstm", weights, "softmax", "sigmoid", backend=None)
    x = normal(rng, 2, 3, 3)
    assert_near(run(plan, x, 5, cell="lstm"), oracle.run("lstm", arrays, x, activation="softmax"))


@pytest.mark.parametrize(
    ("wanted", "environment", "expected"),
    [
        (None, None, "packed"),
        (None, "", "packed"),
        (None, "auto", "packed"),
        (None, "blas", "blas"),
        (None, "packed", "packed"),
        ("auto", "blas", "packed"),
        ("packed", "blas", "packed"),
        ("blas", "packed", "blas"),
    ],
)
def test_the_choice_of_a_backend(wanted, environment, expected, monkeypatch, rng):
    monkeypatch.delenv("RNN_CORE_BACKEND", raising=False)
    if environment is not None:
        monkeypatch.setenv("RNN_CORE_BACKEND", environment)
    layer = rc.LSTM(4, backend=wanted)
    layer(normal(rng, 1, 2, 3))
    assert layer.cell._plan.backend == expected
    assert "backend" not in layer.get_config()


def test_an_unknown_backend(monkeypatch, rng):
    with pytest.raises(ValueError, match="backend is 'cuda', expected one of auto, packed, blas"):
        rc.GRU(4, backend="cuda")(normal(rng, 1, 2, 3))
    monkeypatch.setenv("RNN_CORE_BACKEND", "mkl")
    with pytest.raises(ValueError, match="backend is 'mkl', expected one of auto, packed, blas"):
        rc.GRU(4)(normal(rng, 1, 2, 3))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("units", [9, 33, 72])
def test_a_row_does_not_heed_the_rows_beside_it(cell, units, isa, rng):
    plan = random_plan(rng, cell, 5, units)
    x = normal(rng, 97, 6, 5)
    whole = run(plan, x, units, cell=cell)
    for row in (0, 1, 5, 6, 48, 95, 96):
        assert_equal(
            run(plan, x[row : row + 1], units, cell=cell), [part[row : row + 1] for part in whole]
        )
    for batch in (2, 3, 4, 5, 6, 7, 12, 13, 16, 50, 96):
        rows = rng.permutation(97)[:batch]
        assert_equal(run(plan, x[rows], units, cell=cell), [part[rows] for part in whole])


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("batch", [7, 97, 200])
def test_rows_shared_between_threads(cell, batch, isa, rng):
    plan = random_plan(rng, cell, 5, 72)
    x = normal(rng, batch, 40, 5)
    mask = rng.random((batch, 40)) < 0.8
    for options in ({}, {"mask": mask, "go_backwards": True}, {"last_only": True}):
        results = []
        for threads in (1, 2, 3):
            rc.set_num_threads(threads)
            results.append(run(plan, x, 72, cell=cell, **options))
        assert_equal(results[0], results[1])
        assert_equal(results[0], results[2])


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("units", [256, 300])
def test_panels_shared_between_threads(cell, units, isa, rng):
    plan = random_plan(rng, cell, 5, units)
    x = normal(rng, 7, 110, 5)
    for batch in (1, 3, 7):
        rc.set_num_threads(1)
        alone = run(plan, x[:batch], units, cell=cell)
        rc.set_num_threads(2)
        for _ in range(3):
            assert_equal(run(plan, x[:batch], units, cell=cell), alone)
    assert_equal([part[:1] for part in alone], run(plan, x[:1], units, cell=cell))


@pytest.mark.parametrize("cell", CELLS)
def test_more_threads_than_panels(cell, rng):
    plan = random_plan(rng, cell, 5, 256)
    x = normal(rng, 70, 20, 5)
    for batch in (1, 7, 70):
        rc.set_num_threads(1)
        alone = run(plan, x[:batch], 256, cell=cell)
        for threads in (3, 40, 300):
            rc.set_num_threads(threads)
            assert_equal(run(plan, x[:batch], 256, cell=cell), alone)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(
    ("units", "batch", "features"), [(17, 1, 5), (17, 1, 4), (200, 1, 5), (200, 3, 5), (33, 16, 5)]
)
def test_chunks_of_a_long_sequence(cell, units, batch, features, isa, rng):
    plan = random_plan(rng, cell, features, units)
    x = normal(rng, batch, 210, features)
    whole = run(plan, x, units, cell=cell)
    for cut in (1, 95, 96, 97, 130, 209):
        outputs, *states = run(plan, x[:, :cut], units, cell=cell)
        more, *states = run(plan, x[:, cut:], units, states, cell=cell)
        assert_equal([np.concatenate([outputs, more], axis=1), *states], whole)


@pytest.mark.parametrize(("units", "features"), [(170, 5), (200, 200), (165, 180), (96, 100)])
@pytest.mark.parametrize("cell", CELLS)
def test_a_lone_row_of_many_steps(cell, units, features, isa, rng):
    plan, weights = make_plan(cell, oracle.random_weights(rng, cell, features, units))
    x = normal(rng, 2, 125, features)
    both = run(plan, x, units, cell=cell)
    assert_near(both, oracle.run(cell, weights, x))
    for timesteps in (59, 60, 61, 80, 99, 125):
        part = x[:, :timesteps]
        for options in ({}, {"go_backwards": True}):
            both = run(plan, part, units, cell=cell, **options)
            for row in range(2):
                alone = run(plan, part[row : row + 1], units, cell=cell, **options)
                assert_equal(alone, [array[row : row + 1] for array in both])


@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_the_last_output_alone(cell, go_backwards, isa, rng):
    plan = random_plan(rng, cell, 5, 17)
    x, mask = normal(rng, 14, 6, 5), rng.random((14, 6)) < 0.4
    for options in ({}, {"mask": mask}, {"mask": mask, "zero_output_for_mask": True}):
        options["go_backwards"] = go_backwards
        outputs, *states = run(plan, x, 17, cell=cell, **options)
        last = run(plan, x, 17, cell=cell, last_only=True, **options)
        assert_equal(last, [outputs[:, -1], *states])


def padded(outputs, counts, zero_output):
    """Return what a masked row gives, from the outputs of its steps that count."""
    result, last, position = [], np.zeros(outputs.shape[1], np.float32), 0
    for counted in counts:
        if counted:
            last, position = outputs[position], position + 1
        result.append(last if counted or not zero_output else np.zeros_like(last))
    return np.array(result, np.float32).reshape(-1, outputs.shape[1])


@settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(data=st.data())
def test_a_masked_batch_is_each_sequence_alone(data, isa):
    cell = data.draw(st.sampled_from(CELLS))
    units = data.draw(st.sampled_from([1, 8, 9, 33]))
    features = data.draw(st.sampled_from([0, 1, 4, 5]))
    batch, timesteps = data.draw(st.integers(0, 20)), data.draw(st.integers(0, 9))
    go_backwards, zero_output = data.draw(st.booleans()), data.draw(st.booleans())
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    lengths = rng.integers(0, timesteps + 1, batch)
    mask = np.arange(timesteps) < lengths[:, None]
    if data.draw(st.booleans()):
        mask &= rng.random((batch, timesteps)) < 0.7
    x = normal(rng, batch, timesteps, features)
    x[~mask] = np.nan
    plan = random_plan(rng, cell, features, units)
    initial = [normal(rng, batch, units) for _ in range(oracle.CELLS[cell][2])]
    options = {"mask": mask, "go_backwards": go_backwards, "zero_output_for_mask": zero_output}
    whole = run(plan, x, units, initial, cell=cell, **options)
    for row in range(batch):
        alone = x[row : row + 1, mask[row]]
        first = [state[row : row + 1] for state in initial]
        outputs, *states = run(plan, alone, units, first, cell=cell, go_backwards=go_backwards)
        counts = mask[row, ::-1] if go_backwards else mask[row]
        expected = padded(outputs[0], counts, zero_output)
        assert np.array_equal(whole[0][row], expected)
        assert_equal([part[row : row + 1] for part in whole[1:]], states)


def test_a_table_gives_the_bits_of_its_rows(isa, rng):
    embeddings, ids = normal(rng, 120, 5), rng.integers(0, 120, (13, 8))
    for cell in CELLS:
        plan = random_plan(rng, cell, 5, 33)
        table = plan.project(embeddings)
        for backwards in (False, True):
            options = {"cell": cell, "go_backwards": backwards}
            by_table = run(plan, ids, 33, table=table, **options)
            assert_equal(by_table, run(plan, embeddings[ids], 33, **options))
            alone = run(plan, ids[:1], 33, table=table, **options)
            assert_equal(alone, [part[:1] for part in by_table])
