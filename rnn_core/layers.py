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
from rnn_core._layers.activation import (
    ELU,
    Activation,
    LeakyReLU,
    PReLU,
    ReLU,
    Softmax,
    ThresholdedReLU,
)
from rnn_core._layers.attention import AdditiveAttention, Attention, MultiHeadAttention
from rnn_core._layers.convolution import (
    Conv1D,
    Conv2D,
    DepthwiseConv1D,
    DepthwiseConv2D,
    SeparableConv1D,
    SeparableConv2D,
)
from rnn_core._layers.dense import Dense
from rnn_core._layers.dot import Dot
from rnn_core._layers.dropout import (
    ActivityRegularization,
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout1D,
    SpatialDropout2D,
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
from rnn_core._layers.pooling_2d import (
    AveragePooling2D,
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    MaxPooling2D,
)
from rnn_core._layers.reshape import (
    Cropping1D,
    Flatten,
    Permute,
    RepeatVector,
    Reshape,
    UpSampling1D,
    ZeroPadding1D,
)
from rnn_core._layers.resizing import Cropping2D, UpSampling2D, ZeroPadding2D
from rnn_core._layers.scaling import GroupNormalization, Normalization, Rescaling, UnitNormalization
from rnn_core._layers.time_distributed import TimeDistributed
from rnn_core._layers.transposed import Conv1DTranspose, Conv2DTranspose
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
    "AdditiveAttention",
    "AlphaDropout",
    "Attention",
    "Average",
    "AveragePooling1D",
    "AveragePooling2D",
    "BatchNormalization",
    "Bidirectional",
    "Concatenate",
    "Conv1D",
    "Conv1DTranspose",
    "Conv2D",
    "Conv2DTranspose",
    "ConvLSTM1D",
    "ConvLSTM2D",
    "ConvLSTM3D",
    "ConvLSTMCell",
    "Cropping1D",
    "Cropping2D",
    "CuDNNGRU",
    "CuDNNLSTM",
    "Dense",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "Dot",
    "Dropout",
    "Embedding",
    "Flatten",
    "GRUCell",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "GroupNormalization",
    "Input",
    "InputLayer",
    "LSTMCell",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Masking",
    "MaxPooling1D",
    "MaxPooling2D",
    "Maximum",
    "Minimum",
    "MultiHeadAttention",
    "Multiply",
    "Normalization",
    "PReLU",
    "Permute",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "SeparableConv1D",
    "SeparableConv2D",
    "SimpleRNN",
    "SimpleRNNCell",
    "Softmax",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "StackedRNNCells",
    "Subtract",
    "ThresholdedReLU",
    "TimeDistributed",
    "UnitNormalization",
    "UpSampling1D",
    "UpSampling2D",
    "ZeroPadding1D",
    "ZeroPadding2D",
]
