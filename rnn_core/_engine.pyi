from collections.abc import Callable
from typing import Any

from rnn_core._typing import Array

def available_isas() -> list[str]: ...
def use_isa(name: str | None = None) -> None: ...
def isa() -> str: ...
def activations() -> list[str]: ...
def activate(name: str, x: Array) -> None: ...
def use_threads(threads: int) -> None: ...
def ask_threads(default: Callable[[], int]) -> None: ...
def stay_alone() -> None: ...

class Job: ...

def run_together(jobs: list[Job]) -> None: ...

BACKENDS: tuple[str, ...]

def backend_for(wanted: str | None, dtype: Any, names: tuple[str, ...]) -> str: ...

class Called:
    def __call__(
        self,
        inputs: Any,
        mask: Any = None,
        training: bool | None = None,
        initial_state: Any = None,
        constants: Any = None,
        **kwargs: Any,
    ) -> Any: ...

class Quick:
    def __init__(
        self, cell: Any, sequences: bool, go_backwards: bool, buffers: Any = None
    ) -> None: ...

class Kept:
    def __init__(self, output: Any, states: list[Any]) -> None: ...
    def merge(
        self, mask: Array, output: Any, states: list[Any], zero: bool
    ) -> tuple[Any, list[Any]]: ...

class Plan:
    def __init__(
        self,
        cell: str,
        kernel: Array,
        recurrent_kernel: Array,
        bias: Array | None,
        recurrent_bias: Array | None,
        activation: str,
        recurrent_activation: str = "linear",
        backend: str | None = None,
    ) -> None: ...
    @property
    def backend(self) -> str: ...
    def run(self, *args: Any, **kwargs: Any) -> None: ...
    def bind(
        self,
        x: Array,
        states: tuple[Array, ...],
        out: Array,
        mask: Array | None = None,
        go_backwards: bool = False,
        zero_output_for_mask: bool = False,
        table: Array | None = None,
        initial: tuple[Array, ...] | None = None,
    ) -> Job: ...
    def project(self, x: Array) -> Array: ...

class Product:
    def __init__(self, kernel: Array, bias: Array | None = None) -> None: ...
    def __call__(self, x: Array) -> Array: ...

def step_nodes(
    plan: Plan,
    inputs: Array,
    which: Array | None,
    parents: Array,
    before: tuple[Array, ...],
    projected: bool = False,
) -> tuple[Array, ...]: ...
def sort_sequences(ids: Array, lengths: Array, bits: int) -> tuple[Array, Array]: ...
def enter_level(
    ids: Array,
    own: Array,
    lengths: Array,
    level: int,
    node_of: Array,
    which: Array,
    parents: Array,
) -> int: ...
def copy_nodes(states: Array, nodes: Array, target: Array, rows: Array) -> None: ...
def first_states(plan: Plan) -> tuple[Array, ...]: ...
