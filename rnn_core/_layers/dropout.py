"""Layers that act with training=True only, for samples of a model's uncertainty."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from rnn_core._dropout import draw_mask
from rnn_core._layer import Layer
from rnn_core._numbers import seed_of
from rnn_core._typing import Array


class _Noise(Layer):
    """Returns its inputs, and with training=True what `_disturb` makes of them."""

    supports_masking = True
    config_keys: ClassVar[tuple[str, ...]] = ("rate", "seed")

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        noise_shape = kwargs.pop("noise_shape", None)
        super().__init__(**kwargs)
        if not 0 <= rate <= 1:
            raise ValueError(f"rate is {rate}, expected a number from 0 to 1")
        self.rate = rate
        self.seed = seed_of(seed)
        self.noise_shape = noise_shape
        self._rng = np.random.default_rng(self.seed)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        if not training or self.rate == 0:
            return inputs
        return self._disturb(inputs).astype(inputs.dtype, copy=False)

    def _disturb(self, x: Array) -> Array:
        raise NotImplementedError

    def _mask_shape(self, x: Array) -> list[int]:
        """Return the shape of what is drawn for `x`: its own, or one that spreads to it."""
        given = self.noise_shape or (None,) * x.ndim
        return [n if m is None else m for n, m in zip(x.shape, given, strict=True)]


class Dropout(_Noise):
    """Drops values with training=True (Srivastava et al. 2014): y = x / (1 - rate), or 0.

    Args:
        rate: the share of values to drop, from 0 to 1.
        seed: of the draws.
        kwargs: as for `Layer`, and `noise_shape`: 1 where values along an axis ``(batch, ...)``
            are to be dropped together, None elsewhere.

    Inputs ``(batch, ...)``, outputs of the same shape; without ``training=True`` the inputs
    themselves.

    Raises:
        ValueError: a rate below 0 or above 1.

    >>> Dropout(0.5)([[1.0, 2.0]]).tolist()
    [[1.0, 2.0]]
    >>> Dropout(1.0)([[1.0, 2.0]], training=True).tolist()
    [[0.0, 0.0]]
    """

    config_keys: ClassVar[tuple[str, ...]] = ("rate", "seed", "noise_shape")

    def _disturb(self, x: Array) -> Array:
        scaled: Array = x * draw_mask(self._rng, self._mask_shape(x), self.rate, x.dtype)
        return scaled


class SpatialDropout1D(Dropout):
    """Drops features over all steps with training=True (Tompson et al. 2015).

    Args:
        rate: the share of features to drop, from 0 to 1.
        seed: of the draws.
        kwargs: as for `Layer`.

    Inputs ``(batch, timesteps, features)``, outputs of the same shape.

    Raises:
        ValueError: a rate below 0 or above 1.

    >>> SpatialDropout1D(0.5)([[[1.0, 2.0]]]).tolist()
    [[[1.0, 2.0]]]
    """

    config_keys = ("rate", "seed")

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(rate, seed, **{**kwargs, "noise_shape": (None, 1, None)})


class SpatialDropout2D(Dropout):
    """Drops channels over all rows and columns with training=True (Tompson et al. 2015).

    Args:
        rate: the share of channels to drop, from 0 to 1.
        seed: of the draws.
        kwargs: as for `Layer`, and `data_format`.

    Inputs ``(batch, rows, columns, channels)``, outputs of the same shape.

    Raises:
        ValueError: a rate below 0 or above 1.

    >>> SpatialDropout2D(0.5)([[[[1.0, 2.0]]]]).tolist()
    [[[[1.0, 2.0]]]]
    """

    config_keys = ("rate", "seed", "data_format")

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        self.data_format = kwargs.pop("data_format", None)
        first = self.data_format == "channels_first"
        shape = (None, None, 1, 1) if first else (None, 1, 1, None)
        super().__init__(rate, seed, **{**kwargs, "noise_shape": shape})


class AlphaDropout(_Noise):
    """Sets values to the negative limit of SELU with training=True (Klambauer et al. 2017).

    What is left is scaled and shifted, so that mean and variance stay.

    Args:
        rate: the share of values to set, from 0 to 1.
        seed: of the draws.
        kwargs: as for `Layer`, and `noise_shape` as for `Dropout`.

    Inputs ``(batch, ...)``, outputs of the same shape.

    Raises:
        ValueError: a rate below 0 or above 1.

    >>> AlphaDropout(0.5)([[1.0, 2.0]]).tolist()
    [[1.0, 2.0]]
    """

    config_keys = ("rate", "seed", "noise_shape")

    def _disturb(self, x: Array) -> Array:
        limit = -1.0507009873554804934 * 1.6732632423543772848  # SELU's scale times alpha
        keep = 1 - self.rate
        scale = (keep * (1 + self.rate * limit**2)) ** -0.5 if keep else 0.0
        shift = -scale * limit * self.rate
        kept = self._rng.random(self._mask_shape(x)) >= self.rate
        disturbed: Array = scale * np.where(kept, x, limit) + shift
        return disturbed


class GaussianDropout(_Noise):
    """Multiplies by noise of mean 1 with training=True (Srivastava et al. 2014).

    Args:
        rate: the noise's variance is rate / (1 - rate).
        seed: of the draws.
        kwargs: as for `Layer`.

    Inputs ``(batch, ...)``, outputs of the same shape.

    Raises:
        ValueError: a rate below 0 or above 1.

    >>> GaussianDropout(0.5)([[1.0, 2.0]]).tolist()
    [[1.0, 2.0]]
    """

    def _disturb(self, x: Array) -> Array:
        disturbed: Array = x * self._rng.normal(1, np.sqrt(self.rate / (1 - self.rate)), x.shape)
        return disturbed


class GaussianNoise(_Noise):
    """Adds noise of mean 0 with training=True.

    Args:
        stddev: of the noise.
        seed: of the draws.
        kwargs: as for `Layer`.

    Inputs ``(batch, ...)``, outputs of the same shape.

    >>> GaussianNoise(0.5)([[1.0, 2.0]]).tolist()
    [[1.0, 2.0]]
    """

    config_keys = ("stddev", "seed")

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(float(stddev > 0), seed, **kwargs)
        self.stddev = stddev

    def _disturb(self, x: Array) -> Array:
        disturbed: Array = x + self._rng.normal(0, self.stddev, x.shape)
        return disturbed


class ActivityRegularization(Layer):
    """Returns its inputs; what it penalizes matters in training only.

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
