"""What a file may make of itself in memory."""

from __future__ import annotations

# A file may take this many times its size and this much more.
_RATIO, _SLACK = 4, 64 << 20


class Allowance:
    """The bytes of memory that may still be taken for a file, all in all.

    Args:
        file_bytes: the file's size.
    """

    def __init__(self, file_bytes: int) -> None:
        self.left = _RATIO * file_bytes + _SLACK

    def take(self, size: int, what: str) -> None:
        """Take `size` bytes off.

        Raises:
            ValueError: fewer are left.
        """
        self.expect(size, what)
        self.left -= size

    def expect(self, size: int, what: str) -> None:
        """Raise ValueError if fewer than `size` bytes are left."""
        if size > self.left:
            raise ValueError(f"{what} would take {size} bytes, and {self.left} are left for a file")
