"""All layers and cells, as `keras.layers` has them.

>>> import rnn_core as keras
>>> keras.layers.RNN(keras.layers.LSTMCell(4)).cell.units
4
"""

from rnn_core._bidirectional import Bidirectional
from rnn_core._cells import AbstractRNNCell, GRUCell, LSTMCell, SimpleRNNCell
from rnn_core._conv_lstm import ConvLSTM1D, ConvLSTM2D, ConvLSTM3D, ConvLSTMCell
from rnn_core._input import Input, InputLayer
from rnn_core._layer import Layer
from rnn_core._layers import *  # noqa: F403
from rnn_core._layers import __all__ as _others
from rnn_core._rnn import RNN
from rnn_core._rnn_layers import GRU, LSTM, SimpleRNN
from rnn_core._stack import StackedRNNCells

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "AbstractRNNCell",
    "Bidirectional",
    "ConvLSTM1D",
    "ConvLSTM2D",
    "ConvLSTM3D",
    "ConvLSTMCell",
    "GRUCell",
    "Input",
    "InputLayer",
    "LSTMCell",
    "Layer",
    "SimpleRNN",
    "SimpleRNNCell",
    "StackedRNNCells",
]
__all__ += _others
