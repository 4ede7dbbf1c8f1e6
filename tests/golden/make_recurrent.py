"""Makes tests/golden/recurrent/: what Keras 3 and tf_keras answer to the recurrent cases.

Run in an environment of ``tensorflow-cpu==2.21.* tf_keras==2.21.* keras==3.15.*``:

    python tests/golden/make_recurrent.py [part of a name]

With a part of a name it stores nothing, and shows what those cases give.
"""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["KERAS_BACKEND"] = "tensorflow"

import json
import sys
import warnings
from pathlib import Path

import keras as keras3
import numpy as np
import tensorflow as tf
import tf_keras as keras2

sys.path.insert(0, str(Path(__file__).parents[1]))
from golden.recurrent_cases import all_cases, values

HERE = Path(__file__).parent / "recurrent"
GENERATIONS = {2: keras2, 3: keras3}
ATOL = 2e-6


def answer(case, generation):
    """Return what a case gives: values, or the exception."""
    try:
        return values(case.function(GENERATIONS[generation]))
    except Exception as error:
        return error


def disagreement(a, b):
    """Return where two answers differ, or None."""
    if isinstance(a, Exception) or isinstance(b, Exception):
        return None if type(a) is type(b) else f"{a!r:.300} | {b!r:.300}"
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        if a.shape != b.shape or a.dtype != b.dtype:
            return f"{a.shape} {a.dtype} | {b.shape} {b.dtype}"
        if np.allclose(a, b, rtol=0, atol=ATOL, equal_nan=True):
            return None
        return f"arrays differ by {np.abs(np.subtract(a, b, dtype=np.float64)).max()}"
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        found = ((i, disagreement(*pair)) for i, pair in enumerate(zip(a, b, strict=True)))
        return next((f"[{i}] {text}" for i, text in found if text), None)
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return disagreement([*a.values()], [*b.values()])
    return None if type(a) is type(b) and a == b else f"{a!r:.300} | {b!r:.300}"


def complaints(case, answers):
    """Yield what does not fit the labels of a case."""
    right = answers[case.only or case.ruled_by or 2]
    if case.raises and not isinstance(right, case.raises):
        yield f"should raise {case.raises.__name__}: {right!r:.300}"
    if isinstance(right, Exception) and not case.raises:
        yield f"raises {right!r:.300}"
    if case.only:
        return
    if case.raises:
        same = all(isinstance(given, case.raises) for given in answers.values())
        text = None if same else f"{answers[2]!r:.200} | {answers[3]!r:.200}"
    else:
        text = disagreement(answers[2], answers[3])
    if text and not case.ruled_by:
        yield f"unlabelled: {text}"
    if not text and case.ruled_by:
        yield "labelled, but both agree"


def structure(x, arrays):
    """Return `x` with every array put into `arrays` and named by its index there."""
    if isinstance(x, np.ndarray):
        arrays.append(x)
        return {"array": len(arrays) - 1}
    if isinstance(x, list):
        return [structure(item, arrays) for item in x]
    if isinstance(x, dict):
        return {"dict": {key: structure(item, arrays) for key, item in x.items()}}
    return x


def main(part=""):
    stored, contents, wrong = {}, {}, 0
    for name, case in all_cases().items():
        if part not in name:
            continue
        answers = {g: answer(case, g) for g in ([case.only] if case.only else [2, 3])}
        for text in complaints(case, answers):
            wrong += 1
            print(f"{name}: {text}", flush=True)
        right = answers[case.only or case.ruled_by or 2]
        if part:
            print(name, answers if case.raises or case.ruled_by else right)
        if case.raises:
            entry = {"raises": case.raises.__name__}
        else:
            arrays = []
            entry = {"structure": structure(right, arrays) if not wrong else None}
            contents |= {f"{name}/{i}": array for i, array in enumerate(arrays)}
        ruling = case.only or case.ruled_by
        stored[name] = entry | ({"ruled_by": ruling, "reason": case.reason} if ruling else {})
    print(f"{len(stored)} cases, {len(contents)} arrays, {wrong} complaints")
    if part or wrong:
        return wrong
    HERE.mkdir(exist_ok=True)
    np.savez_compressed(HERE / "recurrent.npz", **contents)
    versions = {m.__name__: m.__version__ for m in (keras3, keras2, tf)}
    text = ",\n".join(f"{json.dumps(n)}: {json.dumps(e)}" for n, e in sorted(stored.items()))
    with open(HERE / "recurrent.json", "w") as file:
        file.write(f'{{\n"versions": {json.dumps(versions)},\n"cases": {{\n{text}\n}}\n}}\n')
    return 0


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    raise SystemExit(main(*sys.argv[1:]) > 0)
