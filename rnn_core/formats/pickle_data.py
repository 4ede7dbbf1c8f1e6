"""Pickles that may be hostile: data only. Nothing is imported, and nothing called by its name.

A machine of its own for the opcodes that plain data and calls of a table's functions need. Nothing
that it does takes more time or memory than the pickle's size allows; what it returns has an end.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from rnn_core.formats import numpy_pickle, plain_data, python_pickle
from rnn_core.formats.budget import Budget

# Bytes of a number, and of a name.
_MAX_NUMBER, _MAX_NAME = 64, 500
# What CPython takes for an entry of a dict, a set, a list, also while it makes room for more.
_ENTRY_BYTES, _ITEM_BYTES = 112, 20
# The first bytes, in UTF-8, of the first characters that take two and four bytes in CPython.
_UTF8_OF_256, _UTF8_OF_65536 = 0xC4, 0xF0
# What the memo has where nothing was put.
_NOTHING = object()

# What a pickle of wrong or missing parts can raise.
_MISMADE = struct.error, LookupError, TypeError, ValueError, ArithmeticError, AttributeError

Names = Mapping[str, Any]


class Function(NamedTuple):
    """What a name in a pickle stands for if the pickle calls it."""

    call: Callable[..., Any]


class ForeignName(ValueError):
    """A pickle names what is not in the table."""

    def __init__(self, name: str) -> None:
        super().__init__(f"it names {name!r}, which is no data")
        self.name = name


def read(
    content: Any,
    names: Names,
    persistent: Callable[[Any], Any],
    budget: Budget,
    position: int = 0,
) -> tuple[Any, int]:
    """Return what a pickle says, and where it ends.

    Args:
        content: bytes or a memory map.
        names: what ``module.name`` stands for: a `Function`, or a value.
        persistent: returns the object of a persistent id.
        budget: what may be taken for objects.
        position: where the pickle begins.

    Raises:
        ForeignName: a name that is not in the table.
        ValueError: a corrupt pickle, or one of something else than plain data: dicts, lists,
            tuples, sets, numbers, strings, bytes, None, arrays.
    """
    machine = _Machine(content, names, persistent, budget, position)
    try:
        value = machine.run()
    except ForeignName:
        raise
    except _MISMADE as error:
        raise ValueError(f"a pickle is corrupt at byte {machine.position}: {error}") from error
    plain_data.check(value, budget)
    return value, machine.position


class _Machine:
    """The stack, the marks and the memo; an opcode's method reads its arguments."""

    def __init__(
        self,
        content: Any,
        names: Names,
        persistent: Callable[[Any], Any],
        budget: Budget,
        position: int,
    ) -> None:
        self.content, self.position = content, position
        self.names, self.persistent, self.budget = names, persistent, budget
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: list[Any] = []
        self.keys = plain_data.Keys(budget)
        self.functions = {
            name: Function(partial(make, self)) for name, make in python_pickle.FUNCTIONS.items()
        }

    def run(self) -> Any:
        """Return what the pickle leaves when it stops."""
        while True:
            opcode = self.take(1)[0]
            if opcode == _STOP:
                return self.stack.pop()
            if opcode not in _OPCODES:
                raise ValueError(f"opcode {opcode:#x} is none that data needs")
            _OPCODES[opcode](self)

    # The pickle's bytes

    def take(self, count: int) -> Any:
        """Return the next bytes."""
        start, self.position = self.position, self.position + count
        if self.position > len(self.content):
            raise ValueError(f"{count} bytes are to follow, {len(self.content) - start} do")
        return self.content[start : self.position]

    def number(self, form: str) -> Any:
        """Return the next number, in a format of `struct`."""
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def payload(self, form: str) -> bytes:
        """Return the bytes that follow a length of this format."""
        length = self.number(form)
        if not 0 <= length <= len(self.content) - self.position:
            raise ValueError(f"{length} bytes are to follow")
        return bytes(self.take(length))

    def text(self, form: str) -> str:
        """Return the text that follows a length of this format."""
        content = self.payload(form)
        if not content.isascii():
            # A text has as many bytes for each character as its largest character needs.
            largest = np.frombuffer(content, np.uint8).max()
            width = 1 + (largest >= _UTF8_OF_256) + 2 * (largest >= _UTF8_OF_65536)
            self.budget.expect(width * len(content), "a text")
        return content.decode("utf-8", "surrogatepass")

    def line(self) -> str:
        """Return the text up to the end of the line."""
        end = self.content.find(b"\n", self.position, self.position + _MAX_NAME)
        if end < 0:
            raise ValueError("a line has no end")
        text: str = self.take(end + 1 - self.position)[:-1].decode("utf-8")
        return text

    # The stack

    def push(self, value: Any) -> None:
        self.budget.take(sys.getsizeof(value) + _ITEM_BYTES, "a pickle's objects")
        self.stack.append(value)

    def pop_mark(self) -> list[Any]:
        """Return what came after the last mark."""
        mark = self.marks.pop()
        items = self.stack[mark:]
        del self.stack[mark:]
        return items

    def mark(self) -> None:
        self.budget.take(4 * _ITEM_BYTES, "a pickle's marks")
        self.marks.append(len(self.stack))

    def pop(self) -> None:
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self.stack.pop()

    def put(self, index: int) -> None:
        if index > self.position:
            raise ValueError(f"object {index} is remembered, of fewer bytes")
        beyond = max(0, index + 1 - len(self.memo))
        self.budget.take(_ITEM_BYTES * beyond, "a pickle's memo")
        self.memo.extend([_NOTHING] * beyond)
        self.memo[index] = self.stack[-1]

    def get(self, index: int) -> None:
        if index >= len(self.memo) or self.memo[index] is _NOTHING:
            raise ValueError(f"object {index} is not remembered")
        self.push(self.memo[index])

    # Containers

    def set_items(self, target: Any, items: list[Any]) -> None:
        if type(target) is not dict or len(items) % 2:
            raise ValueError(f"{len(items)} keys and values for a {type(target).__name__}")
        self.budget.take(_ENTRY_BYTES * (len(items) // 2), "a pickle's dicts")
        for key, value in zip(items[::2], items[1::2], strict=True):
            self.keys.check(key)
            target[key] = value

    def append(self, target: Any, items: list[Any]) -> None:
        if type(target) is not list:
            raise ValueError(f"{len(items)} items for a {type(target).__name__}")
        self.budget.take(_ITEM_BYTES * len(items), "a pickle's lists")
        target.extend(items)

    def add(self, target: Any, items: list[Any]) -> None:
        if type(target) is not set:
            raise ValueError(f"{len(items)} members for a {type(target).__name__}")
        self.budget.take(_ENTRY_BYTES * len(items), "a pickle's sets")
        for item in items:
            self.keys.check(item)
            target.add(item)

    def set_of(self, items: Any) -> set[Any]:
        members: set[Any] = set()
        self.add(members, list(items))
        return members

    def dict_of(self, items: list[Any]) -> dict[Any, Any]:
        target: dict[Any, Any] = {}
        self.set_items(target, items)
        return target

    # Names and calls

    def named(self, module: str, name: str) -> None:
        if len(module) + len(name) > _MAX_NAME:
            raise ValueError("a name is too long")
        full = f"{module}.{name}"
        if full in self.functions:
            self.push(self.functions[full])
        elif full in self.names:
            self.push(self.names[full])
        else:
            raise ForeignName(full)

    def call(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if type(function) is not Function or type(arguments) is not tuple:
            raise ValueError(f"a {type(function).__name__} is called, which is no function")
        self.push(function.call(*arguments))

    def build(self) -> None:
        """Give the object below a state; that of a dict is its attributes, which are no data."""
        state, target = self.stack.pop(), self.stack[-1]
        if type(target) is not dict:
            numpy_pickle.set_state(target, state)
            self.budget.take(sys.getsizeof(target), "an array")


# Opcodes


def _constant(value: Any) -> Callable[[_Machine], None]:
    return lambda machine: machine.push(value)


def _new(make: Callable[[], Any]) -> Callable[[_Machine], None]:
    return lambda machine: machine.push(make())


def _number(form: str) -> Callable[[_Machine], None]:
    return lambda machine: machine.push(machine.number(form))


def _bytes(form: str, make: Callable[[bytes], Any]) -> Callable[[_Machine], None]:
    return lambda machine: machine.push(make(machine.payload(form)))


def _text(form: str) -> Callable[[_Machine], None]:
    return lambda machine: machine.push(machine.text(form))


def _put(form: str) -> Callable[[_Machine], None]:
    return lambda machine: machine.put(machine.number(form))


def _get(form: str) -> Callable[[_Machine], None]:
    return lambda machine: machine.get(machine.number(form))


def _skip(count: int) -> Callable[[_Machine], None]:
    return lambda machine: (machine.take(count), None)[1]


def _from_mark(make: Callable[[_Machine, list[Any]], Any]) -> Callable[[_Machine], None]:
    return lambda machine: machine.push(make(machine, machine.pop_mark()))


def _tuple_of(count: int) -> Callable[[_Machine], None]:
    def make(machine: _Machine) -> None:
        items = tuple(machine.stack[-count:])
        if len(items) < count:
            raise ValueError(f"a tuple of {count} has {len(items)} items")
        del machine.stack[-count:]
        machine.push(items)

    return make


def _into(
    method: Callable[[_Machine, Any, list[Any]], None], single: int = 0
) -> Callable[[_Machine], None]:
    """Put what comes after the mark, or a number of values, into the container below."""

    def fill(machine: _Machine) -> None:
        items = [machine.stack.pop() for _ in range(single)][::-1] or machine.pop_mark()
        method(machine, machine.stack[-1], items)

    return fill


def _python2_text(content: bytes) -> Any:
    """Return a str of Python 2's as text, or as bytes if it is none."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content


def _long(content: bytes) -> int:
    if len(content) > _MAX_NUMBER:
        raise ValueError(f"a number has {len(content)} bytes")
    return int.from_bytes(content, "little", signed=True)


def _decimal(machine: _Machine) -> None:
    text = machine.line()
    if len(text) > 2 * _MAX_NUMBER:
        raise ValueError(f"a number has {len(text)} digits")
    machine.push({"00": False, "01": True}[text] if text in ("00", "01") else int(text))


def _stack_global(machine: _Machine) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    if type(name) is not str or type(module) is not str:
        raise ValueError("a name is no text")
    machine.named(module, name)


_STOP = ord(".")
# By the opcodes' bytes, as pickletools describes them.
_OPCODES: dict[int, Callable[[_Machine], None]] = {
    opcode[0]: run
    for opcode, run in {
        b"\x80": _skip(1),
        b"\x95": _skip(8),
        b"N": _constant(None),
        b"\x88": _constant(True),
        b"\x89": _constant(False),
        b"K": _number("<B"),
        b"M": _number("<H"),
        b"J": _number("<i"),
        b"G": _number(">d"),
        b"I": _decimal,
        b"\x8a": _bytes("<B", _long),
        b"\x8b": _bytes("<i", _long),
        b"X": _text("<I"),
        b"\x8c": _text("<B"),
        b"\x8d": _text("<Q"),
        b"U": _bytes("<B", _python2_text),
        b"T": _bytes("<i", _python2_text),
        b"C": _bytes("<B", bytes),
        b"B": _bytes("<I", bytes),
        b"\x8e": _bytes("<Q", bytes),
        b"\x96": _bytes("<Q", bytearray),
        b"]": _new(list),
        b"}": _new(dict),
        b"\x8f": _new(set),
        b")": _constant(()),
        b"l": _from_mark(lambda machine, items: items),
        b"t": _from_mark(lambda machine, items: tuple(items)),
        b"d": _from_mark(_Machine.dict_of),
        b"\x91": _from_mark(lambda machine, items: frozenset(machine.set_of(items))),
        b"\x85": _tuple_of(1),
        b"\x86": _tuple_of(2),
        b"\x87": _tuple_of(3),
        b"a": _into(_Machine.append, 1),
        b"e": _into(_Machine.append),
        b"s": _into(_Machine.set_items, 2),
        b"u": _into(_Machine.set_items),
        b"\x90": _into(_Machine.add),
        b"(": _Machine.mark,
        b"0": _Machine.pop,
        b"1": lambda machine: (machine.pop_mark(), None)[1],
        b"q": _put("<B"),
        b"r": _put("<I"),
        b"\x94": lambda machine: machine.put(len(machine.memo)),
        b"h": _get("<B"),
        b"j": _get("<I"),
        b"c": lambda machine: machine.named(machine.line(), machine.line()),
        b"\x93": _stack_global,
        b"R": _Machine.call,
        b"b": _Machine.build,
        b"Q": lambda machine: machine.push(machine.persistent(machine.stack.pop())),
    }.items()
}
