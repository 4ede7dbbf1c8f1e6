"""Sequences through a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnn_core._model import Model
from rnn_core._ragged import Ragged
from rnn_core._scoring.models import ModelInput, chosen, chosen_of_sequences
from rnn_core._scoring.sequences import Sequences
from rnn_core._typing import Array

# Numbers of steps with which a model that takes any is asked for its output's shape.
_TRIED_STEPS = (1, 8, 64, 512)


@dataclass(frozen=True)
class Runner:
    """A model and how it is run.

    Args:
        model: has `predict`.
        inputs: the model's.
        batch_size: rows to a batch, or None.
        which: of the model's outputs, or None if it has one.
    """

    model: Any
    inputs: Sequence[ModelInput]
    batch_size: int | None
    which: int | None

    def equal(self, arrays: Sequence[Array]) -> Array:
        """Return the outputs of arrays ``(rows, steps, ...)``, one for each input."""
        shaped = [
            array.reshape(len(array)) if given.shape == () else array
            for given, array in zip(self.inputs, arrays, strict=True)
        ]
        outputs = np.asarray(chosen(self._predict(shaped), self.which))
        if outputs.shape[:1] != (len(arrays[0]),):
            raise ValueError(f"the model gave {outputs.shape} for {len(arrays[0])} rows")
        return outputs

    def _predict(self, inputs: Sequence[Any]) -> Any:
        named = {given.name: x for given, x in zip(self.inputs, inputs, strict=True)}
        return self.model.predict(inputs[0] if len(inputs) == 1 else named, self.batch_size)

    def sequences(self, read: Sequence[Sequences], rows: Array) -> Any:
        """Return the outputs of some rows: an array, or a list of arrays of different shapes."""
        lengths = [each.lengths[rows] for each in read]
        if isinstance(self.model, Model) and any((each != each[:1]).any() for each in lengths):
            ragged = [
                Ragged(each.values, each.offsets[:-1], each.lengths).take(rows) for each in read
            ]
            return chosen_of_sequences(self.model, self._predict(ragged), self.which)
        parts = []
        for places in _of_equal_lengths(lengths):
            arrays = [
                each.of_length(rows[places], int(steps[places[0]]))
                for each, steps in zip(read, lengths, strict=True)
            ]
            parts.append((places, self.equal(arrays)))
        if len(parts) == 1:
            return parts[0][1]
        shapes = {part.shape[1:] for _, part in parts}
        if len(shapes) == 1:
            whole = np.empty((len(rows), *shapes.pop()), parts[0][1].dtype)
            for places, part in parts:
                whole[places] = part
            return whole
        listed: list[Any] = [None] * len(rows)
        for places, part in parts:
            for place, output in zip(places, part, strict=True):
                listed[place] = output
        return listed

    def output_of(self, steps: Sequence[int | None]) -> tuple[tuple[int | None, ...], Any]:
        """Return the shape and dtype of a row's output; None is a length that differs.

        Args:
            steps: each input's number of steps, if it is known.
        """
        found: list[Array] = []
        for tried in _TRIED_STEPS:
            lengths = [
                (given.shape[0] if given.shape else 1) or have or tried
                for given, have in zip(self.inputs, steps, strict=True)
            ]
            try:
                found.append(self.equal(list(map(_zeros, self.inputs, lengths))))
            except (ValueError, TypeError) as error:
                refused = error
            if len(found) == 2:
                break
        if not found:
            raise refused
        shape: tuple[int | None, ...] = found[0].shape[1:]
        if len(found) == 2:
            pairs = zip(shape, found[1].shape[1:], strict=True)
            shape = tuple(one if one == other else None for one, other in pairs)
        return shape, found[0].dtype


def _of_equal_lengths(lengths: Sequence[Array]) -> list[Array]:
    """Return the places of rows that have the same number of steps in all inputs."""
    rows = np.arange(len(lengths[0]))
    if all((each == each[0]).all() for each in lengths):
        return [rows]
    order = np.lexsort(lengths)
    different = np.any([np.diff(each[order]) != 0 for each in lengths], axis=0)
    return np.split(order, np.flatnonzero(different) + 1)


def _zeros(given: ModelInput, steps: int) -> Array:
    """Return a row of zeros, which are ids of every embedding."""
    return np.zeros((1, steps, *(n or 1 for n in given.shape[1:])), np.int32)
