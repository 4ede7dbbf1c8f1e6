"""Graphs of layers: symbolic tensors, and the calls that made them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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

    layer: Any
    inputs: Any
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    outputs: Any = None

    def sources(self) -> list[SymbolicTensor]:
        """Return the symbolic tensors among the arguments."""
        leaves = flatten((self.inputs, self.args, self.kwargs))
        return [leaf for leaf in leaves if isinstance(leaf, SymbolicTensor)]


# What a symbolic tensor stands for in a call: an array, and its mask or None.
Values = dict[SymbolicTensor, tuple[Any, Any]]


def run(nodes: Iterable[Node], values: Values, training: bool | None = None) -> None:
    """Make the calls and add what they yield to `values`, which has what they need."""
    for node in nodes:
        result, mask = node.layer._call_with_mask(
            taken(values, node.inputs, 0),
            taken(values, node.inputs, 1),
            training,
            taken(values, node.args, 0),
            taken(values, node.kwargs, 0),
        )
        outputs = flatten(node.outputs)
        results = [result] if len(outputs) == 1 else flatten(result)
        masks = [mask] if len(outputs) == 1 else flatten(mask)
        masks += [None] * (len(outputs) - len(masks))
        values.update(zip(outputs, zip(results, masks, strict=True), strict=True))


def taken(values: Values, structure: Any, which: int) -> Any:
    """Return the structure with its symbolic tensors' arrays (0) or masks (1)."""
    return map_leaves(
        lambda leaf: values[leaf][which] if isinstance(leaf, SymbolicTensor) else leaf, structure
    )


@dataclass
class Flow:
    """All calls of a model, those of the models within it among them.

    Args:
        nodes: each after those it needs.
        inputs: what the calls begin with.
        outputs: of the model, in its structure.
    """

    nodes: Sequence[Node]
    inputs: list[SymbolicTensor]
    outputs: Any

    def between(self, given: Iterable[SymbolicTensor], wanted: Iterable[Any]) -> list[Node]:
        """Return the calls that lead from some values to others."""
        known, needed, found = set(given), set(wanted), []
        for node in reversed(self.nodes):
            if any(tensor in needed and tensor not in known for tensor in flatten(node.outputs)):
                found.append(node)
                needed.update(node.sources())
        return found[::-1]


def place(node: Node | None = None, index: int = 0) -> SymbolicTensor:
    """Return a tensor that only says where a value stands, of any shape."""
    return SymbolicTensor((), node or Node(None, []), index)


def add_call(
    nodes: list[Node],
    layer: Any,
    inputs: Any,
    args: Any = (),
    kwargs: Any = None,
    count: int = 1,
) -> Any:
    """Add a layer's call to `nodes`, a model's calls in its place, and return the outputs.

    Args:
        nodes: the calls so far.
        layer: what is called.
        inputs, args, kwargs: with symbolic tensors for what is not known yet.
        count: of outputs.
    """
    opens = hasattr(layer, "_unfold") and layer.built and not layer._is_users
    if opens and not (args or kwargs or isinstance(inputs, dict)):
        within: list[Node] = []
        leaves = flatten(inputs)
        if len(leaves) == len(layer.input_layers):
            outputs = layer._unfold(leaves, within)
            if len(flatten(outputs)) == count:
                nodes.extend(within)
                return outputs
    node = Node(layer, inputs, args, kwargs or {})
    tensors = [place(node, index) for index in range(count)]
    node.outputs = tensors if count > 1 else tensors[0]
    nodes.append(node)
    return node.outputs


def is_symbolic(structure: Any) -> bool:
    """Return whether a symbolic tensor is among the leaves."""
    if isinstance(structure, dict):
        return any(map(is_symbolic, structure.values()))
    if isinstance(structure, list) and structure and isinstance(structure[0], (int, float)):
        return False  # data in lists, which may be long
    if isinstance(structure, (list, tuple)):
        return any(map(is_symbolic, structure))
    return isinstance(structure, SymbolicTensor)


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


def network(
    inputs: list[SymbolicTensor], outputs: list[SymbolicTensor]
) -> tuple[list[Node], list[Layer]]:
    """Return the calls that `outputs` need and the layers of a model, both in Keras's order.

    By depth, which is the number of calls to the farthest output, the deepest first; a layer called
    more than once is as deep as its deepest call. The order of weights depends on it, and so does
    that of the calls of a layer with states.
    """
    postorder, first_visit = _visit(outputs)
    depth_of: dict[Node, int] = {}
    layer_depth: dict[Layer, int] = {}
    for node in reversed(postorder):
        depth = max(depth_of.setdefault(node, 0), layer_depth.get(node.layer, 0))
        layer_depth[node.layer] = depth_of[node] = depth
        for tensor in node.sources():
            depth_of[tensor.node] = max(depth + 1, depth_of.get(tensor.node, 0))
    for tensor in inputs:
        if tensor.node.layer not in layer_depth:
            layer_depth[tensor.node.layer] = 0
            first_visit[tensor.node.layer] = -1
    # Sorting keeps the order of what is equally deep.
    nodes = sorted(depth_of, key=lambda node: -depth_of[node])
    layers = sorted(layer_depth, key=lambda layer: (-layer_depth[layer], first_visit[layer]))
    return nodes, layers


def _visit(outputs: list[SymbolicTensor]) -> tuple[list[Node], dict[Layer, int]]:
    """Return the nodes, each after those it needs, and when each layer was met first."""
    order: list[Node] = []
    first_visit: dict[Layer, int] = {}
    done: set[Node] = set()
    stack = [(tensor.node, False) for tensor in reversed(outputs)]
    while stack:
        node, expanded = stack.pop()
        if node in done:
            continue
        if expanded:
            done.add(node)
            order.append(node)
            continue
        first_visit.setdefault(node.layer, len(first_visit))
        stack.append((node, True))
        stack.extend((tensor.node, False) for tensor in reversed(node.sources()))
    return order, first_visit
