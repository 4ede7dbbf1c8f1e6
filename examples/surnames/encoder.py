"""Surnames to bigram ids, as the ethnicolr census model was trained on them."""

import csv
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

TIMESTEPS = 20
UNKNOWN = 0


def _read_vocabulary(path: Path) -> dict[str, int]:
    with open(path, newline="", encoding="utf-8") as file:
        bigrams = [row[0] for row in csv.reader(file)][1:]
    # A repeated bigram keeps its first row: later rows must not overwrite it.
    return {bigram: row for row, bigram in reversed(list(enumerate(bigrams)))}


VOCABULARY = _read_vocabulary(Path(__file__).with_name("census2010_ln_vocab.csv"))


def encode(names: Sequence[str]) -> np.ndarray:
    """Return the ids of each name's last 20 bigrams, left-padded with 0.

    Args:
        names: surnames in any case, with or without surrounding blanks.

    Returns:
        int32 array ``(len(names), 20)``.
    """
    ids = np.zeros((len(names), TIMESTEPS), np.int32)
    lookup = VOCABULARY.get
    for row, name in zip(ids, names, strict=True):
        name = name.strip().title()
        bigrams = [lookup(a + b, UNKNOWN) for a, b in pairwise(name)]
        if bigrams:
            row[-len(bigrams) :] = bigrams[-TIMESTEPS:]
    return ids
