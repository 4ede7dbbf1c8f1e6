from typing import Any

from rnn_core._typing import Array

def available_isas() -> list[str]: ...
def use_isa(name: str | None = None) -> None: ...
def isa() -> str: ...
def activations() -> list[str]: ...
def activate(name: str, x: Array) -> None: ...
def select_rows(masks: Array, position: int, new: Any, old: Any) -> Any: ...

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
