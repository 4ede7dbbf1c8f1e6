"""The examples, as scripts that a user runs, and their answers beside the original frameworks'."""

import csv
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
REFERENCES = Path(__file__).parent / "golden/examples"


def module(name):
    """Return an example's script as a module."""
    spec = importlib.util.spec_from_file_location(Path(name).stem, EXAMPLES / name)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def printed(name, *arguments):
    """Return what an example prints, run from elsewhere than the clone's root."""
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=EXAMPLES)
    assert run.returncode == 0, run.stderr
    return run.stdout


def reference(name):
    with np.load(REFERENCES / f"{name}.npz") as arrays:
        return dict(arrays)


# Surnames


def test_surnames_are_scored_from_parquet_to_parquet_as_by_keras(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    lines = printed("surnames/score_parquet.py", tmp_path / "scored.parquet").splitlines()
    assert lines[1] == "SMITH api 0.008 black 0.215 hispanic 0.029 white 0.747"
    scored = parquet.read_table(tmp_path / "scored.parquet")
    rows = {name: row for row, name in enumerate(scored["name"].to_pylist())}
    given = parquet.read_table(tmp_path / "surnames.parquet")["name"].to_pylist()
    assert [*rows] == given
    assert len(given) == 162_254
    with np.load(ROOT / "tests/golden/surnames/ref_census2010.npz") as of_keras:
        chosen = [rows[name] for name in of_keras["names"].tolist()]
        scores = np.stack([scored[name].to_numpy()[chosen] for name in scored.column_names[1:]])
        np.testing.assert_allclose(scores.T, of_keras["y"], atol=2e-6)


# Pronouncing


@pytest.fixture(scope="module")
def pronounce():
    return module("g2p/pronounce.py").Pronouncer()


def test_words_are_pronounced_as_by_g2p_en(pronounce):
    of_g2p_en = reference("g2p")
    assert pronounce(of_g2p_en["words"].tolist()) == of_g2p_en["phonemes"].tolist()


def test_a_word_alone_is_pronounced_as_among_others(pronounce):
    words = ["a", "recurrent", "networks", ""]
    assert pronounce(words) == [pronounce([word])[0] for word in words]
    assert pronounce(["Recurrent"]) == ["R IH0 K ER1 AH0 N T"]


def test_pronounce_prints_words_and_its_accuracy():
    assert printed("g2p/pronounce.py", "recurrent", "network").splitlines() == [
        "recurrent\tR IH0 K ER1 AH0 N T",
        "network\tN EH1 T W ER2 K",
    ]
    with open(EXAMPLES / "g2p/cmudict_sample.csv", newline="") as file:
        known = {row["word"]: row["pronunciations"].split("|") for row in csv.DictReader(file)}
    pairs = zip(*reference("g2p").values(), strict=True)
    right = sum(phonemes in known[word] for word, phonemes in pairs)
    last = printed("g2p/pronounce.py").splitlines()[-1]
    assert last == f"{right:,} of {len(known):,} words as in CMUdict: 69.1%"


# Speech

RECORDINGS = sorted((EXAMPLES / "speech").glob("*.wav"))


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
@pytest.mark.parametrize("chunks", [1, 7, None])
def test_speech_is_found_as_by_onnx_runtime(path, chunks):
    detect = module("speech/detect.py")
    detector, samples = detect.SpeechDetector(), detect.read(path)
    size = (chunks or len(samples)) * detect.CHUNK
    parts = [detector(samples[start : start + size]) for start in range(0, len(samples), size)]
    np.testing.assert_allclose(np.concatenate(parts), reference("speech")[path.stem], atol=1e-5)


def test_detect_prints_where_there_is_speech():
    speaks = np.flatnonzero(reference("speech")[RECORDINGS[0].stem] > 0.5)
    begin, end = speaks[0] * 0.032, (speaks[-1] + 1) * 0.032
    lines = printed("speech/detect.py", RECORDINGS[0]).splitlines()
    assert lines[1] == f"  speech at {begin:.2f}-{end:.2f} s"
    assert float(lines[2].split()[-1]) < 1e-5


# Sleep


def test_sleep_is_staged_as_by_keras():
    stages = module("sleep/stages.py")
    y = reference("sleep")["y"]
    with np.load(stages.NIGHTS) as file:
        x = file["x"]
    np.testing.assert_allclose(stages.rnn_core.load(stages.MODEL).predict(x), y, atol=2e-6)
    lines = printed("sleep/stages.py").splitlines()
    for night in (0, 1):
        gaps = (x[night] == -1).all(axis=-1)
        epochs = np.bincount(y[night].argmax(axis=-1)[~gaps], minlength=4)
        nrem, rem, wake = epochs[1:] / 2
        picture, minutes, change = lines[3 * night : 3 * night + 3]
        assert picture.count("-") == gaps.sum() // 10
        assert minutes == f"  NREM {nrem:.0f} min, REM {rem:.0f} min, wake {wake:.0f} min"
        assert float(change.split()[-1]) < 2e-6
