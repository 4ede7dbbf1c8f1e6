"""The states that stateful layers keep from call to call."""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import Any

import numpy as np

from rnn_core._nest import flatten, map_leaves

_waiting: ContextVar[list[StateBuffers] | None] = ContextVar("waiting", default=None)


class StateBuffers:
    """The states of one stateful layer: arrays of its own, which never move.

    A call reads `current`, has its last states written to `scratch`, and ends with `record`. So a
    call that fails on the way leaves the states as they were, and none allocates.

    Args:
        states: the first ones, arrays in lists, tuples or dicts; they are copied.
        batch: the number of rows they are for.
    """

    def __init__(self, states: Any, batch: int) -> None:
        self.batch = batch
        self.states = map_leaves(lambda state: np.array(state, order="C"), states)
        self._next = map_leaves(np.empty_like, self.states)
        self._pairs = list(zip(flatten(self.states), flatten(self._next), strict=True))
        self._recorded = False
        # Whether a call or a reset has set them.
        self.live = False

    def settled(self) -> bool:
        """Return whether `states` are what the next call begins with and may change."""
        return self.live and not self._recorded and _waiting.get() is None

    @property
    def current(self) -> Any:
        """What the next call begins with."""
        return self._next if self._recorded else self.states

    @property
    def scratch(self) -> Any:
        """Arrays like the states, for a call to write its last states to."""
        return self._next

    def record(self, states: Any) -> None:
        """Make these the states: now, or with those of others at the end of `Together`.

        Args:
            states: in the structure and shapes of the states; may be `scratch`.
        """
        for leaf, (_, following) in zip(flatten(states), self._pairs, strict=True):
            if leaf is not following:
                np.copyto(following, leaf)
        self._recorded = True
        waiting = _waiting.get()
        if waiting is None:
            self.settle(True)
        else:
            waiting.append(self)

    def set(self, states: Any) -> None:
        """Take over `states` at once; some of them may be the arrays here."""
        for (kept, _), leaf in zip(self._pairs, flatten(map_leaves(np.array, states)), strict=True):
            np.copyto(kept, leaf)
        self.live = True

    def settle(self, succeeded: bool) -> None:
        """Take over what was recorded, or forget it."""
        if succeeded:
            for kept, following in self._pairs:
                np.copyto(kept, following)
            self.live = True
        self._recorded = False


class Together:
    """Has the calls within record their states together at the end, or none if one fails.

    Within another, the outer one decides.

    Args:
        keep: False to forget what was recorded in any case.
    """

    def __init__(self, keep: bool = True) -> None:
        self._keep = keep

    def __enter__(self) -> None:
        self._token: Token[Any] | None = None
        if _waiting.get() is None:
            self._token = _waiting.set([])

    def __exit__(self, failure: object, *_: object) -> None:
        if self._token is None:
            return
        waiting = _waiting.get() or []
        _waiting.reset(self._token)
        for buffers in waiting:
            buffers.settle(self._keep and failure is None)
