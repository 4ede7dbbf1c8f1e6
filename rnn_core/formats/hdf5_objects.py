"""The objects of an HDF5 file: headers, groups, datasets and attributes, read from its bytes.

After the HDF5 File Format Specification, version 3.0, whose sections the comments name. What h5py
writes by default is read whole; of the newer format only what small files have. All that a file
says of places and sizes is checked: a wrong one raises `struct.error`, or one of the others that
`hdf5.open_file` turns into a ValueError.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from rnn_core.formats.hdf5_types import Datatype, datatype_of, shape_of

SIGNATURE = b"\x89HDF\r\n\x1a\n"
UNDEFINED = (1 << 64) - 1
# Types of messages in an object's header (IV.A.2).
_DATASPACE, _LINK_INFO, _DATATYPE, _LINK, _EXTERNAL = 0x1, 0x2, 0x3, 0x6, 0x7
_LAYOUT, _FILTERS, _ATTRIBUTE, _CONTINUATION, _SYMBOL_TABLE = 0x8, 0xB, 0xC, 0x10, 0x11
_ATTRIBUTE_INFO = 0x15
_OLDER = "Write the file anew in HDF5's older format, as h5py does by default"
_SHARED = 0x2  # a message's flag: it is kept elsewhere

Message = tuple[int, int, memoryview]


class File:
    """The bytes of a file, and what is found in them by address."""

    def __init__(self, content: Any, stream: Any = None) -> None:
        self.content = memoryview(content)
        # The file itself, if `content` is mapped from it.
        self.stream = stream
        self._heaps: dict[int, dict[int, memoryview]] = {}

    def unpack(self, form: str, at: int) -> tuple[Any, ...]:
        return struct.unpack_from("<" + form, self.content, at)

    def part(self, at: int, size: int) -> memoryview:
        """Return `size` bytes at an address."""
        if at + size > len(self.content):
            raise ValueError(f"{size} bytes at {at} in a file of {len(self.content)}")
        return self.content[at : at + size]

    def fill(self, array: Any, at: int) -> None:
        """Read an array's bytes, at an address within the file."""
        if self.stream is None:
            array.data.cast("B")[:] = self.part(at, array.nbytes)
            return
        # A page fault for each few pages of the map would take longer.
        self.stream.seek(at)
        if self.stream.readinto(array.data) != array.nbytes:
            raise ValueError(f"{array.nbytes} bytes at {at} cannot be read")

    def expect(self, signature: bytes, at: int) -> None:
        found = bytes(self.part(at, len(signature)))
        if found != signature:
            raise ValueError(f"{found!r} at {at}, expected {signature!r}")

    def root(self) -> Group:
        """Return the root group, which the superblock names (II.A)."""
        self.expect(SIGNATURE, 0)
        (version,) = self.unpack("B", 8)
        if version > 3:
            raise ValueError(f"superblock version {version}, expected 0 to 3")
        sizes, base, at = ((13, 24 + 4 * version, 64 + 4 * version), (9, 12, 36))[version > 1]
        if self.unpack("BB", sizes) != (8, 8):
            raise ValueError("addresses are not of 8 bytes")
        start, _, end = self.unpack("QQQ", base)
        if start != 0:
            raise ValueError("addresses do not count from the beginning of the file")
        if end > len(self.content):
            raise ValueError(f"it has {len(self.content)} bytes of {end}")
        return Group(self, "/", self.unpack("Q", at)[0])

    def string(self, collection: int, index: int) -> memoryview:
        """Return an object of a global heap (III.E)."""
        if collection not in self._heaps:
            self._heaps[collection] = dict(self._heap_objects(collection))
        return self._heaps[collection][index]

    def _heap_objects(self, collection: int) -> Iterator[tuple[int, memoryview]]:
        self.expect(b"GCOL\x01", collection)
        (size,) = self.unpack("Q", collection + 8)
        end = collection + len(self.part(collection, size))
        at = collection + 16
        while at + 16 <= end:
            index, length = self.unpack("H6xQ", at)
            if index == 0:
                return
            yield index, self.part(at + 16, length)
            at += 16 + (length + 7 & ~7)


@dataclass
class Object:
    """A group or a dataset."""

    file: File
    name: str
    address: int

    @cached_property
    def messages(self) -> list[Message]:
        """What the header says: type, flags and data of each message (IV.A.1)."""
        newer = bytes(self.file.part(self.address, 4)) == b"OHDR"
        found = (
            _messages2(self.file, self.address) if newer else _messages1(self.file, self.address)
        )
        return list(found)

    def message(self, kind: int) -> memoryview | None:
        """Return the first message of a type."""
        for found, flags, data in self.messages:
            if found == kind:
                if flags & _SHARED:
                    raise ValueError(f"{self.name!r} has a part that is stored elsewhere")
                return data
        return None

    @cached_property
    def attributes(self) -> dict[str, Attribute]:
        info = self.message(_ATTRIBUTE_INFO)
        if info is not None:
            self.refuse_heap(info, 2 + 2 * (info[1] & 1), "attributes")
        own = [data for kind, _, data in self.messages if kind == _ATTRIBUTE]
        return dict(_attribute(self.file, data) for data in own)

    def refuse_heap(self, info: memoryview, at: int, what: str) -> None:
        """Raise ValueError if an info message has the address of a fractal heap (III.G)."""
        if struct.unpack_from("<Q", info, at) != (UNDEFINED,):
            raise ValueError(f"{self.name!r} keeps its {what} in a newer way. {_OLDER}")


def _messages1(file: File, address: int) -> Iterator[Message]:
    version, count, size = file.unpack("BxH4xI", address)
    if version != 1:
        raise ValueError(f"an object's header of version {version} at {address}")
    blocks, seen = [(address + 16, size)], {address + 16}
    for at, size in blocks:
        end = at + len(file.part(at, size))
        while at + 8 <= end and count:
            kind, length, flags = file.unpack("HHB", at)
            data = file.part(at + 8, length)
            at, count = at + 8 + length, count - 1
            yield from _message(kind, flags, data, blocks, seen)


def _messages2(file: File, address: int) -> Iterator[Message]:
    version, header_flags = file.unpack("BB", address + 4)
    if version != 2:
        raise ValueError(f"an object's header of version {version} at {address}")
    at = address + 6 + (16 if header_flags & 0x20 else 0) + (4 if header_flags & 0x10 else 0)
    (size,) = file.unpack("BHIQ"[header_flags & 3], at)
    at += 1 << (header_flags & 3)
    head = 6 if header_flags & 4 else 4
    blocks, seen = [(at, size)], {at}
    for number, (at, size) in enumerate(blocks):
        end = at + len(file.part(at, size))
        if number:
            file.expect(b"OCHK", at)
            at, end = at + 4, end - 4
        while at + head <= end:
            kind, length, flags = file.unpack("BHB", at)
            data = file.part(at + head, length)
            at += head + length
            yield from _message(kind, flags, data, blocks, seen)


def _message(
    kind: int, flags: int, data: memoryview, blocks: list[tuple[int, int]], seen: set[int]
) -> Iterator[Message]:
    """Yield a message, or put the block that it names behind the others."""
    if kind != _CONTINUATION:
        yield kind, flags, data
        return
    block = struct.unpack_from("<QQ", data)
    if block[0] in seen:
        raise ValueError("an object's header goes round in a circle")
    seen.add(block[0])
    blocks.append(block)


class Group(Object):
    """A group: objects by name."""

    @cached_property
    def links(self) -> dict[str, int | None]:
        """The addresses of its objects by name; None for what is a link to elsewhere."""
        table = self.message(_SYMBOL_TABLE)
        if table is not None:
            tree, heap = struct.unpack_from("<QQ", table)
            return dict(_symbols(self.file, tree, heap))
        info = self.message(_LINK_INFO)
        if info is None:
            raise ValueError(f"{self.name!r} is no group")
        self.refuse_heap(info, 2 + 8 * (info[1] & 1), "links")
        return dict(_link(data) for kind, _, data in self.messages if kind == _LINK)

    def open(self, name: str) -> Group | Dataset:
        """Return the object of a name."""
        address = self.links[name]
        if address is None:
            raise ValueError(f"{name!r} is a link to elsewhere, which is not followed")
        path = f"{self.name.rstrip('/')}/{name}"
        found = Dataset(self.file, path, address)
        return found if found.message(_LAYOUT) is not None else Group(self.file, path, address)


def _symbols(file: File, tree: int, heap: int) -> Iterator[tuple[str, int | None]]:
    """Yield the symbols of a group: a B-tree's leaves, their names in a heap (III.A, III.C)."""
    file.expect(b"HEAP\0", heap)
    size, _, start = file.unpack("QQQ", heap + 8)
    names = bytes(file.part(start, size))
    for node in tree_leaves(file, tree, 0, 8):
        file.expect(b"SNOD\x01", node.child)
        (count,) = file.unpack("H", node.child + 6)
        for at in range(node.child + 8, node.child + 8 + 40 * count, 40):
            name, address, cached = file.unpack("QQI", at)
            end = names.index(b"\0", name)
            yield names[name:end].decode(), None if cached == 2 else address


def _link(data: memoryview) -> tuple[str, int | None]:
    """Return the name and address of a link message (IV.A.2.g)."""
    version, flags = struct.unpack_from("<BB", data)
    if version != 1:
        raise ValueError(f"a link of version {version}")
    hard = not flags & 0x8 or data[2] == 0
    at = 2 + bool(flags & 0x8) + (8 if flags & 0x4 else 0) + bool(flags & 0x10)
    (size,) = struct.unpack_from("<" + "BHIQ"[flags & 3], data, at)
    at += 1 << (flags & 3)
    name = bytes(data[at : at + size]).decode()
    return name, struct.unpack_from("<Q", data, at + size)[0] if hard else None


@dataclass
class Leaf:
    """A key, and the address of what it stands for."""

    key: memoryview
    child: int


def tree_leaves(file: File, root: int, kind: int, key_size: int) -> Iterator[Leaf]:
    """Yield the leaves of a B-tree, version 1 (III.A.1): of a group, kind 0, or of chunks, 1."""
    pending, seen = [(root, -1)], {root}
    while pending:
        at, expected = pending.pop()
        file.expect(b"TREE" + bytes([kind]), at)
        level, used = file.unpack("BH", at + 5)
        if level != expected and expected >= 0:
            raise ValueError(f"a tree's node at {at} is of level {level}, expected {expected}")
        children = []
        for entry in range(at + 24, at + 24 + used * (key_size + 8), key_size + 8):
            (child,) = file.unpack("Q", entry + key_size)
            if child in seen:
                raise ValueError("a tree's branches meet")
            seen.add(child)
            children.append(Leaf(file.part(entry, key_size), child))
        if level == 0:
            yield from children
        else:
            pending += [(leaf.child, level - 1) for leaf in reversed(children)]


# Values


@dataclass
class Attribute:
    """A small value that an object has."""

    file: File
    datatype: Datatype
    shape: tuple[int, ...] | None
    data: memoryview


def _attribute(file: File, data: memoryview) -> tuple[str, Attribute]:
    """Return an attribute's name, and it (IV.A.2.m)."""
    version, flags, name_size, type_size, space_size = struct.unpack_from("<BBHHH", data)
    if version not in (1, 2, 3) or (version > 1 and flags & 1):
        raise ValueError(f"an attribute of version {version} and flags {flags}")
    align = 8 if version == 1 else 1
    at = 9 if version == 3 else 8
    parts = []
    for size in (name_size, type_size, space_size):
        parts.append(data[at : at + size])
        at += (size + align - 1) // align * align
    name = bytes(parts[0]).split(b"\0")[0].decode()
    return name, Attribute(file, datatype_of(parts[1]), shape_of(parts[2]), data[at:])


@dataclass
class Layout:
    """Where a dataset's values lie (IV.A.2.i)."""

    # All of them; None of one in chunks.
    values: memoryview | None
    # Where they begin, if they are not in the header.
    address: int = UNDEFINED
    # Of the tree of chunks, and the shape of one.
    tree: int = UNDEFINED
    chunk: tuple[int, ...] = ()
    # The filters' numbers, in the order in which they were applied.
    filters: list[int] = field(default_factory=list)


class Dataset(Object):
    """An array, or one value."""

    def needed(self, kind: int) -> memoryview:
        data = self.message(kind)
        if data is None:
            raise ValueError(f"{self.name!r} is no dataset: its header lacks message {kind}")
        return data

    @cached_property
    def datatype(self) -> Datatype:
        return datatype_of(self.needed(_DATATYPE))

    @cached_property
    def shape(self) -> tuple[int, ...] | None:
        return shape_of(self.needed(_DATASPACE))

    @cached_property
    def layout(self) -> Layout:
        data = self.needed(_LAYOUT)
        version, kind = struct.unpack_from("<BB", data)
        if self.message(_EXTERNAL) is not None or (version, kind) == (4, 3):
            raise ValueError(f"{self.name!r} is stored in another file, which is not followed")
        if version == 3 or (version == 4 and kind < 2):
            if kind == 0:
                (size,) = struct.unpack_from("<H", data, 2)
                return Layout(data[4 : 4 + size])
            if kind == 1:
                address, size = struct.unpack_from("<QQ", data, 2)
                if address == UNDEFINED and size:
                    raise ValueError(f"{self.name!r} was never written")
                address = address if size else 0
                return Layout(self.file.part(address, size), address)
            if kind == 2:
                rank, tree = struct.unpack_from("<BQ", data, 2)
                chunk = struct.unpack_from(f"<{rank}I", data, 11)
                filters = _filters(self.message(_FILTERS))
                return Layout(None, tree=tree, chunk=chunk[:-1], filters=filters)
        raise ValueError(f"{self.name!r} has layout {version}.{kind}. {_OLDER}")


def _filters(data: memoryview | None) -> list[int]:
    """Return the filters' numbers (IV.A.2.l)."""
    if data is None:
        return []
    version, count = struct.unpack_from("<BB", data)
    if version not in (1, 2):
        raise ValueError(f"filters of version {version}")
    found, at = [], 8 if version == 1 else 2
    for _ in range(count):
        (number,) = struct.unpack_from("<H", data, at)
        named = version == 1 or number >= 256
        name_size = struct.unpack_from("<H", data, at + 2)[0] if named else 0
        at += 4 if named else 2
        (values,) = struct.unpack_from("<2xH", data, at)
        at += 4 + (name_size + 7) // 8 * 8 if version == 1 else 4 + name_size
        at += 4 * (values + (values % 2 if version == 1 else 0))
        found.append(number)
    return found
