"""Where a layer's weights are in a file.

Keras 3's paths of attributes, in lists of class names:
``layers/bidirectional/forward_layer/cell/vars/0``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

from rnn_core._names import class_name_of, snake_case
from rnn_core._weights import Weight, Weighted

# What Keras 2.12 to 2.14 call the layers of a model.
_OLD_LAYERS = "_layer_checkpoint_dependencies"


def weights_by_path(
    layer: Weighted, groups: Collection[str] = (), step: int = 1
) -> Iterator[tuple[str, Weight]]:
    """Yield each weight once, with its path.

    Args:
        layer: whose weights.
        groups: the paths that a file has, which decide between names of old and new.
        step: how many numbers a layer with weights takes in a list.
    """
    return _below(layer, "", groups, step, set())


def _below(
    layer: Weighted, prefix: str, groups: Collection[str], step: int, seen: set[Weighted]
) -> Iterator[tuple[str, Weight]]:
    if layer in seen:
        return
    seen.add(layer)
    for index, weight in enumerate(layer._own_weights):
        yield f"{prefix}vars/{index}", weight
    for attribute, child in layer._children():
        if groups and not layer._parts_have_paths:
            yield from _below(child, prefix, groups, step, seen)
            continue
        names = (attribute, f"_{attribute}", *([_OLD_LAYERS] if attribute == "layers" else []))
        path = next((p for name in names if (p := f"{prefix}{name}") in groups), prefix + attribute)
        if isinstance(child, Weighted):
            yield from _below(child, f"{path}/", groups, step, seen)
            continue
        counts: Counter[str] = Counter()
        for item in child:
            old = groups and not item._parts_have_paths
            name = snake_case(type(item).__name__ if old else class_name_of(item))
            suffix = f"_{counts[name]}" if counts[name] else ""
            counts[name] += step if item.count_params() else 1
            yield from _below(item, f"{path}/{name}{suffix}/", groups, step, seen)
