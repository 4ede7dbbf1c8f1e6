"""Safetensors files: models that this package saved, or arrays by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rnn_core._keras_weights import assign_by_path
from rnn_core._typing import Array
from rnn_core.formats import safetensors
from rnn_core.formats.json_text import parse
from rnn_core.importers.building import budget, build


def load_safetensors(path: Path) -> Any:
    """Return the model of a file, or if it tells of none, its arrays by name."""
    metadata, arrays = safetensors.read(path)
    if metadata.get("format") != "rnn_core":
        return arrays
    config = parse(metadata.get("config", ""), f"{path}: config")
    try:
        model = _model(path, config, arrays)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error
    model.origin = f"{metadata.get('origin', 'rnn_core')}, .safetensors"
    return model


def _model(path: Path, config: Any, arrays: dict[str, Array]) -> Any:
    if isinstance(config, dict) and config.get("class_name") == "OnnxModel":
        from rnn_core._onnx.model import OnnxModel

        return OnnxModel.from_parts(config.get("config"), arrays)
    model = build(path, config, budget(path))
    assign_by_path(model, arrays, adopt=True)
    return model
