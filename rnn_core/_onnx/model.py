"""OnnxModel: an ONNX graph that is called like a function."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rnn_core import _ragged
from rnn_core._onnx.graph import Graph, Value, from_config, needs_of, to_config
from rnn_core._onnx.operators import check_known
from rnn_core._onnx.plan import Plan, Setting, check_defined
from rnn_core._outputs import Outputs
from rnn_core._ragged import Ragged
from rnn_core._saving import save_tensors
from rnn_core._typing import Array
from rnn_core._windows import holds_sequences
from rnn_core.formats.budget import Budget

# The versions of ONNX's operators whose meanings are known.
OPSETS = range(1, 29)
# Kinds of numbers that may be cast to each kind, if no value is changed but by rounding.
_CASTS = {"f": "fiub", "i": "iu", "u": "iu", "b": "b"}
# Rows to a batch, unless the caller says.
_ROWS = 256
_MISMADE = (KeyError, TypeError, AttributeError, RecursionError)
# What a graph of given arrays may take beside them, as for a file's.
_SLACK = 64 << 20


class OnnxModel:
    """A graph of ONNX operators, as `rnn_core.load` returns it for an ``.onnx`` file.

    A call takes the inputs in order, one array or a list, or by name in a dict or as keywords;
    an input that has a default may be left out. Arrays are cast to an input's dtype where that
    keeps their values but for rounding. It returns the output, or the list of outputs if there
    are several. Shapes are the graph's own, such as ``(batch, timesteps, features)``. Half
    precisions are computed in float32. Calls from several threads do not disturb each other.

    Args:
        graph: as the importer makes it.
        opset: the version of ONNX's operators.
        budget: the bytes to be taken at most for constants made ready; the arrays' own size three
            times over and 64 MB if not given.

    Raises:
        ValueError: operators that are not known, all of them listed with the nodes' names; a
            graph that is none. From a call: inputs that are missing, unknown, or of another
            shape; arrays that do not fit a node's operator.
        TypeError: inputs of another kind of numbers.

    >>> x, y = ({"name": n, "dtype": "float32", "shape": ["batch", 2]} for n in "xy")
    >>> node = {"op": "Gemm", "name": "", "inputs": ["x", "w"], "outputs": ["y"], "domain": ""}
    >>> graph = {"inputs": [x], "outputs": [y], "nodes": [{**node, "attributes": {}}]}
    >>> config = {"opset": 13, "graph": {**graph, "constants": {"w": "w"}}}
    >>> model = OnnxModel.from_parts(config, {"w": np.array([[0, 1], [2, 0]], np.float32)})
    >>> model([[1.0, 2.0]]).tolist()
    [[4.0, 1.0]]
    >>> model.inputs, model.count_params()
    ([('x', 'float32', ('batch', 2))], 4)
    """

    # Where the model came from, for people to read: `load` says it.
    origin: str | None = None

    def __init__(self, graph: Graph, opset: int, budget: Any = None) -> None:
        if opset not in OPSETS:
            raise ValueError(f"opset is {opset}, expected {OPSETS[0]} to {OPSETS[-1]}")
        check_known(graph, opset)
        check_defined(graph)
        if budget is None:
            budget = Budget(3 * sum(x.nbytes for x in graph.constants.values()) + _SLACK)
        self.opset = opset
        setting = Setting(opset, budget)
        with np.errstate(all="ignore"):
            self._plan = Plan(graph, setting, {})
        self._prepared = setting.prepared
        self._graph = self._plan.graph
        self._values = {value.name: value for value in graph.inputs}
        self._defaults = {k: v for k, v in graph.constants.items() if k in self._values}

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs, in order, also of those with a default.

        >>> _example().input_names
        ['x', 'h']
        """
        return [value.name for value in self._graph.inputs]

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs, in order.

        >>> _example().output_names
        ['y']
        """
        return [value.name for value in self._graph.outputs]

    @property
    def inputs(self) -> list[tuple[str, str | None, tuple[Any, ...] | None]]:
        """Name, dtype and shape of each input; an axis of any length is a name or None.

        >>> _example().inputs[0]
        ('x', 'float32', ('batch', 2))
        """
        return [(value.name, value.dtype, value.shape) for value in self._graph.inputs]

    @property
    def outputs(self) -> list[tuple[str, str | None, tuple[Any, ...] | None]]:
        """Name, dtype and shape of each output, as for `inputs`.

        >>> _example().outputs
        [('y', 'float32', ('batch', 2))]
        """
        return [(value.name, value.dtype, value.shape) for value in self._graph.outputs]

    def count_params(self) -> int:
        """Return how many floating numbers the graph's constants hold.

        >>> _example().count_params()
        2
        """
        return sum(x.size for x in _arrays_of(self._graph) if x.dtype.kind == "f")

    # Calls

    def __call__(self, inputs: Any = None, /, **named: Any) -> Any:
        """Return the output, or the list of outputs; see the class."""
        arrays = self._arrange(inputs, named)
        return self._run(arrays)

    def _run(self, arrays: list[Array]) -> Any:
        with np.errstate(all="ignore"):
            results = self._plan.run(arrays, {})
        # What cannot be written to is a constant, an input, a view of one, or a broadcast.
        results = [x if x.flags.writeable else x.copy() for x in results]
        return results[0] if len(results) == 1 else results

    def _arrange(self, inputs: Any, named: dict[str, Any]) -> list[Array]:
        """Return read-only arrays for all inputs, in order."""
        given = {**self._by_name(inputs, named), **named}
        unknown = given.keys() - self._values.keys()
        if unknown:
            raise ValueError(f"no input {min(unknown)!r} among {self.input_names}")
        arrays = []
        for name, value in self._values.items():
            if name in given:
                arrays.append(_checked(value, given[name]))
            elif name in self._defaults:
                arrays.append(self._defaults[name])
            else:
                raise ValueError(f"input {name!r} is missing, expected {self.input_names}")
        return arrays

    def _by_name(self, inputs: Any, named: dict[str, Any]) -> dict[str, Any]:
        if inputs is None:
            return {}
        if isinstance(inputs, dict):
            found = inputs
        else:
            required = [name for name in self._values if name not in self._defaults]
            names = required or self.input_names
            if isinstance(inputs, (list, tuple)) and not self._is_one(inputs, names):
                names = self.input_names if len(inputs) > len(required) else required
                if len(inputs) != len(names):
                    raise ValueError(f"{len(inputs)} inputs, expected {len(names)}: {names}")
                found = dict(zip(names, inputs, strict=True))
            else:
                left = [name for name in names if name not in named]
                if not left:
                    raise ValueError(f"one input more than {names}")
                found = {left[0]: inputs}
        twice = found.keys() & named.keys()
        if twice:
            raise ValueError(f"input {min(twice)!r} is given twice")
        return found

    def _is_one(self, inputs: Any, names: list[str]) -> bool:
        """Return whether a list is one array's numbers, and not a list of arrays."""
        if len(names) > 1 or not inputs:
            return len(names) == 1
        shape = self._values[names[0]].shape
        if shape is None:
            return not any(isinstance(x, np.ndarray) and x.ndim for x in inputs)
        return np.ndim(inputs[0]) != len(shape)

    def predict(self, x: Any, batch_size: int | None = None, progress: bool = False) -> Any:
        """Return the outputs for many rows, batch by batch where the graph's axes allow it.

        They do if axis 0 of all inputs and outputs is open: by one name that speaks of a batch,
        or by any name or none if a batch size is given. Else it is one call.

        Args:
            x: inputs as for a call, ``(rows, ...)``; of one input whose axes 0 and 1 are open also
                a list or tuple of sequences ``(timesteps, ...)`` of any lengths, or an Arrow column
                of lists. Sequences of one length run together, and outputs with open axes beyond
                the first are then lists of arrays.
            batch_size: rows to a batch.
            progress: accepted, as for `Model.predict`; nothing is shown.

        Raises:
            ValueError, TypeError: as for a call; a batch size below 1; sequences for a graph whose
                axis 1 speaks of a batch.

        >>> _example().predict([[1.0, 2.0], [3.0, 4.0]], batch_size=1).tolist()
        [[11.0, 22.0], [13.0, 24.0]]
        """
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, expected at least 1")
        sequences = self._sequences(x)
        if sequences is not None and len(sequences):
            return self._predict_by_length(sequences, batch_size)
        arrays = self._arrange(x if sequences is None else sequences.padded(), {})
        rows = {array.shape[0] if array.ndim else 0 for array in arrays}
        count = batch_size or _ROWS
        if len(rows) != 1 or max(rows) <= count or not self._splits(batch_size is not None):
            return self._run(arrays)
        starts = range(0, max(rows), count)
        batches = [self._run([a[start : start + count] for a in arrays]) for start in starts]
        several = isinstance(batches[0], list)
        parts = list(zip(*(batch if several else [batch] for batch in batches), strict=True))
        for part in parts:
            got = [len(y) if y.ndim else 0 for y in part]
            if got != [min(count, max(rows) - start) for start in starts]:
                raise ValueError(f"outputs have {got} rows in batches of {count}: call the model")
        outputs = [np.concatenate(part) for part in parts]
        return outputs if several else outputs[0]

    def _sequences(self, x: Any) -> Ragged | None:
        """Return the rows of a list of sequences for the one input, None for something else."""
        required = [value for name, value in self._values.items() if name not in self._defaults]
        if len(required) != 1 or not required[0].shape:
            return None
        name, axes = required[0].name, required[0].shape
        shape = tuple(n if isinstance(n, int) else None for n in axes)
        is_list = holds_sequences(x, shape)
        if not is_list and not (_ragged.is_arrow(x) and _ragged.arrow_axes(x) > 1):
            return None
        if speaks_of_batch(axes[1]) or shape[0] is not None:
            raise ValueError(f"input {name!r} has the axes {axes}, expected rows of timesteps")
        rest = shape[2:]
        return _ragged.from_rows(x, rest, 0) if is_list else _ragged.from_arrow(x, rest, 0)

    def _predict_by_length(self, sequences: Ragged, batch_size: int | None) -> Any:
        def own_lengths() -> list[bool]:
            shapes = [value.shape for value in self._graph.outputs]
            return [not s or any(not isinstance(n, int) for n in s[1:]) for s in shapes]

        outputs = Outputs(len(sequences), own_lengths, None, repr(self))
        for length in np.unique(sequences.lengths):
            rows = np.flatnonzero(sequences.lengths == length)
            found = self.predict(sequences.take(rows).padded(), batch_size)
            outputs.write(0, rows, found, None)
        return outputs.result()

    def _splits(self, asked: bool) -> bool:
        values = [*self._graph.inputs, *self._graph.outputs]
        if any(not value.shape or isinstance(value.shape[0], int) for value in values):
            return False
        names = {value.shape[0] for value in values if value.shape}
        name = next(iter(names))
        return asked or (len(names) == 1 and speaks_of_batch(name))

    # Parts

    def config(self) -> dict[str, Any]:
        """Return what the model is but for its arrays, ready for JSON and for `from_parts`.

        >>> _example().config()["opset"]
        13
        """
        return {"opset": self.opset, "graph": to_config(self._graph, {})}

    def arrays(self) -> dict[str, Array]:
        """Return all arrays of the graph, read-only, by the names that `config` has for them.

        >>> {name: array.tolist() for name, array in _example().arrays().items()}
        {'h': [10.0, 20.0]}
        """
        arrays: dict[str, Array] = {}
        to_config(self._graph, arrays)
        return arrays

    @classmethod
    def from_parts(cls, config: Any, arrays: dict[str, Any]) -> OnnxModel:
        """Return the model of which `config` and `arrays` returned the parts.

        Raises:
            ValueError: parts that are not of this form or do not belong together; see the class.

        >>> model = _example()
        >>> OnnxModel.from_parts(model.config(), model.arrays())([[1.0, 2.0]]).tolist()
        [[11.0, 22.0]]
        """
        try:
            opset, graph = config["opset"], from_config(config["graph"], arrays)
        except _MISMADE as error:
            raise ValueError(f"config is no graph: {type(error).__name__} {error}") from error
        if type(opset) is not int:
            raise ValueError(f"opset is {opset!r}, expected a number")
        return cls(graph, opset)

    def save(self, path: Any) -> None:
        """Write the model to a ``.safetensors`` file, which `load` maps into memory.

        Raises:
            ValueError: another ending.

        >>> import tempfile, rnn_core
        >>> path = tempfile.mkdtemp() + "/sum.safetensors"
        >>> _example().save(path)
        >>> rnn_core.load(path)([[1.0, 2.0]]).tolist()
        [[11.0, 22.0]]
        """
        path = Path(path)
        if path.suffix != ".safetensors":
            raise ValueError(f"cannot save to {path}, expected a name that ends in .safetensors")
        config = {"class_name": type(self).__name__, "config": self.config()}
        save_tensors(path, config, self.arrays(), self.origin)

    def describe(self) -> list[tuple[str, str, str, str]]:
        """Return a row for each node: its name, operator, outputs, and the shapes of its weights.

        >>> _example().describe()
        [('sum', 'Add', 'y', '2')]
        """
        return list(_rows(self._graph, self._graph.constants))

    def _runner(self) -> str:
        """Return what computes the recurrent operators, for people to read."""
        directions = [d for prepared in self._prepared.values() for d in prepared or ()]
        runners = {d.layer._runner() if d.layer else "Python" for d in directions}
        return ", ".join(sorted(runners))

    def __repr__(self) -> str:
        names = ", ".join(self.input_names), ", ".join(self.output_names)
        return f"<OnnxModel {names[0]} -> {names[1]}, {len(self._graph.nodes)} nodes>"


def _example() -> OnnxModel:
    """Return a small model for the examples: y = x + h, where h has a default."""
    values = {n: {"name": n, "dtype": "float32", "shape": ["batch", 2]} for n in "xy"}
    h = {"name": "h", "dtype": "float32", "shape": [2]}
    add = {"op": "Add", "name": "sum", "inputs": ["x", "h"], "outputs": ["y"], "domain": ""}
    graph = {
        "inputs": [values["x"], h],
        "outputs": [values["y"]],
        "constants": {"h": "h"},
        "nodes": [{**add, "attributes": {}}],
    }
    return OnnxModel.from_parts(
        {"opset": 13, "graph": graph}, {"h": np.array([10, 20], np.float32)}
    )


def speaks_of_batch(axis: Any) -> bool:
    """Return whether an axis is by its name that of the rows."""
    return isinstance(axis, str) and ("batch" in axis.lower() or axis == "N")


def _rows(graph: Graph, constants: dict[str, Array]) -> Iterator[tuple[str, str, str, str]]:
    for node in graph.nodes:
        arrays = [constants[name] for name in needs_of(node) if name in constants]
        weights = [x for x in arrays if x.dtype.kind == "f"]
        shapes = " ".join("x".join(map(str, x.shape)) or "1" for x in weights)
        yield node.name, node.op, ", ".join(filter(None, node.outputs)), shapes
        for inner in node.graphs().values():
            yield from _rows(inner, {**constants, **inner.constants})


def _arrays_of(graph: Graph) -> Iterator[Array]:
    yield from graph.constants.values()
    for node in graph.nodes:
        for inner in node.graphs().values():
            yield from _arrays_of(inner)


def _checked(value: Value, given: Any) -> Array:
    """Return what is given for an input as a read-only array of its dtype and shape."""
    array = np.asarray(given)
    if array.dtype.kind not in "fiub" or (
        value.dtype and array.dtype.kind not in _CASTS[np.dtype(value.dtype).kind]
    ):
        raise TypeError(f"input {value.name!r} is {array.dtype}, expected {value.dtype}")
    if value.dtype and array.dtype != value.dtype:
        cast = array.astype(value.dtype)
        if cast.dtype.kind in "iu" and not np.array_equal(cast, array):
            raise ValueError(f"input {value.name!r} has values that do not fit {value.dtype}")
        array = cast
    shape = array.shape if value.shape is None else value.shape
    fits = all(n == m for n, m in zip(shape, array.shape, strict=False) if isinstance(n, int))
    if len(shape) != array.ndim or not fits:
        raise ValueError(f"input {value.name!r} has shape {array.shape}, expected {shape}")
    array = array.view()
    array.flags.writeable = False
    return array
