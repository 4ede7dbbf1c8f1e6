"""Where a layer's weights are in a file.

Keras 3's paths of attributes, in lists of class names:
``layers/bidirectional/forward_layer/cell/vars/0``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rnn_core._names import class_name_of, snake_case
from rnn_core._weights import Weight, Weighted


def weights_by_path(layer: Weighted, prefix: str = "") -> Iterator[tuple[str, Weight]]:
    """Yield each weight with its path; one that several layers have, once for each."""
    for index, weight in enumerate(layer._own_weights):
        yield f"{prefix}vars/{index}", weight
    for attribute, child in layer._children():
        if isinstance(child, Weighted):
            yield from weights_by_path(child, f"{prefix}{attribute}/")
            continue
        counts: Counter[str] = Counter()
        for item in child:
            name = snake_case(class_name_of(item))
            suffix = f"_{counts[name]}" if counts[name] else ""
            counts[name] += 1
            yield from weights_by_path(item, f"{prefix}{attribute}/{name}{suffix}/")
