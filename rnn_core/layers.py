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
from rnn_core._layers.activation import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax
from rnn_core._layers.convolution import (
    Conv1D,
    Conv2D,
    DepthwiseConv1D,
    DepthwiseConv2D,
    SeparableConv1D,
    SeparableConv2D,
)
from rnn_core._layers.dense import Dense
from rnn_core._layers.dropout import (
    ActivityRegularization,
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout1D,
)
from rnn_core._layers.embedding import Embedding
from rnn_core._layers.masking import Masking
from rnn_core._layers.merge import (
    Add,
    Average,
    Concatenate,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
)
from rnn_core._layers.normalization import BatchNormalization, LayerNormalization
from rnn_core._layers.op import Operation as _Operation  # noqa: F401 - named in files only
from rnn_core._layers.pooling import (
    AveragePooling1D,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    MaxPooling1D,
)
from rnn_core._layers.reshape import Flatten, Permute, RepeatVector, Reshape, ZeroPadding1D
from rnn_core._layers.time_distributed import TimeDistributed
from rnn_core._protocol import AbstractRNNCell
from rnn_core._rnn import RNN
from rnn_core._rnn_layers import GRU, LSTM, CuDNNGRU, CuDNNLSTM, SimpleRNN
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
    "Conv2D",
    "ConvLSTM1D",
    "ConvLSTM2D",
    "ConvLSTM3D",
    "ConvLSTMCell",
    "CuDNNGRU",
    "CuDNNLSTM",
    "Dense",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
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
    "SeparableConv1D",
    "SeparableConv2D",
    "SimpleRNN",
    "SimpleRNNCell",
    "Softmax",
    "SpatialDropout1D",
    "StackedRNNCells",
    "Subtract",
    "TimeDistributed",
    "ZeroPadding1D",
]
