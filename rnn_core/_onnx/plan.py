"""A graph made ready to run: nodes in order and bound to functions, constants computed."""

from __future__ import annotations

from collections import ChainMap, Counter, deque
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rnn_core._onnx import recurrent, window
from rnn_core._onnx.direction import prepare
from rnn_core._onnx.folding import bound_of
from rnn_core._onnx.graph import Graph, Node, needs_of
from rnn_core._onnx.operators import bind, check
from rnn_core._typing import Array

# Values by name, None for those that only a call brings.
Known = MutableMapping[str, Any]
# What an operator can raise for inputs that do not fit.
_FAILURES = (ValueError, TypeError, IndexError, KeyError, ArithmeticError, AttributeError)


@dataclass
class Setting:
    """What all graphs of a model have in common: the opset, bytes to spend, weights made ready."""

    opset: int
    budget: Any
    prepared: dict[Any, Any] = field(default_factory=dict)
    kernels: dict[int, Array] = field(default_factory=dict)


@dataclass(slots=True)
class Step:
    """A node bound to its function: constants in place, the other inputs by name."""

    node: Node
    function: Callable[..., Any]
    constants: list[Array | None]
    named: list[tuple[int, str]]
    captured: list[str] | None
    # Values that no later step needs.
    last: list[str] = field(default_factory=list)

    def run(self, values: dict[str, Array]) -> None:
        """Compute the node from `values` and add its outputs to them."""
        inputs = list(self.constants)
        for place, name in self.named:
            inputs[place] = values[name]
        captured = {}
        if self.captured is not None:
            captured = {"captured": {name: values[name] for name in self.captured}}
        try:
            results = self.function(*inputs, **captured)
        except _FAILURES as error:
            shapes = ", ".join("-" if x is None else f"{x.dtype} {x.shape}" for x in inputs)
            raise ValueError(f"{self.node.describe()}: {error} (inputs: {shapes})") from error
        results = results if isinstance(results, tuple) else (results,)
        outputs = self.node.outputs
        if any(outputs[len(results) :]):
            raise ValueError(f"{self.node.describe()} gives {len(results)} of {len(outputs)}")
        for name, result in zip(outputs, results, strict=False):
            if name:
                values[name] = np.asarray(result)
        for name in self.last:
            del values[name]


class Plan:
    """A graph that runs.

    Args:
        graph: whose operators are all known.
        setting: of the model.
        known: constants of the graphs around this one.

    Raises:
        ValueError: values that nothing defines, that two define, or that need themselves; nodes
            with other inputs or attributes than their operators take.
    """

    def __init__(self, graph: Graph, setting: Setting, known: Known) -> None:
        self.graph = _pruned(graph)
        self._names = [value.name for value in graph.inputs]
        # What this graph defines hides what is around it; None is not known before a call.
        own: dict[str, Array | None] = dict.fromkeys(
            name for n in graph.nodes for name in n.outputs
        )
        own |= graph.constants
        self._known = ChainMap({**own, **dict.fromkeys(self._names)}, known)
        self.steps: list[Step] = []
        for node in self.graph.nodes:
            step = self._step(node, setting)
            if not self._fold(step, setting):
                self.steps.append(step)
        self._free_after_last_use()

    def _step(self, node: Node, setting: Setting) -> Step:
        check(node)
        constants = [self._known.get(name) if name else None for name in node.inputs]
        if node.op == "Conv" and len(constants) > 1 and constants[1] is not None:
            constants[1] = self._arranged(constants[1], setting)
        named = [(n, x) for n, x in enumerate(node.inputs) if x and constants[n] is None]
        attributes, captured = dict(node.attributes), None
        for key, graph in node.graphs().items():
            attributes[key] = Plan(graph, setting, self._known)
            free = [name for name in graph.free_names() if self._known.get(name) is None]
            captured = [*(captured or []), *free]
        given = {
            "opset": setting.opset,
            "outputs": len(node.outputs),
            "prepared": self._prepared(node, setting),
            "sequences": bool(node.outputs[0]),
        }
        function = bind(node, attributes, **given)
        return Step(node, function, constants, named, captured)

    def _arranged(self, kernel: Array, setting: Setting) -> Array:
        """Return a constant kernel laid out for `window.conv`, once for all that use it."""
        if id(kernel) not in setting.kernels:
            fits = kernel.ndim > 2 and kernel.nbytes <= setting.budget.left
            setting.budget.left -= kernel.nbytes if fits else 0
            setting.kernels[id(kernel)] = window.arranged(kernel) if fits else kernel
        return setting.kernels[id(kernel)]

    def _prepared(self, node: Node, setting: Setting) -> Any:
        """Return layers made of a recurrent node's weights, if these are constants."""
        places = [n for n in recurrent.WEIGHTS.get(node.kind, ()) if n < len(node.inputs)]
        names = [node.inputs[place] for place in places]
        if not places or any(name and self._known.get(name) is None for name in names):
            return None
        weights = [self._known.get(name) for name in names]
        key = (node.kind, bool(node.outputs[0]), *map(id, weights), repr(node.attributes))
        if key not in setting.prepared:
            setting.prepared[key] = prepare(node, weights, setting.budget)
        return setting.prepared[key]

    def _fold(self, step: Step, setting: Setting) -> bool:
        """Compute a step of constants now, if its result has room; return whether it was."""
        if step.named or step.captured is not None:
            return False
        if bound_of(step.node, step.constants) > setting.budget.left:
            return False
        values: dict[str, Array] = {}
        try:
            step.run(values)
        except ValueError:
            return False  # It may never be needed; if it is, the call says what is wrong.
        for value in values.values():
            # A view keeps what it is of, which is another constant.
            setting.budget.left -= value.nbytes if value.base is None else 0
            value.flags.writeable = False
        self._known.update(values)
        return True

    def _free_after_last_use(self) -> None:
        needed = {value.name for value in self.graph.outputs}
        for step in reversed(self.steps):
            used = [name for _, name in step.named] + (step.captured or [])
            made = [name for name in step.node.outputs if name]
            step.last = [name for name in dict.fromkeys([*used, *made]) if name not in needed]
            needed.update(used)

    def run(self, inputs: list[Array], outer: dict[str, Array]) -> list[Array]:
        """Return the graph's outputs.

        Args:
            inputs: in the graph's order.
            outer: values of the graphs around this one, by name.
        """
        if len(inputs) != len(self._names):
            raise ValueError(f"{len(inputs)} inputs for a graph of {len(self._names)}")
        values = {**outer, **dict(zip(self._names, inputs, strict=True))}
        for step in self.steps:
            step.run(values)
        names = [value.name for value in self.graph.outputs]
        constants = [self._known.get(name) for name in names]
        pairs = zip(names, constants, strict=True)
        return [values[name] if constant is None else constant for name, constant in pairs]


def _pruned(graph: Graph) -> Graph:
    """Return a graph with its nodes in order, without those and outputs that nothing needs."""
    nodes = _in_order(graph)
    used = {value.name for value in graph.outputs}
    kept = []
    for node in reversed(nodes):
        if not used.isdisjoint(node.outputs):
            outputs = [name if name in used else "" for name in node.outputs]
            kept.append(replace(node, outputs=outputs))
            used.update(needs_of(node))
    inputs = {value.name for value in graph.inputs}
    constants = {k: v for k, v in graph.constants.items() if k in used or k in inputs}
    return Graph(graph.inputs, graph.outputs, kept[::-1], constants)


def _in_order(graph: Graph) -> list[Node]:
    """Return the nodes so that each comes after those whose outputs it needs.

    Raises:
        ValueError: two define the same value, or some need each other.
    """
    inputs = [value.name for value in graph.inputs]
    made = [name for node in graph.nodes for name in node.outputs if name]
    # An input may have a constant as its default.
    defined = Counter([*inputs, *(graph.constants.keys() - {*inputs}), *made])
    twice = [name for name, count in defined.items() if count > 1]
    if twice:
        raise ValueError(f"value {twice[0]!r} is defined {defined[twice[0]]} times")
    maker = {name: place for place, node in enumerate(graph.nodes) for name in node.outputs if name}
    needs = [{maker[n] for n in needs_of(node) if n in maker} for node in graph.nodes]
    users: list[list[int]] = [[] for _ in graph.nodes]
    for place, makers in enumerate(needs):
        for other in makers:
            users[other].append(place)
    waiting = [len(makers) for makers in needs]
    ready = deque(place for place, count in enumerate(waiting) if not count)
    order = []
    while ready:
        place = ready.popleft()
        order.append(place)
        for user in users[place]:
            waiting[user] -= 1
            if not waiting[user]:
                ready.append(user)
    if len(order) < len(graph.nodes):
        left = next(n for n, count in zip(graph.nodes, waiting, strict=True) if count)
        raise ValueError(f"{left.describe()} needs its own output: the graph has a cycle")
    if all(a < b for makers, b in zip(needs, range(len(needs)), strict=True) for a in makers):
        return graph.nodes
    return [graph.nodes[place] for place in order]


def check_defined(graph: Graph, around: tuple[set[str], ...] = ()) -> None:
    """Raise ValueError if a node or an output needs a value that nothing defines."""
    own = {value.name for value in graph.inputs} | graph.constants.keys()
    own |= {name for node in graph.nodes for name in node.outputs}
    scopes = (*around, own)
    for node in graph.nodes:
        for name in node.inputs:
            if name and not any(name in scope for scope in scopes):
                raise ValueError(f"{node.describe()} needs {name!r}, which nothing defines")
        for inner in node.graphs().values():
            check_defined(inner, scopes)
    for value in graph.outputs:
        if not any(value.name in scope for scope in scopes):
            raise ValueError(f"output {value.name!r} is defined by nothing")
