"""Finds speech in recordings: an LSTM hears 32 ms after 32 ms, and its states go on between calls.

    python examples/speech/detect.py [FILE.wav ...]

Without files it takes the recordings beside it. Each is heard twice, as a whole and as a
microphone gives it.
"""

import sys
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import rnn_core

HERE = Path(__file__).parent
RATE = 16_000
# The model takes chunks of so many samples, each after the last samples of the one before.
CHUNK, CONTEXT = 512, 64


class SpeechDetector:
    """Silero's voice activity detector; it remembers what it heard.

    Args:
        path: of the model, ``.onnx``.
    """

    def __init__(self, path: Path = HERE / "silero_vad_16k_sequence.onnx") -> None:
        self.model = rnn_core.load(path)
        self.reset()

    def reset(self) -> None:
        """Forget what was heard."""
        self.h = np.zeros((1, 1, 128), np.float32)
        self.c = np.zeros((1, 1, 128), np.float32)
        self.context = np.zeros(CONTEXT, np.float32)

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """Return how likely there is speech in each chunk, going on from the call before.

        Args:
            samples: float32 in -1 to 1, a whole number of chunks, ``(chunks * CHUNK,)``.

        Returns:
            probabilities, float32 ``(chunks,)``.
        """
        heard = np.concatenate([self.context, samples])
        frames = np.lib.stride_tricks.sliding_window_view(heard, CONTEXT + CHUNK)[::CHUNK]
        probabilities, self.h, self.c = self.model([frames, self.h, self.c])
        self.context = heard[-CONTEXT:]
        return np.asarray(probabilities)


def read(path: Path) -> np.ndarray:
    """Return the whole chunks of a mono recording of 16 bits at 16 kHz, float32 in -1 to 1."""
    with wave.open(str(path)) as file:
        found = file.getnchannels(), file.getsampwidth(), file.getframerate()
        if found != (1, 2, RATE):
            raise ValueError(f"{path}: channels, bytes, rate are {found}, expected {(1, 2, RATE)}")
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return samples[: len(samples) // CHUNK * CHUNK].astype(np.float32) / 2**15


def spans(probabilities: np.ndarray) -> list[tuple[float, float]]:
    """Return where speech begins and ends, in seconds."""
    speaks = np.concatenate([[False], probabilities > 0.5, [False]])
    edges = np.flatnonzero(speaks[1:] != speaks[:-1]) * CHUNK / RATE
    return [(float(begin), float(end)) for begin, end in edges.reshape(-1, 2)]


def main(paths: Sequence[Path]) -> None:
    """Print where there is speech, and how far the stream is from the whole."""
    detector = SpeechDetector()
    for path in paths or sorted(HERE.glob("*.wav")):
        samples = read(path)
        detector.reset()
        whole = detector(samples)
        detector.reset()
        stream = np.concatenate([detector(chunk) for chunk in samples.reshape(-1, CHUNK)])
        print(f"{path.name}: {len(samples) / RATE:.1f} s in {len(whole)} chunks")
        print("  speech at " + ", ".join(f"{a:.2f}-{b:.2f} s" for a, b in spans(whole)))
        print(f"  chunk by chunk the same within {abs(stream - whole).max():.0e}")


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
