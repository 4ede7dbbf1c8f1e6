"""Python's own containers and bytes where a pickle has a call for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from rnn_core.formats.plain_data import CONTAINERS


class Maker(Protocol):
    """What makes dicts and sets of items, within a file's budget."""

    def dict_of(self, items: list[Any]) -> dict[Any, Any]:
        """Return a dict of keys and values in turn."""

    def set_of(self, items: Any) -> set[Any]:
        """Return a set of its members."""


def _make_dict(maker: Maker, items: Any = ()) -> dict[Any, Any]:
    """Return an OrderedDict's or a Counter's items as a dict."""
    pairs = items.items() if type(items) is dict else items
    return maker.dict_of([part for pair in pairs for part in _pair(pair)])


def _pair(items: Any) -> Any:
    if type(items) not in (list, tuple) or len(items) != 2:
        raise ValueError("an item of a dict is no pair")
    return items


def _make_set(maker: Maker, items: Any = ()) -> set[Any]:
    return maker.set_of(_items(items))


def _make_frozenset(maker: Maker, items: Any = ()) -> frozenset[Any]:
    return frozenset(maker.set_of(_items(items)))


def _items(value: Any) -> Any:
    if type(value) not in CONTAINERS:
        raise ValueError(f"a {type(value).__name__} has no items")
    return value


def _encode(maker: Maker, text: str, encoding: str) -> bytes:
    """Return the bytes that protocol 2 writes as text."""
    if type(text) is not str or encoding not in ("latin1", "latin-1"):
        raise ValueError(f"bytes are encoded by {encoding!r:.50}, expected 'latin1'")
    return text.encode("latin1")


def _make_bytes(maker: Maker) -> bytes:
    return b""


def _make_bytearray(maker: Maker, content: Any = b"", encoding: str = "latin1") -> bytearray:
    if type(content) is str:
        content = _encode(maker, content, encoding)
    if type(content) is not bytes:
        raise ValueError(f"a bytearray is made of a {type(content).__name__}")
    return bytearray(content)


# By the names that pickles have for them.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _make_dict,
    "collections.Counter": _make_dict,
    "_codecs.encode": _encode,
    **{
        f"{module}.{name}": make
        for module in ("builtins", "__builtin__")
        for name, make in (
            ("set", _make_set),
            ("frozenset", _make_frozenset),
            ("bytes", _make_bytes),
            ("bytearray", _make_bytearray),
        )
    },
}
