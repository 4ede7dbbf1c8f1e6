"""The step loop against the oracle: each cell, instruction set and dtype, at block edges."""

import numpy as np
import oracle
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rnn_core import _engine

CELLS = sorted(oracle.CELLS)


def make_plan(cell, weights, dtype, activation="tanh", recurrent_activation="sigmoid"):
    arrays = {name: value.astype(dtype) for name, value in weights.items()}
    plan = _engine.Plan(
        cell,
        arrays["kernel"],
        arrays["recurrent_kernel"],
        arrays["bias"],
        arrays["recurrent_bias"] if cell == "gru_after" else None,
        activation,
        recurrent_activation,
    )
    return plan, arrays


def run_both(cell, rng, dtype, batch, timesteps, features, units, **options):
    """Return the engine's and the oracle's (outputs, states)."""
    activations = {
        key: options.pop(key) for key in ("activation", "recurrent_activation") if key in options
    }
    plan, weights = make_plan(
        cell, oracle.random_weights(rng, cell, features, units), dtype, **activations
    )
    x = rng.standard_normal((batch, timesteps, features)).astype(dtype)
    initial = [
        (0.5 * rng.standard_normal((batch, units))).astype(dtype)
        for _ in range(oracle.CELLS[cell][2])
    ]
    states = tuple(state.copy() for state in initial)
    out = np.full((batch, timesteps, units), np.nan, dtype)
    plan.run(
        x,
        states,
        out,
        options.get("mask"),
        options.get("go_backwards", False),
        options.get("zero_output", False),
    )
    return (out, states), oracle.run(cell, weights, x, initial, **options, **activations)


def assert_same(ours, theirs, tolerance):
    for mine, exact in zip([ours[0], *ours[1]], [theirs[0], *theirs[1]], strict=True):
        np.testing.assert_allclose(mine, exact, rtol=0, atol=tolerance)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("units", [1, 3, 4, 7, 8, 9, 16, 17, 33])
def test_fifty_steps(cell, units, isa, dtype, tolerance, rng):
    ours, theirs = run_both(cell, rng, dtype, batch=3, timesteps=50, features=5, units=units)
    assert_same(ours, theirs, tolerance)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(
    ("batch", "timesteps", "features"),
    [(0, 4, 3), (2, 0, 3), (0, 0, 3), (1, 1, 1), (1, 7, 3), (5, 1, 3), (2, 3, 0)],
)
def test_small_and_empty_shapes(cell, batch, timesteps, features, dtype, tolerance, rng):
    ours, theirs = run_both(cell, rng, dtype, batch, timesteps, features, units=4)
    assert_same(ours, theirs, tolerance)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("batch", [511, 512, 513, 1030])
def test_row_blocks(cell, batch, dtype, tolerance, rng):
    ours, theirs = run_both(cell, rng, dtype, batch, timesteps=3, features=2, units=5)
    assert_same(ours, theirs, tolerance)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("batch", [1, 3, 40])
def test_step_chunks(cell, go_backwards, batch, tolerance, dtype, rng):
    # Wide enough that a chunk holds only some of the steps, projected by rows or by steps.
    ours, theirs = run_both(
        cell, rng, dtype, batch, timesteps=120, features=5, units=200, go_backwards=go_backwards
    )
    assert_same(ours, theirs, tolerance)


@pytest.mark.parametrize("cell", ["lstm", "gru_after", "gru_before", "simple_rnn"])
@pytest.mark.parametrize("activation", sorted(oracle.ACTIVATIONS))
def test_activations(cell, activation, isa, dtype, tolerance, rng):
    # Without a bound a recurrence with exponential leaves every range.
    timesteps = 1 if activation == "exponential" else 10
    ours, theirs = run_both(
        cell,
        rng,
        dtype,
        3,
        timesteps,
        4,
        5,
        activation=activation,
        recurrent_activation="hard_sigmoid",
    )
    scale = max(1, np.abs(theirs[0]).max())
    assert_same(ours, theirs, 4 * scale * tolerance)


@pytest.mark.parametrize("activation", ["softmax", "hard_sigmoid_legacy", "relu"])
def test_recurrent_activations(activation, dtype, tolerance, rng):
    for cell in ("lstm", "gru_after", "gru_before"):
        ours, theirs = run_both(cell, rng, dtype, 3, 5, 4, 5, recurrent_activation=activation)
        scale = max(1, np.abs(theirs[0]).max())
        assert_same(ours, theirs, 4 * scale * tolerance)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_masks(data):
    cell = data.draw(st.sampled_from(CELLS))
    dtype = data.draw(st.sampled_from(["float32", "float64"]))
    batch, timesteps = data.draw(st.integers(0, 5)), data.draw(st.integers(0, 7))
    bits = data.draw(
        st.lists(st.booleans(), min_size=batch * timesteps, max_size=batch * timesteps)
    )
    mask = np.array(bits, bool).reshape(batch, timesteps)
    options = {
        "mask": mask,
        "go_backwards": data.draw(st.booleans()),
        "zero_output": data.draw(st.booleans()),
    }
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    ours, theirs = run_both(cell, rng, dtype, batch, timesteps, 3, 4, **options)
    assert_same(ours, theirs, 2e-6 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("zero_output", [False, True])
@pytest.mark.parametrize("go_backwards", [False, True])
def test_the_last_output_is_the_last_of_the_sequence(cell, zero_output, go_backwards, dtype, rng):
    plan, _ = make_plan(cell, oracle.random_weights(rng, cell, 3, 6), dtype)
    x = rng.standard_normal((20, 6, 3)).astype(dtype)
    mask = rng.random((20, 6)) < 0.4
    mask[0] = False
    results = []
    for shape in ((20, 6, 6), (20, 6)):
        states = tuple(np.full((20, 6), 0.25, dtype) for _ in range(oracle.CELLS[cell][2]))
        out = np.full(shape, np.nan, dtype)
        plan.run(x, states, out, mask, go_backwards, zero_output)
        results.append(out)
    assert np.array_equal(results[0][:, -1], results[1])
    assert not results[1][0].any()


@pytest.mark.parametrize("cell", CELLS)
def test_nan_in_a_masked_step_goes_nowhere(cell, dtype, rng):
    plan, _ = make_plan(cell, oracle.random_weights(rng, cell, 5, 6), dtype)
    mask = rng.random((9, 8)) < 0.5
    results = []
    for filler in (0.0, np.nan):
        x = np.random.default_rng(1).standard_normal((9, 8, 5)).astype(dtype)
        x[~mask] = filler
        states = tuple(np.zeros((9, 6), dtype) for _ in range(oracle.CELLS[cell][2]))
        out = np.empty((9, 8, 6), dtype)
        plan.run(x, states, out, mask)
        results.append([out, *states])
    for clean, poisoned in zip(*results, strict=True):
        assert np.array_equal(clean, poisoned)


LAYOUTS = {
    "contiguous": lambda x: x,
    "time-major": lambda x: np.ascontiguousarray(x.swapaxes(0, 1)).swapaxes(0, 1),
    "fortran": np.asfortranarray,
    "every other step": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "reversed steps": lambda x: x[:, ::-1].copy()[:, ::-1],
    "one row for all steps": lambda x: np.broadcast_to(x[:, :1], x.shape),
    "part of wider features": lambda x: np.pad(x, ((0, 0), (0, 0), (1, 2)))[..., 1:-2],
    "read-only": lambda x: _read_only(x),
    "misaligned": lambda x: _misaligned(x),
}


def _read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


def _misaligned(x):
    raw = np.zeros(x.nbytes + 1, np.uint8)
    view = raw[1:].view(x.dtype).reshape(x.shape)
    view[...] = x
    return view


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_inputs_of_any_layout(layout, dtype, tolerance, rng):
    plan, weights = make_plan("lstm", oracle.random_weights(rng, "lstm", 3, 6), dtype)
    x = LAYOUTS[layout](rng.standard_normal((4, 9, 3)).astype(dtype))
    states = tuple(np.zeros((4, 6), dtype) for _ in range(2))
    out = np.empty((4, 9, 6), dtype)
    plan.run(x, states, out)
    assert_same((out, states), oracle.run("lstm", weights, x), tolerance)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("units", [6, 16])
def test_outputs_go_straight_into_strided_arrays(cell, units, isa, dtype, rng):
    plan, _ = make_plan(cell, oracle.random_weights(rng, cell, 3, units), dtype)
    x = rng.standard_normal((4, 9, 3)).astype(dtype)
    plain = np.empty((4, 9, units), dtype)
    wide = np.full((9, 4, units + 5), 7, dtype)
    strided = wide.swapaxes(0, 1)[:, ::-1, 3:-2]
    for out in (plain, strided):
        plan.run(x, tuple(np.zeros((4, units), dtype) for _ in range(oracle.CELLS[cell][2])), out)
    assert np.array_equal(strided, plain)
    assert (wide[..., :3] == 7).all()
    assert (wide[..., -2:] == 7).all()


def test_a_table_stands_for_the_projection(dtype, tolerance, rng):
    plan, weights = make_plan("lstm", oracle.random_weights(rng, "lstm", 3, 6), dtype)
    embeddings = rng.standard_normal((11, 3)).astype(dtype)
    ids = rng.integers(0, 11, (5, 8))
    states = tuple(np.zeros((5, 6), dtype) for _ in range(2))
    out = np.empty((5, 8, 6), dtype)
    plan.run(ids, states, out, None, False, False, plan.project(embeddings))
    assert_same((out, states), oracle.run("lstm", weights, embeddings[ids]), tolerance)


def test_a_call_that_does_not_fit_changes_nothing(rng):
    plan, _ = make_plan("lstm", oracle.random_weights(rng, "lstm", 3, 6), "float32")
    x = np.zeros((4, 9, 3), np.float32)
    states = tuple(np.ones((4, 6), np.float32) for _ in range(2))
    out = np.zeros((4, 9, 6), np.float32)
    table = np.zeros((5, 24), np.float32)
    bad = [
        (x[..., :2], states, out),
        (x[0], states, out),
        (x.astype(np.float64), states, out),
        (x, states[:1], out),
        (x, (states[0], states[1][:2]), out),
        (x, states, out[:, :5]),
        (x, states, np.asfortranarray(out)),
        (x, states, out, np.ones((4, 8), bool)),
        (x, states, out, np.ones((4, 9), np.int32)),
        (x, states, out, np.array(True)),
        (x, states, out, np.ones((4, 9, 1), bool)),
        (np.full((4, 9), 5), states, out, None, False, False, table),
        (np.full((4, 9), -1), states, out, None, False, False, table),
        (np.zeros((4, 9), int), states, out, None, False, False, table[:, :20]),
    ]
    for arguments in bad:
        with pytest.raises(ValueError, match="expected|must be"):
            plan.run(*arguments)
    assert all((state == 1).all() for state in states)
    assert not out.any()
