"""Makes the outputs in golden/surnames and golden/sleepecg, for the inputs stored there.

Run in an environment of ``tensorflow-cpu==2.21.* tf_keras==2.21.* keras==3.15.*``:

    python tests/golden/make_references.py
"""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

from pathlib import Path

import keras
import numpy as np
import tf_keras

HERE = Path(__file__).parent
SURNAMES = HERE.parents[1] / "examples/surnames"


def remake(load, model_path, reference_path):
    with np.load(reference_path) as reference:
        arrays = dict(reference)
    arrays["y"] = load(model_path, compile=False).predict(arrays["x"], verbose=0)
    np.savez_compressed(reference_path, **arrays)
    print(reference_path.name, arrays["y"].shape)


remake(
    tf_keras.models.load_model,
    SURNAMES / "census2010_ln_lstm.h5",
    HERE / "surnames/ref_census2010.npz",
)
for name in ("wrn-gru-mesa", "ws-gru-mesa"):
    remake(
        keras.models.load_model,
        HERE / f"sleepecg/{name}.keras",
        HERE / f"sleepecg/ref_{name}.npz",
    )
