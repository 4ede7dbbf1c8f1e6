"""The version of rnn_core."""

__version__ = "0.1.0"
