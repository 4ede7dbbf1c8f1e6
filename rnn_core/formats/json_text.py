"""JSON that may be hostile."""

from __future__ import annotations

import json
from typing import Any


def parse(text: str | bytes, what: str) -> Any:
    """Return what a JSON text says.

    Args:
        text: UTF-8 if bytes.
        what: named in errors.

    Raises:
        ValueError: no JSON, or nested too deep.
    """
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{what} is no JSON: {error}") from error
