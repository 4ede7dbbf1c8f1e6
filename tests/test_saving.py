"""Models written to files, and read again."""

import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

import rnn_core as rc
from rnn_core.formats import safetensors

GOLDEN = Path(__file__).parent / "golden"
MODELS = sorted([*GOLDEN.glob("keras/*_k3.keras"), *GOLDEN.glob("keras/*_k2.h5")])
SUFFIXES = [".keras", ".safetensors"]
# An LSTM's hard_sigmoid for tanh, and masks that are joined.
KERAS_2_ONLY = ["activations_k2", "residual_k2", "translated_k2"]


def outputs(model, reference):
    with np.load(reference) as file:
        inputs = [file[name] for name in file.files if name.startswith("in_")]
    found = model(inputs if len(inputs) > 1 else inputs[0])
    return found if isinstance(found, (list, tuple)) else [found]


def configs(model):
    return [layer.get_config() for layer in model.layers]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("source", MODELS, ids=lambda path: path.stem)
def test_a_saved_model_gives_the_same_outputs(source, suffix, tmp_path):
    model = rc.load(source)
    path = tmp_path / f"model{suffix}"
    if suffix == ".keras" and source.stem in KERAS_2_ONLY:
        with pytest.raises(ValueError, match=r"save as \.safetensors"):
            model.save(path)
        assert not list(tmp_path.iterdir())
        return
    model.save(path)
    again = rc.load(path)
    reference = source.with_suffix(".npz")
    # Weights of a hard_sigmoid of Keras 2 are another multiple of it in a file of Keras 3.
    tolerance = 1e-6 if suffix == ".keras" and "hard_sigmoid_legacy" in str(configs(model)) else 0
    for first, second in zip(outputs(model, reference), outputs(again, reference), strict=True):
        np.testing.assert_allclose(first, second, rtol=tolerance, atol=tolerance)
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_everything_that_a_layer_is_told_is_kept(suffix, tmp_path):
    model = rc.Sequential(
        [
            rc.Input((None, 3), name="steps"),
            rc.Bidirectional(rc.LSTM(4, return_sequences=True, use_bias=False), merge_mode="sum"),
            rc.RNN([rc.GRUCell(3, reset_after=False), rc.SimpleRNNCell(2, "relu")]),
            rc.Dense(2, "softmax", kernel_initializer="he_normal"),
        ],
        name="kept",
    )
    model.save(tmp_path / f"model{suffix}")
    again = rc.load(tmp_path / f"model{suffix}")
    assert again.name == "kept"
    for layer, copy in zip(model.layers, again.layers, strict=True):
        assert copy.get_config() == layer.get_config()
    x = np.random.default_rng(1).standard_normal((2, 5, 3))
    np.testing.assert_array_equal(again(x), model(x))


def test_keras_finds_its_own_names(tmp_path):
    """What Keras 3 looks for: modules, registered names, and paths of class names."""
    x = rc.Input((None, 3))
    inner = rc.Model(x, rc.LSTM(4, return_sequences=True, name="foo")(x), name="inner")
    outer = rc.Input((None, 3))
    model = rc.Model(outer, [rc.GRU(2)(inner(outer)), inner(outer)])
    path = tmp_path / "model.keras"
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
        assert json.loads(archive.read("metadata.json"))["keras_version"][0] == "3"
    assert (config["module"], config["class_name"]) == (
        "keras.src.models.functional",
        "Functional",
    )
    layers = {entry["name"]: entry for entry in config["config"]["layers"]}
    assert layers["inner"]["config"]["layers"][1]["module"] == "keras.layers"
    assert "time_major" not in layers["inner"]["config"]["layers"][1]["config"]
    # Keras 3 counts a functional model's own making at the ends only.
    assert config["config"]["output_layers"][1][:2] == ["inner", 2]
    import h5py

    with zipfile.ZipFile(path) as archive, h5py.File(archive.open("model.weights.h5")) as file:
        assert file["layers/functional/layers/lstm/cell/vars/1"].shape == (4, 16)
        assert file["layers/gru/cell/vars/2"].shape == (2, 6)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (rc.LSTM(2, time_major=True, name="x"), "'x' has time_major=True"),
        (
            rc.Activation("hard_sigmoid_legacy", name="x"),
            "'x' has activation='hard_sigmoid_legacy'",
        ),
        (rc.LSTM(2, "hard_sigmoid_legacy", name="x"), "'x' has activation='hard_sigmoid_legacy'"),
        (rc.SeparableConv1D(2, 3, padding="causal", name="x"), "'x' has padding='causal'"),
        (rc.ThresholdedReLU(name="x"), "'x' is a ThresholdedReLU"),
    ],
)
def test_what_keras_3_lacks(layer, message, tmp_path):
    x = rc.Input((5, 3))
    model = rc.Model(x, layer(x))
    with pytest.raises(ValueError, match=message):
        model.save(tmp_path / "model.keras")
    assert not list(tmp_path.iterdir())
    model.save(tmp_path / "model.safetensors")
    again = rc.load(tmp_path / "model.safetensors")
    values = np.random.default_rng(1).standard_normal((5, 5, 3))
    np.testing.assert_array_equal(again(values), model(values))


class Doubling(rc.Layer):
    def call(self, inputs):
        return 2 * inputs


@pytest.mark.parametrize(
    "layer",
    [
        rc.LSTM(2, recurrent_activation="hard_sigmoid_legacy"),
        rc.GRU(2, recurrent_activation="hard_sigmoid_legacy"),
        rc.GRU(2, "hard_sigmoid_legacy", reset_after=False),
        rc.SimpleRNN(2, "hard_sigmoid_legacy"),
        rc.Dense(2, "hard_sigmoid_legacy"),
        rc.ConvLSTM1D(2, 3, recurrent_activation="hard_sigmoid_legacy", input_shape=(5, 4, 3)),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_the_hard_sigmoid_of_keras_2_in_terms_of_that_of_keras_3(layer, tmp_path):
    shape = (5, 4, 3) if isinstance(layer, rc.ConvLSTM1D) else (5, 3)
    model = rc.Sequential([rc.Input(shape), layer])
    rng = np.random.default_rng(1)
    model.set_weights([rng.standard_normal(w.shape) for w in model.get_weights()])
    model.save(tmp_path / "model.keras")
    again = rc.load(tmp_path / "model.keras")
    assert "legacy" not in str(again.layers[0].get_config())
    x = 2 * rng.standard_normal((4, *shape))
    np.testing.assert_allclose(again(x), model(x), rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_layers_of_the_users(suffix, tmp_path):
    path = tmp_path / f"model{suffix}"
    rc.Sequential([rc.Input((3,)), Doubling(), rc.Dense(2, kernel_initializer="ones")]).save(path)
    again = rc.load(path, custom_objects={"Doubling": Doubling})
    assert again(np.ones((1, 3))).tolist() == [[6, 6]]
    with pytest.raises(ValueError, match="'Doubling', a class that rnn_core does not have"):
        rc.load(path)


def test_bad_names_and_unbuilt_models(tmp_path):
    model = rc.Sequential([rc.LSTM(2)])
    with pytest.raises(ValueError, match="expected a name that ends in .keras or .safetensors"):
        model.save(tmp_path / "model.h5")
    with pytest.raises(ValueError, match="has no weights yet"):
        model.save(tmp_path / "model.keras")
    model.build((None, None, 3))
    with pytest.raises(FileNotFoundError):
        model.save(tmp_path / "none" / "model.safetensors")


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    path = tmp_path / "model.safetensors"
    path.write_text("kept")
    monkeypatch.setattr("rnn_core.formats.safetensors.write", full)
    with pytest.raises(OSError, match="No space"):
        rc.Sequential([rc.Dense(2, input_shape=(3,))]).save(path)
    assert path.read_text() == "kept"
    assert len(list(tmp_path.iterdir())) == 1


# Safetensors


def test_weights_are_the_files_own_pages(tmp_path):
    rc.Sequential([rc.LSTM(8, input_shape=(None, 4))]).save(tmp_path / "model.safetensors")
    model = rc.load(tmp_path / "model.safetensors")
    assert not any(weight.flags.writeable for weight in model.weights)
    assert all(weight.ctypes.data % 16 == 0 for weight in model.weights)
    before = model.get_weights()
    model.set_weights([2 * weight for weight in before])
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(new, 2 * old)
    cell = model.layers[0].cell
    assert cell.kernel is model.weights[0]
    x = np.ones((2, 3, 4), np.float32)
    other = rc.Sequential([rc.LSTM(8, input_shape=(None, 4))])
    other.set_weights(model.get_weights())
    np.testing.assert_array_equal(model(x), other(x))


def written(path, header, data=b""):
    text = json.dumps(header).encode() if isinstance(header, dict) else header
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def test_arrays_of_any_kind(tmp_path):
    """As the format's own library lays them out."""
    bfloat16 = np.array([1.5, -2.0], "f4").view("u4") >> 16
    values = {
        "F64": np.array([1.5]),
        "F16": np.array([[1, 2]], "f2"),
        "I64": np.array([-(2**62)]),
        "U8": np.array([255], "u1"),
        "BOOL": np.array([True, False]),
        "F32": np.zeros((0, 3), "f4"),
    }
    header, data = {"__metadata__": {"by": "me"}}, b""
    for kind, stored in [*values.items(), ("BF16", bfloat16.astype("u2"))]:
        places = [len(data), len(data) + stored.nbytes]
        header[f"{kind}.weight"] = {"dtype": kind, "shape": stored.shape, "data_offsets": places}
        data += stored.tobytes()
    loaded = rc.load(written(tmp_path / "arrays.safetensors", header, data))
    assert loaded["BF16.weight"].tolist() == [1.5, -2.0]
    for kind, expected in values.items():
        np.testing.assert_array_equal(loaded[f"{kind}.weight"], expected)
        assert loaded[f"{kind}.weight"].dtype == expected.dtype


def entry(shape=(2,), places=(0, 8), dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": places}


@pytest.mark.parametrize(
    "header",
    [
        {"a": entry(places=(0, 4))},
        {"a": entry(places=(4, 12))},
        {"a": entry(), "b": entry()},
        {"a": entry((2**62, 4))},
        {"a": entry((-1, -2))},
        {"a": entry((True, 2))},
        {"a": entry(dtype="F8_E4M3", shape=(8,))},
        {"a": entry(places=(8, 0))},
        {"a": entry(places=("0", "8"))},
        {"a": {"dtype": "F32"}},
        {"a": 1},
        b"[1]",
        b"{",
        b"{" * 100,
    ],
)
def test_headers_that_lie(header, tmp_path):
    with pytest.raises(ValueError, match=r"arrays\.safetensors"):
        rc.load(written(tmp_path / "arrays.safetensors", header, bytes(8)))


def test_what_is_written_can_be_read(tmp_path):
    arrays = {
        "b": np.arange(3, dtype="u1"),
        "a": np.arange(6.0).reshape(2, 3).T,
        "c": np.float32(1),
    }
    safetensors.write(tmp_path / "x.safetensors", arrays, {"k": "v"})
    metadata, found = safetensors.read(tmp_path / "x.safetensors")
    assert metadata == {"k": "v"}
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].flags.aligned


def test_how_masks_are_treated_is_left_out_where_there_are_none(tmp_path):
    half = rc.Bidirectional(rc.LSTM(2, return_sequences=True), zero_output_for_mask=False)
    chain = rc.Sequential([rc.Input((None, 3)), half])
    chain.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        assert b"zero_output_for_mask" not in archive.read("config.json")
    masked = rc.Sequential([rc.Input((None, 3)), rc.Masking(), half])
    with pytest.raises(ValueError, match="has zero_output_for_mask=False"):
        masked.save(tmp_path / "masked.keras")


# The first byte of the length may be that of a pickle, of JSON, or of ONNX.
@pytest.mark.parametrize("length", [640, 640 + ord("{") - 128, 640 + 8 - 128, 648])
def test_a_safetensors_header_of_any_length(length, tmp_path):
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})
    content = length.to_bytes(8, "little") + header.encode().ljust(length) + np.float32(2).tobytes()
    (tmp_path / "w.safetensors").write_bytes(content)
    assert rc.load(tmp_path / "w.safetensors") == {"w": [2]}
