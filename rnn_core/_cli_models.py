"""The commands of ``rnn-core`` about models: inspect, convert, verify."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import rnn_core
from rnn_core._files import replacing
from rnn_core._model import Model, shape_text
from rnn_core._nest import flatten
from rnn_core._typing import Array
from rnn_core.formats import safetensors

# Names of arrays in a file of references: "x", "x0", "in_0", and "y", "y1", "out_1".
_REFERENCE_INPUTS, _REFERENCE_OUTPUTS = r"(x|in|input)_?\d*", r"(y|out|output)_?\d*"


def add_parsers(commands: Any) -> None:
    """Add the commands to an argument parser's."""
    parser = commands.add_parser("inspect", help="print a model's layers and where it came from")
    parser.set_defaults(command=inspect)
    parser.add_argument("model", type=Path, metavar="MODEL")

    parser = commands.add_parser("convert", help="write a model in another format")
    parser.set_defaults(command=convert)
    parser.add_argument("model", type=Path, metavar="IN")
    parser.add_argument("output", type=Path, metavar="OUT", help=".keras or .safetensors")

    parser = commands.add_parser("verify", help="compare a model's outputs with stored ones")
    parser.set_defaults(command=verify)
    parser.add_argument("model", type=Path, metavar="MODEL")
    parser.add_argument("reference", type=Path, metavar="REF.npz", help="inputs and outputs")
    parser.add_argument(
        "--inputs", metavar="A,B", help="arrays that are inputs; x, x0, x1, … if not given"
    )
    parser.add_argument("--outputs", metavar="A,B", help="arrays that are outputs; y, y0, y1, …")
    parser.add_argument("--tolerance", type=float, default=1e-5, help="default: 1e-5")


def inspect(options: argparse.Namespace) -> None:
    """Print what a file holds."""
    loaded = rnn_core.load(options.model)
    if isinstance(loaded, dict):
        _print_arrays(options.model, loaded)
        return
    origin = loaded.origin or "an unknown source"
    if not isinstance(loaded, Model):
        print(f"{options.model}: {type(loaded).__name__} from {origin}")
        _print_graph(loaded)
        return
    kind = f"{type(loaded).__name__} {loaded.name!r}"
    inputs = ", ".join(shape_text(layer.batch_shape) for layer in loaded.input_layers)
    print(f"{options.model}: {kind} from {origin}, input {inputs}")
    rows = [("layer", "class", "output shape", "weights", "FLOPs/step", "runs on")]
    for layer, shape in loaded._output_shapes():
        weights = " ".join("x".join(map(str, weight.shape)) for weight in layer.weights)
        rows.append(
            (
                layer.name,
                type(layer).__name__,
                shape_text(shape),
                weights or "-",
                f"{layer._flops_per_step():,}",
                layer._runner(),
            )
        )
    _print_table(rows)
    print(
        f"{loaded.count_params():,} weights, {sum(w.nbytes for w in loaded.weights):,} bytes, "
        f"{loaded._flops_per_step():,} FLOPs per step"
    )


def _print_graph(model: Any) -> None:
    for way, values in (("input", model.inputs), ("output", model.outputs)):
        for name, dtype, shape in values:
            axes = ", ".join("?" if n is None else str(n) for n in shape or ())
            print(f"{way} {name!r}, {dtype or 'any dtype'} ({'…' if shape is None else axes})")
    _print_table([("node", "operator", "outputs", "weights"), *model.describe()])
    runner = model._runner()
    rest = f"; recurrent operators run on {runner}, the others on NumPy" if runner else ""
    print(f"{model.count_params():,} weights{rest}")


def _print_arrays(path: Path, arrays: dict[str, Any]) -> None:
    print(f"{path}: weights without a model")
    named = {name: value for name, value in arrays.items() if isinstance(value, np.ndarray)}
    rows = [("array", "dtype", "shape")]
    rows += [(name, value.dtype.name, shape_text(value.shape)) for name, value in named.items()]
    _print_table(rows)
    print(f"{sum(value.size for value in named.values()):,} weights in {len(named)} arrays")
    others = [str(name) for name in arrays if name not in named]
    if others:
        print(f"and what is no array: {', '.join(others)}")


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def convert(options: argparse.Namespace) -> None:
    """Write a model to another file."""
    if options.model.resolve() == options.output.resolve():
        raise ValueError(f"output is {options.output}, which is also what it is made from")
    loaded = rnn_core.load(options.model)
    if hasattr(loaded, "save"):
        loaded.save(options.output)
    else:
        _save_arrays(options, loaded)
    print(f"{options.output}: {options.output.stat().st_size:,} bytes")


def _save_arrays(options: argparse.Namespace, arrays: Any) -> None:
    """Write weights without a model: those of a state dict."""
    flat = isinstance(arrays, dict) and all(isinstance(a, np.ndarray) for a in arrays.values())
    if not flat:
        raise ValueError(
            f"{options.model} holds more than arrays by name, expected a model or a state dict"
        )
    if options.output.suffix != ".safetensors":
        raise ValueError(
            f"{options.model} holds weights without a model, "
            f"expected an output that ends in .safetensors, not {options.output}"
        )
    with replacing(options.output) as path:
        safetensors.write(path, arrays, {})


def verify(options: argparse.Namespace) -> int:
    """Print each output's largest difference from a stored one; return 1 if one is too large."""
    model = rnn_core.load(options.model)
    with np.load(options.reference, allow_pickle=False) as file:
        stored = {name: file[name] for name in file.files}
    inputs = _choose(stored, options.inputs, _REFERENCE_INPUTS, options.reference)
    expected = _choose(stored, options.outputs, _REFERENCE_OUTPUTS, options.reference)
    values = list(inputs.values())
    start = time.perf_counter()
    outputs = flatten(model(values if len(values) > 1 else values[0]))
    seconds = time.perf_counter() - start
    if len(outputs) != len(expected):
        raise ValueError(
            f"the model has {len(outputs)} outputs, {options.reference} has {len(expected)}: "
            f"{', '.join(expected)}"
        )
    worst = 0.0
    for output, (name, reference) in zip(outputs, expected.items(), strict=True):
        difference = _difference(name, np.asarray(output), reference)
        worst = max(worst, difference)
        print(f"{name} {shape_text(reference.shape)}: largest difference {difference:.3g}")
    fine = worst <= options.tolerance
    print(f"{'equal' if fine else 'NOT equal'} within {options.tolerance:g}; {seconds:.3f} s")
    return 0 if fine else 1


def _choose(
    stored: dict[str, Array], given: str | None, pattern: str, path: Path
) -> dict[str, Array]:
    names = [name.strip() for name in given.split(",")] if given else []
    for name in names:
        if name not in stored:
            raise ValueError(f"{path} has no array {name!r}, but {', '.join(stored)}")
    names = names or sorted(name for name in stored if re.fullmatch(pattern, name))
    if not names:
        raise ValueError(
            f"{path} has the arrays {', '.join(stored)}: say which by --inputs and --outputs"
        )
    return {name: stored[name] for name in names}


def _difference(name: str, output: Array, reference: Array) -> float:
    """Return the largest difference; where both are not numbers or the same infinity, none."""
    if output.shape != reference.shape:
        raise ValueError(f"{name} has shape {output.shape}, expected {reference.shape}")
    output, reference = output.astype(np.float64), reference.astype(np.float64)
    same = (output == reference) | (np.isnan(output) & np.isnan(reference))
    with np.errstate(invalid="ignore"):
        differences = np.where(same, 0, np.abs(output - reference))
    largest = float(differences.max(initial=0))
    return float("inf") if np.isnan(largest) else largest
