"""The examples of Keras's documents, as printed there."""

import numpy as np
import pytest

import rnn_core as rc
from rnn_core import backend as K

DOCUMENTED = """
class MinimalRNNCell(AbstractRNNCell):

    def __init__(self, units, **kwargs):
      self.units = units
      super(MinimalRNNCell, self).__init__(**kwargs)

    @property
    def state_size(self):
      return self.units

    def build(self, input_shape):
      self.kernel = self.add_weight(shape=(input_shape[-1], self.units),
                                    initializer='uniform',
                                    name='kernel')
      self.recurrent_kernel = self.add_weight(
          shape=(self.units, self.units),
          initializer='uniform',
          name='recurrent_kernel')
      self.built = True

    def call(self, inputs, states):
      prev_output = states[0]
      h = K.dot(inputs, self.kernel)
      output = h + K.dot(prev_output, self.recurrent_kernel)
      return output, output

class LayerCell(keras.layers.Layer):

    def __init__(self, units, **kwargs):
        self.units = units
        self.state_size = units
        super(LayerCell, self).__init__(**kwargs)

    build = MinimalRNNCell.build

    def call(self, inputs, states):
        output, state = MinimalRNNCell.call(self, inputs, states)
        return output, [state]

cell = Cell(32)
x = keras.Input((None, 5))
layer = RNN(cell)
y = layer(x)

cells = [Cell(32), Cell(64)]
x = keras.Input((None, 5))
stack = RNN(cells)
y = stack(x)
"""


def linear(x, cells):
    """What a chain of MinimalRNNCells computes, in float64."""
    for kernel, recurrent_kernel in cells:
        h, outputs = np.zeros((len(x), len(recurrent_kernel))), []
        for t in range(x.shape[1]):
            h = x[:, t] @ kernel.astype(float) + h @ recurrent_kernel.astype(float)
            outputs.append(h)
        x = np.stack(outputs, axis=1)
    return x[:, -1]


@pytest.mark.parametrize("name", ["MinimalRNNCell", "LayerCell"])
def test_the_documented_cell_runs_as_printed(name, rng):
    space = {"keras": rc, "K": K, "RNN": rc.RNN, "AbstractRNNCell": rc.AbstractRNNCell}
    exec(DOCUMENTED.replace(" Cell(", f" {name}(").replace("[Cell(", f"[{name}("), space)
    assert space["y"].shape == (None, 64)
    x = rng.standard_normal((2, 7, 5))
    for layer in (space["layer"], space["stack"]):
        weights = layer.get_weights()
        pairs = list(zip(weights[::2], weights[1::2], strict=True))
        np.testing.assert_allclose(layer(x), linear(x, pairs), atol=2e-6)


def test_the_documented_simple_rnn_cell():
    inputs = np.random.random([32, 10, 8]).astype(np.float32)  # noqa: NPY002 - as printed
    rnn = rc.layers.RNN(rc.layers.SimpleRNNCell(4))
    assert rnn(inputs).shape == (32, 4)
    rnn = rc.layers.RNN(rc.layers.SimpleRNNCell(4), return_sequences=True, return_state=True)
    whole_sequence_output, final_state = rnn(inputs)
    assert (whole_sequence_output.shape, final_state.shape) == ((32, 10, 4), (32, 4))
    np.testing.assert_array_equal(whole_sequence_output[:, -1], final_state)
