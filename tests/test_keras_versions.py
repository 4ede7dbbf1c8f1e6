"""Files of every generation of Keras; golden/make_keras_versions.py makes them."""

import contextlib
import io
import json
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

import rnn_core as rc

GOLDEN = Path(__file__).parent / "golden/keras_versions"


class Scale(rc.Layer):
    config_keys = ("power",)

    def __init__(self, power=1, **kwargs):
        super().__init__(**kwargs)
        self.power = power

    def build(self, input_shape):
        self.factor = self.add_weight(input_shape[-1:], name="factor")

    def call(self, inputs):
        return inputs * self.factor**self.power


class Leaky(rc.Layer):
    config_keys = ("units",)

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = self.output_size = units

    def build(self, input_shape):
        self.kernel = self.add_weight((input_shape[-1], self.units), name="kernel")

    def call(self, inputs, states):
        h = 0.9 * states[0] + inputs @ self.kernel
        return h, [h]


def squash(x):
    return x / (1 + np.abs(x))


CUSTOM = {"mine>Scale": Scale, "Leaky": Leaky, "squash": squash}


def stem_of(name):
    return name.removesuffix("weights.h5").rstrip("._")


ENDINGS = (".h5", ".keras")


def members():
    for archive in sorted(GOLDEN.glob("*.zip")):
        with zipfile.ZipFile(archive) as content:
            yield from ((archive.stem, name) for name in content.namelist())


FILES = sorted(members())
MODELS = [
    file for file in FILES if file[1].endswith(ENDINGS) and not file[1].endswith("weights.h5")
]
WEIGHTS = [
    (version, name)
    for version, name in FILES
    if name.endswith("weights.h5") and (version, f"{stem_of(name)}.json") in FILES
]


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
    model = rc.load(unpacked(tmp_path, version, name), custom_objects=CUSTOM)
    check(model, version, name.partition(".")[0])


@pytest.mark.parametrize(
    ("version", "name"),
    [(v, n) for v, n in MODELS if v in ("keras1.2.2", "keras2.3.1", "tf2.15", "keras3.15.1")],
)
def test_its_config_makes_the_same_model(version, name, tmp_path):
    model = rc.load(unpacked(tmp_path, version, name), custom_objects=CUSTOM)
    objects = {**CUSTOM, "Scale": Scale}
    config = json.loads(json.dumps(model.get_config()))
    twin = type(model).from_config(config, custom_objects=objects)
    if not twin.built:
        twin.build(model.input_layers[0].batch_shape)
    twin.set_weights(model.get_weights())
    check(twin, version, name.partition(".")[0])


@pytest.mark.parametrize(("version", "name"), WEIGHTS)
def test_an_architecture_and_its_weights(version, name, tmp_path):
    stem = stem_of(name)
    architecture = unpacked(tmp_path, version, f"{stem}.json")
    weights = unpacked(tmp_path, version, name)
    check(rc.load(architecture, weights=weights), version, stem)
    model = rc.load(architecture)
    assert any(weight.any() for weight in model.weights)
    model.load_weights(weights)
    check(model, version, stem)


def test_sharded_weights(tmp_path):
    version = "keras3.15.1"
    with zipfile.ZipFile(GOLDEN / f"{version}.zip") as content:
        for name in content.namelist():
            if name.startswith("graph"):
                content.extract(name, tmp_path)
    model = rc.load(tmp_path / "graph.json")
    model.load_weights(tmp_path / "graph.weights.json")
    check(model, version, "graph")
    listed = json.loads((tmp_path / "graph.weights.json").read_text())
    listed["weight_map"] = {"/layers": "../elsewhere.h5"}
    (tmp_path / "graph.weights.json").write_text(json.dumps(listed))
    with pytest.raises(ValueError, match=r"'../elsewhere.h5', expected a file beside it"):
        model.load_weights(tmp_path / "graph.weights.json")


@pytest.mark.parametrize("version", ["keras2.3.1", "tf1.15", "tf2.7"])
def test_weights_of_cudnn_show_by_their_bias(version, tmp_path):
    path = unpacked(tmp_path, version, "cudnn.json")
    plain = {"LSTM": {}, "GRU": {"reset_after": True}}

    def change(part):
        if isinstance(part, list):
            return [change(item) for item in part]
        if not isinstance(part, dict):
            return part
        part = {key: change(value) for key, value in part.items()}
        kind = str(part.get("class_name")).removeprefix("CuDNN")
        if kind in plain:
            part["class_name"] = kind
            part["config"] |= {"recurrent_activation": "sigmoid", **plain[kind]}
        return part

    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    model = rc.load(path, weights=unpacked(tmp_path, version, "cudnn_weights.h5"))
    assert all("CuDNN" not in type(layer).__name__ for layer in model._walk_layers())
    check(model, version, "cudnn")


PLACES = [
    None,
    -1,
    0,
    10**9,
    1e300,
    "x",
    [],
    {},
    [1, 2, 3],
    True,
    float("nan"),
    "Lambda",
    -(10**12),
]


def leaves(value, path=()):
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield (*path, key)
        if isinstance(item, (dict, list)):
            yield from leaves(item, (*path, key))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("version", "name"), [("keras1.2.2", "keras1_graph"), ("tf1.15", "cudnn"), ("tf2.15", "graph")]
)
def test_damaged_architectures_are_value_errors(version, name, tmp_path, rng):
    path = unpacked(tmp_path, version, f"{name}.json")
    text = path.read_text()
    places = list(leaves(json.loads(text)))
    for _ in range(60):
        config = json.loads(text)
        *way, last = places[rng.integers(len(places))]
        part = config
        for key in way:
            part = part[key]
        part[last] = PLACES[rng.integers(len(PLACES))]
        path.write_text(json.dumps(config))
        with contextlib.suppress(ValueError):
            assert isinstance(rc.load(path), rc.Model)


@pytest.mark.parametrize("version", ["keras1.2.2", "tf1.15", "tf2.13", "keras3.15.1"])
def test_weights_of_another_model_change_nothing(version, tmp_path):
    stem = "keras1_graph" if version == "keras1.2.2" else "graph"
    ending = ".weights.h5" if (version, f"{stem}.weights.h5") in FILES else "_weights.h5"
    model = rc.load(unpacked(tmp_path, version, f"{stem}.json"))
    before = model.get_weights()
    other = unpacked(tmp_path, version, f"{stem}{ending}")
    with h5py.File(other, "r+") as file:
        # The last in the file: those before it fit.
        changed = []
        file.visititems(lambda name, item: changed.append(name) if hasattr(item, "dtype") else None)
        changed = [name for name in changed if "optimizer" not in name and "seed" not in name]
        shape = file[changed[-1]].shape
        del file[changed[-1]]
        file[changed[-1]] = np.zeros((*shape, 3), "f4")
    with pytest.raises(ValueError, match=r"has shape .*, expected "):
        model.load_weights(other)
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
    alone = rc.Sequential([rc.Dense(2, input_shape=(3,))])
    with pytest.raises(ValueError, match="expected 1|needs layers/dense/vars/0|has shape"):
        alone.load_weights(other)


@pytest.mark.parametrize("version", ["keras2.2.4", "keras3.15.1"])
def test_a_lambda_is_refused_whatever_users_say(version, tmp_path):
    path = unpacked(tmp_path, version, "embedded.h5")
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"][-1]["class_name"] = "Lambda"
        file.attrs["model_config"] = json.dumps(config)
    with pytest.raises(
        ValueError, match=r"layer 'dense\w*' is a 'Lambda', a class that rnn_core ref"
    ):
        rc.load(path, custom_objects={"Lambda": rc.Dense})


def architecture(tmp_path, *layers, **more):
    path = tmp_path / "model.json"
    entries = [{"class_name": name, "config": config} for name, config in layers]
    content = {"class_name": "Sequential", "config": {"name": "m", "layers": entries}, **more}
    path.write_text(json.dumps(content))
    return path


INPUT = ("InputLayer", {"batch_shape": [None, 4, 3], "name": "x"})


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (("TextVectorization", {"name": "text"}), "layer 'text' is a 'TextVectorization'"),
        (
            ("Dense", {"name": "q", "units": 2, "dtype": {"class_name": "QuantizedDTypePolicy"}}),
            "layer 'q' is quantized",
        ),
        (("RNN", {"name": "r", "cell": {"class_name": "ResidualWrapper", "config": {"name": "w"}}}),
         "layer 'w' is a 'ResidualWrapper'"),
        (("mine>Scale", {"name": "s"}), "layer 's' is a 'mine>Scale'"),
        (("Dense", {"name": "d", "units": 10**9}), "does not fit the .* bytes left"),
        (("Split", {"indices_or_sections": 10**9, "axis": 1}), "makes 1000000000 parts"),
        (("TFOpLambda", {"name": "f", "function": "io.read"}), "node 'f' calls tf.io.read, which"),
    ],
)  # fmt: skip
def test_what_is_refused_is_named(layer, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        rc.load(architecture(tmp_path, INPUT, layer, keras_version="2.15.0"))


def test_an_architecture_has_its_initial_weights(tmp_path):
    ones = {"class_name": "Ones", "config": {}}
    dense = ("Dense", {"units": 2, "kernel_initializer": ones})
    model = rc.load(architecture(tmp_path, INPUT, dense, keras_version="3.15.1"))
    assert model(np.ones((1, 4, 3))).tolist() == [[[3.0, 3.0]] * 4]


def test_policies_of_half_precision_run_in_float32(tmp_path):
    policies = ["float16", "mixed_bfloat16"]
    forms = [{"class_name": "DTypePolicy", "config": {"name": name}} for name in policies]
    for dtype in (*policies, *forms):
        layer = ("LSTM", {"units": 2, "dtype": dtype})
        model = rc.load(architecture(tmp_path, INPUT, layer, keras_version="3.15.1"))
        twin = rc.LSTM(2)
        expected = twin(np.ones((1, 4, 3)))
        assert expected.dtype == np.float32
        model.set_weights(twin.get_weights())
        np.testing.assert_array_equal(model(np.ones((1, 4, 3))), twin(np.ones((1, 4, 3))))


def test_one_shared_object_id_is_one_layer(tmp_path):
    shared = {"class_name": "Dense", "shared_object_id": 7, "config": {"units": 3, "name": "d"}}
    steps = [("TimeDistributed", {"name": name, "layer": shared}) for name in "ab"]
    model = rc.load(architecture(tmp_path, INPUT, *steps, keras_version="2.15.0"))
    assert model.layers[0].layer is model.layers[1].layer
    assert model.count_params() == 12


def test_checkpoints_are_refused_with_a_way_out(tmp_path):
    (tmp_path / "model.index").write_bytes(b"")
    model = rc.Sequential([rc.Dense(2, input_shape=(3,))])
    for path in (tmp_path, tmp_path / "model", tmp_path / "model.index"):
        with pytest.raises(ValueError, match=r"only TensorFlow reads: .* save the model"):
            model.load_weights(path)
        with pytest.raises(ValueError, match="only TensorFlow reads"):
            rc.load(path)
    other = tmp_path / "weights.npz"
    np.savez(other, a=np.zeros(3))
    with pytest.raises(ValueError, match="has no metadata.json|no .keras file"):
        model.load_weights(other)
    with pytest.raises(ValueError, match="is not built"):
        rc.Sequential([rc.Dense(2)]).load_weights(tmp_path / "none.h5")


def fake(name, config, weights, shape=(None, 4, 3)):
    """Return an object with the methods of a layer of Keras 3."""
    methods = {
        "__module__": "keras.src.layers",
        "get_config": lambda self: config,
        "get_build_config": lambda self: {"input_shape": shape},
        "get_weights": lambda self: weights,
    }
    return type(name, (), methods)()


@pytest.mark.parametrize("name", ["LSTM", "GRUCell", "Bidirectional"])
def test_layers_and_cells_in_memory(name, rng):
    inner = {"class_name": "GRU", "config": {"units": 2, "go_backwards": False}}
    config = {"layer": inner} if name == "Bidirectional" else {"units": 2}
    shape = (None, 3) if name == "GRUCell" else (None, 4, 3)
    ours = getattr(rc, name).from_config(dict(config))
    ours.build(shape)
    weights = [rng.standard_normal(w.shape).astype("f4") for w in ours.weights]
    ours.set_weights(weights)
    made = rc.from_keras(fake(name, config, weights, shape))
    assert type(made) is type(ours)
    for mine, theirs in zip(made.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    with pytest.raises(ValueError, match="weights, expected"):
        rc.from_keras(fake(name, config, weights[1:], shape))
    with pytest.raises(ValueError, match=f"'{name}' is not built"):
        rc.from_keras(fake(name, config, weights, None))
