"""Masks of every pattern, through every kind of recurrent layer, against the oracle."""

import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rnn_core as rc

FEATURES = 3
MAKE = {
    "simple_rnn": rc.SimpleRNNCell,
    "lstm": rc.LSTMCell,
    "gru_after": rc.GRUCell,
    "gru_before": lambda units, **kwargs: rc.GRUCell(units, reset_after=False, **kwargs),
}
MERGE = {
    "concat": lambda a, b: np.concatenate([a, b], axis=-1),
    "sum": np.add,
    "mul": np.multiply,
    "ave": lambda a, b: (a + b) / 2,
}


class InPython:
    """A cell that only the Python loop can run."""

    def __init__(self, cell):
        self.call = cell.call
        self.state_size, self.output_size = cell.state_size, cell.output_size


def weights_of(cell):
    kernel, recurrent_kernel, bias = cell.get_weights()
    bias, recurrent_bias = bias if bias.ndim == 2 else (bias, np.zeros_like(bias))
    return {
        "kernel": kernel,
        "recurrent_kernel": recurrent_kernel,
        "bias": bias,
        "recurrent_bias": recurrent_bias,
    }


def run_stack(kinds, cells, x, states, mask, go_backwards, zero_output):
    """Each cell over all outputs of the one below; they come in processing order."""
    last_states = []
    for floor, (kind, cell) in enumerate(zip(kinds, cells, strict=True)):
        count = oracle.CELLS[kind][2]
        own, states = states[:count], states[count:]
        top = floor == len(cells) - 1
        x, last = oracle.run(
            kind, weights_of(cell), x, own, mask, go_backwards, top and zero_output
        )
        mask, go_backwards = (mask[:, ::-1], False) if go_backwards else (mask, False)
        last_states += last
    return x, last_states


def by_cell(kinds, states):
    """One entry a cell: its state, or a list of two."""
    rest = iter(states)
    counts = [oracle.CELLS[kind][2] for kind in kinds]
    return [next(rest) if n == 1 else [next(rest), next(rest)] for n in counts]


def flat(states):
    return [leaf for s in states for leaf in (s if isinstance(s, list) else [s])]


@st.composite
def masks(draw, batch, timesteps):
    """Rows with no step, all steps, a beginning, an end, or gaps."""
    steps = np.arange(timesteps)
    length = st.integers(0, timesteps)
    row = st.one_of(
        length.map(lambda n: steps < n),
        length.map(lambda n: steps >= n),
        st.lists(st.booleans(), min_size=timesteps, max_size=timesteps).map(
            lambda row: np.array(row, bool)
        ),
    )
    return np.array([draw(row) for _ in range(batch)], bool).reshape(batch, timesteps)


@st.composite
def problems(draw):
    batch, timesteps = draw(st.integers(0, 4)), draw(st.integers(0, 6))
    kinds = draw(st.lists(st.sampled_from(sorted(MAKE)), min_size=1, max_size=3))
    dtype = draw(st.sampled_from(["float32", "float64"]))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    cells, width = [], FEATURES
    for kind in kinds:
        cell = MAKE[kind](draw(st.integers(1, 5)), dtype=dtype)
        cell.build((None, width))
        cell.set_weights([rng.uniform(-0.6, 0.6, w.shape) for w in cell.weights])
        cells.append(cell)
        width = cell.units
    x = rng.standard_normal((batch, timesteps, FEATURES)).astype(dtype)
    mask = draw(masks(batch, timesteps))
    x[~mask] = np.nan
    states = [
        rng.standard_normal((batch, cell.units)).astype(dtype)
        for kind, cell in zip(kinds, cells, strict=True)
        for _ in range(oracle.CELLS[kind][2])
    ]
    return kinds, cells, x, mask, states, dtype


def assert_close(ours, exact, dtype):
    assert len(ours) == len(exact)
    for mine, theirs in zip(ours, exact, strict=True):
        assert mine.dtype == dtype
        np.testing.assert_allclose(mine, theirs, atol=2e-6 if dtype == "float32" else 1e-12)


OPTIONS = st.fixed_dictionaries(
    {
        key: st.booleans()
        for key in ("return_sequences", "go_backwards", "unroll", "time_major", "stateful")
    }
)


@settings(max_examples=300, deadline=None)
@given(problems(), OPTIONS, st.booleans(), st.booleans(), st.booleans())
def test_stacks(problem, options, zero_output, in_python, with_states):
    kinds, cells, x, mask, states, dtype = problem
    states = states if with_states else [np.zeros_like(s) for s in states]
    exact, exact_states = run_stack(
        kinds, cells, x, states, mask, options["go_backwards"], zero_output
    )
    if not options["return_sequences"]:
        exact = exact[:, -1] if x.shape[1] else np.zeros((len(x), cells[-1].units))
    used = [InPython(cell) for cell in cells] if in_python else cells
    layer = rc.RNN(
        used if len(used) > 1 else used[0],
        return_state=True,
        zero_output_for_mask=zero_output,
        dtype=dtype,
        **options,
    )
    given_x, given_mask = (x.swapaxes(0, 1), mask.T) if options["time_major"] else (x, mask)
    initial = by_cell(kinds, states) if len(used) > 1 else states
    output, *last = layer(given_x, given_mask, initial_state=initial if with_states else None)
    if options["time_major"] and options["return_sequences"]:
        output = output.swapaxes(0, 1)
    assert_close([output, *flat(last)], [exact, *exact_states], dtype)


@settings(max_examples=150, deadline=None)
@given(problems(), st.sampled_from([*sorted(MERGE), None]), st.booleans(), st.booleans())
def test_bidirectional(problem, merge_mode, return_sequences, in_python):
    kinds, cells, x, mask, states, dtype = problem
    used = [InPython(cell) for cell in cells] if in_python else cells
    options = {"return_sequences": return_sequences, "return_state": True, "dtype": dtype}
    layer = rc.Bidirectional(rc.RNN(cells, **options), merge_mode)
    layer.forward_layer.cell = layer.backward_layer.cell = rc.StackedRNNCells(used, dtype=dtype)
    result = layer(x, mask=mask, initial_state=by_cell(kinds * 2, states * 2))
    there, back = (
        run_stack(kinds, cells, x, states, mask, backwards, return_sequences)
        for backwards in (False, True)
    )
    if return_sequences:
        ends = [there[0], back[0][:, ::-1]]
    else:
        # The last output that counts: the states' h, or zeros for rows without any step.
        ends = [side[0][:, -1] if x.shape[1] else side[0].sum(axis=1) for side in (there, back)]
    merged = ends if merge_mode is None else [MERGE[merge_mode](*ends)]
    assert_close(flat(result), [*merged, *there[1], *back[1]], dtype)


@settings(max_examples=60, deadline=None)
@given(problems(), st.booleans())
def test_padded_sequences_are_the_sequences_alone(problem, in_python):
    kinds, cells, x, mask, states, dtype = problem
    used = [InPython(cell) for cell in cells] if in_python else cells
    layer = rc.RNN(used, return_state=True, dtype=dtype)
    output, *last = layer(x, mask=mask, initial_state=by_cell(kinds, states))
    for row in range(len(x)):
        own_states = by_cell(kinds, [state[row : row + 1] for state in states])
        alone = layer(x[row : row + 1, mask[row]], initial_state=own_states)
        together = [y[row : row + 1] for y in [output, *flat(last)]]
        assert_close(together, flat(alone), dtype)


@pytest.mark.parametrize("in_python", [False, True])
def test_a_mask_between_layers(in_python, rng):
    """Masking -> LSTM -> GRU: what is masked below stays masked above."""
    x = rng.standard_normal((3, 5, FEATURES)).astype(np.float32)
    x[0, 3:] = x[1, 0] = -1
    cells = [rc.LSTMCell(4), rc.GRUCell(2)]
    for cell, width in zip(cells, (FEATURES, 4), strict=True):
        cell.build((None, width))
    lower, upper = (InPython(cell) if in_python else cell for cell in cells)
    model = rc.Sequential([rc.Masking(-1.0), rc.RNN(lower, return_sequences=True), rc.RNN(upper)])
    mask = (x != -1).any(axis=-1)
    output = model(x)
    exact, _ = run_stack(
        ["lstm", "gru_after"], cells, x, [np.zeros((3, n)) for n in (4, 4, 2)], mask, False, False
    )
    np.testing.assert_allclose(output, exact[:, -1], atol=2e-6)


def test_masks_of_several_inputs_are_the_first(rng):
    x = rng.standard_normal((2, 5, FEATURES)).astype(np.float32)
    mask = np.array([[1, 1, 0, 1, 0], [0, 1, 1, 0, 1]], bool)
    layer = rc.LSTM(4)
    h = c = np.zeros((2, 4), np.float32)
    expected = layer(x, mask=mask)
    assert not np.array_equal(layer(x), expected)
    for form in (mask.tolist(), [mask], (mask, None, None)):
        np.testing.assert_array_equal(layer(x, mask=form), expected)
    np.testing.assert_array_equal(layer([x, h, c], mask=[mask, None, None]), expected)
    np.testing.assert_array_equal(layer(x, mask=[None, mask]), layer(x))
    np.testing.assert_array_equal(layer(x, initial_state=[h.tolist(), c.tolist()]), layer(x))
