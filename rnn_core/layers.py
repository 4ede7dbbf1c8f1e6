"""All layers and cells, as `keras.layers` has them.

>>> import rnn_core as keras
>>> keras.layers.RNN(keras.layers.LSTMCell(4)).cell.units
4
"""

from rnn_core._bidirectional import Bidirectional
from rnn_core._cells import GRUCell, LSTMCell, SimpleRNNCell
from rnn_core._conv_lstm import ConvLSTM1D, ConvLSTM2D, ConvLSTM3D, ConvLSTMCell
from rnn_core._input import Input, InputLayer
from rnn_core._layer import Layer
from rnn_core._layers import (
    ELU,
    Activation,
    ActivityRegularization,
    Add,
    AlphaDropout,
    Average,
    AveragePooling1D,
    BatchNormalization,
    Concatenate,
    Conv1D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GaussianDropout,
    GaussianNoise,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    LayerNormalization,
    LeakyReLU,
    Masking,
    Maximum,
    MaxPooling1D,
    Minimum,
    Multiply,
    Permute,
    PReLU,
    ReLU,
    RepeatVector,
    Reshape,
    Softmax,
    SpatialDropout1D,
    Subtract,
    TimeDistributed,
    ZeroPadding1D,
)
from rnn_core._protocol import AbstractRNNCell
from rnn_core._rnn import RNN
from rnn_core._rnn_layers import GRU, LSTM, SimpleRNN
from rnn_core._stack import StackedRNNCells

__all__ = [
    "ELU",
    "GRU",
    "LSTM",
    "RNN",
    "AbstractRNNCell",
    "Activation",
    "ActivityRegularization",
    "Add",
    "AlphaDropout",
    "Average",
    "AveragePooling1D",
    "BatchNormalization",
    "Bidirectional",
    "Concatenate",
    "Conv1D",
    "ConvLSTM1D",
    "ConvLSTM2D",
    "ConvLSTM3D",
    "ConvLSTMCell",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "GRUCell",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalAveragePooling1D",
    "GlobalMaxPooling1D",
    "Input",
    "InputLayer",
    "LSTMCell",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Masking",
    "MaxPooling1D",
    "Maximum",
    "Minimum",
    "Multiply",
    "PReLU",
    "Permute",
    "ReLU",
    "RepeatVector",
    "Reshape",
    "SimpleRNN",
    "SimpleRNNCell",
    "Softmax",
    "SpatialDropout1D",
    "StackedRNNCells",
    "Subtract",
    "TimeDistributed",
    "ZeroPadding1D",
]
