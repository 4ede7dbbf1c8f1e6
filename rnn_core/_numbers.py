"""Numbers that layers are made with, checked."""

from __future__ import annotations

import operator
from typing import Any


def positive(value: Any, name: str) -> int:
    """Return a whole number above 0.

    Raises:
        TypeError: no whole number.
        ValueError: below 1.
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}, expected a whole number") from None
    if number <= 0:
        raise ValueError(f"{name} is {number}, expected a positive number")
    return number


def rate(value: Any, name: str) -> float:
    """Return a number, the nearest in [0, 1].

    Raises:
        TypeError: no number.
    """
    if isinstance(value, str) or not hasattr(value, "__float__"):
        raise TypeError(f"{name} is {value!r}, expected a number between 0 and 1")
    return min(1.0, max(0.0, float(value)))


def seed_of(value: Any) -> int | None:
    """Return a seed, or None for none and for what Keras writes of a generator.

    Raises:
        TypeError: no whole number.
        ValueError: below 0.
    """
    if value is None or isinstance(value, dict):
        return None
    try:
        seed = operator.index(value)
    except TypeError:
        raise TypeError(f"seed is {value!r}, expected a whole number") from None
    if seed < 0:
        raise ValueError(f"seed is {seed}, expected no negative number")
    return seed
