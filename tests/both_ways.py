"""Predictions with and without sharing."""

import numpy as np


def both_ways(model, ids, batch_size=16):
    """Return predictions with and without sharing, and what `explain` prints of the first."""
    assert model.share_prefixes
    shared = model.predict(ids, batch_size=batch_size, explain=True)
    model.share_prefixes = False
    return shared, model.predict(ids, batch_size=batch_size)


def assert_same(shared, alone):
    """Assert that two structures of arrays hold the same bits."""
    assert type(shared) is type(alone)
    if isinstance(shared, (list, dict)):
        assert len(shared) == len(alone)
        for key in shared if isinstance(shared, dict) else range(len(shared)):
            assert_same(shared[key], alone[key])
    else:
        assert shared.dtype == alone.dtype
        np.testing.assert_array_equal(shared.view(np.uint32), alone.view(np.uint32))


def randomized(model):
    """Return the model with weights that leave no unit idle."""
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(0.1, 1, w.shape) - 0.5 for w in model.get_weights()])
    return model
