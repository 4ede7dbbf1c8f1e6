"""Files of every generation of Keras; golden/make_keras_versions.py makes them."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

import rnn_core as rc

GOLDEN = Path(__file__).parent / "golden/keras_versions"
ENDINGS = (".h5", ".keras")


def members():
    for archive in sorted(GOLDEN.glob("*.zip")):
        with zipfile.ZipFile(archive) as content:
            yield from ((archive.stem, name) for name in content.namelist())


FILES = sorted(members())
MODELS = [
    file for file in FILES if file[1].endswith(ENDINGS) and not file[1].endswith("weights.h5")
]
WEIGHTS = [file for file in FILES if file[1].endswith("weights.h5")]


def unpacked(folder, version, name):
    with zipfile.ZipFile(GOLDEN / f"{version}.zip") as content:
        return Path(content.extract(name, folder))


def check(model, version, name):
    with (
        zipfile.ZipFile(GOLDEN / f"{version}.zip") as content,
        np.load(io.BytesIO(content.read(f"{name}.npz"))) as arrays,
    ):
        x = [arrays[key] for key in arrays.files if key.startswith("in_")]
        expected = [arrays[key] for key in arrays.files if key.startswith("out_")]
    y = model.predict(x if len(x) > 1 else x[0])
    y = y if isinstance(y, list) else [y]
    for mine, theirs in zip(y, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=2e-6)


@pytest.mark.parametrize(("version", "name"), MODELS)
def test_a_model_of_any_keras_gives_the_same(version, name, tmp_path):
    check(rc.load(unpacked(tmp_path, version, name)), version, name.partition(".")[0])


@pytest.mark.parametrize(("version", "name"), WEIGHTS)
def test_an_architecture_and_its_weights(version, name, tmp_path):
    stem = name.removesuffix("weights.h5").rstrip("._")
    architecture = unpacked(tmp_path, version, f"{stem}.json")
    weights = unpacked(tmp_path, version, name)
    check(rc.load(architecture, weights=weights), version, stem)
    model = rc.load(architecture)
    assert any(weight.any() for weight in model.weights)
    model.load_weights(weights)
    check(model, version, stem)
