"""Attention: means of values, weighted by how well their keys fit a query."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from rnn_core import _initializers
from rnn_core._dtypes import as_real
from rnn_core._graph import SymbolicTensor, is_symbolic
from rnn_core._layer import Layer
from rnn_core._numbers import positive
from rnn_core._typing import Array

# What Keras adds to the scores of what is masked.
_FAR_BELOW = -1e9


def _shares(scores: Array, mask: Any) -> Array:
    """Return the softmax over the last axis of what the mask lets count."""
    if mask is not None:
        scores = scores + np.where(mask, 0, scores.dtype.type(_FAR_BELOW))
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    normalized: Array = shares / shares.sum(axis=-1, keepdims=True)
    return normalized


def _past(queries: int, keys: int) -> Array:
    """Return for each query which keys are not after it."""
    return np.tri(queries, keys, dtype=bool)


class _Attention(Layer):
    """What Attention and AdditiveAttention have in common."""

    supports_masking = True
    config_keys: ClassVar[tuple[str, ...]] = ("use_scale", "dropout", "seed", "causal")

    def __init__(
        self,
        use_scale: bool,
        dropout: float = 0.0,
        seed: int | None = None,
        causal: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.use_scale = use_scale
        self.dropout = dropout
        self.seed = seed
        self.causal = causal
        self.scale: Array | None = None

    def _cast(self, inputs: Any) -> Any:
        if not isinstance(inputs, (list, tuple)) or len(inputs) not in (2, 3):
            raise ValueError(f"{self.name}: expected a list [query, value] or [query, value, key]")
        return [as_real(x, self.dtype, self.name) for x in inputs]

    def _scores(self, query: Array, key: Array) -> Array:
        """Return ``(batch, queries, keys)``."""
        raise NotImplementedError

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        query, value, key = (*inputs, inputs[1])[:3]
        query_mask, value_mask = (*(mask or ()), None, None)[:2]
        counts = None if value_mask is None else np.asarray(value_mask, bool)[:, None, :]
        if use_causal_mask or self.causal:
            past = _past(query.shape[1], key.shape[1])
            counts = past if counts is None else counts & past
        shares = _shares(self._scores(query, key), counts)
        output = shares @ value
        if query_mask is not None:
            output = output * np.asarray(query_mask, bool)[..., None]
        return [output, shares] if return_attention_scores else output

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return mask[0] if mask else None

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[0][:-1], input_shape[1][-1])


class Attention(_Attention):
    """softmax(scale q.k) v (Luong et al. 2015).

    Args:
        use_scale: whether there is a scale.
        score_mode: ``"dot"``, or ``"concat"`` for w sum(tanh(scale (q + k))).
        dropout, seed: kept in the config.
        causal: a query sees no key after it.
        kwargs: as for `Layer`.

    Weights: scale and w, numbers. Inputs: a list of query ``(batch, queries, features)``, value
    ``(batch, keys, size)`` and key ``(batch, keys, features)``, which is the value if not given.
    Outputs ``(batch, queries, size)``. Call arguments `mask`: a list of those of query and value;
    `return_attention_scores`, for the shares as well; `use_causal_mask`.

    Raises:
        ValueError: inputs that are no such list; an unknown `score_mode`.

    >>> Attention()([np.zeros((2, 3, 4)), np.ones((2, 5, 4))]).shape
    (2, 3, 4)
    """

    config_keys = (*_Attention.config_keys, "score_mode")

    def __init__(self, use_scale: bool = False, score_mode: str = "dot", **kwargs: Any) -> None:
        super().__init__(use_scale, **kwargs)
        if score_mode not in ("dot", "concat"):
            raise ValueError(f"score_mode is {score_mode!r}, expected 'dot' or 'concat'")
        self.score_mode = score_mode

    def build(self, input_shape: Any) -> None:
        if self.use_scale:
            self.scale = self.add_weight((), "ones", name="scale")
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight((), "ones", name="concat_score_weight")

    def _scores(self, query: Array, key: Array) -> Array:
        if self.score_mode == "dot":
            scores: Array = query @ key.swapaxes(1, 2)
            return scores if self.scale is None else scores * self.scale
        sums = query[:, :, None] + key[:, None]
        scores = np.tanh(sums if self.scale is None else self.scale * sums).sum(axis=-1)
        return scores * self.concat_score_weight


class AdditiveAttention(_Attention):
    """softmax(sum(scale tanh(q + k))) v (Bahdanau et al. 2015).

    Args:
        use_scale: whether there is a scale, one for each feature.
        dropout, seed, causal, kwargs: as for `Attention`.

    Weights: scale ``(features,)``. Inputs, outputs ``(batch, queries, size)``, call arguments and
    errors are those of `Attention`.

    >>> AdditiveAttention()([np.zeros((2, 3, 4)), np.ones((2, 5, 4))]).shape
    (2, 3, 4)
    """

    def __init__(self, use_scale: bool = True, **kwargs: Any) -> None:
        super().__init__(use_scale, **kwargs)

    def build(self, input_shape: Any) -> None:
        if self.use_scale:
            self.scale = self.add_weight(input_shape[0][-1:], "glorot_uniform", name="scale")

    def _scores(self, query: Array, key: Array) -> Array:
        sums = np.tanh(query[:, :, None] + key[:, None])
        scores: Array = (sums if self.scale is None else self.scale * sums).sum(axis=-1)
        return scores


class _Projection(Layer):
    """x.W + b over the last axes, of which W takes as many as are not its output's."""

    def __init__(self, units: tuple[int, ...], use_bias: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.use_bias = use_bias

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight((*input_shape, *self.units), name="kernel")
        if self.use_bias:
            self.bias = self.add_weight(self.units, "zeros", name="bias")

    def call(self, inputs: Any) -> Any:
        y = np.tensordot(inputs, self.kernel, self.kernel.ndim - len(self.units))
        return y + self.bias if self.use_bias else y


class MultiHeadAttention(Layer):
    """Attention of several heads, each with projections of its own (Vaswani et al. 2017).

    Each head computes softmax(q.k / sqrt(key_dim)) v of projected queries, keys and values; the
    output is a projection of all of theirs.

    Args:
        num_heads: number of heads.
        key_dim, value_dim: sizes of a head's queries and keys, and of its values.
        dropout, seed: kept in the config.
        use_bias: whether projections have biases.
        output_shape: size of the outputs; the query's if not given.
        kernel_initializer, bias_initializer: kept in the config.
        kwargs: as for `Layer`.

    Weights: for query, key, value ``(features, num_heads, size)`` and ``(num_heads, size)``; for
    the output ``(num_heads, value_dim, features)`` and ``(features,)``. Call arguments: query
    ``(batch, queries, features)``, value ``(batch, keys, features)``, key (value if not given),
    query_mask, value_mask, key_mask ``(batch, steps)``, attention_mask ``(batch, queries, keys)``,
    use_causal_mask, return_attention_scores. Returns ``(batch, queries, features)``.

    Raises:
        ValueError: a number below 1; `attention_axes` other than the steps; scores in a graph.

    >>> x = np.zeros((2, 3, 4), np.float32)
    >>> MultiHeadAttention(2, key_dim=5)(x, x).shape
    (2, 3, 4)
    """

    supports_masking = True
    config_keys = (
        "num_heads",
        "key_dim",
        "value_dim",
        "dropout",
        "use_bias",
        "output_shape",
        "kernel_initializer",
        "bias_initializer",
        "seed",
    )

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: Any = None,
        attention_axes: Any = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        for key in ("flash_attention", "query_shape", "key_shape", "value_shape"):
            kwargs.pop(key, None)
        for key in ("sliding_window", "use_gate"):
            if kwargs.pop(key, None):
                raise ValueError(f"MultiHeadAttention has {key}, which rnn_core does not have")
        super().__init__(**kwargs)
        if attention_axes not in (None, 1, [1], (1,)):
            raise ValueError(f"{self.name}: attention_axes is {attention_axes!r}, expected 1")
        self.num_heads = positive(num_heads, "num_heads")
        self.key_dim = positive(key_dim, "key_dim")
        self.value_dim = positive(value_dim or key_dim, "value_dim")
        self.dropout = dropout
        self.use_bias = use_bias
        self.output_shape = None if output_shape is None else int(np.ravel(output_shape)[0])
        self.kernel_initializer = _initializers.get(kernel_initializer)
        self.bias_initializer = _initializers.get(bias_initializer)
        self.seed = seed

    def __call__(self, inputs: Any, value: Any = None, key: Any = None, **kwargs: Any) -> Any:
        """Return the outputs; arguments as for the class."""
        value = inputs if value is None else value
        key = value if key is None else key
        symbolic = is_symbolic((inputs, value, key))
        if symbolic and kwargs.get("return_attention_scores"):
            raise ValueError(f"{self.name}: a graph's outputs cannot have the attention's scores")
        if not symbolic:
            value = inputs if value is inputs else as_real(value, self.dtype, self.name)
            key = value if key is value else as_real(key, self.dtype, self.name)
        self._ensure_built([_shape_of(x) for x in (inputs, value, key)])
        return super().__call__(inputs, value, key, **kwargs)

    def build(self, input_shape: Any) -> None:
        query, value, key = (tuple(shape)[-1:] for shape in input_shape)
        options: dict[str, Any] = {"use_bias": self.use_bias, "dtype": self.dtype}
        heads = self.num_heads
        self.query_dense = _Projection((heads, self.key_dim), name="query", **options)
        self.key_dense = _Projection((heads, self.key_dim), name="key", **options)
        self.value_dense = _Projection((heads, self.value_dim), name="value", **options)
        size = query if self.output_shape is None else (self.output_shape,)
        self.output_dense = _Projection(size, name="attention_output", **options)
        self.query_dense._ensure_built(query)
        self.key_dense._ensure_built(key)
        self.value_dense._ensure_built(value)
        self.output_dense._ensure_built((heads, self.value_dim))

    def call(
        self,
        inputs: Any,
        value: Any,
        key: Any,
        mask: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        use_causal_mask: bool = False,
        return_attention_scores: bool = False,
    ) -> Any:
        if query_mask is None and mask is not None:
            query_mask = mask
            value_mask = mask if value is inputs else value_mask
        masks = [
            None if query_mask is None else np.asarray(query_mask, bool)[:, :, None],
            None if value_mask is None else np.asarray(value_mask, bool)[:, None, :],
            None if key_mask is None else np.asarray(key_mask, bool)[:, None, :],
            None if attention_mask is None else np.asarray(attention_mask, bool),
            _past(inputs.shape[1], key.shape[1]) if use_causal_mask else None,
        ]
        counts: Any = None
        for each in masks:
            if each is not None:
                counts = each if counts is None else counts & each
        if counts is not None:
            counts = np.broadcast_to(counts, (len(inputs), *counts.shape[-2:]))[:, None]
        # (batch, heads, steps, size)
        q = self.query_dense(inputs).swapaxes(1, 2) / inputs.dtype.type(self.key_dim**0.5)
        k, v = self.key_dense(key).swapaxes(1, 2), self.value_dense(value).swapaxes(1, 2)
        shares = _shares(q @ k.swapaxes(2, 3), counts)
        output = self.output_dense((shares @ v).swapaxes(1, 2))
        return [output, shares] if return_attention_scores else output

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], self.output_shape or input_shape[-1])


def _shape_of(x: Any) -> Any:
    return x.shape if isinstance(x, SymbolicTensor) else np.shape(x)
