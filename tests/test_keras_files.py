"""Files that Keras wrote, whole and broken. golden/make_keras.py makes those of golden/keras."""

import io
import json
import shutil
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

import rnn_core as rc

GOLDEN = Path(__file__).parent / "golden"
SURNAMES = Path(__file__).parents[1] / "examples/surnames"
FILES = sorted(path for path in (GOLDEN / "keras").iterdir() if path.suffix != ".npz")


def arrays(io_path, prefix):
    with np.load(io_path) as content:
        return [content[name] for name in content.files if name.startswith(prefix)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_keras_gives_the_same(path):
    x, expected = (arrays(path.with_suffix(".npz"), prefix) for prefix in ("in_", "out_"))
    outputs = rc.load(path).predict(x if len(x) > 1 else x[0])
    outputs = outputs if isinstance(outputs, list) else [outputs]
    for mine, theirs in zip(outputs, expected, strict=True):
        # An LSTM of exponentials has outputs without bound, and float32 errors that grow with them.
        relative = 2e-6 if path.name.startswith("activations") else 0
        np.testing.assert_allclose(mine, theirs, atol=2e-6, rtol=relative)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_configs_of_loaded_models_make_the_same_model(path):
    x = arrays(path.with_suffix(".npz"), "in_")
    x = x if len(x) > 1 else x[0]
    model = rc.load(path)
    twin = type(model).from_config(json.loads(json.dumps(model.get_config())))
    twin(x)
    twin.set_weights(model.get_weights())
    ours, theirs = twin(x), model(x)
    pairs = zip(ours, theirs, strict=True) if isinstance(ours, list) else [(ours, theirs)]
    for mine, exact in pairs:
        np.testing.assert_array_equal(mine, exact)


def test_surnames():
    with np.load(GOLDEN / "surnames/ref_census2010.npz") as reference:
        x, y, names = reference["x"], reference["y"], reference["names"]
    scores = rc.load(SURNAMES / "census2010_ln_lstm.h5").predict(x)
    assert np.abs(scores - y).max() <= 2e-6
    assert dict(
        zip(["api", "black", "hispanic", "white"], scores[names == "SMITH"][0], strict=True)
    ) == (
        pytest.approx({"api": 0.008, "black": 0.215, "hispanic": 0.029, "white": 0.747}, abs=5e-4)
    )


@pytest.mark.parametrize("name", ["wrn-gru-mesa", "ws-gru-mesa"])
def test_sleep_stages(name):
    with np.load(GOLDEN / f"sleepecg/ref_{name}.npz") as reference:
        x, y = reference["x"], reference["y"]
    stages = rc.load(GOLDEN / f"sleepecg/{name}.keras").predict(x)
    assert np.abs(stages - y).max() <= 2e-6


# Files that are broken or hostile

SMALL = {".h5": GOLDEN / "keras/embedded_k2.h5", ".keras": GOLDEN / "keras/embedded_k3.keras"}


def edit_h5(path, change):
    with h5py.File(path, "r+") as file:
        change(file)


def edit_zip(path, change):
    """Rewrite an archive with its members changed by `change(members)`."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def edit_config(path, change):
    def change_member(members):
        config = json.loads(members["config.json"])
        change(config)
        members["config.json"] = json.dumps(config).encode()

    def change_attribute(file):
        config = json.loads(file.attrs["model_config"])
        change(config)
        file.attrs["model_config"] = json.dumps(config)

    if path.suffix == ".h5":
        edit_h5(path, change_attribute)
    else:
        edit_zip(path, change_member)


@pytest.fixture(params=[".h5", ".keras"])
def small(request, tmp_path):
    return Path(shutil.copy(SMALL[request.param], tmp_path))


@pytest.mark.parametrize("class_name", ["Lambda", "MyLayer", "os.system", "Layer", "__import__"])
def test_an_unknown_layer_is_named(small, class_name):
    def change(config):
        config["config"]["layers"][-1] |= {"class_name": class_name, "module": "os"}

    edit_config(small, change)
    with pytest.raises(
        ValueError, match=rf"layer 'dense\w*' is a '{class_name}', a class that rnn_core"
    ):
        rc.load(small)


def test_weights_of_another_shape(small):
    def change(config):
        config["config"]["layers"][-1]["config"]["units"] = 4

    edit_config(small, change)
    with pytest.raises(ValueError, match=r"'kernel' has shape \(5, 3\), expected \(5, 4\)"):
        rc.load(small)


def test_a_config_of_more_weights_than_the_file_holds(small):
    def change(config):
        config["config"]["layers"][-1]["config"]["units"] = 10**12

    edit_config(small, change)
    with pytest.raises(ValueError, match="does not fit the .* bytes left to the model"):
        rc.load(small)


@pytest.mark.parametrize("size", [0, 1, 7, 100, 5000, -1])
def test_a_truncated_file(small, size):
    content = small.read_bytes()
    small.write_bytes(content[:size])
    with pytest.raises(ValueError, match=small.name):
        rc.load(small)


def test_a_file_of_something_else(tmp_path):
    path = tmp_path / "model.h5"
    path.write_text("name,score\nSMITH,1\n")
    with pytest.raises(ValueError, match=r"begins with b'name,sco', expected a model file"):
        rc.load(path)
    with pytest.raises(FileNotFoundError):
        rc.load(tmp_path / "none.h5")


@pytest.mark.parametrize("size", [2**20, 2**40, 2**64 - 1])
def test_a_string_larger_than_the_file(tmp_path, size):
    content = SMALL[".h5"].read_bytes()
    path = tmp_path / "model.h5"
    position = content.index(b"GCOL") + 16
    path.write_bytes(
        content[: position + 8] + size.to_bytes(8, "little") + content[position + 16 :]
    )
    with pytest.raises(ValueError, match=f"{size} bytes at"):
        rc.load(path)


def test_a_bare_weights_file(small):
    if small.suffix == ".h5":
        edit_h5(small, lambda file: file.attrs.__delitem__("model_config"))
        message = "holds no model_config"
    else:
        edit_zip(small, lambda members: members.pop("config.json"))
        message = "has no config.json"
    with pytest.raises(ValueError, match=message):
        rc.load(small)


@pytest.mark.parametrize("target", [h5py.SoftLink("/elsewhere"), h5py.ExternalLink("x.h5", "/w")])
def test_links_are_not_followed(tmp_path, target):
    path = Path(shutil.copy(SMALL[".h5"], tmp_path))

    def change(file):
        group = file["model_weights"]
        name = group.attrs["layer_names"][-1]
        group = group[name]
        weight = group.attrs["weight_names"][0]
        del group[weight]
        group[weight] = target

    edit_h5(path, change)
    with pytest.raises(ValueError, match="is a link to elsewhere"):
        rc.load(path)


@pytest.mark.parametrize("kind", ["unallocated", "strings", "virtual"])
def test_datasets_that_are_not_numbers_in_the_file(tmp_path, kind):
    path = Path(shutil.copy(SMALL[".h5"], tmp_path))

    def change(file):
        group = file["model_weights"]
        group = group[group.attrs["layer_names"][-1]]
        weight = group.attrs["weight_names"][0]
        del group[weight]
        if kind == "unallocated":
            group.create_dataset(weight, (10**6, 10**6), "f4")
        elif kind == "strings":
            group[weight] = np.array([b"a", b"b"])
        else:
            layout = h5py.VirtualLayout((5, 3), "f4")
            layout[:] = h5py.VirtualSource("other.h5", "w", (5, 3))
            group.create_virtual_dataset(weight, layout)

    edit_h5(path, change)
    with pytest.raises(ValueError, match="would take|expected numbers|stored in another file"):
        rc.load(path)


def test_a_zip_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", "{}")
        with archive.open("model.weights.h5", "w") as member:
            for _ in range(100):
                member.write(bytes(1 << 20))
    with pytest.raises(ValueError, match="declares 104857600 bytes"):
        rc.load(path)


def test_links_in_circles_cost_nothing(tmp_path):
    path = Path(shutil.copy(SMALL[".keras"], tmp_path))

    def change(members):
        weights = io.BytesIO(members["model.weights.h5"])
        with h5py.File(weights, "r+") as file:
            group = file["layers"]
            for depth in range(40):
                below = group.create_group(f"a{depth}")
                group["b"] = below
                group = below
            group["root"] = file["layers"]
        members["model.weights.h5"] = weights.getvalue()

    edit_zip(path, change)
    assert rc.load(path).count_params() == rc.load(SMALL[".keras"]).count_params()


@pytest.mark.parametrize(
    "config",
    [
        [],
        {},
        3,
        {"class_name": "Sequential", "config": {"layers": 5}},
        {"class_name": "InputLayer", "config": {"batch_shape": [float("inf")]}},
        "[" * 100_000,
        "{",
    ],
)
def test_configs_that_make_no_sense(tmp_path, config):
    path = tmp_path / "model.keras"
    weights = io.BytesIO()
    h5py.File(weights, "w").close()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", config if isinstance(config, str) else json.dumps(config))
        archive.writestr("model.weights.h5", weights.getvalue())
    with pytest.raises(ValueError, match=r"model\.keras"):
        rc.load(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1}', "no architecture of Keras"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "run git lfs pull"),
    ],
)
def test_what_looks_like_a_model(content, message, tmp_path):
    path = tmp_path / "model.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        rc.load(path)


def test_an_architecture_of_large_weights(tmp_path):
    path = tmp_path / "model.json"
    layer = {"class_name": "Dense", "config": {"units": 10**5, "batch_input_shape": [None, 10**4]}}
    config = {"class_name": "Sequential", "config": {"name": "m", "layers": [layer]}}
    path.write_text(json.dumps(config))
    with pytest.raises(ValueError, match="give the file of its weights as weights="):
        rc.load(path)
