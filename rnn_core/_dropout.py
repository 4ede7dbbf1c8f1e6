"""Dropout inside a cell: masks that last for one sequence."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from rnn_core._typing import Array


def draw_mask(rng: np.random.Generator, shape: Any, rate: float, dtype: Any) -> Array:
    """Return 0 where a value is to be dropped, and 1 / (1 - rate) elsewhere.

    Args:
        rng: draws it.
        shape: of the mask.
        rate: the share of values to drop; with 1 all are.
        dtype: of the mask.
    """
    scale = 1 / (1 - rate) if rate < 1 else 0.0
    mask: Array = (rng.random(shape) >= rate) * np.dtype(dtype).type(scale)
    return mask


class DropoutMasks:
    """Draws masks, and keeps each until the sequence is over (Gal and Ghahramani 2016).

    Args:
        seed: of the draws; without one they are other ones in each process.
    """

    def __init__(self, seed: int | None) -> None:
        self._rng = np.random.default_rng(seed)
        # By thread: calls at the same time are different sequences.
        self._drawn: dict[tuple[int, str], list[Array]] = {}

    def drop(self, kind: str, rate: float, x: Array, count: int = 1) -> list[Array]:
        """Return `count` arrays like `x`, each with its own share of columns set to zero.

        Args:
            kind: ``"inputs"`` or ``"recurrent"``; each has its own masks.
            rate: the share of values to drop; what is left is scaled by 1 / (1 - rate).
            x: ``(batch, features)``, of any number of axes.
            count: masks of one step, such as one a gate.
        """
        key = threading.get_ident(), kind
        masks = self._drawn.get(key)
        if masks is None or masks[0].shape != x.shape:
            masks = [draw_mask(self._rng, x.shape, rate, x.dtype) for _ in range(count)]
            self._drawn[key] = masks
        return [x * mask for mask in masks]

    def reset(self) -> None:
        """Forget the masks of this thread: its next sequence draws new ones."""
        for kind in ("inputs", "recurrent"):
            self._drawn.pop((threading.get_ident(), kind), None)

    def __getstate__(self) -> dict[str, Any]:
        return {"_rng": self._rng, "_drawn": {}}
