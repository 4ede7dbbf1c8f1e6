"""Layers that act in training only: identities here."""

from __future__ import annotations

from typing import Any, ClassVar

from rnn_core._layer import Layer


class _Identity(Layer):
    """Returns its inputs: what layers that drop or noise in training have in common."""

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
        return inputs


class Dropout(_Identity):
    """Drops values in training (Srivastava et al. 2014); returns its inputs here.

    Args:
        rate: from 0 to 1; kept in the config.
        seed: kept in the config.
        kwargs: as for `Layer`, and `noise_shape`, kept in the config.

    Inputs ``(batch, ...)``, outputs of the same shape.

    Raises:
        ValueError: a rate below 0 or above 1.

    >>> Dropout(0.5)([[1.0, 2.0]]).tolist()
    [[1.0, 2.0]]
    """

    config_keys = ("rate", "seed", "noise_shape")


class SpatialDropout1D(_Identity):
    """Drops features over all steps in training (Tompson et al. 2015); returns its inputs here.

    Args:
        rate: from 0 to 1; kept in the config.
        seed: kept in the config.
        kwargs: as for `Layer`.

    Inputs ``(batch, timesteps, features)``, outputs of the same shape.

    Raises:
        ValueError: a rate below 0 or above 1.

    >>> SpatialDropout1D(0.5)([[[1.0, 2.0]]]).tolist()
    [[[1.0, 2.0]]]
    """


class AlphaDropout(_Identity):
    """Drops values in training, keeping mean and variance; returns its inputs here.

    See Klambauer et al. 2017.

    Args:
        rate: from 0 to 1; kept in the config.
        seed: kept in the config.
        kwargs: as for `Layer`.

    Inputs ``(batch, ...)``, outputs of the same shape.

    Raises:
        ValueError: a rate below 0 or above 1.

    >>> AlphaDropout(0.5)([[1.0, 2.0]]).tolist()
    [[1.0, 2.0]]
    """


class GaussianDropout(_Identity):
    """Multiplies with Gaussian noise in training (Srivastava et al. 2014); returns its inputs here.

    Args:
        rate: from 0 to 1; kept in the config.
        seed: kept in the config.
        kwargs: as for `Layer`.

    Inputs ``(batch, ...)``, outputs of the same shape.

    Raises:
        ValueError: a rate below 0 or above 1.

    >>> GaussianDropout(0.5)([[1.0, 2.0]]).tolist()
    [[1.0, 2.0]]
    """


class GaussianNoise(Layer):
    """Adds noise in training; returns its inputs here.

    Args:
        stddev: kept in the config.
        seed: kept in the config.
        kwargs: as for `Layer`.

    Inputs ``(batch, ...)``, outputs of the same shape.

    >>> GaussianNoise(0.5)([[1.0, 2.0]]).tolist()
    [[1.0, 2.0]]
    """

    supports_masking = True
    config_keys = ("stddev", "seed")

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stddev = stddev
        self.seed = seed

    def call(self, inputs: Any) -> Any:
        return inputs


class ActivityRegularization(Layer):
    """Penalizes values in training; returns its inputs here.

    Args:
        l1, l2: kept in the config.
        kwargs: as for `Layer`.

    Inputs ``(batch, ...)``, outputs of the same shape.

    >>> ActivityRegularization(l2=0.1)([[1.0, 2.0]]).tolist()
    [[1.0, 2.0]]
    """

    supports_masking = True
    config_keys = ("l1", "l2")

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.l1 = l1
        self.l2 = l2

    def call(self, inputs: Any) -> Any:
        return inputs
