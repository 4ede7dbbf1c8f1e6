"""Safetensors files: models that this package saved, or arrays by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rnn_core.formats import safetensors
from rnn_core.formats.json_text import parse
from rnn_core.importers.building import build, fill


def load_safetensors(path: Path) -> Any:
    """Return the model of a file, or if it tells of none, its arrays by name."""
    metadata, arrays = safetensors.read(path)
    if metadata.get("format") != "rnn_core":
        return arrays
    model = build(path, parse(metadata.get("config", ""), f"{path}: config"))
    fill(path, model, arrays)
    return model
