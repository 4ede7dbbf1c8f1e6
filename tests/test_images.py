"""Layers that change the rows and columns of images, against plain formulas."""

import json

import numpy as np
import pytest

import rnn_core as rc


@pytest.mark.parametrize(
    ("sides", "exact"),
    [
        (2, ((2, 2), (2, 2))),
        ((1, 2), ((1, 1), (2, 2))),
        ([[0, 1], [2, 0]], ((0, 1), (2, 0))),
        ((1, (0, 2)), ((1, 1), (0, 2))),
    ],
)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_zeros_around_and_cropped_again(sides, exact, data_format, rng):
    x = rng.standard_normal((2, 3, 4, 5)).astype("f4")
    first = data_format == "channels_first"
    widths = ((0, 0), (0, 0), *exact) if first else ((0, 0), *exact, (0, 0))
    layer, back = (
        make(sides, data_format=data_format) for make in (rc.ZeroPadding2D, rc.Cropping2D)
    )
    assert np.array_equal(layer(x), np.pad(x, widths))
    assert layer.compute_output_shape(x.shape) == layer(x).shape
    assert np.array_equal(back(layer(x)), x)
    assert back.compute_output_shape((None, None, None, None)) == (None,) * 4


def test_upsampling_to_the_nearest(rng):
    x = rng.standard_normal((2, 3, 4, 5)).astype("f4")
    exact = np.array([[x[:, row // 2, column // 3] for column in range(12)] for row in range(6)])
    assert np.array_equal(rc.UpSampling2D((2, 3))(x), exact.transpose(2, 0, 1, 3))
    first = rc.UpSampling2D((2, 3), data_format="channels_first")
    assert np.array_equal(first(x.transpose(0, 3, 1, 2)), exact.transpose(2, 3, 0, 1))


def test_upsampling_by_bilinear_interpolation(dtype, rng):
    # What TensorFlow 2.21's tf.image.resize gives; its XLA is wrong at the fifth.
    x = np.array([1, 10, 100, 1000]).reshape(1, 1, 4, 1)
    layer = rc.UpSampling2D((1, 3), interpolation="bilinear", dtype=dtype)
    exact = [1, 1, 4, 7, 10, 40, 70, 100, 400, 700, 1000, 1000]
    np.testing.assert_allclose(layer(x).ravel(), exact, rtol=1e-6)
    # A plane is itself between its pixels' middles, and its edge beyond them.
    rows, columns = np.arange(4.0)[:, None], np.arange(3.0)
    layer = rc.UpSampling2D((2, 5), interpolation="bilinear", dtype="float64")
    y = layer((2 * rows - 3 * columns)[None, ..., None])[0, ..., 0]
    row = np.clip((np.arange(8)[:, None] + 0.5) / 2 - 0.5, 0, 3)
    column = np.clip((np.arange(15) + 0.5) / 5 - 0.5, 0, 2)
    np.testing.assert_allclose(y, 2 * row - 3 * column, atol=1e-13)


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (3, 1), (1, 2), (2, 3)])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_a_transposed_convolution_is_the_transpose(kernel_size, stride, dilation, padding, rng):
    """<conv(y), x> = <y, transpose(x)> for all y, and so for each of a basis."""
    options = {"dilation_rate": dilation, "use_bias": False, "dtype": "float64"}
    layer = rc.Conv1DTranspose(2, kernel_size, stride, padding, **options)
    x = rng.standard_normal((1, 5, 3))
    made = layer(x)
    assert layer.compute_output_shape(x.shape) == made.shape
    forward = rc.Conv1D(3, kernel_size, stride, padding, **options)
    basis = np.eye(made[0].size).reshape(-1, *made.shape[1:])
    forward(basis)
    forward.set_weights(layer.get_weights())
    exact = np.einsum("btf,tf->b", forward(basis), x[0])
    np.testing.assert_allclose(made.ravel(), exact, atol=1e-12)


def test_a_transposed_convolution_over_both_axes(rng):
    x = rng.standard_normal((2, 3, 4, 5))
    options = {"strides": (3, 2), "output_padding": (2, 0), "dtype": "float64"}
    layer = rc.Conv2DTranspose(6, (2, 3), activation="tanh", **options)
    layer(x)
    kernel, bias = rng.standard_normal((2, 3, 6, 5)), rng.standard_normal(6)
    layer.set_weights([kernel, bias])
    exact = np.zeros((2, 2 * 3 + 2 + 2, 3 * 2 + 3, 6))
    for row, column in np.ndindex(3, 4):
        window = exact[:, 3 * row : 3 * row + 2, 2 * column : 2 * column + 3]
        window += np.einsum("bc,rsfc->brsf", x[:, row, column], kernel)
    np.testing.assert_allclose(layer(x), np.tanh(exact + bias), atol=1e-12)
    first = rc.Conv2DTranspose.from_config({**layer.get_config(), "data_format": "channels_first"})
    first(x.transpose(0, 3, 1, 2))
    first.set_weights([kernel, bias])
    np.testing.assert_array_equal(first(x.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1), layer(x))


def test_no_images():
    for layer in (
        rc.ZeroPadding2D(0),
        rc.UpSampling2D(2, interpolation="bilinear"),
        rc.Conv2DTranspose(3, 2, strides=2, padding="same"),
    ):
        assert layer(np.zeros((0, 4, 3, 3))).shape[0] == 0
        assert layer(np.zeros((2, 0, 4, 3))).shape[:2] == (2, 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rc.ZeroPadding2D(-1), "padding is -1, expected"),
        (lambda: rc.ZeroPadding2D((1, 2, 3)), r"padding is \(1, 2, 3\), expected"),
        (lambda: rc.Cropping2D(((1, 2, 0), (1, 2))), "cropping is"),
        (lambda: rc.Cropping2D(1.5), "cropping is 1.5"),
        (lambda: rc.Cropping2D(2, name="c")(np.zeros((1, 5, 3, 1))), "c: 3 columns, .* at least 4"),
        (lambda: rc.ZeroPadding2D()(np.zeros((1, 5, 3))), r"\(batch, rows, columns, channels\)"),
        (lambda: rc.UpSampling2D(0), "size is 0, expected"),
        (lambda: rc.UpSampling2D(interpolation="bicubic"), "interpolation is 'bicubic', expected"),
        (lambda: rc.UpSampling2D(data_format="last"), "data_format is 'last', expected"),
        (lambda: rc.Conv1DTranspose(1, 2, padding="causal"), "padding is 'causal', expected"),
        (lambda: rc.Conv2DTranspose(1, 2, strides=2, output_padding=2), "output_padding is 2, exp"),
        (lambda: rc.Conv2DTranspose(1, 2, output_padding=(0, 0, 0)), "output_padding is"),
        (lambda: rc.Conv2DTranspose(1, 2, groups=2), "groups are given"),
    ],
)
def test_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_a_transposed_convolution_refuses_other_channels(data_format):
    layer = rc.Conv2DTranspose(2, 2, data_format=data_format)
    layer(np.zeros((1, 3, 3, 3)))
    shape = (1, 3, 3, 4) if data_format == "channels_last" else (1, 4, 3, 3)
    with pytest.raises(ValueError, match=r"inputs have shape .*, expected "):
        layer(np.zeros(shape))


def architecture(tmp_path, version, class_name, **config):
    path = tmp_path / "model.json"
    layer = {"class_name": class_name, "config": {"name": "image", **config}}
    path.write_text(
        json.dumps({"class_name": "Sequential", "config": [layer], "keras_version": version})
    )
    return path


@pytest.mark.parametrize(
    ("padding", "exact"),
    [
        ([1, 2], ((1, 1), (2, 2))),
        ([1, 2, 3, 4], ((1, 2), (3, 4))),
        ({"top_pad": 1, "right_pad": 2}, ((1, 0), (0, 2))),
    ],
)
def test_paddings_of_keras_1(padding, exact, tmp_path):
    shape = [None, 3, 4, 2]
    path = architecture(
        tmp_path, "1.2.2", "ZeroPadding2D", padding=padding, batch_input_shape=shape
    )
    x = np.ones((1, 3, 4, 2), "f4")
    assert np.array_equal(rc.load(path)(x), np.pad(x, ((0, 0), *exact, (0, 0))))


def test_a_padding_of_keras_1_over_steps(tmp_path):
    config = {"padding": {"right_pad": 2}, "batch_input_shape": [None, 3, 2]}
    x = np.ones((1, 3, 2), "f4")
    y = rc.load(architecture(tmp_path, "1.2.2", "ZeroPadding1D", **config))(x)
    assert np.array_equal(y, np.pad(x, ((0, 0), (0, 2), (0, 0))))


DAMAGED = [{"top": 1}, [1, 2, 3], "1", -1, [[1, 2], 3, 4, 5], [[1, 2], "ab"], 1e300, [[[1]], 1]]


@pytest.mark.parametrize("padding", DAMAGED)
@pytest.mark.parametrize("version", ["1.2.2", "2.15.0", "3.15.1"])
def test_damaged_paddings(padding, version, tmp_path):
    config = {"padding": padding, "batch_input_shape": [None, 3, 4, 2]}
    with pytest.raises(ValueError, match=r"model.json: .*padding is"):
        rc.load(architecture(tmp_path, version, "ZeroPadding2D", **config))


def test_bilinear_interpolation_before_keras_2_4_is_refused(tmp_path):
    config = {"interpolation": "bilinear", "batch_input_shape": [None, 3, 4, 2]}
    for version in ("2.3.1", "2.2.4"):
        with pytest.raises(ValueError, match="'image' interpolates as Keras before 2.4 did"):
            rc.load(architecture(tmp_path, version, "UpSampling2D", **config))
    config["batch_input_shape"] = [None, 1, 2, 1]
    model = rc.load(architecture(tmp_path, "2.2.4-tf", "UpSampling2D", **config))
    assert model(np.array([0.0, 4.0]).reshape(1, 1, 2, 1)).ravel().tolist() == [0, 1, 3, 4] * 2
