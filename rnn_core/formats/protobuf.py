"""Protocol Buffers that may be hostile: the wire format, read in place. Knows no one's messages.

A message is a run of fields, each a tag (field number and wire type) and a value; see Protocol
Buffers' documentation, Encoding.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np

from rnn_core._typing import Array
from rnn_core.formats.budget import Budget

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED_SIZES = {FIXED64: 8, FIXED32: 4}
# As deep as Protocol Buffers' own readers go.
_DEPTH = 100
# What objects take in Python, roughly: a message with its lists, a string, a number in a list.
_MESSAGE_BYTES, _TEXT_BYTES, _NUMBER_BYTES = 1024, 128, 48
# Bytes of packed numbers to decode at a time.
_BLOCK = 1 << 16


class Kind(NamedTuple):
    """A kind of value: its wire type and, for numbers, the dtype of a packed run of them."""

    wire: int
    dtype: str = ""


INT, FLOAT, DOUBLE = Kind(VARINT, "<i8"), Kind(FIXED32, "<f4"), Kind(FIXED64, "<f8")
TEXT, VIEW = Kind(BYTES, "text"), Kind(BYTES)


class Field(NamedTuple):
    """Where a field goes: an attribute that it sets, or with `many` a list that it extends.

    With `whole`, runs of numbers stay arrays: the attribute is a list of them.
    """

    name: str
    kind: Any
    many: bool = False
    whole: bool = False


class Message:
    """Base of dataclasses that are read by a table of their fields' numbers."""

    __slots__ = ()
    FIELDS: ClassVar[dict[int, Field]]


M = TypeVar("M", bound=Message)


def parse(message: type[M], view: memoryview, budget: Budget, depth: int = 0) -> M:
    """Return the message in a view of bytes; fields that its table lacks are passed over.

    Args:
        message: a dataclass with defaults for all fields.
        view: of bytes, which the message may go on to refer to.
        budget: what it may take in memory.
        depth: of messages that this one is in.

    Raises:
        ValueError: damaged, nested too deep, or of more parts than the budget has room for.
    """
    if depth > _DEPTH:
        raise ValueError(f"messages are nested more than {_DEPTH} deep")
    budget.take(_MESSAGE_BYTES, f"a {message.__name__}")
    result = message()
    for number, wire, value in fields(view):
        field = message.FIELDS.get(number)
        if field is None:
            continue
        if isinstance(field.kind, Kind):
            found = _scalars(field, wire, value, budget)
        else:
            _expect(wire == BYTES, field, wire)
            found = [parse(field.kind, value, budget, depth + 1)]
        if field.many:
            getattr(result, field.name).extend(found)
        elif len(found):
            setattr(result, field.name, found[-1])
    return result


def fields(view: memoryview) -> Iterator[tuple[int, int, Any]]:
    """Yield each field's number, wire type and value: an unsigned int, or a view of its bytes.

    Raises:
        ValueError: it ends within a field, or a tag is none.
    """
    position, end = 0, len(view)
    value: Any
    while position < end:
        tag, position = _varint(view, position)
        number, wire = tag >> 3, tag & 7
        if wire == VARINT:
            value, position = _varint(view, position)
        else:
            if wire == BYTES:
                size, position = _varint(view, position)
            elif wire in _FIXED_SIZES:
                size = _FIXED_SIZES[wire]
            else:
                raise ValueError(f"wire type {wire}, expected one of 0, 1, 2, 5")
            if size > end - position:
                raise ValueError(f"a field of {size} bytes, {end - position} are left")
            value = view[position : position + size]
            position += size
        if not number:
            raise ValueError("field number 0, expected one from 1")
        yield number, wire, value


def _varint(view: memoryview, position: int) -> tuple[int, int]:
    """Return the unsigned number that begins at a position, and where it ends: 7 bits a byte."""
    value = 0
    for shift, byte in enumerate(view[position : position + 10]):
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, position + shift + 1
    raise ValueError("a number that does not end")


def _expect(condition: bool, field: Field, wire: int) -> None:
    if not condition:
        raise ValueError(f"field {field.name!r} has wire type {wire}, which is not its own")


def _scalars(field: Field, wire: int, value: Any, budget: Budget) -> list[Any]:
    """Return the values in one field: one, or a packed run of numbers."""
    kind = field.kind
    packed = wire == BYTES and kind.wire != BYTES and field.many
    _expect(packed or wire == kind.wire, field, wire)
    if kind.wire == BYTES:
        budget.take(_TEXT_BYTES + (len(value) if kind.dtype else 0), field.name)
        return [str(value, "utf-8") if kind.dtype else value]
    if packed:
        run = _run(kind, value, budget, field)
        return [run] if field.whole else run.tolist()
    budget.take(_NUMBER_BYTES, field.name)
    if wire == VARINT:
        number: Any = value - (1 << 64) if value >> 63 else value
    else:
        (number,) = struct.unpack("<f" if wire == FIXED32 else "<d", value)
    return [np.array([number], kind.dtype)] if field.whole else [number]


def _run(kind: Kind, view: memoryview, budget: Budget, field: Field) -> Array:
    """Return packed numbers as an array, a view if they are of fixed size."""
    size = np.dtype(kind.dtype).itemsize
    each = 0 if field.whole else _NUMBER_BYTES
    if kind.wire != VARINT:
        if len(view) % size:
            raise ValueError(f"field {field.name!r} has {len(view)} bytes, which is no number")
        budget.take(len(view) // size * each, field.name)
        return np.frombuffer(view, kind.dtype)
    octets = np.frombuffer(view, np.uint8)
    count = sum(
        int(np.count_nonzero(octets[start : start + _BLOCK] < 0x80))
        for start in range(0, len(octets), _BLOCK)
    )
    budget.take(count * (size + each), field.name)
    numbers = np.empty(count, np.int64)
    done = start = 0
    while start < len(octets):
        block = octets[start : start + _BLOCK]
        ends = np.flatnonzero(block < 0x80)
        starts = np.concatenate(([0], ends[:-1] + 1))
        lengths = ends + 1 - starts if len(ends) else np.array([len(block)])
        if lengths.max() > 10 or not len(ends):
            raise ValueError(f"field {field.name!r} has a number that does not end")
        values = np.zeros(len(ends), np.uint64)
        for shift in range(int(lengths.max())):
            longer = np.flatnonzero(lengths > shift)
            bits = (block[starts[longer] + shift] & 0x7F).astype(np.uint64)
            values[longer] |= bits << np.uint64(7 * shift)
        numbers[done : done + len(ends)] = values.view(np.int64)
        done += len(ends)
        start += int(ends[-1]) + 1
    return numbers
