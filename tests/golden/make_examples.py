"""Makes the nights in examples/sleep, and what the original frameworks say of the examples' inputs.

Run in an environment of ``g2p_en==2.1.0 onnxruntime==1.31.* sleepecg==0.6.0 keras==3.15.*`` with a
backend of Keras:

    python tests/golden/make_examples.py
"""

import csv
import datetime
import wave
from pathlib import Path
from types import SimpleNamespace

import keras
import nltk
import numpy as np
import onnxruntime
import sleepecg
from sleepecg.io.sleep_readers import SubjectData

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"
SLEEP_MODEL = HERE / "sleepecg/wrn-gru-mesa.keras"

# A simulated heart: mean interval, then how far breath, blood pressure, slow waves and chance move
# it, all in seconds.
HEART = {
    "wake": (0.82, 0.015, 0.035, 0.050, 0.020),
    "rem": (0.88, 0.008, 0.040, 0.070, 0.010),
    "nrem": (1.00, 0.035, 0.018, 0.012, 0.006),
}
EPOCH = 30


def g2p():
    """The package's own predictions; of nltk's data it needs none for them."""
    nltk.download = lambda name: None
    nltk.corpus.cmudict = SimpleNamespace(dict=dict)
    from g2p_en import G2p

    with open(EXAMPLES / "g2p/cmudict_sample.csv", newline="") as file:
        words = [word for word, _ in csv.reader(file)][1:]
    predict = G2p().predict
    return {"words": words, "phonemes": [" ".join(predict(word)) for word in words]}


def speech():
    """ONNX Runtime's probabilities, chunk by chunk."""
    session = onnxruntime.InferenceSession(EXAMPLES / "speech/silero_vad_16k_sequence.onnx")
    found = {}
    for path in sorted((EXAMPLES / "speech").glob("*.wav")):
        with wave.open(str(path)) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") / np.float32(2**15)
        samples = np.concatenate([np.zeros(64, np.float32), samples])
        h = c = np.zeros((1, 1, 128), np.float32)
        found[path.stem] = []
        for start in range(0, len(samples) - 575, 512):
            feed = {"input": samples[None, start : start + 576], "h": h, "c": c}
            probability, h, c = session.run(None, feed)
            found[path.stem] += [*probability]
    return found


def hypnogram(rng, epochs):
    """Falling asleep, then cycles of less and less deep sleep, then waking up."""
    stages = ["wake"] * 24
    cycle = 0
    while len(stages) < epochs - 12:
        lengths = 140 - 10 * cycle, 20 + 14 * cycle, int(rng.integers(2, 7))
        for stage, length in zip(("nrem", "rem", "wake"), lengths, strict=True):
            stages += [stage] * length
        cycle += 1
    return stages[: epochs - 12] + ["wake"] * 12


def heartbeats(rng, stages):
    """Return the times of a simulated heart's beats, in seconds."""
    time, mean, phases, beats = 0.0, HEART["wake"][0], rng.uniform(0, 6, 3), []
    while time < len(stages) * EPOCH:
        stage = stages[int(time // EPOCH)]
        goal, *swings, chance = HEART[stage]
        breaths = 0.25 if stage == "nrem" else 0.28 + 0.03 * np.sin(time / 37)
        mean += 0.02 * (goal - mean)
        interval = max(0.45, mean + swings @ np.sin(phases) + rng.normal(0, chance))
        phases += 2 * np.pi * interval * np.array([breaths, 0.095, 0.012])
        time += interval
        beats.append(time)
    return np.array(beats)


def night(rng, epochs, gaps, start, age):
    """Return sleepecg's features of a simulated night; where the sensor was off, all are -1."""
    beats = heartbeats(rng, hypnogram(rng, epochs))
    for first, last in gaps:
        beats = beats[(beats < first * EPOCH) | (beats >= last * EPOCH)]
    record = sleepecg.SleepRecord(
        sleep_stage_duration=EPOCH,
        recording_start_time=start,
        heartbeat_times=beats,
        subject_data=SubjectData(gender=0, age=age),
    )
    groups = ["hrv-time", "hrv-frequency", "recording_start_time", "age", "gender"]
    ((features,), _, _) = sleepecg.extract_features(
        [record],
        lookback=120,
        lookforward=150,
        feature_selection=groups,
        min_rri=0.3,
        max_rri=2,
        max_nans=0.5,
    )
    features = np.where(np.isfinite(features), features, -1).astype(np.float32)
    for first, last in gaps:
        features[first:last] = -1
    return features


def sleep():
    """Keras's probabilities for two nights, the second shorter and padded."""
    rng = np.random.default_rng(5)
    nights = [
        night(rng, 840, [(300, 340)], datetime.time(23, 0), 45),
        night(rng, 720, [(0, 8), (400, 404), (520, 580)], datetime.time(23, 30), 30),
    ]
    x = np.full((2, 840, 36), -1, np.float32)
    for row, features in zip(x, nights, strict=True):
        row[: len(features)] = features
    np.savez_compressed(EXAMPLES / "sleep/nights.npz", x=x)
    return {"y": keras.models.load_model(SLEEP_MODEL, compile=False).predict(x, verbose=0)}


for make in (g2p, speech, sleep):
    np.savez_compressed(HERE / f"examples/{make.__name__}.npz", **make())
    print(make.__name__)
