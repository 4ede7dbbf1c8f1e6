import numpy as np

def available_isas() -> list[str]: ...
def use_isa(name: str | None = None) -> None: ...
def isa() -> str: ...
def activations() -> list[str]: ...
def activate(name: str, x: np.ndarray) -> None: ...

class Plan:
    def __init__(
        self,
        cell: str,
        kernel: np.ndarray,
        recurrent_kernel: np.ndarray,
        bias: np.ndarray | None,
        recurrent_bias: np.ndarray | None,
        activation: str,
        recurrent_activation: str = "linear",
    ) -> None: ...
    def run(
        self,
        x: np.ndarray,
        states: tuple[np.ndarray, ...],
        out: np.ndarray,
        mask: np.ndarray | None = None,
        go_backwards: bool = False,
        zero_output_for_mask: bool = False,
        table: np.ndarray | None = None,
    ) -> None: ...
    def project(self, x: np.ndarray) -> np.ndarray: ...
