"""Layers that are not recurrent, a file a kind; rnn_core.layers has their names."""
