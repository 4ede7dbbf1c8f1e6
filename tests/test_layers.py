"""Layers that are not recurrent, against plain formulas."""

import numpy as np
import pytest

import rnn_core as rc


def built(layer, x, rng):
    layer(x)
    layer.set_weights([rng.uniform(0.2, 1, w.shape) for w in layer.weights])
    return layer


def test_dense(dtype, rng):
    x = rng.standard_normal((3, 4, 5)).astype(dtype)
    layer = built(rc.Dense(6, "tanh", dtype=dtype), x, rng)
    kernel, bias = layer.get_weights()
    exact = np.tanh(x.astype(float) @ kernel.astype(float) + bias)
    np.testing.assert_allclose(layer(x), exact, atol=1e-6 if dtype == "float32" else 1e-14)
    assert layer(x).shape == layer.compute_output_shape(x.shape)
    with pytest.raises(ValueError, match=r"\(3, 4\), expected 5 features"):
        layer(np.zeros((3, 4)))


@pytest.mark.parametrize("ids_type", [np.int32, np.int64, np.uint8, np.float32, np.int16])
def test_embedding(ids_type, rng):
    ids = np.array([[0, 2, 4], [1, 0, 3]], ids_type)
    layer = rc.Embedding(5, 4, mask_zero=True)
    y = layer(ids)
    assert np.array_equal(y, layer.embeddings[ids.astype(int)])
    assert np.array_equal(layer.compute_mask(ids), ids != 0)
    assert rc.Embedding(5, 4).compute_mask(ids) is None


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        ([[0, 5]], ValueError, r"id at \(0, 1\) is 5, expected below 5"),
        ([[-1, 0]], ValueError, r"id at \(0, 0\) is -1, expected at least 0"),
        ([[0.0, np.nan]], ValueError, r"id at \(0, 1\) is nan, expected a whole number"),
        ([[np.inf, 0.0]], ValueError, r"id at \(0, 0\) is inf"),
        (np.array([[-np.inf]], np.float16), ValueError, r"id at \(0, 0\) is -inf"),
        ([[1e300, 0.0]], ValueError, r"id at \(0, 0\) is 1e\+300"),
        ([[0.5, 0.0]], ValueError, r"id at \(0, 0\) is 0.5, expected a whole number"),
        ([["a", "b"]], TypeError, "ids are <U1, expected whole numbers"),
        (np.array([[None]]), TypeError, "ids are object"),
        (np.array([[2**63]], np.uint64), ValueError, "expected below 5"),
    ],
)
def test_embedding_refuses(ids, error, message):
    with pytest.raises(error, match=message):
        rc.Embedding(5, 4)(ids)


def test_masking(rng):
    x = rng.standard_normal((2, 3, 4))
    x[0, 1] = -1
    x[1, 2] = np.nan
    layer = rc.Masking(-1)
    y, mask = layer._call_with_mask(x)
    assert np.array_equal(mask, [[True, False, True], [True, True, True]])
    assert not y[0, 1].any()
    assert np.isnan(y[1, 2]).all()


def test_batch_normalization(dtype, rng):
    x = rng.standard_normal((3, 4, 5)).astype(dtype)
    layer = built(rc.BatchNormalization(dtype=dtype), x, rng)
    gamma, beta, mean, variance = (w.astype(float) for w in layer.get_weights())
    exact = gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta
    np.testing.assert_allclose(layer(x), exact, atol=2e-6 if dtype == "float32" else 1e-13)


@pytest.mark.parametrize("axis", [-1, [1, 2]])
def test_layer_normalization(axis, rng):
    x = rng.standard_normal((3, 4, 5))
    layer = built(rc.LayerNormalization(axis=axis, dtype="float64"), x, rng)
    gamma, beta = layer.get_weights()
    axes = tuple(np.atleast_1d(axis))
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    exact = gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta
    np.testing.assert_allclose(layer(x), exact, atol=1e-12)


def convolve(x, kernel, stride, dilation, before, after):
    """One window after another, as the definition has it."""
    x = np.pad(x, ((0, 0), (before, after), (0, 0)))
    window = (len(kernel) - 1) * dilation + 1
    starts = range(0, x.shape[1] - window + 1, stride)
    return np.stack(
        [
            sum(x[:, start + k * dilation] @ kernel[k] for k in range(len(kernel)))
            for start in starts
        ],
        axis=1,
    )


@pytest.mark.parametrize("steps", [7, 8, 9])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
def test_conv1d(steps, stride, dilation, padding, rng):
    x = rng.standard_normal((2, steps, 3))
    layer = rc.Conv1D(
        4, 3, stride, padding, dilation_rate=dilation, dtype="float64", use_bias=False
    )
    y = layer(x)
    window = 2 * dilation + 1
    if padding == "valid":
        before = after = 0
    elif padding == "causal":
        before, after = window - 1, 0
    else:
        beyond = max((-(-steps // stride) - 1) * stride + window - steps, 0)
        before, after = beyond // 2, beyond - beyond // 2
    exact = convolve(x, layer.kernel, stride, dilation, before, after)
    np.testing.assert_allclose(y, exact, atol=1e-12)
    assert y.shape == layer.compute_output_shape(x.shape)


@pytest.mark.parametrize("layer", [rc.Conv1D(4, 5), rc.MaxPooling1D(5), rc.AveragePooling1D(5)])
def test_fewer_steps_than_a_window(layer):
    y = layer(np.zeros((2, 3, 4)))
    assert y.shape == layer.compute_output_shape((2, 3, 4)) == (2, 0, 4)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("strides", [None, 1, 3])
def test_pooling(padding, strides, rng):
    x = rng.standard_normal((2, 8, 3)) - 5
    stride = strides or 2
    count = (8 - 2) // stride + 1 if padding == "valid" else -(-8 // stride)
    before = max((count - 1) * stride + 2 - 8, 0) // 2 if padding == "same" else 0
    for layer, reduce in ((rc.MaxPooling1D, np.max), (rc.AveragePooling1D, np.mean)):
        pool = layer(2, strides, padding, dtype="float64")
        exact = [
            reduce(x[:, max(0, i * stride - before) : i * stride - before + 2], axis=1)
            for i in range(count)
        ]
        np.testing.assert_allclose(pool(x), np.stack(exact, axis=1), atol=1e-12)
        assert pool.compute_output_shape(x.shape) == pool(x).shape


def test_global_pooling(rng):
    x = rng.standard_normal((2, 4, 3))
    mask = np.array([[True, False, True, False], [True] * 4])
    masked = rc.GlobalAveragePooling1D(dtype="float64")(x, mask=mask)
    np.testing.assert_allclose(masked[0], x[0, [0, 2]].mean(axis=0))
    np.testing.assert_allclose(masked[1], x[1].mean(axis=0))
    np.testing.assert_allclose(rc.GlobalMaxPooling1D(dtype="float64")(x), x.max(axis=1))


def test_merges(rng):
    a, b, c = rng.standard_normal((3, 2, 4))
    for layer, exact in (
        (rc.Add(), a + b + c),
        (rc.Multiply(), a * b * c),
        (rc.Average(), (a + b + c) / 3),
        (rc.Maximum(), np.maximum(a, np.maximum(b, c))),
        (rc.Minimum(), np.minimum(a, np.minimum(b, c))),
        (rc.Concatenate(), np.concatenate([a, b, c], axis=-1)),
        (rc.Concatenate(axis=0), np.concatenate([a, b, c])),
    ):
        np.testing.assert_allclose(layer([a, b, c]), exact, atol=1e-6)
        assert layer.compute_output_shape([a.shape] * 3) == exact.shape
    with pytest.raises(ValueError, match="expected shapes that broadcast"):
        rc.Add()([np.zeros((2, 3)), np.zeros((2, 4))])
    with pytest.raises(ValueError, match="expected equal ones but for axis"):
        rc.Concatenate()([np.zeros((2, 3)), np.zeros((3, 3))])
    with pytest.raises(ValueError, match="expected a list of arrays"):
        rc.Add()(np.zeros((2, 3)))


def test_masks_of_merges():
    one, two = np.array([[True, True, False]]), np.array([[True, False, False]])
    x = np.zeros((1, 3, 2))
    for version, merged, with_none in ((2, one & two, one), (3, one | two, None)):
        layer = rc.Add(keras_version=version)
        assert np.array_equal(layer.compute_mask([x, x], [one, two]), merged)
        assert np.array_equal(layer.compute_mask([x, x], [one, None]), with_none)
        assert layer.compute_mask([x, x], [None, None]) is None
        features = rc.Concatenate(keras_version=version)
        assert np.array_equal(features.compute_mask([x, x], [one, two]), merged)
        steps = rc.Concatenate(axis=1, keras_version=version)
        joined = steps.compute_mask([x, x], [one, None])
        assert np.array_equal(joined, [[True, True, False, True, True, True]])


def test_masked_values_in_merges_of_keras_3():
    x, y = np.full((1, 4, 1), 2.0), np.full((1, 4, 1), 7.0)
    masks = [np.array([[True, False, True, False]]), np.array([[True, True, False, False]])]

    def values(layer):
        return layer([x, y], mask=masks).ravel().tolist()

    assert values(rc.Multiply()) == [14, 7, 2, 0]
    assert values(rc.Maximum()) == [7, 7, 2, 2]
    assert values(rc.Minimum()) == [2, 7, 2, 2]
    assert values(rc.Multiply(keras_version=2)) == [14] * 4


def test_merging_a_vector_into_a_sequence(rng):
    sequence, vector = rng.standard_normal((3, 3, 3)), rng.standard_normal((3, 3))
    exact = sequence * vector[:, None]
    np.testing.assert_allclose(rc.Multiply()([sequence, vector]), exact, atol=1e-6)
    assert rc.Multiply().compute_output_shape([(None, 5, 3), (None, 3)]) == (None, 5, 3)


@pytest.mark.filterwarnings("error")
def test_no_steps():
    x = np.zeros((2, 0, 3))
    assert (rc.GlobalMaxPooling1D()(x) == -np.inf).all()
    assert np.isnan(rc.GlobalAveragePooling1D()(x)).all()
    assert rc.MaxPooling1D(padding="same")(x).shape == (2, 0, 3)
    assert rc.AveragePooling1D()(x).shape == (2, 0, 3)
    assert rc.Softmax(axis=1)(x).shape == (2, 0, 3)


def test_activations_as_layers(rng):
    x = rng.standard_normal((3, 4))
    for layer, exact in (
        (rc.Activation("tanh"), np.tanh(x)),
        (rc.ReLU(1.0, 0.1, 0.2), np.where(x < 0.2, 0.1 * (x - 0.2), np.minimum(x, 1))),
        (rc.LeakyReLU(0.2), np.where(x < 0, 0.2 * x, x)),
        (rc.ELU(0.5), np.where(x < 0, 0.5 * np.expm1(x), x)),
        (rc.Softmax(), np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)),
        (rc.Softmax(axis=0), np.exp(x) / np.exp(x).sum(axis=0)),
    ):
        np.testing.assert_allclose(layer(x), exact, atol=1e-6)
    assert rc.Softmax()([[0.0, 0.0, 9.0]], mask=[[True, True, False]]).tolist() == [[0.5, 0.5, 0]]


def test_shapes(rng):
    x = rng.standard_normal((2, 6, 4)).astype(np.float32)
    for layer, exact in (
        (rc.Flatten(), x.reshape(2, 24)),
        (rc.Reshape((3, -1)), x.reshape(2, 3, 8)),
        (rc.Permute((2, 1)), x.transpose(0, 2, 1)),
        (rc.ZeroPadding1D((1, 2)), np.pad(x, ((0, 0), (1, 2), (0, 0)))),
        (rc.Dropout(0.5), x),
        (rc.SpatialDropout1D(0.5), x),
    ):
        assert np.array_equal(layer(x), exact)
        assert layer.compute_output_shape(x.shape) == exact.shape
    assert np.array_equal(rc.RepeatVector(3)(x[:, 0]), np.stack([x[:, 0]] * 3, axis=1))
    with pytest.raises(ValueError, match=r"expected as many values a row as \(5, -1\)"):
        rc.Reshape((5, -1))(x)


def test_layer_normalization_far_from_zero(rng):
    x = (100 + rng.standard_normal((4, 64))).astype(np.float32)
    wide = x.astype(np.float64)
    exact = (wide - wide.mean(-1, keepdims=True)) / np.sqrt(wide.var(-1, keepdims=True) + 1e-3)
    np.testing.assert_allclose(rc.LayerNormalization()(x), exact, atol=1e-5)


def test_masking_compares_in_the_dtype_of_the_layer():
    x = np.full((1, 2, 1), np.float32(-0.1)).astype(np.float64)
    y, mask = rc.Masking(-0.1)._call_with_mask(x)
    assert mask.any() == y.any()


def test_time_distributed_model_and_masks(rng):
    x = rng.standard_normal((2, 3, 4))
    inner = rc.Input((4,))
    model = rc.Model(inner, rc.Dense(2)(inner))
    layer = rc.TimeDistributed(model)
    np.testing.assert_allclose(layer(x), model(x.reshape(6, 4)).reshape(2, 3, 2), atol=1e-6)
    ids = np.array([[[1, 0], [0, 0]]])
    table = rc.Embedding(3, 2, mask_zero=True)
    assert rc.TimeDistributed(table).compute_mask(ids) is None
    assert np.array_equal(rc.TimeDistributed(table, keras_version=2).compute_mask(ids), ids != 0)


def test_time_distributed(rng):
    x = rng.standard_normal((2, 3, 5, 4))
    layer = rc.TimeDistributed(rc.LSTM(6))
    exact = np.stack([layer.layer(x[:, t]) for t in range(3)] if layer(x) is not None else [], 1)
    np.testing.assert_allclose(layer(x), exact, atol=1e-6)
    with pytest.raises(ValueError, match="expected at least 3 axes"):
        rc.TimeDistributed(rc.Dense(3))(np.zeros((2, 3)))


CONFIGURED = [
    rc.Embedding(5, 4, mask_zero=True),
    rc.Masking(-1.0),
    rc.Dense(3, "relu", use_bias=False),
    rc.Conv1D(4, 3, padding="causal", dilation_rate=2),
    rc.BatchNormalization(epsilon=0.1),
    rc.LayerNormalization(axis=[1, 2]),
    rc.MaxPooling1D(3, 2),
    rc.Concatenate(axis=1),
    rc.TimeDistributed(rc.Dense(3)),
    rc.Bidirectional(rc.GRU(3), "sum"),
    rc.RNN([rc.LSTMCell(3), rc.GRUCell(2)], return_sequences=True),
    rc.Dropout(0.5),
    rc.PReLU(shared_axes=[1]),
    rc.Reshape((2, -1)),
]


@pytest.mark.parametrize("layer", CONFIGURED, ids=lambda layer: type(layer).__name__)
def test_configs_make_the_same_layer(layer):
    import json

    config = json.loads(json.dumps(layer.get_config()))
    twin = type(layer).from_config(config)
    assert json.loads(json.dumps(twin.get_config())) == config
