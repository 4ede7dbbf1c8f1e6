"""Layers that act in training only: identities here."""

from __future__ import annotations

from typing import Any, ClassVar

from rnn_core._layer import Layer


class _Identity(Layer):
    """Returns its inputs.

    Args:
        rate: kept in the config; dropout layers act in training, which this engine does not do.
        seed: kept in the config.
        kwargs: as for `Layer`.
    """

    supports_masking = True
    config_keys: ClassVar[tuple[str, ...]] = ("rate", "seed")

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        self.noise_shape = kwargs.pop("noise_shape", None)
        super().__init__(**kwargs)
        if not 0 <= rate <= 1:
            raise ValueError(f"rate is {rate}, expected a number from 0 to 1")
        self.rate = rate
        self.seed = seed

    def call(self, inputs: Any) -> Any:
        """Return `inputs`."""
        return inputs


class Dropout(_Identity):
    __doc__ = _Identity.__doc__

    config_keys = ("rate", "seed", "noise_shape")


class SpatialDropout1D(_Identity):
    __doc__ = _Identity.__doc__


class AlphaDropout(_Identity):
    __doc__ = _Identity.__doc__


class GaussianDropout(_Identity):
    __doc__ = _Identity.__doc__


class GaussianNoise(Layer):
    """Returns its inputs.

    Args:
        stddev: kept in the config; noise is for training, which this engine does not do.
        seed: kept in the config.
        kwargs: as for `Layer`.
    """

    supports_masking = True
    config_keys = ("stddev", "seed")

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stddev = stddev
        self.seed = seed

    def call(self, inputs: Any) -> Any:
        """Return `inputs`."""
        return inputs


class ActivityRegularization(Layer):
    """Returns its inputs.

    Args:
        l1, l2: kept in the config; penalties are for training.
        kwargs: as for `Layer`.
    """

    supports_masking = True
    config_keys = ("l1", "l2")

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.l1 = l1
        self.l2 = l2

    def call(self, inputs: Any) -> Any:
        """Return `inputs`."""
        return inputs
