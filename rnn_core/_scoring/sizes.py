"""How many rows a part has, which is scored and written as one."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from rnn_core._scoring.faults import BadRow
from rnn_core._scoring.scorer import Scorer

# Enough that many rows begin alike, few enough that three parts fit in memory beside each other,
# by these bytes of input and output.
MIN_ROWS, MAX_ROWS = 1 << 4, 1 << 18
PART_BYTES = 64 << 20
SAMPLE_ROWS = 256


def part_rows(scorer: Scorer, sample: Any) -> int:
    """Return the number of a part's rows, from the bytes of the first `SAMPLE_ROWS` rows."""
    if not sample.num_rows:
        return MAX_ROWS
    size = sample.nbytes
    # Rows that cannot be scored are named where they are scored.
    with suppress(BadRow):
        size += scorer(sample).nbytes
    rows: int = PART_BYTES * sample.num_rows // max(size, 1)
    return max(MIN_ROWS, min(MAX_ROWS, 1 << rows.bit_length() >> 1))
