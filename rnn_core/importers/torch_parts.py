"""The modules of a PyTorch model: names, kinds, weights; of a module or of a state dict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnn_core._typing import Array

# A recurrent module's kind by its weights' rows for each unit.
KIND_OF_GATES = {4: "LSTM", 3: "GRU", 1: "RNN"}
RECURRENT = tuple(KIND_OF_GATES.values())
CELLS = tuple(f"{kind}Cell" for kind in RECURRENT)
_KERNELS = "weight_ih", "weight_hh", "weight_hr"
# What a two-axis weight without a bias may be.
EITHER = "Embedding or Linear"
# In a chain: the last step.
LAST = "last"

# What a module has besides its weights, with PyTorch's defaults, which stand for a state dict's.
_OPTIONS: dict[str, dict[str, Any]] = {
    **{kind: {"batch_first": False, "nonlinearity": "tanh"} for kind in RECURRENT},
    **{kind: {"nonlinearity": "tanh"} for kind in CELLS},
    "Embedding": {"max_norm": None},
    "Linear": {},
    "LayerNorm": {"eps": 1e-5, "normalized_shape": None},
    "BatchNorm1d": {"eps": 1e-5},
    "Conv1d": {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "padding_mode": "zeros"},
    "ReLU": {},
    "Tanh": {},
    "Sigmoid": {},
    "Softmax": {"dim": -1},
    "LogSoftmax": {"dim": -1},
    "Dropout": {},
    "Identity": {},
    "Flatten": {"start_dim": 1, "end_dim": -1},
}

# Where a checkpoint has its state dict.
_STATE_KEYS = ("state_dict", "model_state_dict", "model_state", "model")
_MAX_NESTED = 4


@dataclass
class Part:
    """One module: what kind it is, its weights and its options."""

    name: str
    kind: str
    arrays: dict[str, Array]
    options: dict[str, Any] = field(default_factory=dict)

    def as_kind(self, kind: str) -> Part:
        """Return this module as an `EITHER` settled; itself if it is of a kind."""
        if self.kind != EITHER:
            return self
        return Part(self.name, kind, self.arrays, dict(_OPTIONS[kind]))

    def features(self) -> tuple[int | None, int | None]:
        """Return the features that the module takes and gives, None for any."""
        if self.kind in RECURRENT + CELLS:
            end = "" if self.kind in CELLS else "_l0"
            hidden = (f"weight_hh{end}{back}" for back in ("", "_reverse"))
            given = sum(sum(self.arrays[key].shape[1:2]) for key in hidden if key in self.arrays)
            return self.arrays[f"weight_ih{end}"].shape[-1], given
        shape: tuple[int, ...] = self.arrays["weight"].shape if "weight" in self.arrays else ()
        if self.kind == "Conv1d":
            return shape[1] * int(self.options["groups"]), shape[0]
        if self.kind == "Linear":
            return shape[1], shape[0]
        if self.kind == "Embedding":
            return None, shape[1]
        if self.kind in ("LayerNorm", "BatchNorm1d") and shape:
            return shape[-1], shape[-1]
        return None, None

    def __str__(self) -> str:
        layers = sum(f"weight_ih_l{n}" in self.arrays for n in range(len(self.arrays)))
        if self.kind in RECURRENT:
            taken, given = self.features()
            return f"{self.name!r} ({self.kind}, {taken} to {given} features, {layers} layers)"
        shapes = ", ".join(f"{key} {array.shape}" for key, array in self.arrays.items())
        return f"{self.name!r} ({self.kind}: {shapes})"


@dataclass
class Parts:
    """The modules of a model, in its order, and the names of those that run in a row."""

    by_name: dict[str, Part]
    chains: set[str] = field(default_factory=set)

    def within(self, prefix: str) -> Parts:
        """Return what a name stands for: a module alone, or all below it.

        Raises:
            ValueError: there is no such name.
        """
        rests = {name: _rest(name, prefix) for name in (*self.by_name, *self.chains)}
        found = {
            rest: self.by_name[name]
            for name, rest in rests.items()
            if rest is not None and name in self.by_name
        }
        if not found:
            raise ValueError(f"no module {prefix!r}; there are {self.listed()}")
        chains = {rest for name, rest in rests.items() if rest is not None and name in self.chains}
        return Parts(found, chains)

    def weighted(self) -> list[Part]:
        """Return the modules that have weights."""
        return [part for part in self.by_name.values() if part.arrays]

    def listed(self) -> str:
        """Return the modules that have weights, for people to read."""
        return "; ".join(map(str, self.weighted())) or "none"


def _rest(name: str, prefix: str) -> str | None:
    """Return what of a name comes after a prefix and a dot, None if it does not begin so."""
    if not prefix or name == prefix:
        return name if not prefix else ""
    return name.removeprefix(f"{prefix}.") if name.startswith(f"{prefix}.") else None


def dtype_of(parts: Iterable[Part]) -> str:
    """Return the dtype to compute in."""
    arrays = (array for part in parts for array in part.arrays.values())
    return "float64" if any(array.dtype == np.float64 for array in arrays) else "float32"


def parts_of(source: Any, batch_first: bool, nonlinearity: str) -> Parts:
    """Return the modules of a torch.nn.Module, or of a state dict.

    Args:
        source: as for `from_torch`.
        batch_first, nonlinearity: of a state dict's recurrent modules.

    Raises:
        ValueError: there are no weights by name.
        TypeError: it is neither.
    """
    if hasattr(source, "named_modules") and hasattr(source, "state_dict"):
        return _parts_of_module(source)
    if not isinstance(source, Mapping):
        raise TypeError(
            f"source is a {type(source).__name__}, expected a torch.nn.Module or a state dict "
            "of arrays by name; `rnn_core.load` reads one from a file"
        )
    given = {"batch_first": batch_first, "nonlinearity": nonlinearity}
    by_name: dict[str, Part] = {}
    for key, array in _state_dict(source).items():
        name, _, weight = key.rpartition(".")
        by_name.setdefault(name, Part(name, "", {})).arrays[weight] = array
    for part in by_name.values():
        part.kind = _kind_of(part.arrays)
        defaults = _OPTIONS.get(part.kind, {})
        part.options = {key: given.get(key, value) for key, value in defaults.items()}
    return Parts(by_name)


def _state_dict(source: Mapping[Any, Any]) -> dict[str, Array]:
    """Return the arrays by name of a state dict, which may lie within a checkpoint."""
    for _ in range(_MAX_NESTED):
        inner = [source[key] for key in _STATE_KEYS if isinstance(source.get(key), Mapping)]
        if not inner:
            break
        source = inner[0]
    found = {
        key: as_array(value)
        for key, value in source.items()
        if isinstance(key, str) and _is_tensor(value)
    }
    if not found:
        keys = ", ".join(repr(key)[:50] for key in list(source)[:20]) or "nothing"
        raise ValueError(f"source has {keys}, expected arrays by name")
    return found


def _is_tensor(value: Any) -> bool:
    return isinstance(value, np.ndarray) or hasattr(value, "detach")


def as_array(tensor: Any) -> Array:
    """Return a tensor of PyTorch's as an array, bfloat16 as float32; an array as it is."""
    if isinstance(tensor, np.ndarray):
        return tensor
    tensor = tensor.detach().cpu()
    if str(tensor.dtype) == "torch.bfloat16":
        tensor = tensor.float()
    return np.asarray(tensor.numpy())


def _kind_of(arrays: dict[str, Array]) -> str:
    """Return what kind of module has weights of these names and axes."""
    for end, name in (("_l0", ""), ("", "Cell")):
        if f"weight_ih{end}" in arrays and f"weight_hh{end}" in arrays:
            return _recurrent_kind(arrays, end) + name
    if "running_mean" in arrays:
        return "BatchNorm1d"
    axes = arrays["weight"].ndim if "weight" in arrays else 0
    if axes == 2 and "bias" not in arrays:
        return EITHER
    return {1: "LayerNorm", 2: "Linear", 3: "Conv1d"}.get(axes, "unknown")


def _recurrent_kind(arrays: dict[str, Array], end: str) -> str:
    found = {key: arrays[key + end] for key in _KERNELS if key + end in arrays}
    for key, array in found.items():
        if array.ndim != 2:
            raise ValueError(f"{key + end} has shape {array.shape}, expected two axes")
    rows, _ = found["weight_hh"].shape
    # With a projection, weight_hh is of its size.
    units = found.get("weight_hr", found["weight_hh"]).shape[1]
    gates = rows // units if units and rows % units == 0 else 0
    if gates not in KIND_OF_GATES:
        shape = found["weight_hh"].shape
        raise ValueError(f"weight_hh{end} has shape {shape}, expected 4, 3 or 1 rows a unit")
    return KIND_OF_GATES[gates]


def _parts_of_module(module: Any) -> Parts:
    by_name: dict[str, Part] = {}
    chains: set[str] = set()
    for name, inner in module.named_modules():
        kind = _class_name(inner)
        own = {key: value for key, value in inner.state_dict().items() if "." not in key}
        if kind == "Sequential":
            chains.add(name)
        elif kind in _OPTIONS:
            defaults = _OPTIONS[kind]
            options = {key: getattr(inner, key, value) for key, value in defaults.items()}
            by_name[name] = Part(name, kind, _arrays(own), options)
        elif own or not list(inner.children()):
            by_name[name] = Part(name, kind, _arrays(own))
    return Parts(by_name, chains)


def _arrays(tensors: Mapping[str, Any]) -> dict[str, Array]:
    return {key: as_array(value) for key, value in tensors.items() if _is_tensor(value)}


def _class_name(module: Any) -> str:
    """Return the name of a module's class, or of the one of PyTorch's whose `forward` it has."""
    for base in type(module).__mro__:
        if base.__module__.startswith("torch.nn."):
            return base.__name__
        if "forward" in vars(base):
            break
    return type(module).__name__
