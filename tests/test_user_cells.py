"""Cells that users write."""

from collections import namedtuple

import numpy as np
import pytest

import rnn_core as rc
from rnn_core import TensorShape

Pair = namedtuple("Pair", "vector matrix")


class Nested:
    """A vector and a matrix in, two states, two outputs, by einsum."""

    output_size = (3, TensorShape((2, 4)))

    def __init__(self, named):
        self.state_size = Pair(*self.output_size) if named else self.output_size

    def build(self, shapes):
        (batch, features), (same, rows, columns) = shapes
        assert batch == same
        rng = np.random.default_rng(0)
        self.vector = rng.standard_normal((features, 3))
        self.matrix = rng.standard_normal((rows, columns, 2, 4))

    def call(self, inputs, states):
        one, two = inputs
        vector, matrix = states
        vector = vector + one @ self.vector
        matrix = matrix + np.einsum("bij,ijkl->bkl", two, self.matrix)
        return (2 * vector, -matrix), Pair(vector, matrix)


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("time_major", [False, True])
@pytest.mark.parametrize("go_backwards", [False, True])
def test_nested_inputs_states_and_outputs(named, time_major, go_backwards, rng):
    one, two = rng.standard_normal((2, 5, 6)), rng.standard_normal((2, 5, 2, 3))
    mask = np.array([[1, 1, 0, 1, 0], [0, 1, 1, 1, 1]], bool)
    start = [rng.standard_normal((2, 3)), rng.standard_normal((2, 2, 4))]
    cell = Nested(named)
    layer = rc.RNN(
        cell,
        return_sequences=True,
        return_state=True,
        time_major=time_major,
        go_backwards=go_backwards,
        dtype="float64",
    )
    given = Pair(one, two) if named else (one, two)
    arguments = {"mask": mask, "initial_state": start}
    if time_major:
        given = (
            type(given)(*(x.swapaxes(0, 1) for x in given))
            if named
            else tuple(x.swapaxes(0, 1) for x in given)
        )
        arguments["mask"] = mask.T
    outputs, *states = layer(given, **arguments)
    outputs = [y.swapaxes(0, 1) if time_major else y for y in outputs]

    order = slice(None, None, -1) if go_backwards else slice(None)
    counts = mask[:, order]
    growth = [
        (one @ cell.vector)[:, order],
        np.einsum("btij,ijkl->btkl", two, cell.matrix)[:, order],
    ]
    results = zip(outputs, states, start, growth, (2, -1), strict=True)
    for output, state, first, step, factor in results:
        wide = counts.reshape(2, 5, *[1] * (step.ndim - 2))
        sums = first[:, None] + np.cumsum(np.where(wide, step, 0), axis=1)
        np.testing.assert_allclose(state, sums[:, -1])
        begun = np.maximum.accumulate(wide, axis=1)
        np.testing.assert_allclose(output, np.where(begun, factor * sums, 0))
    lead = (5, 2) if time_major else (2, 5)
    shapes = layer.compute_output_shape(tuple(x.shape for x in given))
    assert shapes == [((*lead, 3), (*lead, 2, 4)), (2, 3), (2, 2, 4)]


def test_nested_inputs_in_a_graph(rng):
    a, b = rc.Input((5, 6)), rc.Input((5, 2, 3))
    h, c = rc.Input((3,)), rc.Input((2, 4))
    outputs = rc.RNN(Nested(False))([(a, b), h, c])
    assert [y.shape for y in outputs] == [(None, 3), (None, 2, 4)]
    model = rc.Model([a, b, h, c], list(outputs))
    x = [rng.standard_normal((3, *shape)) for shape in [(5, 6), (5, 2, 3), (3,), (2, 4)]]
    expected = rc.RNN(Nested(False))(tuple(x[:2]), initial_state=x[2:])
    for mine, exact in zip(model.predict(x), expected, strict=True):
        np.testing.assert_allclose(mine, exact, atol=1e-5)


class Stateless:
    state_size, output_size = (), 3

    def call(self, inputs, states):
        assert len(states) == 0
        return 2 * inputs, []


@pytest.mark.parametrize("stateful", [False, True])
def test_a_cell_without_states(stateful):
    x = np.arange(18.0).reshape(2, 3, 3)
    layer = rc.RNN(Stateless(), return_sequences=True, return_state=True, stateful=stateful)
    for _ in range(2):
        (output,) = layer(x, mask=np.array([[1, 1, 0], [1, 1, 1]]))
        np.testing.assert_array_equal(output[0], [2 * x[0, 0], 2 * x[0, 1], 2 * x[0, 1]])
        np.testing.assert_array_equal(output[1], 2 * x[1])
    if stateful:
        layer.reset_states()


class Recorder(rc.AbstractRNNCell):
    """Keeps what it was called with."""

    state_size = output_size = 2

    def __init__(self):
        super().__init__()
        self.seen = []

    def call(self, inputs, states, training=None, constants=None):
        self.seen.append((inputs, training, constants))
        return inputs, states


def test_steps_are_views_of_the_inputs():
    x = np.zeros((2, 3, 2), np.float32)
    cell = Recorder()
    rc.RNN(cell)(x)
    assert len(cell.seen) == 3
    assert all(np.shares_memory(step, x) for step, _, _ in cell.seen)


def test_training_and_constants_reach_a_cell_that_takes_them():
    cell = Recorder()
    x = np.zeros((2, 1, 2))
    constants = [np.full((2, 1), 3.0), np.full(4, 5.0)]
    rc.RNN(cell)(x, training=True, constants=constants)
    rc.RNN([Stateless2(), cell])(x, constants=constants)
    rc.RNN(cell, num_constants=2)([x, np.ones((2, 2)), *constants])
    assert [training for _, training, _ in cell.seen] == [True, None, None]
    for _, _, given in cell.seen:
        assert [float(c.flat[0]) for c in given] == [3, 5]
        assert all(c.dtype == np.float32 for c in given)


class Stateless2(Stateless):
    output_size = 2


def test_constants_are_counted():
    layer = rc.RNN(Recorder())
    layer(np.zeros((1, 1, 2)), constants=np.ones((1, 2)))
    assert layer.get_config()["num_constants"] == 1
    both = rc.Bidirectional(rc.RNN(Recorder2()))
    both([np.zeros((1, 1, 2)), np.zeros((1, 2)), np.zeros((1, 2))])
    assert "num_constants" not in both.get_config()
    both(np.zeros((1, 1, 2)), constants=np.ones((1, 2)))
    assert both.get_config()["num_constants"] == 1


class Recorder2(Recorder):
    def __init__(self, **kwargs):
        rc.AbstractRNNCell.__init__(self, **kwargs)
        self.seen = []


def test_symbolic_constants(rng):
    x, scale = rc.Input((4, 2)), rc.Input((2,))
    layer = rc.RNN(Scaled())
    model = rc.Model([x, scale], layer(x, constants=[scale]))
    values = [rng.standard_normal((3, 4, 2)), rng.standard_normal((3, 2))]
    np.testing.assert_allclose(model.predict(values), values[0].sum(1) * values[1], atol=1e-5)
    config = model.get_config()
    with pytest.raises(ValueError, match="'Scaled', a class that rnn_core does not have"):
        rc.Model.from_config(config)
    twin = rc.Model.from_config(config, custom_objects={"Scaled": Scaled})
    np.testing.assert_array_equal(twin.predict(values), model.predict(values))


class Scaled(rc.AbstractRNNCell):
    """The sum of the inputs times a constant."""

    state_size = output_size = 2

    def call(self, inputs, states, constants):
        total = states[0] + inputs * constants[0]
        return total, total


class Reused:
    """Returns the same arrays at every step, and changes its states in place."""

    state_size = output_size = 2

    def __init__(self):
        self.output = np.zeros((2, 2), np.float32)

    def call(self, inputs, states):
        states[0][...] += inputs
        self.output[...] = states[0]
        return self.output, states


def test_arrays_that_a_cell_uses_again(rng):
    x = rng.standard_normal((2, 5, 2)).astype(np.float32)
    start = np.ones((2, 2), np.float32)
    layer = rc.RNN(Reused(), return_sequences=True, return_state=True)
    outputs, state = layer(x, initial_state=start)
    np.testing.assert_allclose(outputs, 1 + np.cumsum(x, axis=1), atol=1e-6)
    assert np.array_equal(state, outputs[:, -1])
    assert np.array_equal(start, np.ones((2, 2)))


def test_output_that_is_of_no_declared_size():
    class Wide:
        state_size = 2

        def call(self, inputs, states):
            return np.concatenate([inputs, inputs, inputs], axis=1), states

    x = np.arange(12.0).reshape(2, 3, 2)
    assert rc.RNN(Wide(), return_sequences=True)(x).shape == (2, 3, 6)
    both = rc.Bidirectional(rc.RNN(Keeps()))(x)
    np.testing.assert_array_equal(both, np.concatenate([x[:, -1], x[:, 0]], axis=1))


class Keeps(rc.AbstractRNNCell):
    state_size = 3

    def call(self, inputs, states):
        return inputs, states


class TensorShapeOfOthers:
    """What TensorFlow's looks like."""

    def as_list(self):
        return [2, 3]


def test_sizes_of_other_libraries():
    class Matrix:
        state_size = output_size = TensorShapeOfOthers()

        def call(self, inputs, states):
            return states[0] + inputs, states[0] + inputs

    x = np.ones((1, 4, 2, 3))
    output, state = rc.RNN(Matrix(), return_state=True)(x)
    assert np.array_equal(output, np.full((1, 2, 3), 4))
    assert np.array_equal(state, output)


@pytest.mark.parametrize("keras", [2, 3])
def test_first_states_of_the_cells_own(keras):
    class Sevens(rc.AbstractRNNCell):
        state_size = output_size = 2

        def call(self, inputs, states):
            return states[0] + inputs, states[0] + inputs

    if keras == 2:
        Sevens.get_initial_state = lambda self, inputs=None, batch_size=None, dtype=None: np.full(
            (batch_size, 2), 7, dtype
        )
    else:
        Sevens.get_initial_state = lambda self, batch_size=None: [np.full((batch_size, 2), 7.0)]
    x = np.ones((3, 4, 2))
    assert np.array_equal(rc.RNN(Sevens())(x), np.full((3, 2), 11))
    assert np.array_equal(rc.RNN([Sevens(), Sevens()])(x[:, :1]), np.full((3, 2), 15))
    assert np.array_equal(rc.RNN(Sevens(), stateful=True)(x), np.full((3, 2), 11))


def test_reverse_state_order(rng):
    x = rng.standard_normal((2, 4, 3))
    cells = [rc.LSTMCell(4), rc.GRUCell(3)]
    plain = rc.RNN(rc.StackedRNNCells(cells), return_state=True)
    reverse = rc.RNN(rc.StackedRNNCells(cells, reverse_state_order=True), return_state=True)
    assert reverse.cell.state_size == [3, [4, 4]]
    states = [[np.ones((2, 4)), np.zeros((2, 4))], np.ones((2, 3))]
    output, lower, upper = plain(x, initial_state=states)
    for mine, exact in zip(
        [*reverse(x, initial_state=states[::-1])], [output, upper, lower], strict=True
    ):
        np.testing.assert_array_equal(mine, exact)


class Custom(rc.AbstractRNNCell):
    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor
        self.state_size = self.output_size = 3

    def call(self, inputs, states):
        total = states[0] + self.factor * inputs
        return total, total

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda cell: rc.RNN(cell),
        lambda cell: rc.RNN([cell, rc.GRUCell(3)]),
        lambda cell: rc.Bidirectional(rc.RNN(cell)),
        lambda cell: rc.TimeDistributed(rc.RNN(cell)),
        lambda cell: rc.Sequential([rc.Input((4, 3)), rc.RNN(cell)]),
    ],
)
def test_configs_with_custom_objects(wrap, rng):
    layer = wrap(Custom(2.0))
    twin = type(layer).from_config(layer.get_config(), custom_objects={"Custom": Custom})
    x = rng.standard_normal((2, 5, 4, 3) if isinstance(layer, rc.TimeDistributed) else (2, 4, 3))
    layer(x), twin(x)
    twin.set_weights(layer.get_weights())
    np.testing.assert_array_equal(twin(x), layer(x))
    assert "Custom" not in rc.layers.__dict__
    with pytest.raises(ValueError, match="'Custom', a class that rnn_core does not have"):
        type(layer).from_config(layer.get_config())


def plain(state_size=2, output_size=2, call=lambda self, x, states: (x, states)):
    return type("Cell", (), {"state_size": state_size, "output_size": output_size, "call": call})()


X = np.zeros((2, 3, 2))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: rc.RNN(plain(call=lambda self, x, states: (x, [x, x])))(X),
            ValueError,
            r"states of shapes \[\(2, 2\), \(2, 2\)\], expected \[\(2, 2\)\]",
        ),
        (
            lambda: rc.RNN(plain(call=lambda self, x, states: (x[:1], states)))(X),
            ValueError,
            r"an output of shape \(1, 2\), expected an array with a batch of 2",
        ),
        (
            lambda: rc.RNN(plain())(X, constants=[X]),
            ValueError,
            "1 constants, expected none",
        ),
        (lambda: rc.LSTM(2)(X, constants=[X, X]), ValueError, "2 constants, expected none"),
        (lambda: rc.RNN([plain(), plain()])(X, constants=[X]), ValueError, "expected none"),
        (lambda: rc.RNN(plain())([X, X[:, 0], X[:, 0]]), ValueError, "layer has 1 states but"),
        (
            lambda: rc.RNN(plain())([X, X[:, 0]], initial_state=X[:, 0]),
            ValueError,
            "initial_state is given, and 1 more in the list",
        ),
        (lambda: rc.LSTM(2)((X, X)), ValueError, "2 inputs, expected one array"),
        (lambda: rc.LSTM(2)([(X, X)]), ValueError, "2 inputs, expected one array"),
        (lambda: rc.RNN(plain())((X, X[:1])), ValueError, "the same batch and timesteps"),
        (lambda: rc.RNN(plain())(X[0]), ValueError, r"\(3, 2\), expected at least 3 axes"),
        (lambda: rc.LSTM(2)(X[..., None]), ValueError, r"expected 3 axes \(batch, timesteps"),
        (
            lambda: rc.RNN(plain(state_size=[], output_size=None))(X[:, :0]),
            ValueError,
            "has no state, so it needs an output_size",
        ),
        (
            lambda: rc.GRU(2, unroll=True)(rc.Input((None, 3))),
            ValueError,
            "cannot unroll without timesteps",
        ),
        (
            lambda: rc.Bidirectional(rc.GRU(2, stateful=True))(rc.Input((4, 3))),
            ValueError,
            "must know its batch size",
        ),
        (
            lambda: rc.GRU(2)(rc.Input((4, 3)), initial_state=[rc.Input((2,)), X[:, 0]]),
            ValueError,
            "partly symbolic, partly arrays",
        ),
        (lambda: rc.AbstractRNNCell().state_size, NotImplementedError, "define state_size"),
        (lambda: rc.AbstractRNNCell().output_size, NotImplementedError, "define output_size"),
        (lambda: rc.AbstractRNNCell().call(X, []), NotImplementedError, "define call"),
        (lambda: rc.LSTMCell(2.5), TypeError, "units is 2.5, expected a whole number"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_cell_in_a_graph(rng):
    x, h, c = rc.Input((3,)), rc.Input((4,)), rc.Input((4,))
    cell = rc.LSTMCell(4)
    output, states = cell(x, [h, c])
    assert [y.shape for y in (output, *states)] == [(None, 4)] * 3
    model = rc.Model([x, h, c], [output, *states])
    values = [rng.standard_normal((2, n)) for n in (3, 4, 4)]
    expected = rc.RNN(cell, return_state=True)(values[0][:, None], initial_state=values[1:])
    for mine, exact in zip(model.predict(values), expected, strict=True):
        np.testing.assert_allclose(mine, exact, atol=1e-6)


def test_a_subclass_whose_call_takes_inputs_only():
    class Plain(rc.RNN):
        def call(self, inputs):
            return inputs.sum(axis=1)

    assert np.array_equal(Plain(rc.GRUCell(2))(np.ones((1, 3, 2))), [[3, 3]])
