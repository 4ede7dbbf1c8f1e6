"""What the time loop adds to each step of a cell written in Python.

    python benchmarks/bench_user_cells.py

For each cell: microseconds a step that its own `call` takes, and what `RNN` takes beyond that,
without a mask and with one under which most steps count for some rows only. Medians of
interleaved runs on one core.
"""

import os
import statistics
import time

import numpy as np

import rnn_core as rc

TIMESTEPS, RUNS = 2000, 15


class Bare:
    """Does nothing: what is left is the loop."""

    state_size = output_size = 16

    def call(self, inputs, states):
        return states[0], states


class Leaky:
    """Two states, a few operations."""

    state_size = (16, 16)
    output_size = 16

    def call(self, inputs, states):
        fast, slow = states
        slow = 0.9 * slow + 0.1 * fast
        fast = fast - slow
        return fast, (fast, slow)


class Minimal(rc.AbstractRNNCell):
    """The cell of Keras's documents."""

    state_size = output_size = 16

    def build(self, input_shape):
        self.kernel = self.add_weight((input_shape[-1], 16), "uniform")
        self.recurrent_kernel = self.add_weight((16, 16), "uniform")

    def call(self, inputs, states):
        h = inputs @ self.kernel + states[0] @ self.recurrent_kernel
        return h, [h]


def measure(cell, batch):
    """Return microseconds a step: the cell's own, the loop's without and with a mask."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, TIMESTEPS, 8)).astype(np.float32)
    mask = rng.random((batch, TIMESTEPS)) < 0.8
    layer = rc.RNN(cell, return_sequences=True)
    layer(x[:, :1])
    steps = list(x.swapaxes(0, 1))
    first = layer.get_initial_state(batch_size=batch)

    def own():
        states = first
        for step in steps:
            _, states = cell.call(step, states)

    times = {own: [], lambda: layer(x): [], lambda: layer(x, mask=mask): []}
    for _ in range(RUNS):
        for run, taken in times.items():
            start = time.perf_counter()
            run()
            taken.append((time.perf_counter() - start) / TIMESTEPS * 1e6)
    alone, plain, masked = (statistics.median(taken) for taken in times.values())
    return alone, plain - alone, masked - alone


def main():
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(f"{'cell':8} {'batch':>5} {'own us':>8} {'loop adds':>10} {'with a mask':>12}")
    for make in (Bare, Leaky, Minimal):
        for batch in (1, 8, 64):
            own, plain, masked = measure(make(), batch)
            print(f"{make.__name__:8} {batch:5} {own:8.2f} {plain:10.2f} {masked:12.2f}")


if __name__ == "__main__":
    main()
