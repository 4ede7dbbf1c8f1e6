"""Keras 3's ``.keras`` archives: a config, and arrays at paths."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rnn_core._typing import Array
from rnn_core.formats import hdf5
from rnn_core.formats.budget import Budget
from rnn_core.formats.json_text import parse

SIGNATURE = b"PK\x03\x04"
# A member may unpack to this many times the archive and this much more, for others than Keras
# deflate: texts, which take several times as much once they are parsed, and arrays.
_TEXT, _ARRAYS = (1, 4 << 20), (2, 24 << 20)
# Whose rules the written configs follow.
_WRITTEN_VERSION = "3.15.0"


def read(path: Path) -> tuple[Any, str, dict[str, Array]]:
    """Return the model's config, Keras's version, and arrays by path: ``layers/lstm/cell/vars/0``.

    Raises:
        ValueError: the archive is corrupt, lacks a member, or unpacks to far more than its size.
    """
    size = path.stat().st_size
    try:
        with zipfile.ZipFile(path) as archive:
            metadata = parse(
                _member(archive, "metadata.json", size, _TEXT), f"{path}: metadata.json"
            )
            config = parse(_member(archive, "config.json", size, _TEXT), f"{path}: config.json")
            weights = _member(archive, "model.weights.h5", size, _ARRAYS)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
        raise ValueError(f"{path} is truncated or corrupt: {error}") from error
    arrays = _arrays(weights, len(weights), f"{path}: model.weights.h5")
    version = metadata.get("keras_version") if isinstance(metadata, dict) else None
    return config, str(version or "3"), arrays


def read_weights(path: Path) -> dict[str, Array]:
    """Return the arrays of a ``.weights.h5``, by path as in an archive.

    Raises:
        ValueError: the file is corrupt.
    """
    return _arrays(path, path.stat().st_size, str(path))


def read_shards(path: Path) -> dict[str, Array]:
    """Return the arrays of the files that a ``.weights.json`` lists; they lie beside it.

    Raises:
        ValueError: a file is corrupt, or is listed as lying elsewhere.
        FileNotFoundError: a listed file is missing.
    """
    listed = parse(path.read_bytes(), str(path))
    places = listed.get("weight_map") if isinstance(listed, dict) else None
    if not isinstance(places, dict):
        raise ValueError(f"{path} has no weight_map: it is no .weights.json")
    names = [
        name
        for found in places.values()
        for name in (found if isinstance(found, list) else [found])
    ]
    arrays: dict[str, Array] = {}
    for name in dict.fromkeys(map(str, names)):
        if Path(name).name != name:
            raise ValueError(f"{path} lists {name!r}, expected a file beside it")
        arrays.update(read_weights(path.parent / name))
    return arrays


def _arrays(source: Any, size: int, what: str) -> dict[str, Array]:
    budget = Budget(size)
    with hdf5.open_file(source, what) as file:
        return {
            dataset.name[1:]: hdf5.read(dataset, budget)
            for dataset in hdf5.walk(file)
            if "/vars/" in dataset.name and not dataset.name.startswith("/optimizer/")
        }


def _member(
    archive: zipfile.ZipFile, name: str, archive_bytes: int, most: tuple[int, int]
) -> bytes:
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise ValueError(f"{archive.filename} has no {name}: it is no .keras file") from None
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} is compressed by method {info.compress_type}, expected deflate")
    limit = most[0] * archive_bytes + most[1]
    # Reading takes room for what is declared before it looks at what is there.
    if info.file_size > limit or info.compress_size > archive_bytes:
        raise ValueError(f"{name} declares {info.file_size} bytes in an archive of {archive_bytes}")
    with archive.open(info) as member:
        return member.read(info.file_size)


def write(path: Path, config: Any, arrays: dict[str, Array]) -> None:
    """Write an archive that Keras 3 opens.

    Args:
        path: of a file that will be written over.
        config: the model's.
        arrays: by path, such as ``layers/lstm/cell/vars/0``.

    Raises:
        ImportError: h5py is not installed.
    """
    try:
        import h5py
    except ImportError:
        raise ImportError(f"writing {path} needs h5py: pip install 'rnn_core[keras]'") from None
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    now = datetime.now(timezone.utc).strftime("%Y-%m-%d@%H:%M:%S")
    metadata = {"keras_version": _WRITTEN_VERSION, "date_saved": now}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps(metadata))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", weights.getvalue())
