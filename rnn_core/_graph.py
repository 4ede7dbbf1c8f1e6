"""Graphs of layers: symbolic tensors, and the calls that made them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rnn_core._nest import flatten, is_shape, map_leaves

if TYPE_CHECKING:
    from rnn_core._layer import Layer


class SymbolicTensor:
    """A place in a graph: what `Input` and a layer called on a symbolic tensor return.

    Args:
        shape: with None for any length, the batch first.
        node: the call that yields it.
        index: which of the call's outputs it is.
    """

    def __init__(self, shape: tuple[Any, ...], node: Node, index: int) -> None:
        self.shape = tuple(shape)
        self.node = node
        self.index = index

    def __repr__(self) -> str:
        return f"<SymbolicTensor {self.shape} of {self.node.layer.name!r}>"


@dataclass(eq=False)
class Node:
    """One call of a layer on symbolic tensors."""

    layer: Layer
    inputs: Any
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    outputs: Any = None

    def sources(self) -> list[SymbolicTensor]:
        """Return the symbolic tensors among the arguments."""
        leaves = flatten((self.inputs, self.args, self.kwargs))
        return [leaf for leaf in leaves if isinstance(leaf, SymbolicTensor)]


def is_symbolic(structure: Any) -> bool:
    """Return whether a symbolic tensor is among the leaves."""
    return any(isinstance(leaf, SymbolicTensor) for leaf in flatten(structure))


def record(layer: Layer, inputs: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Build the layer for its inputs' shapes and return its symbolic outputs."""
    shapes = map_leaves(lambda x: tuple(x.shape), inputs)
    layer._ensure_built(shapes)
    node = Node(layer, inputs, args, kwargs)
    node.outputs = symbolic_outputs(node, layer._symbolic_shape(shapes, args))
    return node.outputs


def symbolic_outputs(node: Node, shapes: Any) -> Any:
    """Return a symbolic tensor for each shape in a shape or a structure of shapes."""
    count = iter(range(len(flatten(shapes, is_shape))))
    return map_leaves(lambda shape: SymbolicTensor(shape, node, next(count)), shapes, is_shape)


def sorted_nodes(outputs: list[SymbolicTensor]) -> list[Node]:
    """Return the nodes that `outputs` need, each after those it needs itself."""
    order: list[Node] = []
    done: set[int] = set()
    stack = [(tensor.node, False) for tensor in reversed(outputs)]
    while stack:
        node, expanded = stack.pop()
        if id(node) in done:
            continue
        if expanded:
            done.add(id(node))
            order.append(node)
            continue
        stack.append((node, True))
        stack.extend((tensor.node, False) for tensor in reversed(node.sources()))
    return order
