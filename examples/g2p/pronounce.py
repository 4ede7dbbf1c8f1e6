"""Pronounces English words: a GRU reads the letters, another says the phonemes, one at a time.

    python examples/g2p/pronounce.py recurrent network
    python examples/g2p/pronounce.py

Without words it pronounces the sample of CMUdict beside it, and compares.
"""

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import rnn_core
from rnn_core import Embedding, Sequential

HERE = Path(__file__).parent

# The ids of letters and phonemes are their places here; 0 is padding, which the encoder masks.
GRAPHEMES = ["<pad>", "<unk>", "</s>", *"abcdefghijklmnopqrstuvwxyz"]
VOWELS = "AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW"
CONSONANTS = "B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH"
STRESSED = [vowel + stress for vowel in VOWELS.split() for stress in "012"]
PHONEMES = ["<pad>", "<unk>", "<s>", "</s>", *sorted([*STRESSED, *CONSONANTS.split(), "UW"])]
MAX_PHONEMES = 20

# The checkpoint's names of a GRU's weights, and PyTorch's.
GRU_NAMES = {"w_ih": "weight_ih", "w_hh": "weight_hh", "b_ih": "bias_ih", "b_hh": "bias_hh"}


def encode(words: Sequence[str]) -> np.ndarray:
    """Return the letters' ids of each word and </s>, right-padded: int32 ``(words, timesteps)``."""
    place = {grapheme: index for index, grapheme in enumerate(GRAPHEMES)}
    letters = [[*word.lower(), "</s>"] for word in words]
    ids = np.zeros((len(words), max(map(len, letters), default=0)), np.int32)
    for row, of_word in zip(ids, letters, strict=True):
        row[: len(of_word)] = [place.get(letter, place["<unk>"]) for letter in of_word]
    return ids


class Pronouncer:
    """The model of g2p_en: an encoder of letters and a decoder of phonemes, both of one GRU.

    Args:
        checkpoint: path of the weights, ``.npz``.
    """

    def __init__(self, checkpoint: Path = HERE / "checkpoint20.npz") -> None:
        with np.load(checkpoint) as weights:
            table, self.vectors = weights["enc_emb"], weights["dec_emb"]
            self.kernel, self.bias = weights["fc_w"].T, weights["fc_b"]
            encoder = {f"gru.{name}_l0": weights[f"enc_{key}"] for key, name in GRU_NAMES.items()}
            decoder = {name: weights[f"dec_{key}"] for key, name in GRU_NAMES.items()}
        gru = rnn_core.from_torch(encoder, ["gru", "last"])
        embedding = Embedding(*table.shape, mask_zero=True, weights=[table])
        self.encoder = Sequential([embedding, *gru.layers])
        self.decoder = rnn_core.from_torch(decoder)  # a GRUCell

    def __call__(self, words: Sequence[str], **options: Any) -> list[str]:
        """Return each word's phonemes, separated by blanks; `options` are those of `predict`."""
        h = self.encoder.predict(encode(words), **options)  # (words, 256)
        return [" ".join(PHONEMES[id] for id in ids if id) for ids in self.decode(h)]

    def decode(self, h: np.ndarray) -> np.ndarray:
        """Return the likeliest phoneme after each, as far as </s>; of all words at once.

        Args:
            h: the encoder's last states ``(words, 256)``.

        Returns:
            ids ``(words, MAX_PHONEMES)``, 0 after the end.
        """
        spoken = np.zeros((len(h), MAX_PHONEMES), int)
        rows = np.arange(len(h))
        phonemes = np.full(len(h), PHONEMES.index("<s>"))
        for step in range(MAX_PHONEMES):
            h = self.decoder(self.vectors[phonemes], h)
            phonemes = np.argmax(h @ self.kernel + self.bias, axis=-1)
            # Words that have ended take no further steps.
            going = phonemes != PHONEMES.index("</s>")
            rows, phonemes, h = rows[going], phonemes[going], h[going]
            spoken[rows, step] = phonemes
        return spoken


def main(words: Sequence[str]) -> None:
    """Pronounce words, or the sample."""
    pronounce = Pronouncer()
    if words:
        for word, phonemes in zip(words, pronounce(words), strict=True):
            print(word, phonemes, sep="\t")
        return
    with open(HERE / "cmudict_sample.csv", newline="", encoding="utf-8") as file:
        accepted = {word: known.split("|") for word, known in list(csv.reader(file))[1:]}
    said = pronounce(list(accepted), explain=True)
    right = sum(phonemes in known for phonemes, known in zip(said, accepted.values(), strict=True))
    for word, phonemes in list(zip(accepted, said, strict=True))[::400]:
        print(word, phonemes, "" if phonemes in accepted[word] else "(wrong)", sep="\t")
    print(f"{right:,} of {len(said):,} words as in CMUdict: {right / len(said):.1%}")


if __name__ == "__main__":
    main(sys.argv[1:])
