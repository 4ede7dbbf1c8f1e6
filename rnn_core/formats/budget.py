"""What a file may make of itself in memory."""

from __future__ import annotations

# A file may take this many times its size and this much more.
_RATIO, _SLACK = 4, 64 << 20


class Budget:
    """The bytes of memory that may still be taken, all in all.

    Args:
        left: how many.
    """

    def __init__(self, left: int) -> None:
        self.left = left

    @classmethod
    def of_file(cls, file_bytes: int) -> Budget:
        """Return what a file of so many bytes may take."""
        return cls(_RATIO * file_bytes + _SLACK)

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
            left = max(self.left, 0)
            raise ValueError(f"{what} would take {size} bytes, and {left} are left for a file")
