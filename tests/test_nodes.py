"""One step of many sequences from states that they share, against the oracle and whole batches."""

import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_engine import CELLS, make_plan

from rnn_core import _engine

UNITS = [1, 7, 8, 17, 64]


def walked(plan, inputs, which, parents, projected=False):
    """Return the states after the steps of `which` and `parents`, one after the other."""
    states = _engine.first_states(plan)
    for rows, before in zip(which, parents, strict=True):
        states = _engine.step_nodes(plan, inputs, rows, before, states, projected)
    return states


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("projected", [False, True])
def test_sequences_of_a_trie(cell, units, projected, isa, rng):
    plan, weights = make_plan(cell, oracle.random_weights(rng, cell, 3, units), "float32")
    vectors = rng.standard_normal((9, 3)).astype("f")
    ids = rng.integers(0, 9, (200, 3))  # more than the rows of a block
    parents = [np.zeros(5, int), rng.integers(0, 5, 97), rng.integers(0, 97, 200)]
    which = [ids[: len(rows), level] for level, rows in enumerate(parents)]
    paths = np.stack([which[0][parents[1][parents[2]]], which[1][parents[2]], which[2]], axis=1)
    states = walked(
        plan, plan.project(vectors) if projected else vectors, which, parents, projected
    )
    _, exact = oracle.run(cell, weights, vectors[paths])
    alone = tuple(np.zeros((200, units), "f") for _ in exact)
    plan.run(vectors[paths], alone, np.empty((200, units), "f"))
    for state, theirs, mine in zip(states, exact, alone, strict=True):
        np.testing.assert_allclose(state[:, :units], theirs, rtol=0, atol=2e-6)
        np.testing.assert_array_equal(state[:, :units], mine)


def test_a_layer_above_reads_the_states_of_the_one_below(rng):
    below, _ = make_plan("lstm", oracle.random_weights(rng, "lstm", 3, 7), "float32")
    above, _ = make_plan("gru_after", oracle.random_weights(rng, "gru_after", 7, 5), "float32")
    x = rng.standard_normal((4, 3)).astype("f")
    parents = np.zeros(4, int)
    lower = _engine.step_nodes(below, x, None, parents, _engine.first_states(below))
    upper = _engine.step_nodes(above, lower[0], None, parents, _engine.first_states(above))
    alone = (np.zeros((4, 5), "f"),)
    above.run(np.ascontiguousarray(lower[0][:, None, :7]), alone, np.empty((4, 5), "f"))
    np.testing.assert_array_equal(upper[0][:, :5], alone[0])


def test_what_does_not_fit(rng):
    plan, _ = make_plan("lstm", oracle.random_weights(rng, "lstm", 3, 6), "float32")
    blas, _ = make_plan("lstm", oracle.random_weights(rng, "lstm", 3, 6), "float64")
    x, rows, states = np.zeros((4, 3), "f"), np.arange(4), _engine.first_states(plan)
    parents = np.zeros(4, int)
    bad = [
        (blas, x, rows, parents, states),
        (plan, x.astype("d"), rows, parents, states),
        (plan, x[:, :2], rows, parents, states),
        (plan, x, rows + 1, parents, states),
        (plan, x, -rows, parents, states),
        (plan, x, rows[:3], parents, states),
        (plan, x[:3], None, parents, states),
        (plan, x, rows, parents + 1, states),
        (plan, x, rows, parents, states[:1]),
        (plan, x, rows, parents, (states[0], states[1][:0])),
        (plan, x, rows, parents, (states[0][:, :2], states[1])),
        (plan, x, rows, parents, states, True),
    ]
    for arguments in bad:
        with pytest.raises(ValueError, match="expected|range"):
            _engine.step_nodes(*arguments)
    with pytest.raises(TypeError, match="float32"):
        _engine.step_nodes(plan, x, rows.astype("f"), parents, states)


def test_the_nodes_of_a_level():
    """Rows a, ab, abc, abd and b, of which the first ended before level 1."""
    ids = np.array([[0, 0, 0, 0, 1], [-1, 1, 1, 1, -1], [-1, -1, 2, 3, -1]], np.int32)
    own, lengths = np.array([0, 1, 2, 2, 0]), np.array([1, 2, 3, 3, 1])
    node_of, which, parents = (np.zeros(5, int) for _ in range(3))
    expected = [
        ([0, 1], [0, 0], [0, 0, 0, 0, 1]),
        ([1], [0], [0, 0, 0, 0, 1]),
        ([2, 3], [0, 0], [0, 0, 0, 1, 1]),
    ]
    for level, (nodes, above, places) in enumerate(expected):
        count = _engine.enter_level(ids[level], own, lengths, level, node_of, which, parents)
        assert (which[:count].tolist(), parents[:count].tolist()) == (nodes, above)
        assert node_of.tolist() == places
    with pytest.raises(ValueError, match="several lengths"):
        _engine.enter_level(ids[0], own[:4], lengths, 0, node_of, which, parents)
    with pytest.raises(ValueError, match="room for nodes"):
        _engine.enter_level(ids[0], own, lengths, 0, node_of, which[:4], parents)


def common(a, b):
    """How many values two lists begin with alike."""
    return next(
        (i for i, (m, n) in enumerate(zip(a, b, strict=False)) if m != n), min(len(a), len(b))
    )


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 32),
    st.integers(0, 40),
    st.sampled_from([0, 1, 2, 5, 90, 300]),
    st.randoms(use_true_random=False),
)
def test_sequences_are_sorted(bits, timesteps, rows, random):
    """By the ids that count; the same for few rows and for many, alike in little and in much."""
    most = (1 << bits) - 2
    kinds = random.choice([1, 2, 1 << 20])
    lengths = np.array([random.randint(0, timesteps) for _ in range(rows)], np.intp)
    ids = [[max(0, most - random.randrange(kinds)) for _ in range(timesteps)] for _ in range(rows)]
    ids = np.array(ids, np.int64).astype(np.int32).reshape(rows, timesteps)
    order, own = _engine.sort_sequences(ids, lengths, bits)
    unsigned = ids.view(np.uint32)
    sequences = [tuple(unsigned[row, : lengths[row]].tolist()) for row in range(rows)]
    assert sorted(order.tolist()) == list(range(rows))
    ordered = [sequences[row] for row in order]
    assert ordered == sorted(sequences)
    for before, sequence, shared in zip(ordered, ordered[1:], own[1:], strict=False):
        assert min(shared, len(sequence)) == common(before, sequence)
    assert not own[:1].any()


@pytest.mark.parametrize(("lengths", "bits"), [([1], 4), ([1, 4], 4), ([-1, 0], 4), ([1, 2], 33)])
def test_lengths_that_do_not_fit(lengths, bits):
    with pytest.raises(ValueError, match="expected"):
        _engine.sort_sequences(np.zeros((2, 3), np.int32), np.array(lengths), bits)


def test_nodes_are_copied_to_rows(rng):
    states = rng.standard_normal((4, 8)).astype("f")
    target = np.zeros((6, 5), "f")
    _engine.copy_nodes(states, np.array([3, 0, 3]), target, np.array([5, 1, 2]))
    expected = np.zeros((6, 5), "f")
    expected[[5, 1, 2]] = states[[3, 0, 3], :5]
    np.testing.assert_array_equal(target, expected)
    read_only = target.copy()
    read_only.flags.writeable = False
    for arguments in [
        (states, np.array([4]), target, np.array([0])),
        (states, np.array([0]), target, np.array([6])),
        (states, np.array([0, 1]), target, np.array([0])),
        (states[:, :4], np.array([0]), target, np.array([0])),
        (states.astype("d"), np.array([0]), target, np.array([0])),
        (states, np.array([0]), read_only, np.array([0])),
        (np.asfortranarray(states), np.array([0]), target, np.array([0])),
    ]:
        with pytest.raises(ValueError, match="expected"):
            _engine.copy_nodes(*arguments)
