"""Dropout inside cells: with training=True only, one mask a sequence, seeded."""

import numpy as np
import pytest

import rnn_core as rc

CELLS = {
    "simple_rnn": (rc.SimpleRNNCell, 1),
    "lstm": (rc.LSTMCell, 4),
    "gru": (rc.GRUCell, 3),
    "gru_before": (lambda *args, **kwargs: rc.GRUCell(*args, reset_after=False, **kwargs), 3),
}


def layer_of(kind, **kwargs):
    make, gates = CELLS[kind]
    cell = make(8, activation=None, seed=1, **kwargs)
    cell.build((None, 40))
    rng = np.random.default_rng(0)
    cell.set_weights([rng.uniform(-0.1, 0.1, w.shape) for w in cell.weights])
    return rc.RNN(cell, return_sequences=True), gates


def masks_of(monkeypatch, layer, x):
    """The masks that a call in training multiplies with, by kind: one list of masks a step."""
    seen = {"inputs": [], "recurrent": []}
    drop = layer.cell._dropout_masks.drop

    def spy(kind, rate, values, count=1):
        seen[kind].append(drop(kind, rate, np.ones_like(values), count))
        return drop(kind, rate, values, count)

    monkeypatch.setattr(layer.cell._dropout_masks, "drop", spy)
    layer(x, training=True)
    return seen


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("rates", [(0.5, 0.0), (0.0, 0.25), (0.5, 0.25)])
@pytest.mark.parametrize("implementation", [1, 2])
def test_one_mask_a_sequence(kind, rates, implementation, monkeypatch):
    layer, gates = layer_of(
        kind, dropout=rates[0], recurrent_dropout=rates[1], implementation=implementation
    )
    seen = masks_of(monkeypatch, layer, np.ones((50, 5, 40), np.float32))
    # As in Keras: a mask a gate with implementation 1, which recurrent dropout asks for.
    count = gates if implementation == 1 or (rates[1] and gates > 1) else 1
    for what, rate in zip(("inputs", "recurrent"), rates, strict=True):
        assert len(seen[what]) == (5 if rate else 0)
        for masks in seen[what]:
            assert len(masks) == count
            assert len({mask.tobytes() for mask in masks}) == count
            for mask, first in zip(masks, seen[what][0], strict=True):
                np.testing.assert_array_equal(mask, first)
                assert set(np.unique(mask)) == {0, np.float32(1 / (1 - rate))}
                assert abs((mask == 0).mean() - rate) < 0.08


@pytest.mark.parametrize("kind", CELLS)
def test_sequences_differ_and_seeds_repeat(kind):
    x = np.ones((4, 5, 40), np.float32)
    options = {"dropout": 0.5, "recurrent_dropout": 0.5}
    layer, _ = layer_of(kind, **options)
    first, second = layer(x, training=True), layer(x, training=True)
    assert not np.array_equal(first, second)
    again, _ = layer_of(kind, **options)
    np.testing.assert_array_equal(again(x, training=True), first)
    np.testing.assert_array_equal(again(x, training=True), second)
    without, _ = layer_of(kind)
    np.testing.assert_allclose(layer(x), without(x), atol=1e-6)
    np.testing.assert_array_equal(layer(x, training=False), layer(x))


@pytest.mark.parametrize("kind", CELLS)
def test_a_rate_of_exactly_one(kind):
    """SimpleRNN drops everything, the gated cells nothing: Keras's rule."""
    x = np.ones((2, 3, 40), np.float32)
    layer, gates = layer_of(kind, dropout=1.0)
    plain = np.zeros_like(x) if gates == 1 else x
    np.testing.assert_allclose(layer(x, training=True), layer(plain), atol=1e-6)


def test_rates_are_clipped():
    cell = rc.LSTMCell(4, dropout=1.5, recurrent_dropout=-1)
    assert (cell.dropout, cell.recurrent_dropout) == (1, 0)


@pytest.mark.parametrize("wrap", [rc.Bidirectional, lambda layer: rc.RNN([layer.cell])])
def test_within_wrappers(wrap):
    layer = wrap(rc.GRU(8, dropout=0.5, seed=3, return_sequences=True))
    x = np.ones((4, 5, 40), np.float32)
    assert not np.allclose(layer(x), layer(x, training=True), atol=1e-3)
