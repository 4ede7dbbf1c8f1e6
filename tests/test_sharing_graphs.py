"""Branches of graphs whose steps rows share in predict: the same bits as without."""

import numpy as np
import pytest
from both_ways import assert_same, both_ways, randomized
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import rnn_core as rc
from rnn_core import _sharing, _walk

IDS = 6


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    monkeypatch.setattr(_walk, "WINDOW_ROWS", 32)
    monkeypatch.setattr(_sharing, "WINDOW_ROWS", 96)


def one_branch():
    x = rc.Input((None,))
    y = rc.LSTM(7)(rc.Dropout(0.2)(rc.Embedding(IDS, 5, mask_zero=True)(x)))
    return rc.Model(x, {"scores": rc.Dense(3)(y), "vector": y})


def two_inputs():
    left, right = rc.Input((None,), name="left"), rc.Input((None,), name="right")
    embedding = rc.Embedding(IDS, 5, mask_zero=True)
    both = [rc.LSTM(7)(embedding(left)), rc.GRU(4)(embedding(right))]
    return rc.Model([left, right], rc.Dense(2)(rc.Concatenate()(both)))


def ids_and_numbers():
    ids, numbers = rc.Input((None,), name="ids"), rc.Input((3,), name="numbers")
    y = rc.Bidirectional(rc.GRU(7))(rc.Embedding(IDS, 5)(ids))
    return rc.Model([ids, numbers], rc.Dense(2)(rc.Concatenate()([y, numbers])))


def both_directions_by_hand():
    x = rc.Input((None,))
    vectors = rc.Embedding(IDS, 5, mask_zero=True)(x)
    halves = [rc.GRU(7)(vectors), rc.LSTM(5, go_backwards=True)(vectors)]
    return rc.Model(x, [rc.Dense(2)(rc.Concatenate()(halves)), rc.Dense(2)(vectors)])


def steps_used_twice():
    x = rc.Input((None,))
    steps = rc.GRU(7, return_sequences=True)(rc.Embedding(IDS, 5, mask_zero=True)(x))
    return rc.Model(x, [rc.LSTM(3)(steps), rc.TimeDistributed(rc.Dense(2))(steps)])


def states_to_a_decoder():
    x, z = rc.Input((None,), name="x"), rc.Input((4, 3), name="z")
    _, h, c = rc.LSTM(7, return_state=True)(rc.Embedding(IDS, 5, mask_zero=True)(x))
    y = rc.LSTM(7, return_sequences=True)(z, initial_state=[h, c])
    return rc.Model([x, z], [rc.Dense(2)(y), c])


def models_within():
    x = rc.Input((None,), name="outer")
    inner = rc.Input((None,))
    encoder = rc.Model(inner, rc.LSTM(7, return_sequences=True)(rc.Embedding(IDS, 5)(inner)))
    top = rc.Sequential([rc.Input((None, 7)), rc.GRU(5), rc.Dense(3)])
    return rc.Model(x, top(encoder(x)))


def one_model_twice():
    left, right = rc.Input((None,)), rc.Input((None,))
    tower = rc.Sequential([rc.Input((None,)), rc.Embedding(IDS, 5), rc.LSTM(7), rc.Dense(4)])
    return rc.Model([left, right], rc.Multiply()([tower(left), tower(right)]))


def attention():
    x = rc.Input((None,))
    steps = rc.Bidirectional(rc.LSTM(7, return_sequences=True), zero_output_for_mask=False)(
        rc.Embedding(IDS, 5, mask_zero=True)(x)
    )
    return rc.Model(x, rc.GlobalAveragePooling1D()(rc.Attention()([steps, steps])))


GRAPHS = [
    one_branch,
    two_inputs,
    ids_and_numbers,
    both_directions_by_hand,
    steps_used_twice,
    states_to_a_decoder,
    models_within,
    one_model_twice,
    attention,
]


def inputs_of(model, ids, rng):
    """Return ids or numbers for each input; no two are alike if there are several."""
    leaves = []
    for layer in model.input_layers:
        shape = layer.batch_shape[1:]
        if shape == (None,):
            leaves.append(ids[rng.permutation(len(ids))] if leaves else ids)
        else:
            leaves.append(rng.standard_normal((len(ids), *shape)).astype(np.float32))
    return leaves if len(leaves) > 1 else leaves[0]


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("folded", [True, False])
def test_the_same_bits(graph, folded, capsys, rng):
    model = randomized(graph())
    model.fold_embeddings = folded
    ids = rng.integers(0, IDS, (150, 4))
    ids = np.hstack([np.zeros((150, 3), int), ids])
    ids[::7, 4:] = 0
    shared, alone = both_ways(model, inputs_of(model, ids, rng))
    assert_same(shared, alone)
    assert capsys.readouterr().out.startswith("shared: ")


@pytest.mark.parametrize("graph", GRAPHS)
@settings(max_examples=10, deadline=None)
@given(
    arrays(np.int64, st.tuples(st.integers(17, 60), st.integers(1, 6)), elements=st.integers(0, 2))
)
def test_any_rows(graph, ids):
    model = randomized(graph())
    shared, alone = both_ways(model, inputs_of(model, ids, np.random.default_rng(2)))
    assert_same(shared, alone)


def test_inner_models_check_their_inputs():
    inner = rc.Sequential([rc.Input((5,)), rc.Embedding(IDS, 5), rc.LSTM(7)])
    model = rc.Sequential([rc.Input((None,)), inner])
    assert model.predict(np.ones((60, 5)), batch_size=16).shape == (60, 7)
    with pytest.raises(ValueError, match=r"shape \(60, 4\), expected \(None, 5\)"):
        model.predict(np.ones((60, 4)), batch_size=16)


def test_a_model_of_the_users(capsys, rng):
    class Doubled(rc.Sequential):
        def call(self, inputs, **kwargs):
            return 2 * super().call(inputs, **kwargs)

    layers = [rc.Input((None,)), rc.Embedding(IDS, 5), rc.LSTM(7)]
    ids = rng.integers(0, 2, (60, 5))
    doubled = Doubled(layers).predict(ids, batch_size=16, explain=True)
    assert capsys.readouterr().out.startswith("nothing is shared: Doubled")
    np.testing.assert_array_equal(doubled, 2 * rc.Sequential(layers).predict(ids, batch_size=16))
    # Within another model it is a layer like any of the user's.
    outer = rc.Sequential([rc.Input((None,)), Doubled(layers), rc.Dense(2)])
    outer.predict(ids, batch_size=16, explain=True)
    assert capsys.readouterr().out.startswith("nothing is shared: ")
