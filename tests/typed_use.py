"""A user's program: `mypy --strict` must accept it, and it must run."""

from __future__ import annotations

from typing import Any

import numpy as np

import rnn_core as rc
from rnn_core import backend as K


class Leaky(rc.AbstractRNNCell):
    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.state_size = self.output_size = units

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight((input_shape[-1], self.state_size), name="kernel")

    def call(self, inputs: Any, states: Any) -> Any:
        h = 0.9 * states[0] + K.tanh(K.dot(inputs, self.kernel))
        return h, [h]


class Matrix(rc.AbstractRNNCell):
    @property
    def state_size(self) -> rc.TensorShape:
        return rc.TensorShape((2, 2))

    def call(self, inputs: Any, states: Any) -> Any:
        return states[0] + inputs, [states[0] + inputs]


def main() -> None:
    x = np.ones((2, 5, 3), np.float32)
    layer = rc.RNN([Leaky(4), rc.LSTMCell(3)], return_state=True)
    output, *states = layer(x, mask=np.ones((2, 5), bool))
    print(output.shape, len(states), rc.RNN(Matrix())(np.ones((1, 2, 2, 2))))
    both = rc.Bidirectional(rc.GRU(3, return_sequences=True), merge_mode="sum")
    model = rc.Sequential([rc.Input((None, 3)), rc.Masking(), both, rc.layers.Dense(2)])
    scores = model.predict(x, batch_size=1)
    print(scores.shape, [w.shape for w in model.get_weights()])
    a = rc.Input((4, 3))
    graph = rc.Model(inputs=a, outputs=[rc.LSTM(2)(a), rc.TimeDistributed(rc.Dense(1))(a)])
    graph.summary()
    rc.set_num_threads(rc.get_num_threads())
    twin = rc.Model.from_config(graph.get_config(), custom_objects={"Leaky": Leaky})
    twin.reset_states()


if __name__ == "__main__":
    main()
