"""Layers that are not recurrent."""

from rnn_core._layers.activation import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax
from rnn_core._layers.convolution import Conv1D
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
from rnn_core._layers.op import Operation as _Operation  # noqa: F401 - read from files only
from rnn_core._layers.pooling import (
    AveragePooling1D,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    MaxPooling1D,
)
from rnn_core._layers.reshape import Flatten, Permute, RepeatVector, Reshape, ZeroPadding1D
from rnn_core._layers.time_distributed import TimeDistributed

__all__ = [
    "ELU",
    "Activation",
    "ActivityRegularization",
    "Add",
    "AlphaDropout",
    "Average",
    "AveragePooling1D",
    "BatchNormalization",
    "Concatenate",
    "Conv1D",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalAveragePooling1D",
    "GlobalMaxPooling1D",
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
    "Softmax",
    "SpatialDropout1D",
    "Subtract",
    "TimeDistributed",
    "ZeroPadding1D",
]
