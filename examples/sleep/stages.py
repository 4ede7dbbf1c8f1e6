"""Stages sleep by heart rate, where the sensor was off for a while, and nights differ in length.

python examples/sleep/stages.py
"""

from pathlib import Path

import numpy as np

import rnn_core

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "tests/golden/sleepecg/wrn-gru-mesa.keras"
NIGHTS = ROOT / "examples/sleep/nights.npz"

# The model's classes; it was trained to give none of the first.
STAGES = ["undefined", "NREM", "REM", "wake"]
GAP = -1.0
# Epochs are 30 s; the picture has a letter for each 5 minutes.
EPOCH_MINUTES, LETTER = 0.5, 10


def picture(stages: np.ndarray, gaps: np.ndarray) -> str:
    """Return a letter for the commonest stage of each 5 minutes: N, R, w; - for a gap.

    Args:
        stages: whole numbers ``(epochs,)``.
        gaps: bool ``(epochs,)``.
    """
    rows = np.where(gaps, len(STAGES), stages).reshape(-1, LETTER)
    commonest = [np.bincount(row, minlength=len(STAGES) + 1).argmax() for row in rows]
    return "".join("uNRw-"[stage] for stage in commonest)


def main() -> None:
    """Print each night's stages, and what its gaps changed."""
    model = rnn_core.load(MODEL)
    with np.load(NIGHTS) as file:
        nights = file["x"]  # (nights, epochs, features), all features GAP where there is no heart
    probabilities = model.predict(nights)  # (nights, epochs, 4)
    for index, (night, of_night) in enumerate(zip(nights, probabilities, strict=True), start=1):
        gaps = (night == GAP).all(axis=-1)
        stages = of_night.argmax(axis=-1)
        print(f"night {index}: {picture(stages, gaps)}")
        minutes = np.bincount(stages[~gaps], minlength=len(STAGES)) * EPOCH_MINUTES
        print("  " + ", ".join(f"{STAGES[n]} {minutes[n]:.0f} min" for n in (1, 2, 3)))
        # A masked epoch is no step: states pass over it, in both directions.
        without = model.predict(night[None, ~gaps])[0]
        change = abs(without - of_night[~gaps]).max()
        print(f"  without its {gaps.sum()} masked epochs the same within {change:.0e}")


if __name__ == "__main__":
    main()
