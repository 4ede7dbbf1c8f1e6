"""JSON that may be hostile."""

from __future__ import annotations

import json
from typing import Any

# A part of a list or object takes up to some 100 bytes of memory, and may be 3 of text.
_PART_BYTES, _MOST = 100, 16 << 20


def parse(text: Any, what: str) -> Any:
    """Return what a JSON text says.

    Args:
        text: a str, or bytes of UTF-8.
        what: named in errors.

    Raises:
        ValueError: no text, no JSON, nested too deep, or of so many parts that they take more
            memory than twice the text and 16 MB.
    """
    if not isinstance(text, (str, bytes)):
        raise ValueError(f"{what} is of a {type(text).__name__}, expected JSON")
    content = text if isinstance(text, bytes) else text.encode()
    parts = sum(map(content.count, (b",", b"[", b"{")))
    if parts * _PART_BYTES > 2 * len(content) + _MOST:
        raise ValueError(f"{what} has {parts} parts in {len(content)} bytes of JSON, too many")
    try:
        return json.loads(content)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{what} is no JSON: {error}") from error
