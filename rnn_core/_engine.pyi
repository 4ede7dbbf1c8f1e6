from typing import Any

from rnn_core._typing import Array

def available_isas() -> list[str]: ...
def use_isa(name: str | None = None) -> None: ...
def isa() -> str: ...
def activations() -> list[str]: ...
def activate(name: str, x: Array) -> None: ...

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
    ) -> None: ...
    def run(
        self,
        x: Array,
        states: tuple[Array, ...],
        out: Array,
        mask: Array | None = None,
        go_backwards: bool = False,
        zero_output_for_mask: bool = False,
        table: Array | None = None,
        initial: tuple[Array, ...] | None = None,
    ) -> None: ...
    def project(self, x: Array) -> Array: ...
