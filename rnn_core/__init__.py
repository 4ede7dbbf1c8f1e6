"""rnn_core: trained recurrent networks on CPUs.

The recurrent API that Keras users know, on NumPy and SciPy alone. `load` opens a model file;
`Sequential` and `Model` are made of the layers below and run them.
"""

from pathlib import Path
from typing import Any

from rnn_core import backend, layers
from rnn_core._model import Model
from rnn_core._nest import TensorShape
from rnn_core._sequential import Sequential
from rnn_core._threads import get_num_threads, set_num_threads
from rnn_core.layers import *  # noqa: F403

__version__ = "0.1.0"


def load(path: Any) -> Any:
    """Return the model that a file holds: a `Sequential` or a `Model`.

    Args:
        path: of a ``.keras`` file (Keras 3), or an ``.h5`` file (Keras 2); both need the extra
            ``[keras]``.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file that is corrupt, or of a kind or with a layer that is not known.
        ImportError: the extra is not installed.

    >>> load("missing.keras")
    Traceback (most recent call last):
        ...
    FileNotFoundError: [Errno 2] No such file or directory: 'missing.keras'
    """
    from rnn_core.importers import load_model

    return load_model(Path(path))


def get_include() -> str:
    """Return the directory of rnn_core.h, the C header.

    >>> (Path(get_include()) / "rnn_core.h").is_file()
    True
    """
    here = Path(__file__).parent
    packaged = here / "include"
    return str(packaged if packaged.is_dir() else here.parent / "include")


__all__ = [
    "Model",
    "Sequential",
    "TensorShape",
    "backend",
    "get_include",
    "get_num_threads",
    "layers",
    "load",
    "set_num_threads",
]
__all__ += layers.__all__
