"""The command line, as its users type it."""

import csv
import gzip
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rnn_core as rc
from rnn_core import _cli, _engine
from rnn_core.formats import safetensors

ROOT = Path(__file__).parents[1]
SURNAMES = ROOT / "examples/surnames"
MODEL = SURNAMES / "census2010_ln_lstm.h5"
SLEEP = ROOT / "tests/golden/sleepecg/wrn-gru-mesa.keras"
ENCODER = ["--encoder", "examples.surnames.encoder:encode"]


@pytest.fixture(autouse=True)
def from_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)
    yield
    rc.set_num_threads(None)


@pytest.fixture
def names(tmp_path):
    path = tmp_path / "names.csv"
    path.write_text('count,name\n7,SMITH\n5,"O""HARA, JR"\n3, garcia \n')
    return path


def read_rows(path):
    with open(path, newline="") as file:
        return list(csv.reader(file))


def test_texts_to_a_csv(names, tmp_path, capsys):
    out = tmp_path / "out.csv"
    options = [
        *ENCODER,
        "--columns",
        "name",
        "--keep",
        "name",
        "--names",
        "api,black,hispanic,white",
    ]
    assert _cli.main(["score", str(MODEL), str(names), "-o", str(out), *options]) == 0
    header, *rows = read_rows(out)
    assert header == ["name", "api", "black", "hispanic", "white"]
    assert [row[0] for row in rows] == ["SMITH", 'O"HARA, JR', " garcia "]
    assert float(rows[0][4]) == pytest.approx(0.747, abs=5e-4)
    assert float(rows[2][3]) > 0.8
    assert capsys.readouterr().out.startswith("3 rows in ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["names.csv", "out.csv"]


def test_every_format_gives_the_same_scores(tmp_path, rng):
    ids = rng.integers(0, 977, (40, 20))
    expected = rc.load(MODEL).predict(ids)
    np.save(tmp_path / "ids.npy", ids.astype(np.int16))
    np.savez(tmp_path / "ids.npz", ids=ids, other=ids[:, ::-1])
    lines = [",".join(map(str, row)) for row in ids]
    (tmp_path / "ids.csv").write_text("\n".join(lines))
    with gzip.open(tmp_path / "ids.csv.gz", "wt") as file:
        file.write("\n".join([",".join(f"t{t}" for t in range(20)), *lines]))
    for name, options in (
        ("ids.npy", []),
        ("ids.npz", ["--columns", "ids"]),
        ("ids.csv", []),
        ("ids.csv.gz", ["--columns", ",".join(f"t{t}" for t in range(20))]),
    ):
        out = tmp_path / "out.npy"
        arguments = [str(MODEL), str(tmp_path / name), "-o", str(out), "--batch-size", "7"]
        assert _cli.main(["score", *arguments, "--threads", "2", *options]) == 0
        np.testing.assert_allclose(np.load(out), expected, atol=1e-6)


def test_scores_in_a_csv_are_exact(tmp_path, rng):
    ids = rng.integers(0, 977, (40, 20))
    np.save(tmp_path / "ids.npy", ids)
    for out in ("out.csv", "out.npy"):
        assert (
            _cli.main(["score", str(MODEL), str(tmp_path / "ids.npy"), "-o", str(tmp_path / out)])
            == 0
        )
    header, *rows = read_rows(tmp_path / "out.csv")
    assert header == [f"output_{i}" for i in range(4)]
    assert np.array_equal(np.array(rows, np.float32), np.load(tmp_path / "out.npy"))


def test_sequences_of_features(tmp_path, rng):
    x = rng.standard_normal((3, 2, 36)).astype(np.float32)
    (tmp_path / "x.csv").write_text("\n".join(",".join(map(str, row)) for row in x.reshape(3, 72)))
    out = tmp_path / "out.csv"
    assert _cli.main(["score", str(SLEEP), str(tmp_path / "x.csv"), "-o", str(out)]) == 0
    header, *rows = read_rows(out)
    assert header == [f"{t}.output_{i}" for t in range(2) for i in range(4)]
    expected = rc.load(SLEEP).predict(x).reshape(3, 8)
    np.testing.assert_allclose(np.array(rows, float), expected, atol=1e-6)


def files(tmp_path):
    """Inputs that are wrong in one way each."""
    ids = np.zeros((3, 20))
    with_nan, too_large = ids.copy(), ids.copy()
    with_nan[1, 2], too_large[1, 2] = np.nan, 977
    np.save(tmp_path / "nan.npy", with_nan)
    np.save(tmp_path / "large.npy", too_large)
    np.save(tmp_path / "narrow.npy", ids[:, :5])
    np.save(tmp_path / "rank.npy", ids[:, :, None])
    np.save(tmp_path / "text.npy", np.full((3, 20), "a"))
    np.save(tmp_path / "object.npy", np.array([None]), allow_pickle=True)
    np.save(tmp_path / "good.npy", ids)
    np.savez(tmp_path / "two.npz", a=ids, b=ids)
    (tmp_path / "cut.npy").write_bytes((tmp_path / "good.npy").read_bytes()[:200])
    (tmp_path / "cut.npz").write_bytes((tmp_path / "two.npz").read_bytes()[:200])
    row = ",".join(["1"] * 20)
    (tmp_path / "missing.csv").write_text(f"{row}\n{row[:-1]}\n")
    (tmp_path / "short.csv").write_text(f"{row}\n{row[:-2]}\n")
    (tmp_path / "first.csv").write_text(f",{row[2:]}\n{row}\n")
    (tmp_path / "blank.csv").write_text(f"\n{row}\n")
    (tmp_path / "gap.csv").write_text(f"{row}\n\n{row}\n\n")
    (tmp_path / "twice.csv").write_text("a,b,a\n1,2,3\n")
    (tmp_path / "word.csv").write_text(f"{row}\n{row[:-1]}x\n")
    (tmp_path / "header.csv").write_text("name,age\n")
    (tmp_path / "names.csv").write_text("name,age\nSMITH,3\n,4\n")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00" * 9)
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(b"a,b\n" * 99)[:20])
    for name in ("empty.csv", "empty.npy", "empty.npz", "empty.h5"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "cut.h5").write_bytes(MODEL.read_bytes()[:9999])


BAD = {
    "nan.npy": "id at (1, 2) is nan, expected a whole number",
    "large.npy": "id at (1, 2) is 977.0, expected below 977",
    "narrow.npy": "input has shape (3, 5), expected (None, 20)",
    "rank.npy": "input has shape (3, 20, 1), expected (None, 20)",
    "text.npy": "ids are <U1, expected whole numbers",
    "object.npy": "Python objects in dtype",
    "two.npz": "no input 'embedding_input' among ['a', 'b']",
    "cut.npy": "cannot read",
    "cut.npz": "cannot read",
    "missing.csv": "line 2: column '19' is empty",
    "short.csv": "line 2: 19 cells, expected 20",
    "word.csv": "line 2: column '19' is 'x', expected a number",
    "first.csv": "line 1: column '0' is empty",
    "blank.csv": "has a blank first line",
    "gap.csv": "line 2: 0 cells, expected 20",
    "twice.csv": "has two columns 'a'",
    "header.csv": "has a header and no rows",
    "binary.csv": "is no CSV file",
    "cut.csv.gz": "is no CSV file",
    "empty.csv": "is empty",
    "empty.npy": "cannot read",
    "empty.npz": "cannot read",
    "none.npy": "No such file",
    "input.txt": "expected a name that ends in .npy or .npz or .csv or .csv.gz",
}


def assert_one_line(arguments, capsys, tmp_path, message, *, output="out.csv"):
    before = sorted(path.name for path in tmp_path.iterdir())
    assert _cli.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("rnn-core: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize("name", sorted(BAD))
def test_bad_input(name, tmp_path, capsys):
    files(tmp_path)
    arguments = ["score", str(MODEL), str(tmp_path / name), "-o", str(tmp_path / "out.csv")]
    assert_one_line(arguments, capsys, tmp_path, BAD[name])


BAD_OPTIONS = {
    "--columns name,size --encoder examples.surnames.encoder:encode": "no column 'size'; it has",
    "--columns name --encoder examples.surnames.encoder:encode": "line 3: column 'name' is empty",
    "--columns age --encoder examples.surnames.encoder": "expected MODULE:FUNCTION",
    "--columns age --encoder examples.surnames.encoder:none": "has no attribute 'none'",
    "--columns age --encoder no.such.module:encode": "No module named 'no'",
    "--columns age --encoder builtins:len": "gave shape () for 2 rows",
    "--columns age --encoder builtins:float": "encoder builtins:float failed: TypeError",
    "--columns age": "expected (None, 20)",
    "--columns age --threads 0": "threads is 0",
    "--columns age --encoder examples.surnames.encoder:encode --names a,b": "2 names, expected 4",
    "--columns age --encoder examples.surnames.encoder:encode --which 1": "--which is 1, expected",
}


@pytest.mark.parametrize("options", sorted(BAD_OPTIONS))
def test_bad_options(options, tmp_path, capsys):
    files(tmp_path)
    arguments = ["score", str(MODEL), str(tmp_path / "names.csv"), "-o", str(tmp_path / "out.csv")]
    assert_one_line([*arguments, *options.split()], capsys, tmp_path, BAD_OPTIONS[options])


@pytest.mark.parametrize("name", ["empty.h5", "cut.h5", "none.h5", "good.npy"])
@pytest.mark.parametrize("command", ["score", "inspect"])
def test_bad_models(name, command, tmp_path, capsys):
    files(tmp_path)
    model = str(tmp_path / name)
    rest = (
        [str(tmp_path / "good.npy"), "-o", str(tmp_path / "out.npy")] if command == "score" else []
    )
    assert_one_line([command, model, *rest], capsys, tmp_path, name)


@pytest.mark.parametrize("output", ["out.txt", "no/such/directory/out.csv"])
def test_bad_outputs(output, tmp_path, capsys):
    files(tmp_path)
    arguments = ["score", str(MODEL), str(tmp_path / "good.npy"), "-o", str(tmp_path / output)]
    assert_one_line(arguments, capsys, tmp_path, output)


def test_options_that_cannot_apply(tmp_path, capsys):
    files(tmp_path)
    good, out = str(tmp_path / "good.npy"), str(tmp_path / "out.npy")
    for options in (["--columns", "a"], ["--names", "a,b,c,d"], ["--keep", "a"]):
        arguments = ["score", str(MODEL), good, "-o", out, *options]
        assert_one_line(arguments, capsys, tmp_path, f"{options[0]}")
    assert_one_line(["score", str(MODEL), good, "-o", good], capsys, tmp_path, "made from")


@pytest.mark.parametrize("error", ["SyntaxError", "SystemExit(0)", "RuntimeError"])
def test_an_encoder_that_fails_on_import(tmp_path, capsys, monkeypatch, error):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "broken_encoder", raising=False)
    (tmp_path / "broken_encoder.py").write_text(f"raise {error}\n")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "names.csv").write_text("name\nSMITH\n")
    arguments = ["score", str(MODEL), str(tmp_path / "names.csv"), "-o", str(tmp_path / "o.csv")]
    options = ["--encoder", "broken_encoder:encode"]
    assert_one_line(
        [*arguments, *options], capsys, tmp_path, "encoder broken_encoder:encode failed"
    )


@pytest.mark.parametrize("output", ["out.csv", "out.npy"])
def test_no_rows(output, tmp_path):
    np.save(tmp_path / "none.npy", np.zeros((0, 20)))
    out = tmp_path / output
    assert _cli.main(["score", str(MODEL), str(tmp_path / "none.npy"), "-o", str(out)]) == 0
    if output == "out.npy":
        assert np.load(out).shape == (0, 4)
    else:
        assert read_rows(out) == [[f"output_{i}" for i in range(4)]]


def test_a_reader_that_goes_away():
    run = subprocess.run(
        f"{sys.executable} -m rnn_core._cli inspect {MODEL} | true",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stderr == ""


def test_a_forced_isa_that_does_not_exist(tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "rnn_core._cli", "info"],
        env={**os.environ, "RNN_CORE_ISA": "z80"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert "does not run ISA 'z80'; it runs" in run.stderr
    assert run.stderr.count("\n") == 1


def test_an_older_output_survives_a_broken_run(tmp_path, monkeypatch):
    files(tmp_path)
    out = tmp_path / "out.csv"
    out.write_text("kept")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rnn_core._tables.write_csv", full)
    assert _cli.main(["score", str(MODEL), str(tmp_path / "good.npy"), "-o", str(out)]) == 2
    assert out.read_text() == "kept"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_the_callers_handler_of_sigterm_stays(capsys):
    def handler(number, frame):
        raise AssertionError

    before = signal.signal(signal.SIGTERM, handler)
    try:
        assert _cli.main(["info"]) == 0
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, before)


def test_inspect(capsys):
    assert _cli.main(["inspect", str(MODEL)]) == 0
    text = capsys.readouterr().out
    assert "Sequential 'sequential' from Keras 2.5.0, HDF5, input (?, 20)" in text
    assert "32x512 128x512 512" in text
    assert f"packed {_engine.isa()}" in text
    assert f"{2 * (32 + 128) * 512:,}" in text
    assert "114,212 weights, 456,848 bytes" in text


def test_convert_and_inspect(tmp_path, capsys):
    out = tmp_path / "model.safetensors"
    assert _cli.main(["convert", str(MODEL), str(out)]) == 0
    assert f"model.safetensors: {out.stat().st_size:,} bytes" in capsys.readouterr().out
    assert _cli.main(["inspect", str(out)]) == 0
    assert "from Keras 2.5.0, HDF5, .safetensors" in capsys.readouterr().out
    ids = np.random.default_rng(1).integers(0, 900, (5, 20))
    np.testing.assert_array_equal(rc.load(out)(ids), rc.load(MODEL)(ids))


def test_inspect_a_graph(capsys):
    path = ROOT / "tests/golden/onnx/torch_lstm_batch_first.onnx"
    assert _cli.main(["inspect", str(path)]) == 0
    text = capsys.readouterr().out
    assert re.search(r"OnnxModel from pytorch .*, ONNX with opset \d+\n", text)
    assert f"recurrent operators run on packed {_engine.isa()}, the others on NumPy" in text


def test_weights_without_a_model(tmp_path, capsys):
    arrays = {"fc.weight": np.ones((2, 3), "f4"), "fc.bias": np.zeros(2, "f8")}
    source, out = tmp_path / "weights.safetensors", tmp_path / "again.safetensors"
    safetensors.write(source, arrays, {})
    assert _cli.main(["inspect", str(source)]) == 0
    text = capsys.readouterr().out
    assert "weights without a model" in text
    assert "fc.weight  float32  (2, 3)" in text
    assert "8 weights in 2 arrays" in text
    assert _cli.main(["convert", str(source), str(out)]) == 0
    assert {name: a.tolist() for name, a in rc.load(out).items()} == {
        name: a.tolist() for name, a in arrays.items()
    }
    capsys.readouterr()
    arguments = ["convert", str(source), str(tmp_path / "model.keras")]
    assert_one_line(arguments, capsys, tmp_path, "expected an output that ends in .safetensors")


def reference(tmp_path, **arrays):
    path = tmp_path / "reference.npz"
    np.savez(path, **arrays)
    return str(path)


def test_verify(tmp_path, capsys):
    ids = np.random.default_rng(1).integers(0, 900, (5, 20))
    scores = rc.load(MODEL)(ids)
    path = reference(tmp_path, x=ids, y=scores, names=np.array(["a"] * 5))
    assert _cli.main(["verify", str(MODEL), path]) == 0
    assert "y (5, 4): largest difference 0\nequal within 1e-05" in capsys.readouterr().out
    wrong = scores.copy()
    wrong[3, 2] += 0.01
    path = reference(tmp_path, ids=ids, scores=wrong)
    arguments = ["verify", str(MODEL), path, "--inputs", "ids", "--outputs", "scores"]
    assert _cli.main(arguments) == 1
    assert "largest difference 0.01\nNOT equal" in capsys.readouterr().out
    assert _cli.main([*arguments, "--tolerance", "0.1"]) == 0
    capsys.readouterr()
    wrong[0, 0] = np.nan
    path = reference(tmp_path, x=ids, y=wrong)
    assert _cli.main(["verify", str(MODEL), path]) == 1
    assert "largest difference inf" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({"x": (5, 20), "y": (5, 3)}, "", "y has shape (5, 4), expected (5, 3)"),
        ({"x": (5, 20), "y0": (5, 4), "y1": (5, 4)}, "", "1 outputs"),
        ({"a": (5, 20)}, "", "say which by --inputs and --outputs"),
        ({"x": (5, 20)}, "--outputs z", "has no array 'z', but x"),
    ],
)
def test_references_that_do_not_fit(arrays, options, message, tmp_path, capsys):
    zeros = {name: np.zeros(shape, int) for name, shape in arrays.items()}
    path = reference(tmp_path, **zeros)
    assert_one_line(["verify", str(MODEL), path, *options.split()], capsys, tmp_path, message)


def test_info_as_a_process():
    run = subprocess.run(
        [sys.executable, "-m", "rnn_core._cli", "info"], capture_output=True, text=True, check=True
    )
    for what in (f"rnn_core {rc.__version__}", "numpy", "CPU: ", "ISA: ", "BLAS of "):
        assert what in run.stdout
