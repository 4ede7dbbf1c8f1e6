"""What PyTorch computes, from its modules and state dicts. golden/make_torch.py made the files."""

import contextlib
import json
from pathlib import Path

import fake_torch
import numpy as np
import pytest

import rnn_core as rc

GOLDEN = Path(__file__).parent / "golden/torch"
TOLERANCE = 2e-6
# Made at collection: the tests' names are of the cases.
RECURRENT = rc.load(GOLDEN / "recurrent.pt")
ALONE = rc.load(GOLDEN / "alone.pt")
CHAINS = rc.load(GOLDEN / "chains.pt")


def leaves(value):
    return [leaf for part in value for leaf in leaves(part)] if is_list(value) else [value]


def is_list(value):
    return isinstance(value, (list, tuple))


def assert_same(mine, theirs, tolerance=TOLERANCE):
    assert is_list(mine) == is_list(theirs)
    mine, theirs = leaves(mine), leaves(theirs)
    assert len(mine) == len(theirs)
    for ours, expected in zip(mine, theirs, strict=True):
        assert ours.shape == expected.shape
        np.testing.assert_allclose(ours, expected, rtol=0, atol=tolerance)


def case_id(case):
    return "-".join([case["kind"], *(str(value) for value in case["options"].values())])


@pytest.fixture(params=RECURRENT, ids=case_id)
def case(request):
    return request.param


def arguments_of(case, call):
    options = {"batch_first": call["batch_first"]}
    if "nonlinearity" in case["options"]:
        options["nonlinearity"] = case["options"]["nonlinearity"]
    return options


def test_recurrent_modules_give_what_torch_gives(case):
    for call in case["calls"]:
        module = rc.from_torch(case["state_dict"], **arguments_of(case, call))
        output, last = module(call["x"], call["hx"], lengths=call["lengths"])
        assert_same(output, call["output"])
        assert_same(last, call["last"])


def test_modules_know_their_options(case):
    for call in case["calls"]:
        options = {**arguments_of(case, call), **case["options"]}
        module = rc.from_torch(
            fake_torch.module(case["kind"], case["state_dict"], dropout=0.5, **options)
        )
        output, last = module(call["x"], call["hx"], lengths=call["lengths"])
        assert_same((output, last), (call["output"], call["last"]))


def test_rows_give_alone_what_they_give_in_a_padded_batch(case):
    for call in case["calls"]:
        if call["lengths"] is None:
            continue
        module = rc.from_torch(case["state_dict"], **arguments_of(case, call))
        for row, length in enumerate(call["lengths"]):
            x = call["x"][row, :length] if call["batch_first"] else call["x"][:length, row]
            hx = [h[:, row] for h in leaves([call["hx"]])]
            output, last = module(x, hx if len(hx) > 1 else hx[0])
            y = call["output"]
            assert_same(output, y[row, :length] if call["batch_first"] else y[:length, row])
            assert_same(leaves([last]), [h[:, row] for h in leaves([call["last"]])])


def test_double_weights_compute_in_double(case):
    call = case["calls"][1]
    doubles = {key: value.astype(np.float64) for key, value in case["state_dict"].items()}
    output, last = rc.from_torch(doubles, **arguments_of(case, call))(call["x"], call["hx"])
    assert {leaf.dtype for leaf in leaves([output, last])} == {np.dtype(np.float64)}
    assert_same((output, last), (call["output"], call["last"]))


@pytest.mark.parametrize(("kind", "state", "options", "x", "hx", "result"), ALONE)
def test_sequences_without_a_batch_and_cells(kind, state, options, x, hx, result):
    module = rc.from_torch(state, **options)
    assert_same(module(x, hx), result)
    states = [np.zeros_like(h) for h in leaves([hx])]
    zeros = states if is_list(hx) else states[0]
    assert_same(module(x), module(x, zeros), tolerance=0)


def gru_weights(features=3, units=4, layers=1, dtype=np.float32):
    rng = np.random.default_rng(5)
    shapes = {}
    for layer in range(layers):
        taken = features if layer == 0 else units
        shapes[f"weight_ih_l{layer}"] = (3 * units, taken)
        shapes[f"weight_hh_l{layer}"] = (3 * units, units)
        shapes[f"bias_ih_l{layer}"] = shapes[f"bias_hh_l{layer}"] = (3 * units,)
    return {name: rng.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}


def test_a_sequence_of_no_steps_leaves_the_states():
    state = next(case["state_dict"] for case in RECURRENT if "proj_size" in case["options"])
    lstm = rc.from_torch(state)
    h, c = np.full((1, 2, 2), 0.5), np.full((1, 2, 4), 0.25)
    x = np.ones((3, 2, 3))
    output, (h_n, c_n) = lstm(x, (h, c), lengths=[0, 3])
    assert not output[:, 0].any()
    np.testing.assert_array_equal(h_n[:, 0], h[:, 0])
    np.testing.assert_array_equal(c_n[:, 0], c[:, 0])
    assert_same(h_n[:, 1:], lstm(x[:, 1:], (h[:, 1:], c[:, 1:]))[1][0])
    output, (h_n, c_n) = lstm(x[:0], (h, c))
    assert output.shape == (0, 2, 2)
    np.testing.assert_array_equal(h_n, h)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": np.ones((2, 5, 4))}, r"inputs have shape \(2, 5, 4\), expected 2 or 3 axes"),
        ({"x": np.ones(3)}, r"inputs have shape \(3,\)"),
        ({"hx": np.ones((1, 5, 4))}, r"a state has shape \(1, 5, 4\), expected \(2, 5, 4\)"),
        ({"hx": (np.ones((2, 5, 4)),) * 2}, "a state has shape|inhomogeneous|hx"),
        ({"lengths": [1, 2]}, r"lengths have shape \(2,\), expected \(5,\)"),
        ({"lengths": [1, 2, 3, 0, 1]}, "lengths are 0 to 3, expected 0 to 2"),
        ({"lengths": [1, 2, -1, 0, 1]}, "lengths are -1 to 2, expected 0 to 2"),
    ],
)
def test_calls_that_do_not_fit(arguments, message):
    gru = rc.from_torch(gru_weights(layers=2))
    with pytest.raises(ValueError, match=message):
        gru(**{"x": np.ones((2, 5, 3)), **arguments})


def test_states_of_an_lstm_are_two():
    lstm = rc.from_torch(RECURRENT[0]["state_dict"])
    with pytest.raises(ValueError, match=r"hx is a ndarray, expected \(h, c\)"):
        lstm(np.ones((2, 5, 3)), np.ones((1, 5, 4)))


def test_lengths_are_whole_numbers():
    with pytest.raises(TypeError, match="lengths are float64, expected whole numbers"):
        rc.from_torch(gru_weights())(np.ones((2, 1, 3)), lengths=[1.0])


def test_layers_run_packed():
    for case in RECURRENT:
        module = rc.from_torch(case["state_dict"])
        module(np.ones((2, 2, 3), np.float32))
        for layer in module.layers:
            layer = getattr(layer, "layer", layer)
            directions = [layer.forward_layer, layer.backward_layer] if module.bidirectional else []
            for each in directions or [layer]:
                assert each.cell._ready_plan() is not None


# Chains


@pytest.mark.parametrize("name", CHAINS)
def test_torch_sequential(name):
    golden = CHAINS[name]
    model = rc.from_torch(fake_torch.from_spec(golden["module"]))
    assert_same(model.predict(golden["x"]), golden["y"])
    if name != "two_axes":  # A chain's config says of the inputs only how many features they have.
        assert_same(twin_of(model, golden["x"]).predict(golden["x"]), golden["y"])


def twin_of(model, x):
    """Return the model that the config makes, with the weights."""
    twin = rc.Sequential.from_config(json.loads(json.dumps(model.get_config())))
    twin(x)
    twin.set_weights(model.get_weights())
    return twin


@pytest.fixture(scope="module")
def tagger():
    return rc.load(GOLDEN / "tagger.pt")


ENCODER = ["embedding", "conv", "norm", "relu", "lstm", "gru"]
CHOICES = {
    "last": [*ENCODER, "last"],
    "every": [*ENCODER, "normal", "project"],
    "classes": [*ENCODER, "normal", "project", "last", "tanh", "fc", "log_softmax"],
}


@pytest.mark.parametrize("result", CHOICES)
def test_a_chain_by_names(tagger, result):
    names = [name if name in PLAIN else f"module.{name}" for name in CHOICES[result]]
    model = rc.from_torch(tagger, names)
    assert_same(model.predict(tagger["ids"]), tagger[result])
    assert_same(model.predict(tagger["ids"], batch_size=1), tagger[result])
    assert_same(twin_of(model, tagger["ids"]).predict(tagger["ids"]), tagger[result])


PLAIN = ("relu", "tanh", "last", "log_softmax")


def test_a_chain_of_a_module(tagger):
    state = tagger["model_state_dict"]
    kinds = {"embedding": "Embedding", "conv": "Conv1d", "norm": "BatchNorm1d", "lstm": "LSTM"}
    kinds |= {"gru": "GRU", "normal": "LayerNorm", "project": "Linear", "fc": "Linear"}
    children = {}
    for name, kind in kinds.items():
        prefix = f"module.{name}."
        arrays = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        children[name] = fake_torch.module(kind, arrays)
    model = rc.from_torch(fake_torch.Module(children=children), CHOICES["classes"])
    assert_same(model.predict(tagger["ids"]), tagger["classes"])


def test_the_functions_between():
    linear = {"fc.weight": np.eye(3), "fc.bias": np.array([-1.0, 0.0, 2.0])}
    x = np.array([[0.5, -0.25, 1.0]])
    z = x + linear["fc.bias"]
    expected = {
        "relu": np.maximum(z, 0),
        "tanh": np.tanh(z),
        "sigmoid": 1 / (1 + np.exp(-z)),
        "softmax": np.exp(z) / np.exp(z).sum(),
        "log_softmax": z - np.log(np.exp(z).sum()),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(rc.from_torch(linear, ["fc", name])(x), value, rtol=1e-14)


def test_several_modules_are_listed(tagger):
    with pytest.raises(ValueError, match="8 modules with weights, expected one, or modules=") as e:
        rc.from_torch(tagger)
    assert "'module.embedding' (Embedding or Linear: weight (9, 4))" in str(e.value)
    assert "'module.lstm' (LSTM, 5 to 6 features, 2 layers)" in str(e.value)


def test_one_of_several_modules(tagger):
    state = tagger["model_state_dict"]
    chosen = rc.from_torch(tagger, "module.gru", batch_first=True)
    with pytest.raises(ValueError, match="8 modules with weights"):
        rc.from_torch(tagger, "")
    own = {k[11:]: v for k, v in state.items() if k.startswith("module.gru.")}
    x = np.random.default_rng(3).standard_normal((2, 5, 6))
    assert_same(chosen(x), rc.from_torch(own, batch_first=True)(x), tolerance=0)
    fc = rc.from_torch(tagger, "module.fc")
    weight, bias = state["module.fc.weight"], state["module.fc.bias"]
    np.testing.assert_allclose(fc(x[0, :, :4]), x[0, :, :4] @ weight.T + bias, atol=TOLERANCE)


def test_what_a_weight_without_bias_is():
    table = np.arange(12.0).reshape(4, 3)
    np.testing.assert_array_equal(
        rc.from_torch({"a.weight": table}, ["a"])([[3, 0]])[0, 0], [9, 10, 11]
    )
    following = {"a.weight": table, "b.weight": np.ones((2, 4)), "b.bias": np.zeros(2)}
    x = np.array([[1.0, 0.0, 2.0]])
    np.testing.assert_array_equal(
        rc.from_torch(following, ["a", "b"])(x), (x @ table.T).sum(axis=1, keepdims=True) * [1, 1]
    )
    after = {"b.weight": np.eye(3), "b.bias": np.zeros(3), "a.weight": table}
    np.testing.assert_array_equal(rc.from_torch(after, ["b", "a"])(x), x @ table.T)


def test_tensors_become_arrays():
    weights = gru_weights()
    halves = {
        key: fake_torch.Tensor(value.astype(np.float16), "torch.bfloat16")
        for key, value in weights.items()
    }
    x = np.ones((2, 3))
    rounded = {key: value.astype(np.float16) for key, value in weights.items()}
    assert_same(rc.from_torch(halves)(x), rc.from_torch(rounded)(x), tolerance=0)
    tensors = {key: fake_torch.Tensor(value) for key, value in weights.items()}
    assert_same(rc.from_torch({"model": tensors})(x), rc.from_torch(weights)(x), tolerance=0)


def without(*names, **changes):
    return {k: v for k, v in {**gru_weights(layers=2), **changes}.items() if k not in names}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({}, "source has nothing, expected arrays by name"),
        ({"model": {"epoch": 3}}, "source has 'epoch', expected arrays by name"),
        (without("weight_hh_l1"), "GRU '': 'weight_hh_l1' is missing"),
        (without("bias_hh_l1"), "GRU '': 'bias_hh_l1' is missing"),
        (without("weight_ih_l1"), "'bias_hh_l1' has no place, or is missing"),
        (without(weight_hh_l0=np.ones((9, 4))), r"weight_hh_l0 has shape \(9, 4\), expected"),
        (without(weight_hh_l0=np.ones(())), r"weight_hh_l0 has shape \(\)"),
        (without(weight_hh_l0=np.ones((0, 0))), r"weight_hh_l0 has shape \(0, 0\)"),
        (
            without(weight_hh_l1=np.ones((12, 3))),
            r"weight_ih_l1 has shape \(12, 4\), expected \(9, 4\)",
        ),
        (without(weight_ih_l0=np.ones(12)), r"weight_ih_l0 has shape \(12,\)"),
        (without(weight_hr_l1=np.ones(())), r"weight_hr_l1 has shape \(\), expected 2 axes"),
        (without(weight_ih_l1=np.ones((12, 5))), "layer 1 takes 5 features, gets 4"),
        (without(bias_ih_l0=np.ones(11)), r"bias_ih_l0 has shape \(11,\), expected \(12,\)"),
        (without(weight_ih_l0_reverse=np.ones((12, 3))), "'weight_hh_l0_reverse' is missing"),
        ({"strange": np.ones(3)}, "'' .unknown: strange .3,.. is of a kind that is not known"),
    ],
)
def test_weights_that_do_not_fit(source, message):
    with pytest.raises(ValueError, match=message):
        rc.from_torch(source)


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        (["module.lstm", "module.fc"], "'module.fc' .* takes 4 features, gets 6"),
        (["lstm"], "no module 'lstm'; there are 'module.embedding'.*functions relu, tanh"),
        ("lstm", "no module 'lstm'; there are 'module.embedding'"),
        ([], "there are no modules to make a chain of"),
    ],
)
def test_modules_that_do_not_fit(tagger, modules, message):
    with pytest.raises(ValueError, match=message):
        rc.from_torch(tagger, modules)


@pytest.mark.parametrize(
    ("kind", "arrays", "attributes", "message"),
    [
        ("Embedding", {"weight": (3, 2)}, {"max_norm": 1.0}, "has max_norm, expected None"),
        ("Conv1d", {"weight": (3, 2, 1)}, {"padding_mode": "circular"}, "pads by 'circular'"),
        ("BatchNorm1d", {"weight": (3,)}, {}, "BatchNorm1d '' has no running_mean"),
        (
            "MultiheadAttention",
            {"in_proj_weight": (3, 2)},
            {},
            "MultiheadAttention: .* is of a kind",
        ),
    ],
)
def test_options_that_no_layer_has(kind, arrays, attributes, message):
    arrays = {name: np.ones(shape, np.float32) for name, shape in arrays.items()}
    with pytest.raises(ValueError, match=message):
        rc.from_torch(fake_torch.module(kind, arrays, **attributes))


@pytest.mark.parametrize(
    ("kind", "attributes", "message"),
    [
        ("Flatten", {"start_dim": 0, "end_dim": -1}, r"has dims \(0, -1\)"),
        ("Softmax", {"dim": None}, "has dim=None, expected a number"),
        ("GELU", {}, "'1' .GELU: . is of a kind that is not known"),
    ],
)
def test_functions_that_no_layer_is(kind, attributes, message):
    linear = fake_torch.module("Linear", {"weight": np.ones((2, 3), np.float32)})
    children = {"0": linear, "1": fake_torch.module(kind, **attributes)}
    with pytest.raises(ValueError, match=message):
        rc.from_torch(fake_torch.module("Sequential", children=children))


WEIGHTS = [
    *(
        f"{key}_l0{end}"
        for key in ("weight_ih", "weight_hh", "bias_ih")
        for end in ("", "_reverse")
    ),
    *("weight_hr_l0", "weight_ih_l1", "weight_ih", "weight_hh", "bias_ih", "bias_hh"),
    *("weight", "bias", "running_mean", "running_var", "other"),
]


def test_weights_of_any_shapes_are_errors_or_models(rng):
    """What a file's weights are called, and of what shapes they are, nobody has checked."""
    made = 0
    for _ in range(1500):
        source = {}
        for name in rng.choice(["a.", "b.", ""], 2):
            for key in rng.choice(WEIGHTS, rng.integers(1, 6)):
                shape = rng.choice([0, 1, 2, 3, 4, 12], rng.choice([0, 1, 2, 2, 2, 3, 4]))
                source[name + key] = np.ones(shape, rng.choice(["f4", "f8", "i8", "?", "f2"]))
        modules = [None, ["a", "b"], ["b", "last"], "a", ["a", "relu"]][rng.integers(5)]
        with contextlib.suppress(ValueError):
            rc.from_torch(source, modules)
            made += 1
    assert made > 0


def test_a_class_of_the_users_is_its_base_unless_it_has_its_own_forward():
    case = RECURRENT[0]
    base = type(fake_torch.module("LSTM"))
    same, other = type("Mine", (base,), {}), type("Mine", (base,), {"forward": None})
    call = case["calls"][0]
    module = rc.from_torch(same(case["state_dict"]))
    assert_same(module(call["x"]), (call["output"], call["last"]))
    with pytest.raises(ValueError, match=r"'' \(Mine: .* is of a kind that is not known"):
        rc.from_torch(other(case["state_dict"]))


def test_an_unknown_nonlinearity():
    state = next(case["state_dict"] for case in RECURRENT if case["kind"] == "RNN")
    with pytest.raises(ValueError, match="nonlinearity is 'gelu', expected one of tanh, relu"):
        rc.from_torch(state, nonlinearity="gelu")


def test_a_path_is_no_source():
    with pytest.raises(TypeError, match="source is a str, expected a torch.nn.Module or a state"):
        rc.from_torch("model.pt")
