"""What plain data is: numbers, text, bytes and arrays, in dicts, lists, tuples and sets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from rnn_core.formats.budget import Budget

CONTAINERS = (dict, list, tuple, set, frozenset)
_SCALARS = (str, bytes, int, float, bool, type(None))
_LEAVES = (*_SCALARS, bytearray, np.ndarray)

# Containers within containers.
_MAX_DEPTH = 100
# A key's length: as text, and as a tuple.
_MAX_KEY_LENGTH, _MAX_KEY_ITEMS = 4096, 16
# Keys of one hash.
_MAX_SAME_HASH = 8
_KEY_BYTES, _CHECK_BYTES = 200, 400


def check(value: Any, budget: Budget) -> None:
    """Raise ValueError unless this is plain data, which has an end.

    Args:
        value: numbers, text, bytes, arrays, or containers of such.
        budget: what the check may take.
    """
    # How deep each container goes. While it is open it counts as too deep to be within another.
    depths: dict[int, int] = {}
    todo = [(item, False) for item in _containers((value,))]
    path = 0
    while todo:
        container, done = todo.pop()
        if done:
            path -= 1
            inner = (depths[id(item)] for item in _containers(container))
            depths[id(container)] = 1 + max(inner, default=0)
        elif id(container) not in depths:
            path += 1
            depths[id(container)] = _MAX_DEPTH
            count = sum(1 for _ in _containers(container))
            budget.take(_CHECK_BYTES * count, "a check of its objects")
            within = {id(item): item for item in _containers(container)}
            todo.append((container, True))
            todo.extend((item, False) for item in within.values())
        if max(path, depths[id(container)]) > _MAX_DEPTH:
            raise ValueError(f"it is nested more than {_MAX_DEPTH} deep, or in itself")


def _containers(container: Any) -> Iterator[Any]:
    """Yield the containers within one, but for empty ones; all else in it has to be plain."""
    for item in container.values() if type(container) is dict else container:
        if type(item) in CONTAINERS:
            if item:
                yield item
        elif type(item) not in _LEAVES:
            raise ValueError(f"it holds a {type(item).__name__}, which is no data")


class Keys:
    """The keys of a file's dicts and sets: each quick to hash and to compare, few of one hash.

    Args:
        budget: what they may take.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._by_hash: dict[int, list[Any]] = {}

    def check(self, key: Any) -> None:
        """Raise ValueError for a key that would make a dict slow."""
        parts = key if type(key) is tuple else (key,)
        if len(parts) > _MAX_KEY_ITEMS or any(type(part) not in _SCALARS for part in parts):
            raise ValueError(f"a {type(key).__name__} as a key is not plain")
        if any(type(part) in (str, bytes) and len(part) > _MAX_KEY_LENGTH for part in parts):
            raise ValueError(f"a key is longer than {_MAX_KEY_LENGTH}")
        if type(key) in (str, bytes):
            # The hashes of these cannot be foreseen.
            return
        same = self._by_hash.setdefault(hash(key), [])
        if key not in same:
            self._budget.take(_KEY_BYTES, "a key")
            same.append(key)
        if len(same) > _MAX_SAME_HASH:
            raise ValueError(f"more than {_MAX_SAME_HASH} keys have the same hash")
