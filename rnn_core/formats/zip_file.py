"""Zip archives that may be hostile: members by name, those stored as they are without a copy."""

from __future__ import annotations

import struct
import zlib
from typing import Any, NamedTuple

from rnn_core.formats.budget import Budget

SIGNATURE = b"PK\x03\x04"

# The records of APPNOTE 6.3.10: section 4.3.7 (of a member, where its data is), 4.3.12 (of a
# member, in the directory), 4.3.16 (end of the directory), 4.3.15 and 4.3.14 (the same in 64 bits).
_LOCAL = struct.Struct("<4s22xHH")
_ENTRY = struct.Struct("<4s4xHH4xIIIHHH8xI")
_END = struct.Struct("<4s8xII2x")
_LOCATOR64 = struct.Struct("<4s4xQ4x")
_END64 = struct.Struct("<4s36xQQ")
_MAX_COMMENT = 0xFFFF
# In place of a size or an offset that the 64-bit field has.
_IN_64_BITS = 0xFFFFFFFF
# What a member takes in the directory here, besides its name.
_MEMBER_BYTES = 400

_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 1


class _Member(NamedTuple):
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int


class Archive:
    """A zip archive's members.

    Args:
        content: the file, as bytes or a memory map.
        budget: what its members may take.

    Raises:
        ValueError: the directory is broken.
    """

    def __init__(self, content: Any, budget: Budget) -> None:
        self._content = content
        self._budget = budget
        self._members: dict[str, _Member] = {}
        position, end = _directory(content)
        while position < end:
            position = self._add_member(position, end)

    @property
    def names(self) -> list[str]:
        """The members' names, in the directory's order."""
        return list(self._members)

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def _add_member(self, position: int, end: int) -> int:
        """Take over the directory's entry at a position, and return where the next one is."""
        entry = _unpack(_ENTRY, self._content, position, b"PK\x01\x02")
        flags, method, crc, packed, size, *lengths, offset = entry
        start = position + _ENTRY.size
        after_name, after = start + lengths[0], start + sum(lengths)
        if after > end:
            raise ValueError("an entry of the archive's directory is cut off")
        name = self._content[start:after_name].decode("utf-8", "replace")
        if _IN_64_BITS in (packed, size, offset):
            extra = self._content[after_name : after_name + lengths[1]]
            size, packed, offset = _wide(extra, [size, packed, offset])
        self._budget.take(_MEMBER_BYTES + 4 * len(name), "the archive's directory")
        self._members[name] = _Member(flags, method, crc, packed, size, offset)
        return after

    def view(self, name: str) -> Any:
        """Return a member's bytes as a buffer: of the file itself if it is stored.

        Raises:
            ValueError: no such member; it lies outside the file, or is not what its size says.
        """
        if name not in self._members:
            raise ValueError(f"the archive has no {name!r}")
        member = self._members[name]
        if member.flags & _ENCRYPTED or member.method not in (_STORED, _DEFLATED):
            raise ValueError(f"{name!r} is encrypted or compressed by method {member.method}")
        lengths = _unpack(_LOCAL, self._content, member.offset, SIGNATURE)
        start = member.offset + _LOCAL.size + sum(lengths)
        if start + member.packed > len(self._content):
            raise ValueError(f"{name!r} goes beyond the end of the file")
        packed = memoryview(self._content)[start : start + member.packed]
        if member.method == _DEFLATED:
            return self._inflate(name, member, packed)
        if member.size != member.packed:
            raise ValueError(f"{name!r} has {member.packed} bytes, expected {member.size}")
        return packed

    def _inflate(self, name: str, member: _Member, packed: memoryview) -> bytes:
        # Deflate makes no more than 1032 bytes of one.
        self._budget.take(min(member.size, 1032 * member.packed), repr(name))
        try:
            content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, member.size + 1)
        except zlib.error as error:
            raise ValueError(f"{name!r} is corrupt: {error}") from error
        if len(content) != member.size:
            raise ValueError(f"{name!r} has {len(content)} bytes, expected {member.size}")
        self._check_crc(name, content)
        return content

    def read(self, name: str) -> bytes:
        """Return a copy of a member's bytes, its checksum compared.

        Raises:
            ValueError: as for `view`; another checksum.
        """
        view = self.view(name)
        self._budget.take(len(view), repr(name))
        self._check_crc(name, view)
        return bytes(view)

    def _check_crc(self, name: str, content: Any) -> None:
        if zlib.crc32(content) != self._members[name].crc:
            raise ValueError(f"{name!r} is corrupt: its checksum differs")


def _directory(content: Any) -> tuple[int, int]:
    """Return where an archive's directory begins and ends."""
    end = content.rfind(b"PK\x05\x06", max(0, len(content) - _END.size - _MAX_COMMENT))
    size, offset = _unpack(_END, content, end, b"PK\x05\x06")
    locator = end - _LOCATOR64.size
    if locator >= 0 and content[locator : locator + 4] == b"PK\x06\x07":
        (end64,) = _unpack(_LOCATOR64, content, locator, b"PK\x06\x07")
        size, offset = _unpack(_END64, content, end64, b"PK\x06\x06")
    if offset + size > end:
        raise ValueError("the archive's directory goes beyond its end")
    return offset, offset + size


def _unpack(record: struct.Struct, content: Any, position: int, signature: bytes) -> list[int]:
    """Return the numbers of a record after its signature."""
    if not 0 <= position <= len(content) - record.size:
        raise ValueError("a record of the archive is missing or cut off")
    found, *numbers = record.unpack_from(content, position)
    if found != signature:
        raise ValueError(f"the archive has {found!r} where {signature!r} belongs")
    return numbers


def _wide(extra: bytes, numbers: list[int]) -> list[int]:
    """Return numbers, those of them that are too large taken from the 64-bit field (4.5.3)."""
    position = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, position)
        position += 4
        if kind == 1:
            field = extra[position : position + length]
            wide = iter(value for (value,) in struct.iter_unpack("<Q", field[: length // 8 * 8]))
            return [next(wide, n) if n == _IN_64_BITS else n for n in numbers]
        position += length
    return numbers
